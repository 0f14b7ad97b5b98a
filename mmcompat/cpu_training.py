"""Training on the CPU: mixed precision, and several processes.

Whether there is a GPU is asked when a training starts, not on import.
"""

import torch
from mmengine.device import get_device
from mmengine.dist import utils
from mmengine.model import MMDistributedDataParallel, revert_sync_batchnorm
from mmengine.optim.optimizer import amp_optimizer_wrapper

from ._replace import repair


@repair(amp_optimizer_wrapper, 'is_cuda_available')  # there it is called by the assertion only
def mixed_precision(is_cuda_available):
    """AmpOptimWrapper trains on the CPU.

    Symptom:  AssertionError: ``AmpOptimizerWrapper`` is only available training on gpu, npu, mlu or musa
    Cause:    the assertion is older than torch's autocast of the CPU, which mmengine.autocast knows
    Versions: mmengine <= 0.10.7
    Upstream: https://github.com/open-mmlab/mmengine/blob/v0.10.7/mmengine/optim/optimizer/amp_optimizer_wrapper.py
    Delete:   when AmpOptimWrapper accepts a machine without an accelerator
    """
    return is_cuda_available() or get_device() == 'cpu'


@repair(amp_optimizer_wrapper, 'GradScaler')
def without_scaling(grad_scaler, *args, **kwargs):
    """The CPU's bfloat16 has the range of float32, so its gradients need no scaling. A checkpoint gets
    the state of a new scaler, with which a GPU can go on: it refuses an empty one.
    """
    if get_device() == 'cpu':
        scaler = torch.amp.GradScaler('cpu', enabled=False)
        scaler.state_dict = torch.amp.GradScaler('cpu', **kwargs).state_dict
        return scaler
    return grad_scaler(*args, **kwargs)


@repair(utils, '_init_dist_pytorch')
def several_processes(init_dist, backend, init_backend='torch', **kwargs):
    """``torchrun ... --launcher pytorch`` without a GPU, by gloo.

    Symptom:  Torch not compiled with CUDA enabled, or Found no NVIDIA driver; then errors of
              DistributedDataParallel (device_ids) and SyncBatchNorm (expected input tensor to be on GPU)
    Cause:    MMEngine selects a CUDA device whatever the machine; torch's SyncBatchNorm is for GPUs only
    Versions: mmengine <= 0.10.7
    Upstream: https://github.com/open-mmlab/mmengine/blob/v0.10.7/mmengine/dist/utils.py
    Delete:   when the pytorch launcher runs where torch.cuda.is_available() is false

    Batch statistics stay with each process: keep at least 4 images to a process.
    """
    if get_device() == 'cpu':
        torch.distributed.init_process_group(backend='gloo', **kwargs)
    else:
        init_dist(backend, init_backend=init_backend, **kwargs)


@repair(MMDistributedDataParallel, '__init__')
def without_device_ids(init, self, module, *args, **kwargs):
    """A module on the CPU has no device ids, and SyncBatchNorm becomes BatchNorm."""
    if get_device() == 'cpu':
        module, kwargs = revert_sync_batchnorm(module), dict(kwargs, device_ids=None)
    init(self, module, *args, **kwargs)
