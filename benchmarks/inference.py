"""Milliseconds an image that RTMDet-tiny takes to detect: upstream's way against this project's, on
this machine.

    python benchmarks/inference.py                        (640 px, one image at a time, as tools/test.py does)

Upstream: float32, channels first. Ours: ChannelsLastHook and mixed precision, which tools/test.py
takes from ``--cfg-options test_cfg.fp16=True`` (bfloat16 on the CPU). Model, pictures and
post-processing are the same.
"""

import torch
from train_step import build_model, compare, make_batch, make_parser, reduced_type


def build_side(ours, batch):
    """One side: a function that detects on the batch, post-processing included."""
    from mmengine.runner.amp import autocast

    model = build_model(ours).eval()

    def detect():
        with torch.no_grad(), autocast(enabled=ours and reduced_type() != torch.float32):
            return model.test_step(batch)

    return detect


def main(argv=None):
    args = make_parser(__doc__, batch_size=1, repeats=30).parse_args(argv)
    batch = make_batch(args.size, args.batch_size)
    sides = dict(
        upstream=(build_side(False, batch), torch.float32),
        ours=(build_side(True, batch), reduced_type()),
    )
    compare('detection', sides, args)


if __name__ == '__main__':
    main()
