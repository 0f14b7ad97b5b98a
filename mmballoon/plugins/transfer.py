"""One line on what a checkpoint gave: ``default_hooks =
dict(transfer=dict(type='TransferHook'))``.
"""

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS


@HOOKS.register_module()
class TransferHook(Hook):
    """Log how many of the model's tensors ``load_from`` fills, and which ones it cannot.

    MMEngine lists each mismatch on its own, in the form of an error, and says nothing of what went
    well.
    """

    priority = 'LOWEST'  # after EMAHook, which may exchange the weights

    def after_load_checkpoint(self, runner, checkpoint):
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        runner.logger.info(
            transfer_line(model.state_dict(), checkpoint.get('state_dict', checkpoint))
        )


def transfer_line(ours, theirs):
    """The line, from two state dicts ({name: tensor})."""
    new = [
        name
        for name, value in ours.items()
        if name not in theirs or theirs[name].shape != value.shape
    ]
    line = f'checkpoint: {len(ours) - len(new)} of {len(ours)} tensors of this model come from it'
    if new:
        shapes = [
            f' ({tuple(theirs[n].shape)} there, {tuple(ours[n].shape)} here)'
            for n in new
            if n in theirs
        ]
        line += f'; not {", ".join(new[:6])}{", ..." if len(new) > 6 else ""}{"".join(shapes[:1])}'
    return line
