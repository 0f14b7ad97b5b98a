"""Channels-last memory format, by config: ``custom_hooks=[dict(type='ChannelsLastHook')]``."""

import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS


@HOOKS.register_module()
class ChannelsLastHook(Hook):
    """Keep the model's 4-d weights in NHWC order, in which convolutions run faster on CPUs and
    tensor cores.

    Only the memory layout changes: shapes, values, checkpoints and state dicts stay as they are.
    Activations follow the weights' layout, so that the input needs no conversion.
    """

    def before_run(self, runner):
        runner.model.to(memory_format=torch.channels_last)
