"""A model that was prepared for speed computes the same."""

import torch
from mmdet.apis import init_detector
from mmengine.config import Config

from mmballoon.inference import prepare


def test_same_outputs_of_the_head(tiny):
    cfg = Config.fromfile(tiny.config)
    plain = init_detector(cfg, str(tiny.checkpoint), device='cpu')
    fast = prepare(init_detector(cfg, str(tiny.checkpoint), device='cpu'))
    image = torch.randn(1, 3, 160, 128, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected, found = plain(image), fast(image)
    for expected_levels, found_levels in zip(expected, found):  # scores, boxes
        for left, right in zip(expected_levels, found_levels):
            assert left.abs().max() > 0.01 and torch.allclose(left, right, atol=1e-3, rtol=1e-3)
