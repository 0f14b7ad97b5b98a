"""AmpOptimWrapper trains on the CPU.

Symptom:  AssertionError: ``AmpOptimizerWrapper`` is only available training on gpu, npu, mlu or musa
Cause:    an assertion older than torch's CPU autocast; what it guards (mmengine.runner.autocast) knows
          the CPU
Versions: mmengine <= 0.10.7
Upstream: https://github.com/open-mmlab/mmengine/blob/v0.10.7/mmengine/optim/optimizer/amp_optimizer_wrapper.py
Delete:   when AmpOptimWrapper accepts a machine without an accelerator
"""

import functools

import torch
from mmengine.device import get_device
from mmengine.optim.optimizer import amp_optimizer_wrapper


def _or_cpu(is_cuda_available):
    @functools.wraps(is_cuda_available)
    def wrapped():
        return is_cuda_available() or get_device() == 'cpu'

    return wrapped


def _scaler(grad_scaler):
    @functools.wraps(grad_scaler)
    def wrapped(*args, **kwargs):
        if get_device() == 'cpu':  # bfloat16 has the range of float32, so gradients need no scaling
            return torch.amp.GradScaler('cpu', enabled=False)
        return grad_scaler(*args, **kwargs)

    return wrapped


def apply():
    """Let the assertion, the only caller of is_cuda_available there, accept the CPU."""
    if not hasattr(amp_optimizer_wrapper.is_cuda_available, '__wrapped__'):
        amp_optimizer_wrapper.is_cuda_available = _or_cpu(amp_optimizer_wrapper.is_cuda_available)
        amp_optimizer_wrapper.GradScaler = _scaler(amp_optimizer_wrapper.GradScaler)


apply()
