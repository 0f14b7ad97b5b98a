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

from common import ROOT

from mmballoon.cli import make_parser, report_errors

CONFIGS = {
    '': ('rtmdet_tiny_8xb32-300e_coco.py', 'my_rtmdet_tiny.py'),
    'masks, ': ('rtmdet-ins_tiny_8xb32-300e_coco.py', 'my_rtmdet_ins_tiny.py'),
}
STAGES = {'stage 1': 'train_pipeline', 'stage 2': 'train_pipeline_stage2'}


def timed(dataset, indices, seed):
    """Mean milliseconds per sample."""
    from mmengine.runner import set_random_seed

    set_random_seed(seed)
    start = time.perf_counter()
    for i in indices:
        dataset[i]
    return 1000 * (time.perf_counter() - start) / len(indices)


def main(argv=None):
    parser = make_parser(__doc__)
    root = os.environ.get('BALLOON_ROOT') or 'data/balloon'
    parser.add_argument('--data-root', default=root, help='(%(default)s)')
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

    import mmballoon.train  # noqa: F401

    register_all_modules()
    cv2.setNumThreads(1)
    for prefix, (base, config) in CONFIGS.items():
        theirs = get_config(f'mmdet::rtmdet/{base}')
        ours = Config.fromfile(ROOT / 'configs' / config)
        dataset = dict(ours.train_dataloader.dataset, data_root=args.data_root)
        for stage, key in STAGES.items():
            sides = [DATASETS.build(dict(dataset, pipeline=cfg[key])) for cfg in (theirs, ours)]
            indices = random.Random(0).choices(range(len(sides[0])), k=args.samples)
            repeats = range(args.repeats + 1)
            _, *runs = [[timed(side, indices, seed) for side in sides] for seed in repeats]
            ratios = sorted(a / b for a, b in runs)
            upstream, here = map(statistics.median, zip(*runs))
            times = f'upstream {upstream:.1f} ms per image, ours {here:.1f} ms'
            faster = f'{statistics.median(ratios):.1f} times faster'
            spread = f'{ratios[0]:.1f} to {ratios[-1]:.1f} over {args.repeats} repeats'
            print(f'{prefix}{stage}: {times}: {faster} ({spread} of {args.samples})', flush=True)


if __name__ == '__main__':
    with report_errors():
        main()
