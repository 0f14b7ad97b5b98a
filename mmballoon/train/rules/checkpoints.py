"""Checkpoints appear whole, and a run deletes only those that it wrote itself, each after the next one is whole.

Symptom:  after a kill or on a full disk, "PytorchStreamReader failed finding central directory", or no best
          checkpoint; ``--resume RUN_A/epoch_3.pth --work-dir RUN_B`` deletes the best one of run A
Cause:    LocalBackend.put writes into the file itself; CheckpointHook deletes the old checkpoint before it
          writes the new one, and takes the names of what to delete from the one that it resumes
Upstream: https://github.com/open-mmlab/mmengine/blob/v0.10.7/mmengine/hooks/checkpoint_hook.py

A name in ``save_best`` that no validation reports ends in one line, before the first epoch if possible
(https://github.com/open-mmlab/mmengine/issues/1560).
"""

import errno
from pathlib import Path

from mmdet.evaluation import CocoMetric
from mmengine.fileio import LocalBackend
from mmengine.hooks import CheckpointHook, checkpoint_hook

from mmballoon.cli import UserError, atomic_write
from mmballoon.train.rules import instead

ITEMS = ('mAP', 'mAP_50', 'mAP_75', 'mAP_s', 'mAP_m', 'mAP_l')  # CocoMetric's own choice


@instead(LocalBackend, 'put')
def _put(put, self, obj, filepath):
    try:
        with atomic_write(filepath) as file:
            file.write(obj)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        found = f'no space left on the disk for {len(obj) / 1e6:.1f} MB'
        whole = 'Earlier checkpoints are whole, and --resume continues from the last one'
        raise UserError(filepath, found, f'free some space. {whole}') from error


@instead(LocalBackend, 'put_text')
def _put_text(put_text, self, obj, filepath, encoding='utf-8'):
    self.put(obj.encode(encoding), filepath)


@instead(CheckpointHook, '_save_checkpoint_with_step', '_save_best_checkpoint')
def _delete_last(save, self, *args, **kwargs):
    """Save, and only then delete what CheckpointHook has asked its file backend to remove."""
    backend, removed = self.file_backend, []
    if 'remove' in vars(backend):  # a new best checkpoint saves the epoch again
        return save(self, *args, **kwargs)
    backend.remove = removed.append
    try:
        save(self, *args, **kwargs)
    finally:
        del backend.remove
    for path in removed:
        if backend.isfile(path):
            backend.remove(path)


@instead(CheckpointHook, '_save_best_checkpoint')
def _require_metric(save_best, self, runner, metrics):
    require_names(self, metrics)
    save_best(self, runner, metrics)


@instead(CheckpointHook, 'before_train')
def _begin(before_train, self, runner):
    folder = Path(runner.work_dir)
    if self.out_dir:
        folder = Path(self.out_dir, folder.name)
    _forget_others(self, runner, folder)
    before_train(self, runner)
    other = sorted(path.name for path in folder.glob('*.pth'))
    if other and not runner._resume:
        runner.logger.warning(
            f'{folder}: holds checkpoints of an earlier training ({len(other)}, such as {other[0]}); '
            'this one replaces those whose names it uses, such as epoch_1.pth; next: to keep them, '
            'train with another --work-dir, or continue that training with --resume'
        )
    metrics = runner.val_loop.evaluator.metrics if runner.val_loop else []
    names = [reported(metric) for metric in metrics]
    if names and None not in names:
        require_names(self, sum(names, []))


def _forget_others(hook, runner, folder):
    """Keep, of the files that the resumed checkpoint lists for deletion, those of its own run.

    It lists files of its folder. Beside a copy, or in another folder, these names may be of another
    run; and so is a file newer than the checkpoint, which was written after those that it lists.
    """
    hub = runner.message_hub
    resumed = Path(getattr(runner, 'resumed', '')).resolve()  # by resume.py
    written = Path(hub.runtime_info.get('last_ckpt') or '').resolve()
    original = resumed == written and resumed.parent == folder.resolve()

    def is_own(path):
        if not original or not path.is_file():
            return original
        return path.stat().st_mtime_ns <= resumed.stat().st_mtime_ns

    for name in [name for name in hub.runtime_info if name.startswith('best_ckpt')]:
        if not is_own(Path(hub.get_info(name))):
            hub.pop_info(name)
    listed = hub.get_info('keep_ckpt_ids', [])
    kept = [i for i in listed if is_own(folder / hook.filename_tmpl.format(i))]
    hub.update_info('keep_ckpt_ids', kept)


def reported(metric):
    """Names (list) of what a metric will report, or None where only its first result tells."""
    if not isinstance(metric, CocoMetric) or metric.classwise or 'proposal' in metric.metrics:
        return None
    items = metric.metric_items or ITEMS
    return [f'{metric.prefix}/{kind}_{item}' for kind in metric.metrics for item in items]


def require_names(hook, names):
    """Raise a UserError unless ``names`` has all that save_best asks for."""
    for name in hook.save_best or ():
        if name not in (*names, 'auto'):
            advice = f'choose one of {", ".join(names)}'
            raise UserError('save_best', f'the validation reports no {name}', advice)


def apply():
    """Write last_checkpoint atomically: CheckpointHook writes it with open(path, 'w')."""
    checkpoint_hook.open = atomic_write
