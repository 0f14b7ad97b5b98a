"""Time per image through the training pipeline, one core: upstream's against mmballoon/train/fast_pipeline.py.

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

from mmballoon.cli import report_errors

ROOT = Path(__file__).parents[1]
CONFIGS = {
    '': ('rtmdet_tiny_8xb32-300e_coco.py', 'my_rtmdet_tiny.py'),
    'masks, ': ('rtmdet-ins_tiny_8xb32-300e_coco.py', 'my_rtmdet_ins_tiny.py'),
}
STAGES = {'stage 1': 'train_pipeline', 'stage 2': 'train_pipeline_stage2'}


def timed(dataset, indices):
    """Mean milliseconds per sample."""
    start = time.perf_counter()
    for i in indices:
        dataset[i]
    return 1000 * (time.perf_counter() - start) / len(indices)


def main(argv=None):
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    root = Path(os.environ.get('BALLOON_ROOT') or 'data/balloon')
    parser.add_argument('--data-root', type=Path, default=root, help='(%(default)s)')
    parser.add_argument('--samples', type=int, default=120, help='of each repeat (%(default)s)')
    parser.add_argument('--repeats', type=int, default=5, help='(%(default)s)')
    args = parser.parse_args(argv)
    from mmballoon.train import rules

    rules.apply()

    import cv2
    from mmdet.registry import DATASETS
    from mmdet.utils import register_all_modules
    from mmengine.config import Config
    from mmengine.hub import get_config
    from mmengine.runner import set_random_seed

    import mmballoon.train  # noqa: F401

    register_all_modules()
    cv2.setNumThreads(1)
    for prefix, (base, config) in CONFIGS.items():
        theirs = get_config(f'mmdet::rtmdet/{base}')
        ours = Config.fromfile(ROOT / 'configs' / config)
        dataset = dict(ours.train_dataloader.dataset, data_root=str(args.data_root))
        for stage, key in STAGES.items():
            sides = [DATASETS.build(dict(dataset, pipeline=cfg[key])) for cfg in (theirs, ours)]
            indices = random.Random(0).choices(range(len(sides[0])), k=args.samples)
            runs = []
            for repeat in range(args.repeats + 1):
                runs.append([])
                for side in sides:
                    set_random_seed(repeat)
                    runs[-1].append(timed(side, indices))
            ratios = sorted(a / b for a, b in runs[1:])
            upstream, here = (statistics.median(times) for times in zip(*runs[1:]))
            print(
                f'{prefix}{stage}: upstream {upstream:.1f} ms per image, ours {here:.1f} ms: '
                f'{statistics.median(ratios):.1f} times faster ({ratios[0]:.1f} to {ratios[-1]:.1f} '
                f'over {args.repeats} repeats of {args.samples})',
                flush=True,
            )


if __name__ == '__main__':
    with report_errors():
        main()
