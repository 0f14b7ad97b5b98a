"""How fast VIA becomes COCO: ours against the tutorials' algorithm, and how ours grows with the
data.

    python benchmarks/convert.py
    python benchmarks/convert.py --data-root data/toy_balloon --counts 1000 10000

The tutorials' algorithm, written here from its description: decode every image to learn its size,
take the polygon's extremes as the box, count from 0, write the box's area. Both sides convert train
and val in one process each, imports not counted, alternately, several times. The growth: rendered
annotations (the outlines of make_toy_balloons.py, about 4 a picture) over hard links to one small
image, each count in a process of its own; peak memory is that process's.
"""

import argparse
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / 'data_tools'))


def ours(root, out):
    """Convert both splits of ``root`` with data_tools/balloon2coco.py into the folder ``out``."""
    import balloon2coco

    for split in ('train', 'val'):
        balloon2coco.main([str(root / split), '--out', str(out / f'{split}.json')])


def tutorial(root, out):
    """The same by decoding every image."""
    import cv2

    for split in ('train', 'val'):
        images, annotations = [], []
        for entry in json.loads((root / split / 'via_region_data.json').read_text()).values():
            height, width = cv2.imread(str(root / split / entry['filename'])).shape[:2]
            images.append(
                dict(id=len(images), file_name=entry['filename'], height=height, width=width)
            )
            for region in entry['regions'].values():
                xs, ys = (region['shape_attributes'][f'all_points_{axis}'] for axis in 'xy')
                box = [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]
                points = [c for x, y in zip(xs, ys) for c in (x + 0.5, y + 0.5)]
                annotations.append(
                    dict(
                        id=len(annotations),
                        image_id=len(images) - 1,
                        category_id=0,
                        bbox=box,
                        area=box[2] * box[3],
                        segmentation=[points],
                        iscrowd=0,
                    )
                )
        (out / f'{split}.json').write_text(
            json.dumps(
                dict(
                    images=images, annotations=annotations, categories=[dict(id=0, name='balloon')]
                )
            )
        )


def child(side, root):
    """Time one side in this process, imports done beforehand; prints seconds and peak memory in
    bytes.
    """
    if side == 'ours':
        import balloon2coco  # noqa: F401
    else:
        import cv2  # noqa: F401
    with tempfile.TemporaryDirectory() as out, open(os.devnull, 'w') as null:
        stdout, sys.stdout = sys.stdout, null
        start = time.perf_counter()
        {'ours': ours, 'tutorial': tutorial}[side](root, Path(out))
        seconds = time.perf_counter() - start
        sys.stdout = stdout
    print(json.dumps([seconds, peak_memory()]))


def peak_memory():
    """Bytes this process held at most. Not ru_maxrss where there is /proc: that one counts the
    parent's, too.
    """
    try:
        return int(re.search(r'VmHWM:\s+(\d+)', Path('/proc/self/status').read_text())[1]) * 1024
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (
            1 if sys.platform == 'darwin' else 1024
        )


def measure(side, root):
    done = subprocess.run(
        [sys.executable, __file__, '--child', side, '--data-root', str(root)],
        check=True,
        capture_output=True,
        text=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def rendered_outlines(count):
    """The outlines of ``count`` pictures as make_toy_balloons.py renders them, [[(xs, ys), ...],
    ...].
    """
    import make_toy_balloons
    import numpy as np

    return [make_toy_balloons.render(np.random.default_rng(i))[1] for i in range(count)]


def make_large(root, count, outlines):
    """A data root with ``count`` train images (hard links to one) and a val of one."""
    import cv2
    import numpy as np
    from make_toy_balloons import via_entry

    data = cv2.imencode('.jpg', np.full((640, 640, 3), 128, np.uint8))[1].tobytes()
    for split, number in (('train', count), ('val', 1)):
        (root / split).mkdir(parents=True)
        (root / 'one.jpg').write_bytes(data)
        via = {}
        for i in range(number):
            name = f'{i:06d}.jpg'
            if i % 30000 == 0:  # file systems limit the links to one file
                (root / f'{split}{i}.jpg').write_bytes(data)
                source = root / f'{split}{i}.jpg'
            os.link(source, root / split / name)
            via[f'{name}{len(data)}'] = via_entry(name, len(data), outlines[i % len(outlines)])
        (root / split / 'via_region_data.json').write_text(json.dumps(via))
    return sum(len(outlines[i % len(outlines)]) for i in range(count))


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--data-root', type=Path, default=Path(os.environ.get('BALLOON_ROOT') or 'data/balloon')
    )
    parser.add_argument('--repeats', type=int, default=7, help='(%(default)s)')
    parser.add_argument(
        '--counts', nargs='+', type=int, default=[1000, 10000, 100000], help='images for the growth'
    )
    parser.add_argument('--child', choices=['ours', 'tutorial'], help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def main(argv=None):
    args = parse_args(argv)
    if args.child:
        child(args.child, args.data_root)
        return
    if not (args.data_root / 'val/via_region_data.json').is_file():
        raise SystemExit(
            f'{args.data_root}: no data set there; next: python data_tools/download_balloon.py, or pass '
            '--data-root data/toy_balloon'
        )
    runs = [
        (measure('ours', args.data_root)[0], measure('tutorial', args.data_root)[0])
        for _ in range(args.repeats)
    ]
    mine, theirs = (statistics.median(side) for side in zip(*runs))
    ratios = sorted(b / a for a, b in runs)
    print(
        f'{args.data_root}: ours {mine * 1000:.0f} ms, decoding every image {theirs * 1000:.0f} ms: '
        f'{statistics.median(ratios):.0f} times faster ({ratios[0]:.0f} to {ratios[-1]:.0f}, {args.repeats} runs)'
    )

    print(f'{"images":>8}{"boxes":>9}{"seconds":>9}{"µs/image":>10}{"peak MB":>9}')
    outlines, rows = rendered_outlines(64), []
    for count in args.counts:
        with tempfile.TemporaryDirectory() as folder:
            boxes = make_large(Path(folder) / 'data', count, outlines)
            seconds, peak = measure('ours', Path(folder) / 'data')
        rows.append((count, seconds))
        print(
            f'{count:>8}{boxes:>9}{seconds:>9.2f}{1e6 * seconds / count:>10.0f}{peak / 1e6:>9.0f}',
            flush=True,
        )
    if len(rows) > 1:
        (n1, t1), (n2, t2) = rows[-2:]
        print(
            f'{n2 / n1:.0f} times the images take {t2 / t1:.1f} times as long: '
            + ('linear' if t2 / t1 < 1.25 * n2 / n1 else 'more than linear')
        )


if __name__ == '__main__':
    main()
