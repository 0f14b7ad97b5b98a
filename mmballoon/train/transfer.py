"""One log line that says how many weights were loaded from ``load_from``."""

from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from mmballoon.train.rules import short_log
from mmballoon.train.rules.weights_match import mismatches


@HOOKS.register_module()
class TransferHook(Hook):
    """Log how many tensors of the model a checkpoint fills, and which ones it does not.

    MMEngine prints every mismatch like an error, and nothing about what was loaded.
    """

    priority = 'LOWEST'  # after EMAHook, which may exchange the weights

    def before_run(self, runner):
        short_log.counted_elsewhere = True

    def after_load_checkpoint(self, runner, checkpoint):
        short_log.counted_elsewhere = False
        weights = checkpoint.get('state_dict', checkpoint)
        model = getattr(runner.model, 'module', runner.model)  # the wrapper of torchrun or --tta
        runner.logger.info(transfer_line(model.state_dict(), weights))


def transfer_line(model, checkpoint):
    """The log line, from two state dicts ({name: tensor})."""
    missing, shapes = mismatches(model, checkpoint)
    line = f'load_from: {len(model) - len(missing)} of {len(model)} tensors were loaded'
    if missing:
        more = ', ...' if len(missing) > 6 else ''
        line += f'; not loaded: {", ".join(missing[:6])}{more}{f" ({shapes})" if shapes else ""}'
    return line
