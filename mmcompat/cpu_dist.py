"""Distributed training without a GPU: ``torchrun ... --launcher pytorch`` over gloo.

Symptom:  RuntimeError or AssertionError from torch.cuda.set_device ("Torch not compiled with CUDA
enabled", "Found no
          NVIDIA driver"), then ValueError: DistributedDataParallel device_ids ... , then
          SyncBatchNorm expected input tensor to be on GPU
Cause:    mmengine.dist selects a CUDA device and DDP a device id whatever the machine; torch's SyncBN is CUDA only.
Versions: mmengine <= 0.10.7
Upstream: https://github.com/open-mmlab/mmengine/blob/v0.10.7/mmengine/dist/utils.py (_init_dist_pytorch)
Delete:   when MMEngine's pytorch launcher runs where torch.cuda.is_available() is false

Batch statistics stay with each process here (SyncBN becomes BN): keep at least 4 images to a
process.
"""

import torch
from mmengine.device import get_device
from mmengine.dist import utils
from mmengine.model import MMDistributedDataParallel, revert_sync_batchnorm
from mmengine.runner import runner


def _init_gloo(backend, init_backend='torch', **kwargs):
    torch.distributed.init_process_group(backend='gloo', **kwargs)


class CPUDistributedDataParallel(MMDistributedDataParallel):
    """MMDistributedDataParallel for a module on the CPU: no device ids, BN instead of SyncBN."""

    def __init__(self, module, device_ids=None, **kwargs):
        super().__init__(module=revert_sync_batchnorm(module), device_ids=None, **kwargs)


def apply():
    """Use gloo and CPU modules where MMEngine would train on the CPU."""
    if get_device() == 'cpu':
        utils._init_dist_pytorch = _init_gloo
        runner.MMDistributedDataParallel = CPUDistributedDataParallel


apply()
