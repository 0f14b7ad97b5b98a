"""``--resume`` goes on from a checkpoint that is whole, by the schedule of the config that it is given.
Where there is no checkpoint, training begins as without ``--resume``.

Symptom:  "PytorchStreamReader failed", or FileNotFoundError; a training from random weights, although the
          config has a load_from; with another batch size, number of epochs or learning rate, "eta: -1 day",
          or a learning rate that does not fall as planned
Cause:    find_latest_checkpoint returns what the file last_checkpoint names; tools/train.py removes load_from
          even where there is nothing to resume; Runner.resume takes the schedule from the checkpoint
Upstream: https://github.com/open-mmlab/mmengine/blob/v0.10.7/mmengine/runner/checkpoint.py
          https://github.com/open-mmlab/mmdetection/issues/6572
"""

import re
import warnings
from pathlib import Path

from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.runner import EpochBasedTrainLoop, Runner, runner

from mmballoon.cli import UserError, is_whole
from mmballoon.train.rules import instead


def find_latest_checkpoint(work_dir):
    """The checkpoint (str) to resume, or None; what was skipped, and why, goes to the log in one line.

    First the one that the file last_checkpoint names, as upstream does, also where the folder was moved;
    then the others, beginning with the one that was written last.
    """
    folder = Path(work_dir)
    saved = [path for path in folder.glob('*.pth') if re.fullmatch(r'(epoch|iter)_\d+', path.stem)]
    candidates = sorted(saved, key=lambda path: path.stat().st_mtime_ns, reverse=True)
    marker = folder / 'last_checkpoint'
    named = marker.read_text(encoding='utf-8').strip() if marker.is_file() else ''
    if named:
        candidates = [Path(named), folder / Path(named).name, *candidates]
    chosen, skipped = None, {}
    for path in candidates:
        if is_whole(path):
            chosen = path
            break
        skipped[path.name] = 'not whole' if path.exists() else 'missing'
    for path in saved if chosen else ():
        if _number(path) > _number(chosen):
            skipped.setdefault(path.name, 'not the last one written')
    if skipped:
        reasons = ', '.join(f'{name} ({reason})' for name, reason in sorted(skipped.items()))
        taken = chosen and chosen.name
        print_log(f'{folder}: --resume takes {taken}; skipped: {reasons}', 'current')
    return chosen and str(chosen)


def _number(path):
    return int(re.sub(r'\D', '', path.stem) or 0)


def parse_args(upstreams, *args, **kwargs):
    """The arguments of an upstream script, by its own ``parse_args``, without a ``--resume`` that finds
    nothing to resume.
    """
    parsed = upstreams(*args, **kwargs)
    if getattr(parsed, 'resume', None) == 'auto':
        folder = parsed.work_dir or (parsed.cfg_options or {}).get('work_dir')
        folder = folder or Config.fromfile(parsed.config).get('work_dir')
        folder = folder or Path('work_dirs') / Path(parsed.config).stem
        if not find_latest_checkpoint(folder):
            found = '--resume finds no checkpoint here; the training begins'
            print_log(f'{folder}: {found}', 'current')
            parsed.resume = None
    return parsed


@instead(Runner, 'resume')
def _resume(resume, self, filename, **options):
    self.resumed = filename  # for checkpoints.py
    schedulers = self.param_schedulers if isinstance(self.param_schedulers, list) else []
    # Not those of several optimizers, nor where one follows a metric (ReduceOnPlateauLR).
    planned = schedulers and all(hasattr(scheduler, 'base_values') for scheduler in schedulers)
    if planned:
        options['resume_param_scheduler'] = False
        groups = schedulers[0].optimizer.param_groups
        settings = [{k: v for k, v in group.items() if k != 'params'} for group in groups]
    resume(self, filename, **options)
    optimizer = getattr(self.optim_wrapper, 'optimizer', None)  # none: several
    if optimizer and not optimizer.defaults.keys() <= optimizer.param_groups[0].keys():
        found = f'was not written with {type(optimizer).__name__}, the optimizer of the config'
        other = f'begin with its weights: --cfg-options load_from={filename}'
        raise UserError(filename, found, f'name its optimizer, or {other}')
    if planned:
        _follow_config(self, schedulers, settings)


def _follow_config(runner, schedulers, settings):
    """Step the schedulers, which are at their beginning, as the training has done until its epoch.

    settings: of the optimizer's groups, by the config. A difference from the checkpoint's is logged.
    """
    groups = schedulers[0].optimizer.param_groups
    resumed = [dict(group) for group in groups]
    for group, values in zip(groups, settings):
        group.update(values)
    loop, length = runner.train_loop, len(runner.train_loop.dataloader)
    saved_at = loop.iter
    if isinstance(loop, EpochBasedTrainLoop):
        loop._iter = loop.epoch * length  # an epoch that was saved in its middle begins again
    with warnings.catch_warnings():  # the optimizer makes no steps here
        warnings.simplefilter('ignore')
        for iteration in range(1, loop.iter + 1):
            for scheduler in schedulers:
                if not scheduler.by_epoch or iteration % length == 0:
                    scheduler.step()
    old = runner.message_hub.runtime_info  # the checkpoint's
    epochs, iterations = old.get('max_epochs') or 1, old.get('max_iters') or 0
    per_epoch = 'iterations per epoch (by the batch size and the number of images)'
    rates = [max(g.get('initial_lr', g['lr']) for g in some) for some in (resumed, groups)]
    rows = (
        ('max_epochs', epochs, runner.max_epochs),
        (per_epoch, iterations // epochs, runner.max_iters // runner.max_epochs),
        ('learning rate', *rates),
    )
    changed = [f'{name} was {was:g}, now {now:g}' for name, was, now in rows if was != now]
    if loop.iter == saved_at:
        pairs = [(k, v, now[k]) for was, now in zip(resumed, groups) for k, v in was.items()]
        names = {k for k, was, now in pairs if k != 'params' and was != now}
        changed += sorted(names - {'lr', 'initial_lr'})  # such as weight_decay
        if names and not changed:
            changed = ['param_scheduler']
    if changed:
        runner.logger.warning(
            f'--resume: the config is not the one of the checkpoint: {", ".join(changed)}; from here on, '
            f'optimizer and schedule are those that this config has after epoch {runner.epoch}'
        )


def apply():
    """Let the Runner find its checkpoint with the function above."""
    runner.find_latest_checkpoint = find_latest_checkpoint
