"""Deformable convolution, masked convolution (guided anchors) and CARAFE upsampling.

torchvision's deformable convolution takes groups from the weight's shape and deformable groups from the
offset's. Masked convolution has no gradient in mmcv either. CARAFE follows
mmcv/ops/csrc/common/cuda/carafe_naive_cuda_kernel.cuh (2.0.1).
"""

import torch
import torch.nn.functional as F
import torchvision
from torch.nn.modules.utils import _pair


def deform_conv2d(input, offset, weight, stride=1, padding=0, dilation=1, *others):
    """Deformable convolution v1: (N, C, H, W) to (N, C', H', W').

    offset: (N, 2 * deform_groups * kh * kw, H', W'), as (y, x) in cells; weight: (C', C / groups,
    kh, kw). others: groups and deform_groups, which the shapes say, and how to divide the work.
    """
    return modulated_deform_conv2d(input, offset, None, weight, None, stride, padding, dilation)


def _fit(tensor, size):
    """Read a tensor (N, K, H, W) that is larger than the output as mmcv's kernel does: each image's
    numbers in memory order, as if H and W were the output's. DyHead and its weights rely on it.
    """
    if tensor is None or tuple(tensor.shape[2:]) == tuple(size):
        return tensor
    n, k = tensor.shape[:2]
    return tensor.flatten(1)[:, : k * size[0] * size[1]].reshape(n, k, *size)


def modulated_deform_conv2d(
    input, offset, mask, weight, bias=None, stride=1, padding=0, dilation=1, *others
):
    """Deformable convolution v2; mask: (N, deform_groups * kh * kw, H', W'), or None for v1."""
    # Mixed precision lets the offset, input and weight differ in type. Computed in at least float32.
    dtype = torch.promote_types(offset.dtype, torch.float32)
    tensors = [None if t is None else t.to(dtype) for t in (input, offset, weight, bias, mask)]
    input, offset_, weight, bias, mask = tensors
    settings = zip(
        input.shape[2:], weight.shape[2:], _pair(stride), _pair(padding), _pair(dilation)
    )
    size = [(n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in settings]
    offset_, mask = _fit(offset_, size), _fit(mask, size)
    out = torchvision.ops.deform_conv2d(
        input, offset_, weight, bias, stride, padding, dilation, mask
    )
    return out.to(offset.dtype)


def masked_im2col_forward(im, mask_h, mask_w, col, kernel_h, kernel_w, pad_h, pad_w):
    """Fill col (C * kernel_h * kernel_w, P) with the windows of im (1, C, H, W) at P places.

    mask_h, mask_w: (P,) row and column of each place in the output, which is H by W.
    """
    windows = F.unfold(im, (kernel_h, kernel_w), padding=(pad_h, pad_w))[0]
    width = im.shape[3] + 2 * pad_w - kernel_w + 1
    col.copy_(windows[:, mask_h * width + mask_w])


def masked_col2im_forward(col, mask_h, mask_w, im, height, width, channels):
    """Write col (C, P) into im (1, C, H, W) at P places; the rest of im is left as it is."""
    im[0, :, mask_h, mask_w] = col


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
