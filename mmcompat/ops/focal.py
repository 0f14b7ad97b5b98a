"""Sigmoid and softmax focal loss, as in mmcv/ops/csrc/common/cuda/*_focal_loss_cuda_kernel.cuh (2.0.1)."""

import torch
import torchvision


def _reduce(loss, reduction, count):
    return {'none': loss, 'mean': loss.sum() / count, 'sum': loss.sum()}[reduction]


def sigmoid_focal_loss(input, target, gamma=2.0, alpha=0.25, weight=None, reduction='mean'):
    """Focal loss (N, C), or its sum, or that over N.

    input: (N, C) before the sigmoid; target: (N,) int64, any number outside 0 to C - 1 for
    background, whose weight is 1; weight: (C,) by the target's class.
    """
    classes = torch.arange(input.shape[1], device=input.device)
    one_hot = (target[:, None] == classes).to(input.dtype)
    loss = torchvision.ops.sigmoid_focal_loss(input, one_hot, alpha, gamma)
    if weight is not None:
        label = target.clamp(0, len(weight) - 1)  # on CUDA, an index outside ends the process
        inside = (target == label)[:, None]
        loss = torch.where(inside, loss * weight[label][:, None], loss)
    return _reduce(loss, reduction, len(input))


def softmax_focal_loss(input, target, gamma=2.0, alpha=0.25, weight=None, reduction='mean'):
    """Focal loss (N,), or its sum, or that over N, of a softmax; a negative target costs nothing.

    Arguments as sigmoid_focal_loss's.
    """
    label = target.clamp(min=0)
    log_p = input.log_softmax(1).gather(1, label[:, None])[:, 0]
    loss = -alpha * (1 - log_p.exp()) ** gamma * log_p * (target >= 0)
    if weight is not None:
        loss = loss * weight[label]
    return _reduce(loss, reduction, len(input))
