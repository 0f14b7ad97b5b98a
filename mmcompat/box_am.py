"""MMYOLO's Box AM on MMDetection's heads and on a grad-cam of today."""

import importlib.machinery
import inspect
import sys

from mmdet.models.dense_heads.base_dense_head import BaseDenseHead

from ._replace import repair


def head_module(head):
    """``head.head_module`` is the head itself, unless it holds a module of that name.

    Symptom:  AttributeError: 'RTMDetSepBNHead' object has no attribute 'head_module'
    Cause:    MMYOLO's heads wrap their layers in a head_module; MMDetection's hold the layers themselves
    Versions: mmyolo <= 0.5.0 (0.6.0 asks first)
    Upstream: https://github.com/open-mmlab/mmyolo/issues/815, fixed by pull 779
    Delete:   when mmyolo 0.5.0 need not be supported
    """
    return head._modules.get('head_module', head)


def without_use_cuda(init, self, *args, use_cuda=False, **kwargs):
    """A grad-cam method takes the argument ``use_cuda``, and ignores it.

    Symptom:  TypeError: GradCAM.__init__() got an unexpected keyword argument 'use_cuda'
    Cause:    grad-cam takes the device from the model since 1.5; MMYOLO passes the argument
    Versions: grad-cam >= 1.5 with mmyolo <= 0.6.0
    Upstream: https://github.com/jacobgil/pytorch-grad-cam/releases (1.5.0)
    Delete:   when mmyolo stops passing it
    """
    init(self, *args, **kwargs)


def repair_grad_cam(package):
    base = package.base_cam.BaseCAM
    for cls in (base, *base.__subclasses__()):  # the base first: most inherit its constructor
        if 'use_cuda' not in inspect.signature(cls.__init__).parameters:
            repair(cls, '__init__')(without_use_cuda)


class GradCamFinder:
    """Repairs grad-cam when somebody imports it, because importing it takes seconds."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name != 'pytorch_grad_cam':
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        if spec:
            execute = spec.loader.exec_module

            def execute_and_repair(module):
                execute(module)
                repair_grad_cam(module)

            spec.loader.exec_module = execute_and_repair
        return spec


if not hasattr(BaseDenseHead, 'head_module'):
    BaseDenseHead.head_module = property(head_module)
if 'pytorch_grad_cam' in sys.modules:
    repair_grad_cam(sys.modules['pytorch_grad_cam'])
elif not any(getattr(finder, '__module__', '') == __name__ for finder in sys.meta_path):
    sys.meta_path.insert(0, GradCamFinder)
