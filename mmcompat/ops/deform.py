"""Deformable convolution, v1 and v2 (modulated), forward and backward.

Symptom:  NotImplementedError: mmcv operator 'deform_conv_forward' is compiled code
Cause:    mmcv-lite has no compiled operators.
Versions: mmcv-lite, every release
Upstream: mmcv/ops/deform_conv.py and modulated_deform_conv.py (2.0.1)
Delete:   with mmcv_ext

torchvision's takes groups from the weight's shape and deformable groups from the offset's.
"""

import torch
import torchvision
from torch.nn.modules.utils import _pair

from . import rebind


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


def apply():
    rebind('deform_conv2d', deform_conv2d)
    rebind('modulated_deform_conv2d', modulated_deform_conv2d)
