"""Mixed precision on the CPU: upstream's ``--amp`` and AmpOptimWrapper with bfloat16.

Symptom:  AssertionError: ``AmpOptimizerWrapper`` is only available training on gpu, npu, mlu or musa
Cause:    an assertion older than torch's CPU autocast; what it guards (mmengine.runner.autocast) knows the CPU.
Versions: mmengine <= 0.10.7
Upstream: https://github.com/open-mmlab/mmengine/blob/v0.10.7/mmengine/optim/optimizer/amp_optimizer_wrapper.py
Delete:   when AmpOptimWrapper accepts a machine without an accelerator

bfloat16 has float32's range, so gradients need no scaling: the scaler is torch's own, switched off.
"""
from functools import partial

import torch
from mmengine.device import get_device
from mmengine.optim.optimizer import amp_optimizer_wrapper


def apply():
    """Let AmpOptimWrapper run where MMEngine would train on the CPU."""
    if get_device() != 'cpu':
        return
    amp_optimizer_wrapper.is_cuda_available = lambda: True  # read by the assertion alone
    amp_optimizer_wrapper.GradScaler = partial(torch.amp.GradScaler, 'cpu', enabled=False)


apply()
