"""RoIAlign and RoIPool, forward and backward.

Symptom:  NotImplementedError: mmcv operator 'roi_align_forward' is compiled code
Cause:    mmcv-lite has no compiled operators.
Versions: mmcv-lite, every release
Upstream: mmcv/ops/csrc/common/cuda/roi_align_cuda_kernel.cuh and roi_pool_cuda_kernel.cuh (2.0.1)
Delete:   with mmcv_ext

RoIPool is written out: mmcv's kernel rounds the bins outwards, torchvision's rounds the boxes.
"""

import torch
import torchvision
from torch.nn.modules.utils import _pair

from . import rebind


def roi_align(
    input, rois, output_size, spatial_scale=1.0, sampling_ratio=0, pool_mode='avg', aligned=True
):
    """Features (K, C, h, w) of K boxes, by averaging bilinear samples.

    input: (N, C, H, W); rois: (K, 5) of [image index, x1, y1, x2, y2] in pixels, which
    ``spatial_scale`` turns into cells.

    Raises:
        NotImplementedError: pool_mode 'max', which torchvision has not and no config uses.
    """
    if pool_mode != 'avg':
        raise NotImplementedError("roi_align without compiled mmcv knows pool_mode='avg' alone")
    dtype = torch.promote_types(input.dtype, torch.float32)  # half a pixel is lost in less
    out = torchvision.ops.roi_align(
        input.to(dtype), rois.to(dtype), _pair(output_size), spatial_scale, sampling_ratio, aligned
    )
    return out.to(input.dtype)


def _bins(start, end, count, size):
    """Which of ``size`` cells each of ``count`` bins covers: (K, count, size) bool."""
    step = ((end - start) / count)[:, None]
    index = torch.arange(count, device=start.device)
    low = (index * step + start[:, None]).floor()[..., None]
    high = ((index + 1) * step + start[:, None]).ceil()[..., None]
    cell = torch.arange(size, device=start.device)
    return (cell >= low) & (cell < high)


def roi_pool(input, rois, output_size, spatial_scale=1.0):
    """Features (K, C, h, w) of K boxes, by the maximum of each bin, 0 in an empty one; arguments as
    roi_align's.
    """
    h, w = _pair(output_size)
    x1, y1 = rois[:, 1] * spatial_scale, rois[:, 2] * spatial_scale
    x2, y2 = (rois[:, 3] + 1) * spatial_scale, (rois[:, 4] + 1) * spatial_scale
    inside = (x2 > x1) & (y2 > y1)
    rows = _bins(y1, y2, h, input.shape[2]) & inside[:, None, None]
    cols = _bins(x1, x2, w, input.shape[3])
    pooled = [input.new_zeros(0, input.shape[1], h, w)]
    for image, row, col in zip(rois[:, 0].long(), rows, cols):
        lines = input[image][:, None].masked_fill(~row[:, :, None], -torch.inf).max(2).values
        cells = lines[:, :, None].masked_fill(~col, -torch.inf).max(3).values
        pooled.append(cells.masked_fill(cells == -torch.inf, 0)[None])
    return torch.cat(pooled)


def apply():
    rebind('roi_align', roi_align)
    rebind('roi_pool', roi_pool)
