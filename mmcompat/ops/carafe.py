"""CARAFE upsampling, forward and backward.

Symptom:  NotImplementedError: mmcv operator 'carafe_forward' is compiled code
Cause:    mmcv-lite has no compiled operators.
Versions: mmcv-lite, every release
Upstream: mmcv/ops/csrc/common/cuda/carafe_naive_cuda_kernel.cuh (2.0.1)
Delete:   with mmcv_ext
"""

import torch.nn.functional as F

from . import rebind


def carafe(features, masks, kernel_size, group_size, scale_factor):
    """Each output pixel is the mask-weighted sum of the window around the cell it lies in.

    features: (N, C, H, W); masks: (N, group_size * kernel_size², sH, sW), s being
    ``scale_factor``. Returns (N, C, sH, sW).
    """
    n, c, h, w = features.shape
    windows = F.unfold(features, kernel_size, padding=kernel_size // 2)
    windows = windows.view(n, group_size, c // group_size, kernel_size**2, h, 1, w, 1)
    s = scale_factor
    masks = masks.view(n, group_size, 1, kernel_size**2, h, s, w, s)
    return (windows * masks).sum(3).reshape(n, c, h * s, w * s)


def apply():
    rebind('carafe', carafe)
    rebind('carafe_naive', carafe)
