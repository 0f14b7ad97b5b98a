"""Time per training step of RTMDet-tiny: upstream's way against this project's, on this machine.

    python benchmarks/train_step.py                       (640 px, batch 8: about two minutes on two cores)
    python benchmarks/train_step.py --parts               (ours without each of its parts, and more)
    ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 python benchmarks/train_step.py --parts
    OMP_NUM_THREADS=1 python benchmarks/train_step.py     (with one thread)

Upstream: float32, channels first, SiLU in place. Ours, as in configs/my_rtmdet_tiny.py: --amp
(bfloat16 on the CPU, float16 on an older GPU), ChannelsLastHook, DepthwiseFloat32Hook, SiLU out of
place. Same model (one class, nothing frozen, random weights), same batch (noise with 6 random boxes
per image), same optimizer; all sides in this process, in turn. The fraction is of what a product of
two large matrices reaches here in the same number type. The variables in the third line make a CPU
compute as one with AVX2 alone.
"""

import argparse
import statistics
from pathlib import Path

import torch
from torch.utils.benchmark import timer
from torch.utils.flop_counter import FlopCounterMode

ROOT = Path(__file__).parents[1]
PARTS = {'mixed precision', 'channels-last', 'depthwise in float32', 'SiLU out of place'}  # of ours


def build_step(batch, parts=frozenset()):
    """A function that takes one optimizer step of RTMDet-tiny (random weights, seed 0) with the parts."""
    from mmdet.registry import MODELS
    from mmdet.utils import register_all_modules
    from mmengine.config import Config
    from mmengine.device import get_device
    from mmengine.optim import AmpOptimWrapper, OptimWrapper

    from mmballoon.train.depthwise import wrap

    register_all_modules()
    torch.manual_seed(0)
    cfg = Config.fromfile(ROOT / 'configs/my_rtmdet_tiny_scratch.py').model
    cfg.backbone.frozen_stages = 0 if 'frozen stem' in parts else -1
    for part in (cfg.backbone, cfg.neck, cfg.bbox_head):
        part.act_cfg.inplace = 'SiLU out of place' not in parts
    model = MODELS.build(cfg).to(get_device()).train()
    if 'depthwise in float32' in parts:
        wrap(model)
    if 'channels-last' in parts:
        model.to(memory_format=torch.channels_last)
    if 'torch.compile' in parts:
        model.backbone.compile()
        model.neck.compile()
    wrapper = AmpOptimWrapper if 'mixed precision' in parts else OptimWrapper
    wrapper = wrapper(optimizer=torch.optim.AdamW(model.parameters(), lr=1e-4))
    return lambda: model.train_step(batch, wrapper)


def make_batch(size, batch_size):
    """MMDetection's random images for tests, (3, size, size) uint8, with 6 boxes of class 0 each."""
    from mmballoon.train import rules

    rules.apply()

    from mmdet.testing import demo_mm_inputs

    batch = demo_mm_inputs(batch_size, (3, size, size), [6] * batch_size, num_classes=2)
    for sample in batch['data_samples']:
        sample.gt_instances.labels.zero_()  # its first class is 1
    return batch


def reduced_type():
    """The number type of mixed precision on this machine; float32 on a CPU without bfloat16."""
    from mmballoon.cli import fast_bfloat16
    from mmballoon.train.rules.number_type import best_dtype

    fast = torch.cuda.is_available() or fast_bfloat16()
    return getattr(torch, best_dtype()) if fast else torch.float32


def seconds(function):
    """Wall time of one call, with what it left running on a GPU (torch's timer waits for it)."""
    start = timer()
    function()
    return timer() - start


def matmul_rate(dtype, size=2048):
    """FLOP/s of a (size, size) matrix product in ``dtype``, the best of five."""
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    a = torch.randn(size, size, device=device).to(dtype)
    return 2 * size**3 / min(seconds(lambda: a @ a) for _ in range(5))


def compare(what, sides, args):
    """Time the sides in turn, and print each one's time, its share of the matrix product's rate and
    the ratio's spread.

    sides: {name: (function, dtype)}, upstream's first; a dtype of None has no share, because the side
    computes another number of operations, or with other numbers. args: those of ``make_parser``.
    """
    with FlopCounterMode(display=False) as counter:  # a multiplication and an addition are two
        sides['upstream'][0]()
    flops = counter.get_total_flops()
    gpu = torch.cuda.is_available()
    device = torch.cuda.get_device_name() if gpu else f'CPU, {torch.get_num_threads()} threads'
    print(
        f'RTMDet-tiny, {what}, {args.size} px, batch {args.batch_size}: {flops / 1e9:.1f} GFLOP; {device}'
    )
    for function, _ in sides.values():
        function()  # not counted: caches, and what is compiled at first sight
        function()
    runs = [[seconds(function) for function, _ in sides.values()] for _ in range(args.repeats)]
    for (name, (_, dtype)), times in zip(sides.items(), zip(*runs)):
        median = statistics.median(times)
        line = f'{name}: {1000 * median / args.batch_size:.0f} ms per image'
        if dtype:
            rate, limit = flops / median, matmul_rate(dtype)
            line += (
                f', {rate / 1e9:.0f} GFLOP/s, which is {rate / limit:.0%} of {limit / 1e9:.0f} '
                f'in a {str(dtype)[6:]} matrix product'
            )
        print(line, flush=True)
    for i, name in enumerate(list(sides)[1:], 1):
        ratios = sorted(row[0] / row[i] for row in runs)
        print(
            f'{name}: {statistics.median(ratios):.2f} times as fast as upstream '
            f'({ratios[0]:.2f} to {ratios[-1]:.2f} over {args.repeats} repeats)'
        )


def make_parser(description, batch_size, repeats):
    """The options that both model benchmarks take."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, default, unit in (
        ('size', 640, 32),
        ('batch-size', batch_size, 1),
        ('repeats', repeats, 1),
    ):
        parser.add_argument(
            f'--{name}', type=multiple_of(unit), default=default, help='(%(default)s)'
        )
    return parser


def multiple_of(unit):
    def number(text):
        if int(text) < 1 or int(text) % unit:
            raise argparse.ArgumentTypeError(
                f'{text}, expected a multiple of {unit}, at least {unit}'
            )
        return int(text)

    return number


def main(argv=None):
    parser = make_parser(__doc__, batch_size=8, repeats=5)
    parser.add_argument(
        '--parts',
        action='store_true',
        help='ours without each of its parts, and with a frozen stem',
    )
    parser.add_argument(
        '--compile',
        action='store_true',
        help='ours with torch.compile (needs a C++ compiler, and minutes to compile)',
    )
    args = parser.parse_args(argv)
    wanted = {'upstream': set(), 'ours': PARTS}
    if args.parts:
        wanted |= {f'ours without {part}': PARTS - {part} for part in sorted(PARTS)}
        wanted['ours, frozen stem'] = PARTS | {'frozen stem'}
    if args.compile:
        wanted['ours, compiled'] = PARTS | {'torch.compile'}
    batch, reduced = make_batch(args.size, args.batch_size), reduced_type()
    sides = {}
    for name, parts in wanted.items():
        dtype = reduced if 'mixed precision' in parts else torch.float32
        if 'frozen stem' in parts:
            dtype = None  # it computes fewer operations
        sides[name] = build_step(batch, parts), dtype
    compare('one training step', sides, args)


if __name__ == '__main__':
    main()
