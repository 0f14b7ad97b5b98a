"""The channels-last memory format."""

import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS


@HOOKS.register_module()
class ChannelsLastHook(Hook):
    """Store the weights of convolutions in NHWC order, in which CPUs and tensor cores are faster.

    Only the layout in memory changes, not shapes, values or checkpoints. Activations take the layout
    of the weights, so the input needs no conversion.
    """

    def before_run(self, runner):
        runner.model.to(memory_format=torch.channels_last)
