"""A run deletes only checkpoints that it wrote itself, and each only after the next one is whole.

Symptom:  after a kill, last_checkpoint names a file that was deleted, or there is no best checkpoint;
          ``--resume RUN_A/epoch_3.pth --work-dir RUN_B`` deletes the best checkpoint of run A
Cause:    CheckpointHook deletes the old checkpoint before it writes the new one, writes last_checkpoint in
          place, and takes the names of what to delete from the checkpoint that it resumes
Upstream: https://github.com/open-mmlab/mmengine/blob/v0.10.7/mmengine/hooks/checkpoint_hook.py
"""

import functools
from pathlib import Path

from mmengine.hooks import CheckpointHook, checkpoint_hook

from mmballoon.cli import atomic_write
from mmballoon.train.rules import instead

_removed = []  # files that CheckpointHook has asked to delete, while it saves


class _RemoveLater:
    """A file backend that notes what to delete."""

    def __init__(self, backend):
        self._backend = backend

    def __getattr__(self, name):
        return getattr(self._backend, name)

    def remove(self, path):
        _removed.append(path)


def _delete_last(save, self, *args, **kwargs):
    backend = self.file_backend
    if isinstance(backend, _RemoveLater):  # a new best checkpoint saves the epoch again
        return save(self, *args, **kwargs)
    self.file_backend = _RemoveLater(backend)
    try:
        save(self, *args, **kwargs)
        for path in _removed:
            if backend.isfile(path):
                backend.remove(path)
    finally:
        self.file_backend = backend
        _removed.clear()


def _begin(before_train, self, runner):
    known = runner.message_hub.runtime_info
    folder = Path(runner.work_dir)
    if self.out_dir:
        folder = Path(self.out_dir, folder.name)
    resumed = Path(getattr(runner, 'resumed', ''))  # by schedule.py
    own_name = Path(known.get('last_ckpt') or '')  # under which the checkpoint was written
    if resumed.resolve() == own_name.resolve() and resumed.resolve().parent == folder.resolve():
        _forget_replaced(runner.message_hub, resumed, self.filename_tmpl)
    else:
        # From another folder, or a copy: what has these names here may be of another run.
        for name in [name for name in known if name.startswith(('best_ckpt', 'keep_ckpt_ids'))]:
            runner.message_hub.pop_info(name)
    before_train(self, runner)
    other = sorted(path.name for path in folder.glob('*.pth'))
    if other and not runner._resume:
        runner.logger.warning(
            f'{folder}: holds checkpoints of an earlier training ({len(other)}, such as {other[0]}); '
            'this one replaces those whose names it uses, such as epoch_1.pth; next: to keep them, '
            'train with another --work-dir, or continue that training with --resume'
        )


def _forget_replaced(hub, last, template):
    """Shorten the list of files that may be deleted: leave out those newer than ``last``, the checkpoint
    that holds this list.

    CheckpointHook writes a checkpoint after those that it lists, so a newer file is of another run.
    """

    def replaced(path):
        return path.is_file() and path.stat().st_mtime_ns > last.stat().st_mtime_ns

    for name in [name for name in hub.runtime_info if name.startswith('best_ckpt')]:
        if replaced(Path(hub.get_info(name))):
            hub.pop_info(name)
    if 'keep_ckpt_ids' in hub.runtime_info:
        ids = hub.get_info('keep_ckpt_ids')
        mine = [i for i in ids if not replaced(last.with_name(template.format(i)))]
        hub.update_info('keep_ckpt_ids', mine)


@functools.cache
def apply():
    """Replace the methods that begin and that save."""
    for name in ('_save_checkpoint_with_step', '_save_best_checkpoint'):
        instead(CheckpointHook, name, _delete_last)
    instead(CheckpointHook, 'before_train', _begin)
    checkpoint_hook.open = atomic_write  # it writes last_checkpoint with open(path, 'w')
