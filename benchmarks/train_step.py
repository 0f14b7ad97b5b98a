"""Time per training step of RTMDet-tiny: upstream's way against this project's, on this machine.

    python benchmarks/train_step.py                       (640 px, batch 8: about two minutes on two cores)
    python benchmarks/train_step.py --size 320 --batch-size 4 --compile
    python benchmarks/train_step.py --parts               (ours without each of its parts)

Upstream: float32, channels first, SiLU in place. Ours, as in configs/my_rtmdet_tiny.py: --amp
(bfloat16 on the CPU, float16 on a GPU), ChannelsLastHook, DepthwiseFloat32Hook, SiLU out of place.
Same model (one class, nothing frozen, random weights), same batch (noise, with 6 random boxes per
image), same optimizer; both in this process, alternately. The fraction is of what a product of
two large matrices reaches here in the same number type.
"""

import argparse
import statistics
import time
from pathlib import Path

import torch

ROOT = Path(__file__).parents[1]


PARTS = {  # of ours: what upstream does not do
    'mixed precision',
    'channels-last',
    'depthwise in float32',
    'SiLU out of place',
}


def build_model(parts):
    """RTMDet-tiny for one class with random weights (seed 0) and the parts, on the GPU if there is one."""
    import mmballoon.patches  # noqa: F401

    from mmdet.registry import MODELS
    from mmdet.utils import register_all_modules
    from mmengine.config import Config
    from mmengine.device import get_device

    from mmballoon.plugins.depthwise import wrap

    register_all_modules()
    torch.manual_seed(0)
    cfg = Config.fromfile(ROOT / 'configs/my_rtmdet_tiny_scratch.py').model
    for part in (cfg.backbone, cfg.neck, cfg.bbox_head):
        part.act_cfg = dict(type='SiLU', inplace='SiLU out of place' not in parts)
    model = MODELS.build(cfg).to(get_device())
    if 'depthwise in float32' in parts:
        wrap(model)
    if 'channels-last' in parts:
        model.to(memory_format=torch.channels_last)
    return model


def reduced_type():
    """The number type that mixed precision computes in on this machine; float32 on a CPU without
    bfloat16.
    """
    from mmballoon.patches.amp import best_dtype, fast_bfloat16

    if torch.cuda.is_available():
        return getattr(torch, best_dtype())
    return torch.bfloat16 if fast_bfloat16() else torch.float32


def make_batch(size, batch_size):
    """What the data loader hands to a step: ``batch_size`` images (3, size, size) uint8, 6 boxes
    x1 y1 x2 y2 each.
    """
    from mmdet.structures import DetDataSample
    from mmengine.structures import InstanceData

    random = torch.Generator().manual_seed(0)
    samples = []
    for _ in range(batch_size):
        corner, side = (
            torch.rand(6, 2, generator=random) * 0.6 * size,
            torch.rand(6, 2, generator=random) * 0.4 * size,
        )
        boxes = InstanceData(
            bboxes=torch.cat([corner, corner + side + 8], 1),
            labels=torch.zeros(6, dtype=torch.long),
        )
        shape = (size, size)
        samples.append(
            DetDataSample(
                gt_instances=boxes,
                metainfo=dict(
                    img_shape=shape,
                    ori_shape=shape,
                    pad_shape=shape,
                    batch_input_shape=shape,
                    scale_factor=(1.0, 1.0),
                ),
            )
        )
    images = torch.randint(0, 256, (batch_size, 3, size, size), dtype=torch.uint8, generator=random)
    return dict(inputs=list(images), data_samples=samples)


def build_step(parts, batch, compiled=False):
    """One side: a function that takes one optimizer step, forward to update."""
    from mmengine.optim import AmpOptimWrapper, OptimWrapper

    model = build_model(parts).train()
    if compiled:
        model.backbone.compile()
        model.neck.compile()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    wrapper = AmpOptimWrapper if 'mixed precision' in parts else OptimWrapper
    wrapper = wrapper(optimizer=optimizer)
    return lambda: model.train_step(batch, wrapper)


