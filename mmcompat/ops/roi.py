"""RoIAlign, RoIPool and deformable RoI pooling, whose modulated form multiplies the result by a mask.

They follow mmcv/ops/csrc/common/cuda/*roi*_cuda_kernel.cuh (2.0.1). RoIPool is written out: mmcv's
kernel rounds the bins outwards, torchvision's rounds the boxes.
"""

import torch
import torch.nn.functional as F
import torchvision
from torch.nn.modules.utils import _pair


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


# torchvision's roi_align has no gradient for the place of a box, so this samples with grid_sample.
def deform_roi_pool(
    input, rois, offset, output_size, spatial_scale=1.0, sampling_ratio=0, gamma=0.1
):
    """Features (K, C, h, w) of K boxes, each bin being the mean of bilinear samples.

    input: (N, C, H, W); rois: (K, 5) of [image index, x1, y1, x2, y2] in pixels, which
    ``spatial_scale`` turns into cells; offset: (K, 2, h, w), how far each bin is moved, as (x, y), in
    ``gamma`` times the width and height of its box; None for no move.
    """
    dtype = torch.promote_types(input.dtype, torch.float32)  # half a pixel is lost in less
    x, rois, (h, w) = input.to(dtype), rois.to(dtype), _pair(output_size)
    size = x.new_tensor([x.shape[3], x.shape[2]])
    start, end = (rois[:, 1:].view(-1, 2, 1, 1, 2) * spatial_scale - 0.5).unbind(1)
    extent = end - start
    samples = (extent / x.new_tensor([w, h])).ceil()[:, 0, 0].long()  # (K, 2) in each bin
    if sampling_ratio > 0:
        samples.fill_(sampling_ratio)
    kinds, kind = torch.cat([rois[:, :1].long(), samples], 1).unique(dim=0, return_inverse=True)
    out = x.new_zeros(len(rois), x.shape[1], h, w)
    for i, (image, nx, ny) in enumerate(kinds.tolist()):
        if nx < 1 or ny < 1:  # an empty box
            continue
        k = (kind == i).nonzero()[:, 0]  # the boxes that have image, nx and ny in common
        parts = [(torch.arange(n).to(x) + 0.5) / n for n in (w * nx, h * ny)]
        cells = torch.stack(torch.meshgrid(*parts, indexing='xy'), -1) * extent[k] + start[k]
        if offset is not None:
            moves = gamma * extent[k] * offset[k].to(dtype).permute(0, 2, 3, 1)
            cells = cells + moves.repeat_interleave(ny, 1).repeat_interleave(nx, 2)
        cells = cells.flatten(0, 1)  # one box below the other
        # Samples up to one cell outside count as the nearest edge's.
        inside = ((cells >= -1) & (cells <= size)).all(-1)
        values = F.grid_sample(
            x[image : image + 1],
            ((2 * cells + 1) / size - 1)[None],
            padding_mode='border',
            align_corners=False,
        )
        out[k] = F.avg_pool2d(values * inside, (ny, nx)).view(-1, len(k), h, w).transpose(0, 1)
    return out.to(input.dtype)
