"""The device, the number type of mixed precision, and how workers start.

A config that names no dtype gets bfloat16 on GPUs that compute in it (compute capability 8.0, Ampere, or
newer; torch only emulates it on a T4), and float16 on older ones. A CPU gets bfloat16 if it has instructions
for it (AVX512-BF16 or AMX), and else float32, whatever the config says: torch's bfloat16 is many times
slower there (https://github.com/pytorch/pytorch/issues/183815).

A Mac trains on its CPU, because MMEngine's mixed precision does not know the device mps; BALLOON_DEVICE=mps
keeps mps, to try it. Workers start by spawn there, as Python's do: libraries of macOS do not allow a fork
(https://github.com/python/cpython/issues/77906). The tests pretend to run on a Mac; we have none.
"""

import os
import sys

import torch
from mmengine.device import get_device, utils
from mmengine.logging import print_log
from mmengine.optim.optimizer import AmpOptimWrapper, OptimWrapper
from mmengine.runner import runner

from mmballoon.cli import fast_bfloat16
from mmballoon.train.rules import instead


def best_dtype():
    """'bfloat16' or 'float16', whichever the device computes in."""
    old_gpu = torch.cuda.is_available() and torch.cuda.get_device_capability() < (8, 0)
    return 'float16' if old_gpu else 'bfloat16'


@instead(AmpOptimWrapper, '__init__')
def _choose_dtype(init, self, loss_scale='dynamic', dtype=None, **kwargs):
    init(self, loss_scale=loss_scale, dtype=dtype or best_dtype(), **kwargs)
    if AmpOptimWrapper.optim_context is OptimWrapper.optim_context:
        print_log('this CPU has no instructions for bfloat16, so float32 is used', 'current')


@instead(runner, 'set_multi_processing')
def _start_workers(set_multi_processing, mp_start_method='fork', **kwargs):
    method = 'spawn' if sys.platform == 'darwin' else mp_start_method
    set_multi_processing(mp_start_method=method, **kwargs)


def apply():
    """Choose the device, and whether mixed precision is mixed."""
    if utils.DEVICE == 'mps' and os.environ.get('BALLOON_DEVICE') != 'mps':
        utils.DEVICE = 'cpu'
    if get_device() == 'cpu' and not fast_bfloat16():
        AmpOptimWrapper.optim_context = OptimWrapper.optim_context  # without autocast
