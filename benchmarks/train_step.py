"""Time per training step of RTMDet-tiny: upstream's way against this project's, on this machine.

    python benchmarks/train_step.py                       (640 px, batch 8: about two minutes on two cores)
    OMP_NUM_THREADS=1 python benchmarks/train_step.py     (with one thread)

Upstream: float32, channels first, SiLU in place. Ours, as in configs/my_rtmdet_tiny.py: --amp
(bfloat16 on the CPU, float16 on an older GPU), ChannelsLastHook, DepthwiseFloat32Hook, SiLU out of
place. Same model (one class, nothing frozen, random weights), same batch (noise with 6 random boxes
per image), same optimizer; both sides in this process, in turn. The fraction is of what a product of
two large matrices reaches here in the same number type.
"""

import statistics

import torch
from common import ROOT
from torch.utils.benchmark import timer
from torch.utils.flop_counter import FlopCounterMode

from mmballoon import cli


def build_step(batch, ours):
    """A function that takes one optimizer step of RTMDet-tiny (random weights, seed 0), our way or upstream's."""
    from mmdet.registry import MODELS
    from mmdet.utils import register_all_modules
    from mmengine.config import Config
    from mmengine.device import get_device
    from mmengine.optim import AmpOptimWrapper, OptimWrapper

    from mmballoon.train.hooks import depthwise_in_float32

    register_all_modules()
    torch.manual_seed(0)
    cfg = Config.fromfile(ROOT / 'configs/my_rtmdet_tiny_scratch.py').model
    for part in (cfg.backbone, cfg.neck, cfg.bbox_head):
        part.act_cfg.inplace = not ours
    model = MODELS.build(cfg).to(get_device()).train()
    if ours:
        depthwise_in_float32(model)
        model.to(memory_format=torch.channels_last)
    wrapper = AmpOptimWrapper if ours else OptimWrapper
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
    from mmballoon.train.rules.devices import best_dtype

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
    device = f'CPU, {torch.get_num_threads()} threads'
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else device
    settings = f'RTMDet-tiny, {what}, {args.size} px, batch {args.batch_size}'
    print(f'{settings}: {flops / 1e9:.1f} GFLOP; {device}')
    for function, _ in sides.values():
        function()  # not counted: caches, and what is compiled at first sight
        function()
    runs = [[seconds(function) for function, _ in sides.values()] for _ in range(args.repeats)]
    for (name, (_, dtype)), times in zip(sides.items(), zip(*runs)):
        median = statistics.median(times)
        share = ''
        if dtype:
            rate, limit = flops / median / 1e9, matmul_rate(dtype) / 1e9
            share = f', {rate:.0f} GFLOP/s, which is {rate / limit:.0%} of {limit:.0f} in a '
            share += f'{str(dtype)[6:]} matrix product'
        print(f'{name}: {1000 * median / args.batch_size:.0f} ms per image{share}', flush=True)
    for i, name in enumerate(list(sides)[1:], 1):
        ratios = sorted(row[0] / row[i] for row in runs)
        spread = f'{ratios[0]:.2f} to {ratios[-1]:.2f} over {args.repeats} repeats'
        print(f'{name}: {statistics.median(ratios):.2f} times as fast as upstream ({spread})')


def make_parser(description, batch_size, repeats):
    """The options that both model benchmarks take."""
    parser = cli.make_parser(description)
    for name, default in (('size', 640), ('batch-size', batch_size), ('repeats', repeats)):
        parser.add_argument(f'--{name}', type=int, default=default, help='(%(default)s)')
    return parser


def main(argv=None):
    args = make_parser(__doc__, batch_size=8, repeats=5).parse_args(argv)
    batch = make_batch(args.size, args.batch_size)
    upstream = build_step(batch, ours=False), torch.float32
    ours = build_step(batch, ours=True), reduced_type()
    compare('one training step', dict(upstream=upstream, ours=ours), args)


if __name__ == '__main__':
    main()
