"""Random numbers that a resumed training has in common with one that was not interrupted."""

from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import set_random_seed


@HOOKS.register_module()
class EpochSeedHook(Hook):
    """Seed the random numbers of each epoch by its number.

    With ``num_workers=0`` a training that was resumed then has the same weights as one that was not, on
    one machine. Mosaic, mixup and copy-paste keep images of earlier epochs, and so still differ.
    """

    def before_train_epoch(self, runner):
        set_random_seed(runner.seed + runner.epoch)
