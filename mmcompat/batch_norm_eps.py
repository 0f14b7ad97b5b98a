"""Frozen batch normalisation with ``eps=0``.

Symptom:  ValueError: batch_norm eps must be positive, but got 0
Cause:    torch >= 2.10 refuses 0 in evaluation as well, where the variance is that of the weights
Versions: torch >= 2.10; configs/nas_fcos of mmdet <= 3.3.0
Upstream: https://github.com/pytorch/pytorch/issues/173337, pull 175508
Delete:   when the oldest supported torch accepts 0 in evaluation again
"""

import functools
import sys

import mmcv.cnn
import torch
import torch.nn.functional as F

SMALLEST = 1e-30  # changes no variance above 1e-22


def accepts_zero():
    """Whether torch normalises with eps=0 in evaluation."""
    try:
        F.batch_norm(torch.zeros(1, 1), torch.zeros(1), torch.ones(1), eps=0)
    except ValueError:
        return False
    return True


def apply():
    """Let mmcv's builder write another number, wherever mmcv has imported it."""
    original = mmcv.cnn.build_norm_layer
    if hasattr(original, '__wrapped__') or accepts_zero():
        return

    @functools.wraps(original)
    def build_norm_layer(cfg, *args, **kwargs):
        if isinstance(cfg, dict) and cfg.get('eps') == 0:
            cfg = {**cfg, 'eps': SMALLEST}
        return original(cfg, *args, **kwargs)

    for name, module in list(sys.modules.items()):
        if name.split('.')[0] == 'mmcv' and vars(module).get('build_norm_layer') is original:
            module.build_norm_layer = build_norm_layer


apply()
