"""A stand-in for mmcv's compiled operators, so that mmcv-lite can run MMDetection.

Symptom:  ModuleNotFoundError: No module named 'mmcv._ext', on ``import mmdet.apis``
Cause:    mmdet imports mmcv.ops, whose modules ask ``mmcv._ext`` for compiled operators. mmcv-lite has none, and full
          mmcv 2.0.1 (the one release mmdet 3.3.0 and mmyolo 0.6.0 both accept) does not build
          against torch >= 2.1.
Versions: mmcv-lite, every release
Upstream: https://github.com/open-mmlab/mmdetection/issues/10619 and /11475
Delete:   when mmdet imports without compiled operators, or mmcv ships wheels for today's torch

The operators themselves are in ``ops``, made of torch and torchvision. Any other says how to get it
when called.
"""

import importlib.util
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

from .ops import attention, carafe, deform, deform_roi_pool, focal, masked_conv, nms, roi, sync_bn


class _Ext(ModuleType):
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


def apply():
    """Register the stand-in, unless mmcv has its compiled module."""
    if 'mmcv._ext' in sys.modules or importlib.util.find_spec('mmcv._ext') is not None:
        return
    ext = _Ext('mmcv._ext')
    ext.__spec__ = ModuleSpec('mmcv._ext', loader=None)  # pkgutil.find_loader asks for it
    ext.nms, ext.softnms, ext.nms_match = nms.nms, nms.softnms, nms.nms_match
    ext.masked_im2col_forward = masked_conv.masked_im2col_forward
    ext.masked_col2im_forward = masked_conv.masked_col2im_forward
    sys.modules['mmcv._ext'] = ext
    for operators in (roi, deform, deform_roi_pool, focal, attention, carafe, sync_bn):
        operators.apply()


apply()
