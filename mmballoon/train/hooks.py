"""Small hooks of the configs."""

import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import set_random_seed
from torch.nn import Conv2d

from mmballoon.train.rules.weights import mismatches


@HOOKS.register_module()
class ChannelsLastHook(Hook):
    """Store the weights of convolutions in NHWC order, in which CPUs and tensor cores are faster.

    Only the layout in memory changes, not shapes, values or checkpoints. Activations take the layout
    of the weights, so the input needs no conversion.
    """

    def before_run(self, runner):
        runner.model.to(memory_format=torch.channels_last)


@HOOKS.register_module()
class DepthwiseFloat32Hook(Hook):
    """On a CPU with ``--amp``, train depthwise convolutions in float32 and the rest in bfloat16.

    torch 2.11's backward pass of a 5 x 5 depthwise convolution takes 1.9 to 2.4 times as long in bfloat16
    (58 and 25 ms at 8 x 24 x 160 x 160). The results of a run differ slightly with and without this hook.
    """

    def before_train(self, runner):
        depthwise_in_float32(runner.model)


def depthwise_in_float32(model):
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


@HOOKS.register_module()
class EpochSeedHook(Hook):
    """Seed the random numbers of each epoch by its number.

    With ``num_workers=0`` a training that was resumed then has the same weights as one that was not, on
    one machine. Mosaic, mixup and copy-paste keep images of earlier epochs, and so still differ.
    """

    def before_train_epoch(self, runner):
        set_random_seed(runner.seed + runner.epoch)


@HOOKS.register_module()
class TransferHook(Hook):
    """Log how many tensors of the model a checkpoint fills, and which ones it does not.

    MMEngine prints every mismatch like an error, and nothing about what was loaded.
    """

    priority = 'LOWEST'  # after EMAHook, which may exchange the weights

    def after_load_checkpoint(self, runner, checkpoint):
        model = getattr(runner.model, 'module', runner.model)  # the wrapper of torchrun or --tta
        weights = model.state_dict()
        missing, shapes = mismatches(weights, checkpoint.get('state_dict', checkpoint))
        line = f'load_from: {len(weights) - len(missing)} of {len(weights)} tensors were loaded'
        if missing:
            line += f'; not loaded: {", ".join(missing[:6])}{", ..." if len(missing) > 6 else ""}'
            line += f' ({shapes})' if shapes else ''
        runner.logger.info(line)
