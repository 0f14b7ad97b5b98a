"""Time per image through the training pipeline, one core: upstream's against
mmballoon/train/fast_pipeline.py.

    python benchmarks/pipeline.py
    python benchmarks/pipeline.py --data-root data/toy_balloon --samples 50

Both run in this process, alternately, on the same images and seeds: stage 1 (mosaic, resize, crop, HSV,
flip, mixup) and stage 2 at 640 px, of upstream's config and of configs/my_rtmdet_tiny.py; then the
same with masks, of configs/my_rtmdet_ins_tiny.py. The first pass, in which caches fill and images are
decoded once, is not counted.
"""

import os
import random
import statistics
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path

ROOT = Path(__file__).parents[1]


def stages():
    """{stage: (upstream's training pipeline, that of our config)}, each a list of dict."""
    from mmengine.config import Config
    from mmengine.hub import get_config

    names = {'stage 1': 'train_pipeline', 'stage 2': 'train_pipeline_stage2'}
    found = {}
    for prefix, base, config in (
        ('', 'rtmdet_tiny_8xb32-300e_coco.py', 'my_rtmdet_tiny.py'),
        ('masks, ', 'rtmdet-ins_tiny_8xb32-300e_coco.py', 'my_rtmdet_ins_tiny.py'),
    ):
        theirs = get_config(f'mmdet::rtmdet/{base}')
        ours = Config.fromfile(ROOT / 'configs' / config)
        found |= {prefix + stage: (theirs[name], ours[name]) for stage, name in names.items()}
    return found


def build(data_root, pipeline):
    """The training split of ``data_root`` as MMDetection's CocoDataset, with a pipeline."""
    from mmdet.registry import DATASETS
    from mmengine.config import Config

    dataset = Config.fromfile(ROOT / 'configs/my_rtmdet_tiny.py').train_dataloader.dataset
    return DATASETS.build(dict(dataset, data_root=str(data_root), pipeline=pipeline))


def timed(dataset, indices):
    """Mean milliseconds a sample."""
    times = []
    for i in indices:
        start = time.perf_counter()
        dataset[i]
        times.append(1000 * (time.perf_counter() - start))
    return statistics.mean(times)


def parse_args(argv=None):
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument(
        '--data-root', type=Path, default=Path(os.environ.get('BALLOON_ROOT') or 'data/balloon')
    )
    parser.add_argument('--samples', type=int, default=120, help='a repeat (%(default)s)')
    parser.add_argument('--repeats', type=int, default=5, help='(%(default)s)')
    return parser.parse_args(argv)


def main(argv=None):
    args = parse_args(argv)
    if not (args.data_root / 'coco_train.json').is_file():
        raise SystemExit(
            f'{args.data_root}: no coco_train.json there; next: python data_tools/balloon2coco.py'
        )
    from mmballoon.train import rules

    rules.apply()

    import cv2
    from mmdet.utils import register_all_modules
    from mmengine.runner import set_random_seed

    import mmballoon.train  # noqa: F401

    register_all_modules()
    cv2.setNumThreads(1)
    for stage, pipelines in stages().items():
        sides = [build(args.data_root, pipeline) for pipeline in pipelines]
        indices = random.Random(0).choices(range(len(sides[0])), k=args.samples)
        runs = []
        for repeat in range(args.repeats + 1):
            row = []
            for side in sides:
                set_random_seed(repeat)
                row.append(timed(side, indices))
            runs.append(row)
        ratios = sorted(a / b for a, b in runs[1:])
        theirs, ours = (statistics.median(row[i] for row in runs[1:]) for i in (0, 1))
        print(
            f'{stage}: upstream {theirs:.1f} ms per image, ours {ours:.1f} ms: {statistics.median(ratios):.1f} times '
            f'faster ({ratios[0]:.1f} to {ratios[-1]:.1f} over {args.repeats} repeats of {args.samples})',
            flush=True,
        )


if __name__ == '__main__':
    main()
