"""mmcv's compiled operators in torch and torchvision, so that mmcv-lite can run MMDetection.

Symptom:  ModuleNotFoundError: No module named 'mmcv._ext', on ``import mmdet.apis``
Cause:    mmcv.ops asks mmcv._ext for compiled operators. mmcv-lite has none, and full mmcv 2.0.1 (the one
          release that mmdet 3.3.0 and mmyolo 0.6.0 both accept) does not build against torch >= 2.1
Versions: mmcv-lite, every release
Upstream: https://github.com/open-mmlab/mmdetection/issues/10619, 11475
Delete:   when mmdet imports without compiled operators, or mmcv has wheels for today's torch

A compiled mmcv is used as it is. Any operator that is not here says so when it is called.
"""

import importlib.util
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

from mmengine.registry import MODELS
from torch.nn import SyncBatchNorm

from .._replace import replace
from . import convolution, focal, nms, roi

# These have a gradient, and take the place of mmcv's Python function, so that torch differentiates them.
DIFFERENTIABLE = (
    convolution.carafe, convolution.deform_conv2d, convolution.modulated_deform_conv2d,
    focal.sigmoid_focal_loss, focal.softmax_focal_loss, roi.deform_roi_pool, roi.roi_align, roi.roi_pool,
)  # fmt: skip
# These have none, and are what the compiled module would have.
COMPILED = (
    convolution.masked_col2im_forward, convolution.masked_im2col_forward, nms.nms, nms.nms_match, nms.softnms,
)  # fmt: skip


class StandIn(ModuleType):
    """A module that takes the place of mmcv._ext."""

    def __getattr__(self, name):
        if name.startswith('__'):
            raise AttributeError(name)

        def missing(*args, **kwargs):
            raise NotImplementedError(
                f"mmcv operator '{name}' is compiled code, which mmcv-lite does not have and "
                'mmcompat.ops does not replace: pip uninstall mmcv-lite, then install full mmcv '
                '(https://mmcv.readthedocs.io, "Installation") with a torch it has a wheel for.'
            )

        return missing


def attention(value, shapes, level_start, locations, weights, im2col_step):
    """Multi-scale deformable attention on any device: mmcv's own PyTorch path, which it takes on the
    CPU only. Shapes as in MultiScaleDeformableAttnFunction.forward; types follow ``value``, as there.
    """
    from mmcv.ops.multi_scale_deform_attn import multi_scale_deformable_attn_pytorch

    locations, weights = locations.type_as(value), weights.type_as(value)
    return multi_scale_deformable_attn_pytorch(value, shapes, locations, weights)


if 'mmcv._ext' not in sys.modules and importlib.util.find_spec('mmcv._ext') is None:
    stand_in = sys.modules['mmcv._ext'] = StandIn('mmcv._ext')
    vars(stand_in).update({function.__name__: function for function in COMPILED})
    stand_in.__spec__ = ModuleSpec('mmcv._ext', loader=None)  # pkgutil.find_loader asks for it
    import mmcv.ops

    for function in DIFFERENTIABLE:
        replace(mmcv.ops, function.__name__, function, everywhere=True)
    replace(mmcv.ops, 'carafe_naive', convolution.carafe, everywhere=True)
    # mmcv's own asks for a process group when it is built. torch's knows empty inputs since 1.9.
    replace(mmcv.ops, 'SyncBatchNorm', SyncBatchNorm, everywhere=True)
    replace(mmcv.ops.multi_scale_deform_attn.MultiScaleDeformableAttnFunction, 'apply', attention)
    MODELS.register_module('MMSyncBN', force=True, module=SyncBatchNorm)
