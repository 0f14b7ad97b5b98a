"""A stand-in for mmcv's compiled operators, so that mmcv-lite can run MMDetection.

Symptom:  ModuleNotFoundError: No module named 'mmcv._ext', on ``import mmdet.apis``
Cause:    mmdet imports mmcv.ops, whose modules ask ``mmcv._ext`` for compiled operators. mmcv-lite has none, and full
          mmcv 2.0.1 (the one release mmdet 3.3.0 and mmyolo 0.6.0 both accept) does not build
          against torch >= 2.1.
Versions: mmcv-lite, every release
Upstream: https://github.com/open-mmlab/mmdetection/issues/10619 and /11475
Delete:   when mmdet imports without compiled operators, or mmcv ships wheels for today's torch

RTMDet calls one operator, ``nms``; torchvision has it for CPU and CUDA. Any other says how to get
it when called.
"""

import importlib.util
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType


def nms(boxes, scores, iou_threshold, offset=0):
    """Indices (int64, K) of the boxes kept, best score first, as ``mmcv._ext.nms`` gives them.

    boxes: (N, 4) tensor of [x1, y1, x2, y2] in pixels; scores: (N,) tensor; offset: what a box's
    width and height are enlarged by (0, or 1 for the old inclusive pixel convention): both agree
    with torchvision once x2 and y2 have moved.
    """
    import torchvision

    boxes = boxes.float() + boxes.new_tensor([0, 0, offset, offset], dtype=boxes.float().dtype)
    return torchvision.ops.nms(boxes, scores.float(), iou_threshold)


class _Ext(ModuleType):
    def __getattr__(self, name):
        if name.startswith('__'):
            raise AttributeError(name)

        def missing(*args, **kwargs):
            raise NotImplementedError(
                f"mmcv operator '{name}' is compiled code, which mmcv-lite does not have. Models other than RTMDet may "
                'need it: pip uninstall mmcv-lite, then install full mmcv (https://mmcv.readthedocs.io, "Installation")'
                ' with a torch it has a wheel for.'
            )

        return missing


def apply():
    """Register the stand-in, unless mmcv has its compiled module."""
    if 'mmcv._ext' in sys.modules or importlib.util.find_spec('mmcv._ext') is not None:
        return
    ext = _Ext('mmcv._ext')
    ext.__spec__ = ModuleSpec(
        'mmcv._ext', loader=None
    )  # pkgutil.find_loader, in mmengine's and mmcv's checks, asks
    ext.nms = nms
    sys.modules['mmcv._ext'] = ext


apply()
