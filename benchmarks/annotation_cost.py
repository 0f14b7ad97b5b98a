"""What suggestions save: boxes to add, to delete and to move, against drawing every box.

    python benchmarks/annotation_cost.py --work-dir work_dirs/annotation_cost   (continues if it was stopped)

For each seed: train on 20 of the training photographs, suggest on the others, and count what a person must
do there. Then annotate 20 more, the first of the suggested order or 20 by chance, train on all 40, and
count again on the rest.
"""

import json
import os
import subprocess
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path

import hotcoco
import numpy as np

from mmballoon.data.shapes import polygon_box
from mmballoon.data.via import read_via

ROOT = Path(__file__).parents[1]
CONFIG = ROOT / 'configs/my_rtmdet_tiny_scratch.py'
DATA = ROOT / 'data/balloon'
IMAGES = 20  # in a round
THRESHOLDS = 0.2, 0.3, 0.4, 0.5, 0.6  # 0.3 is the one of suggest_annotations.py
BEST = 0.5  # the one of them with the least work
IOU = 0.5  # from which a suggestion shows an object
MOVED = 0.1  # an edge that is farther off, as a part of the width or height, has to be moved
OPTIONS = """train_cfg.max_epochs={epochs} train_cfg.val_interval={epochs} param_scheduler.0.end=20
    param_scheduler.1.end={epochs} param_scheduler.1.T_max={epochs} randomness.seed={seed}
    train_dataloader.num_workers=0 train_dataloader.persistent_workers=False
    val_dataloader.num_workers=0 val_dataloader.persistent_workers=False"""


def steps(suggested, true):
    """[boxes to add, to delete, to move] of one image; boxes: (x, y, width, height), the surest first."""
    left, deleted, moved = list(true), 0, 0
    for box in suggested:
        ious = hotcoco.mask.iou(box[None], np.reshape(left, (-1, 4)), [False] * len(left))
        if ious.max(initial=0) < IOU:
            deleted += 1
            continue
        off = left.pop(ious.argmax()) - box
        off[2:] += off[:2]  # the right and the lower edge
        moved += bool((abs(off) > MOVED * np.tile(box[2:], 2)).any())
    return [len(left), deleted, moved]


def boxes(path, least=0):
    """{file name: [box]} of a VIA file, without the suggestions that have a lower score."""
    found = {}
    for entry in read_via(path)[0]:
        regions = [r for r in entry.regions if float(r.attributes.get('score', 1)) >= least]
        found[entry.filename] = [np.array(polygon_box(r.outlines[0]), float) for r in regions]
    return found


def train_and_suggest(folder, names, args, seed):
    """Annotate the images of these names, train on them, and suggest on the others."""

    def run(*command):
        env = {**os.environ, 'BALLOON_ROOT': str(folder)}
        subprocess.run([sys.executable, *map(str, command)], cwd=ROOT, env=env, check=True)

    folder.mkdir(parents=True, exist_ok=True)
    entries = json.loads((DATA / 'train/via_region_data.json').read_text()).values()
    annotated, checkpoint = folder / 'annotated.json', folder / f'run/epoch_{args.epochs}.pth'
    annotated.write_text(json.dumps({e['filename']: e for e in entries if e['filename'] in names}))
    for split, file in (('train', annotated), ('val', DATA / 'val')):
        if not (folder / split).is_symlink():
            (folder / split).symlink_to(DATA / split)
        run('data_tools/balloon2coco.py', file, folder / split, '--data-root', folder)
    options = OPTIONS.format(epochs=args.epochs, seed=seed).split()
    run('tools/train.py', CONFIG, '--work-dir', folder / 'run', '--cfg-options', *options)
    options = ['--weights', checkpoint, '--pred-score-thr', min(THRESHOLDS)]
    options += ['--extend', annotated, '--out', folder / 'suggested.json']
    run('tools/suggest_annotations.py', DATA / 'train', CONFIG, *options)


def one_round(title, folder, names, args, seed):
    """Run a round, unless it is done, and print its figures; returns the names in the suggested order."""
    if not (folder / 'suggested.json').exists():
        train_and_suggest(folder, names, args, seed)
    logs = [path.read_text() for path in sorted(folder.glob('run/*/vis_data/scalars.json'))]
    score = json.loads(logs[-1].splitlines()[-1])['coco/bbox_mAP']
    project = json.loads((folder / 'suggested.json').read_text())
    order = [project['_via_img_metadata'][key]['filename'] for key in project['_via_image_id_list']]
    order = [name for name in order if name not in names]
    true = boxes(DATA / 'train/via_region_data.json')
    for least in THRESHOLDS:
        found = boxes(folder / 'suggested.json', least)
        rows = [[len(true[n]), *steps(found[n], true[n])] for n in order]
        drawn, *work = np.mean(rows, 0)
        values = [f'{value:.2f}' for value in (drawn, *work, sum(work))]
        cells = [str(seed), title, f'{score:.3f}', str(least), *values, f'{sum(work) / drawn:.0%}']
        print('|', ' | '.join(cells), '|', flush=True)
    return order


def main(argv=None):
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    add = parser.add_argument
    add('--work-dir', type=Path, default='work_dirs/annotation_cost', help='(%(default)s)')
    add('--epochs', type=int, default=12, help='(%(default)s)')
    add('--seeds', type=int, nargs='+', default=[0, 1, 2], help='(%(default)s)')
    args = parser.parse_args(argv)
    folder = args.work_dir.resolve()
    names = sorted(boxes(DATA / 'train/via_region_data.json'))
    print('| seed | trained on | mAP | score | drawn | add | delete | move | in all | share |')
    mixed = {seed: np.random.default_rng(seed).permutation(names).tolist() for seed in args.seeds}
    orders = {
        seed: one_round('20', folder / f'{seed}_first', some[:IMAGES], args, seed)
        for seed, some in mixed.items()
    }
    true = boxes(DATA / 'train/via_region_data.json')
    for seed, some in mixed.items():
        for title, more in (('suggested', orders[seed]), ('random', some[IMAGES:])):
            second, more = folder / f'{seed}_{title}', more[:IMAGES]
            rest = one_round(f'40, {title} order', second, some[:IMAGES] + more, args, seed)
            total = 0
            for round_folder, names in ((folder / f'{seed}_first', more), (second, rest)):
                found = boxes(round_folder / 'suggested.json', BEST)
                total += sum(sum(steps(found[n], true[n])) for n in names)
            drawn = sum(len(true[n]) for n in some[IMAGES:])
            print(
                f'seed {seed}, {title} order, both rounds at {BEST}: {total} steps, {total / drawn:.0%} of {drawn}'
            )


if __name__ == '__main__':
    main()
