"""Milliseconds an image that RTMDet-tiny takes to detect: upstream's way against this project's, on this machine.

    python benchmarks/inference.py                        (640 px, one image at a time, as tools/test.py does)

Upstream: float32, channels first. Ours: ChannelsLastHook and mixed precision, which tools/test.py takes from
``--cfg-options test_cfg.fp16=True`` (bfloat16 on the CPU). Model, pictures and post-processing are the same.
"""
import argparse

import torch
from train_step import build_model, compare, count_flops, make_batch, reduced_type


def build_side(ours, batch):
    """One side: a function that detects on the batch, post-processing included."""
    from mmengine.runner.amp import autocast
    model = build_model(ours).eval()

    def detect():
        with torch.no_grad(), autocast(enabled=ours and reduced_type() != torch.float32):
            return model.test_step(batch)
    return detect


def parse_args(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--size', type=int, default=640, help='side of a picture, a multiple of 32 (%(default)s)')
    parser.add_argument('--batch-size', type=int, default=1, help='(%(default)s)')
    parser.add_argument('--repeats', type=int, default=30, help='(%(default)s)')
    args = parser.parse_args(argv)
    if args.size % 32 or min(args.size, args.batch_size, args.repeats) < 1:
        parser.error('--size takes a multiple of 32, --batch-size and --repeats 1 or more')
    return args


def main(argv=None):
    args = parse_args(argv)
    batch = make_batch(args.size, args.batch_size)
    sides = dict(upstream=(build_side(False, batch), torch.float32), ours=(build_side(True, batch), reduced_type()))
    flops = count_flops(sides['upstream'][0])
    print(f'RTMDet-tiny, detection, {args.size} px, batch {args.batch_size}: {flops / 1e9:.1f} GFLOP; '
          f'{torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {torch.get_num_threads()} threads"}')
    compare(sides, args.repeats, (args.batch_size, 'an image'), flops)


if __name__ == '__main__':
    main()
