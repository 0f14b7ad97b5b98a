"""``--resume`` with another batch size, more epochs or another learning rate follows the schedule of the
config that it is given, from the epoch that was reached.

Symptom:  the learning rate does not fall as planned, or rises again; "eta: -1 day"
Cause:    Runner.resume takes the lengths of the schedule from the checkpoint, and the number of iterations,
          although an epoch may have another number of them now
Upstream: https://github.com/open-mmlab/mmdetection/issues/6572
"""

import copy
import functools
import warnings

from mmengine.runner import EpochBasedTrainLoop, Runner

from mmballoon.cli import UserError
from mmballoon.train.rules import instead

POSITION = ('last_step', '_global_step', '_last_value')  # of a scheduler: what training changes


def _resume(resume, self, filename, *args, **kwargs):
    schedulers = self.param_schedulers
    planned = isinstance(schedulers, list) and all(hasattr(s, 'base_values') for s in schedulers)
    if not schedulers or not planned:
        # None, those of several optimizers, or one that follows a metric (ReduceOnPlateauLR)
        return _resume_all(resume, self, filename, *args, **kwargs)
    states = [copy.deepcopy(scheduler.state_dict()) for scheduler in schedulers]
    optimizer = schedulers[0].optimizer
    settings = [{k: v for k, v in g.items() if k != 'params'} for g in optimizer.param_groups]
    _resume_all(resume, self, filename, *args, **kwargs)
    changed = changes(self, schedulers, states)
    if changed:
        for group, values in zip(optimizer.param_groups, settings):
            group.update(values)
        for scheduler, state in zip(schedulers, states):
            scheduler.load_state_dict(state)
        replay(self.train_loop, schedulers)
        self.logger.warning(
            f'--resume: the config is not the one of the checkpoint: {", ".join(changed)}; from here on, '
            f'the schedule is the one that this config has after epoch {self.epoch}'
        )


def _resume_all(resume, self, filename, *args, **kwargs):
    self.resumed = filename  # for checkpoint_hook.py
    resume(self, filename, *args, **kwargs)
    optimizer = getattr(self.optim_wrapper, 'optimizer', None)  # none: several
    if optimizer and not optimizer.defaults.keys() <= optimizer.param_groups[0].keys():
        found = f'was not written with {type(optimizer).__name__}, the optimizer of the config'
        advice = (
            f'name its optimizer, or begin with its weights: --cfg-options load_from={filename}'
        )
        raise UserError(filename, found, advice)


def changes(runner, schedulers, states):
    """[text] of what differs between the schedule in a checkpoint, which ``schedulers`` now have, and
    ``states``: the schedule of the config.
    """
    old = runner.message_hub.runtime_info  # the checkpoint's
    epochs, iterations = old.get('max_epochs') or 1, old.get('max_iters') or 0
    pairs = {
        'max_epochs': (epochs, runner.max_epochs),
        'iterations per epoch (by the batch size and the number of images)': (
            iterations // epochs, runner.max_iters // runner.max_epochs
        ),
        'learning rate': tuple(max(values) for values in (schedulers[0].base_values, states[0]['base_values'])),
    }  # fmt: skip
    texts = [f'{name} was {was:g}, now {now:g}' for name, (was, now) in pairs.items() if was != now]
    plans = [{k: v for k, v in state.items() if k not in POSITION} for state in states]
    same = all(plan.items() <= vars(s).items() for s, plan in zip(schedulers, plans))
    return texts or ([] if same else ['param_scheduler'])


def replay(loop, schedulers):
    """Step schedulers, which are at their beginning, as the training loop has done until its epoch."""
    length = len(loop.dataloader)
    if isinstance(loop, EpochBasedTrainLoop):
        loop._iter = loop.epoch * length
    with warnings.catch_warnings():  # the optimizer makes no steps here
        warnings.simplefilter('ignore')
        for iteration in range(1, loop.iter + 1):
            for scheduler in schedulers:
                if not scheduler.by_epoch or iteration % length == 0:
                    scheduler.step()


@functools.cache
def apply():
    """Let Runner.resume correct the schedule."""
    instead(Runner, 'resume', _resume)