def seconds(function):
    """Wall time of one call, with what it left running on a GPU."""
    start = time.perf_counter()
    function()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def count_flops(function):
    """Floating-point operations of one call, a multiplication and an addition being two (torch's
    own counter).
    """
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        function()
    return counter.get_total_flops()


def matmul_rate(dtype, size=2048):
    """FLOP/s of a (size, size) matrix product in ``dtype``, the best of five."""
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    a = torch.randn(size, size, device=device).to(dtype)
    return 2 * size**3 / min(seconds(lambda: a @ a) for _ in range(5))


def compare(what, sides, args):
    """Time the sides in turn, print each one's time, its share of the matrix product's rate, and
    the ratio's spread.

    sides: {name: (function, dtype)}, upstream's first; a dtype of None has no share, because the side
    computes another number of operations, or with other numbers. args: those of ``make_parser``.
    """
    flops, repeats = count_flops(sides['upstream'][0]), args.repeats
    print(
        f'RTMDet-tiny, {what}, {args.size} px, batch {args.batch_size}: {flops / 1e9:.1f} GFLOP; '
        f'{torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {torch.get_num_threads()} threads"}'
    )
    for function, _ in sides.values():
        for _ in range(2):
            function()  # not counted: caches, and what is compiled at first sight
    runs = [[seconds(function) for function, _ in sides.values()] for _ in range(repeats)]
    for (name, (_, dtype)), times in zip(sides.items(), zip(*runs)):
        median = statistics.median(times)
        if dtype is None:
            print(f'{name}: {1000 * median / args.batch_size:.0f} ms per image', flush=True)
            continue
        rate = matmul_rate(dtype)
        print(
            f'{name}: {1000 * median / args.batch_size:.0f} ms per image, {flops / median / 1e9:.0f} GFLOP/s, '
            f'which is {flops / median / rate:.0%} of {rate / 1e9:.0f} in a {str(dtype)[6:]} matrix product',
            flush=True,
        )
    for i, name in enumerate(list(sides)[1:], 1):
        ratios = sorted(row[0] / row[i] for row in runs)
        print(
            f'{name}: {statistics.median(ratios):.2f} times as fast as upstream '
            f'({ratios[0]:.2f} to {ratios[-1]:.2f} over {repeats} repeats)'
        )


def make_parser(description, batch_size, repeats):
    """The options that both model benchmarks take."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--size', type=side, default=640, help='side of the image, a multiple of 32 (%(default)s)'
    )
    parser.add_argument('--batch-size', type=count, default=batch_size, help='(%(default)s)')
    parser.add_argument('--repeats', type=count, default=repeats, help='(%(default)s)')
    return parser


def count(text):
    if int(text) < 1:
        raise argparse.ArgumentTypeError(f'{text}, expected 1 or more')
    return int(text)


def side(text):
    if int(text) < 1 or int(text) % 32:
        raise argparse.ArgumentTypeError(f'{text}, expected a multiple of 32')
    return int(text)


def parse_args(argv=None):
    parser = make_parser(__doc__, batch_size=8, repeats=5)
    parser.add_argument(
        '--parts', action='store_true', help='more sides: ours without each of its parts'
    )
    parser.add_argument(
        '--compile',
        action='store_true',
        help='one more side: ours with torch.compile (needs a C++ compiler, and minutes to compile)',
    )
    return parser.parse_args(argv)


def main(argv=None):
    args = parse_args(argv)
    batch = make_batch(args.size, args.batch_size)
    reduced = reduced_type()
    sides = dict(
        upstream=(build_step(set(), batch), torch.float32), ours=(build_step(PARTS, batch), reduced)
    )
    if args.parts:
        for part in sorted(PARTS):
            dtype = torch.float32 if part == 'mixed precision' else reduced
            sides[f'ours without {part}'] = build_step(PARTS - {part}, batch), dtype
    if args.compile:
        sides['ours, compiled'] = build_step(PARTS, batch, compiled=True), reduced
    compare('one training step', sides, args)


if __name__ == '__main__':
    main()
