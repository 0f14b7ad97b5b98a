"""Mixed precision in the number type that the device computes in, on the CPU as well.

Symptom:  AssertionError: ``AmpOptimizerWrapper`` is only available training on gpu, npu, mlu or musa
Cause:    an assertion older than torch's CPU autocast; what it guards (mmengine.runner.autocast) knows
          the CPU
Versions: mmengine <= 0.10.7
Upstream: https://github.com/open-mmlab/mmengine/blob/v0.10.7/mmengine/optim/optimizer/amp_optimizer_wrapper.py
Delete:   when AmpOptimWrapper accepts a machine without an accelerator

A config that names no dtype gets bfloat16 on GPUs that compute in it (compute capability 8.0, Ampere,
or newer; torch only emulates it on older ones, such as a T4), and float16 on older GPUs. A CPU gets
bfloat16 if it has instructions for it (AVX512-BF16 or AMX). Other CPUs get float32, whatever the config
says: torch's bfloat16 is many times slower there (https://github.com/pytorch/pytorch/issues/183815).
"""

import functools
import os

import torch
from mmengine.device import get_device
from mmengine.logging import print_log
from mmengine.optim.optimizer import AmpOptimWrapper, OptimWrapper, amp_optimizer_wrapper

# Values of oneDNN's switch that leave bfloat16 out.
OLDER = ('SSE41', 'AVX', 'AVX2', 'AVX2_VNNI', 'AVX512_CORE', 'AVX512_CORE_VNNI')


def fast_bfloat16():
    """Whether this CPU has instructions for bfloat16, and oneDNN may use them."""
    if os.environ.get('ONEDNN_MAX_CPU_ISA', 'DEFAULT').upper() in OLDER:
        return False  # oneDNN's own switch, to try what an older CPU does
    names = ('_is_avx512_bf16_supported', '_is_amx_tile_supported')
    return any(getattr(torch.cpu, name, bool)() for name in names)


def best_dtype():
    """'bfloat16' or 'float16', whichever the device computes in."""
    old_gpu = torch.cuda.is_available() and torch.cuda.get_device_capability() < (8, 0)
    return 'float16' if old_gpu else 'bfloat16'


def _choose_dtype(init):
    @functools.wraps(init)
    def wrapped(self, loss_scale='dynamic', dtype=None, **kwargs):
        init(self, loss_scale=loss_scale, dtype=dtype or best_dtype(), **kwargs)

    return wrapped


def _report():
    """In the place of is_cuda_available, which only the assertion calls."""
    if not fast_bfloat16():
        print_log('this CPU has no instructions for bfloat16, so float32 is used', 'current')
    return True


def apply():
    """Choose the number type, and let AmpOptimWrapper run on the CPU."""
    if not hasattr(AmpOptimWrapper.__init__, '__wrapped__'):
        AmpOptimWrapper.__init__ = _choose_dtype(AmpOptimWrapper.__init__)
    if get_device() != 'cpu' or amp_optimizer_wrapper.is_cuda_available is _report:
        return
    amp_optimizer_wrapper.is_cuda_available = _report
    # bfloat16 has the range of float32, so gradients need no scaling.
    amp_optimizer_wrapper.GradScaler = functools.partial(torch.amp.GradScaler, 'cpu', enabled=False)
    if not fast_bfloat16():
        AmpOptimWrapper.optim_context = OptimWrapper.optim_context  # without autocast


apply()
