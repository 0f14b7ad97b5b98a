"""mmcv's SyncBatchNorm (MMSyncBN in a config) by torch's.

Symptom:  ValueError: Default process group has not been initialized, or NotImplementedError: mmcv operator
          'sync_bn_forward_mean' is compiled code
Cause:    mmcv-lite has no compiled operators; mmcv's class asks for a process group when it is built, also on one GPU.
Versions: mmcv-lite, every release
Upstream: mmcv/ops/sync_bn.py (2.0.1), for empty inputs alone, which torch's has known since 1.9
Delete:   with mmcv_ext
"""

from mmengine.registry import MODELS
from torch.nn import SyncBatchNorm

from . import rebind


def apply():
    rebind('SyncBatchNorm', SyncBatchNorm)
    MODELS.register_module('MMSyncBN', force=True, module=SyncBatchNorm)
