"""Mixed precision on the CPU: upstream's ``--amp`` and AmpOptimWrapper with bfloat16.

Symptom:  AssertionError: ``AmpOptimizerWrapper`` is only available training on gpu, npu, mlu or musa
Cause:    an assertion older than torch's CPU autocast; what it guards (mmengine.runner.autocast) knows the CPU.
Versions: mmengine <= 0.10.7
Upstream: https://github.com/open-mmlab/mmengine/blob/v0.10.7/mmengine/optim/optimizer/amp_optimizer_wrapper.py
Delete:   when AmpOptimWrapper accepts a machine without an accelerator

bfloat16 has float32's range, so gradients need no scaling: the scaler is torch's own, switched off.

A CPU that does not compute in bfloat16 (AVX2, or AVX-512 without BF16) gets float32, whatever the
config says: torch falls back to code there that is slower than float32, many times so on AVX2
(https://github.com/pytorch/pytorch/issues/183815).
"""

from functools import partial

import torch
from mmengine.device import get_device
from mmengine.logging import print_log
from mmengine.optim.optimizer import OptimWrapper, amp_optimizer_wrapper


def fast_bfloat16():
    """Whether this CPU has instructions for bfloat16 (AVX512-BF16 or AMX), as torch sees it."""
    return any(
        getattr(torch.cpu, name, bool)()
        for name in ('_is_avx512_bf16_supported', '_is_amx_tile_supported')
    )


def apply():
    """Let AmpOptimWrapper run where MMEngine would train on the CPU: in bfloat16 if that is faster,
    or in float32.
    """
    if get_device() != 'cpu':
        return
    amp_optimizer_wrapper.is_cuda_available = _say_what  # read by the assertion alone
    amp_optimizer_wrapper.GradScaler = partial(torch.amp.GradScaler, 'cpu', enabled=False)
    if not fast_bfloat16():
        amp_optimizer_wrapper.AmpOptimWrapper.optim_context = (
            OptimWrapper.optim_context
        )  # without autocast


def _say_what():
    if not fast_bfloat16():
        print_log(
            'this CPU has no instructions for bfloat16: mixed precision is off, float32 instead',
            'current',
        )
    return True


apply()
