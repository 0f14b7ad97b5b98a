"""Mixed precision computes in the number type that the device is fast in.

A config that names no dtype gets bfloat16 on GPUs that compute in it (compute capability 8.0, Ampere,
or newer; torch only emulates it on older ones, such as a T4), and float16 on older GPUs. A CPU gets
bfloat16 if it has instructions for it (AVX512-BF16 or AMX). Other CPUs get float32, whatever the config
says: torch's bfloat16 is many times slower there (https://github.com/pytorch/pytorch/issues/183815).
"""

import functools

import torch
from mmengine.device import get_device
from mmengine.logging import print_log
from mmengine.optim.optimizer import AmpOptimWrapper, OptimWrapper

from mmballoon.cli import fast_bfloat16
from mmballoon.train.rules import instead


def best_dtype():
    """'bfloat16' or 'float16', whichever the device computes in."""
    old_gpu = torch.cuda.is_available() and torch.cuda.get_device_capability() < (8, 0)
    return 'float16' if old_gpu else 'bfloat16'


def _choose_dtype(init, self, loss_scale='dynamic', dtype=None, **kwargs):
    init(self, loss_scale=loss_scale, dtype=dtype or best_dtype(), **kwargs)
    if AmpOptimWrapper.optim_context is OptimWrapper.optim_context:
        print_log('this CPU has no instructions for bfloat16, so float32 is used', 'current')


@functools.cache
def apply():
    """Choose the number type of AmpOptimWrapper."""
    instead(AmpOptimWrapper, '__init__', _choose_dtype)
    if get_device() == 'cpu' and not fast_bfloat16():
        AmpOptimWrapper.optim_context = OptimWrapper.optim_context  # without autocast
