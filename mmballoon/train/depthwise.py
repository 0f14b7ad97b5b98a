"""Depthwise convolutions in float32 during bfloat16 training."""

import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from torch.nn import Conv2d


@HOOKS.register_module()
class DepthwiseFloat32Hook(Hook):
    """On a CPU with ``--amp``, train depthwise convolutions in float32 and the rest in bfloat16.

    The backward pass of a 5 x 5 depthwise convolution in torch 2.11 takes 1.9 to 2.4 times as long in
    bfloat16 as in float32 (58 and 25 ms at 8 x 24 x 160 x 160). The results of a run differ slightly
    with and without this hook.
    """

    def before_train(self, runner):
        wrap(runner.model)


def wrap(model):
    """Let depthwise convolutions compute in float32 while they train under the CPU's autocast."""
    for module in model.modules():
        if isinstance(module, Conv2d) and module.groups == module.in_channels > 1:
            module.forward = _forward.__get__(module)


def _forward(self, x):
    training = torch.is_grad_enabled() and torch.is_autocast_enabled('cpu')
    if x.device.type != 'cpu' or not training:
        return Conv2d.forward(self, x)
    with torch.autocast('cpu', enabled=False):
        out = Conv2d.forward(self, x.float())
    return out.to(torch.get_autocast_dtype('cpu'))
