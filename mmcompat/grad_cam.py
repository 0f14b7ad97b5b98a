"""The argument ``use_cuda``, which MMYOLO's Box AM passes to grad-cam's methods.

Symptom:  TypeError: GradCAM.__init__() got an unexpected keyword argument 'use_cuda'
Cause:    grad-cam 1.5 takes the device from the model and dropped the argument; mmyolo.utils.boxam_utils passes it.
Versions: grad-cam >= 1.5 with mmyolo <= 0.6.0
Upstream: https://github.com/jacobgil/pytorch-grad-cam/releases (1.5.0)
Delete:   when mmyolo stops passing it

Imported by what draws Box AM alone: grad-cam takes seconds to import.
"""

import functools
import inspect

from pytorch_grad_cam.base_cam import BaseCAM


def _without_use_cuda(init):
    @functools.wraps(init)
    def wrapped(self, *args, use_cuda=False, **kwargs):
        return init(self, *args, **kwargs)

    return wrapped


def apply():
    """Let every method's constructor take the argument and ignore it, where grad-cam no longer
    knows it.
    """
    for cls in (BaseCAM, *BaseCAM.__subclasses__()):  # BaseCAM first: most inherit its constructor
        known = 'use_cuda' in inspect.signature(cls.__init__).parameters
        if not known and not hasattr(cls.__init__, '__wrapped__'):
            cls.__init__ = _without_use_cuda(cls.__init__)


apply()
