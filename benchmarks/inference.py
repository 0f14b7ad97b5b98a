"""Time per image of detection with RTMDet-tiny, from the decoded image to boxes, on this machine.

    python benchmarks/inference.py                        (640 px)

Upstream: mmdet.apis.inference_detector on the model as it is loaded. Ours: the same function on the
model as tools/image_demo.py prepares it (mmballoon/inference.py). Both sides run in this process, in
turn, on the same images of noise.
"""

import numpy as np
import torch
from train_step import ROOT, compare, make_parser


def build_side(ours, size):
    """A function that detects on one image of 0.75 x 1 times ``size`` pixels."""
    import mmballoon.patches  # noqa: F401

    from mmdet.apis import inference_detector, init_detector
    from mmengine.config import Config
    from mmengine.device import get_device

    from mmballoon.inference import prepare

    cfg = Config.fromfile(ROOT / 'configs/my_rtmdet_tiny.py')
    pipeline = cfg.test_dataloader.dataset.pipeline
    pipeline[1].scale = pipeline[2].size = (size, size)
    torch.manual_seed(0)
    model = init_detector(cfg, None, device=get_device())
    if ours:
        prepare(model)
    image = np.random.default_rng(0).integers(0, 256, (size * 3 // 4, size, 3), np.uint8)
    return lambda: inference_detector(model, image)


def main(argv=None):
    args = make_parser(__doc__, batch_size=1, repeats=30).parse_args(argv)
    sides = dict(
        upstream=(build_side(False, args.size), torch.float32),
        ours=(build_side(True, args.size), torch.float32),
    )
    compare('detection', sides, args)


if __name__ == '__main__':
    main()
