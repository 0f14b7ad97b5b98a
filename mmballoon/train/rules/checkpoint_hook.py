"""Old checkpoints are deleted after the new one is whole.

Symptom:  after a kill, last_checkpoint names a file that was deleted, or there is no best checkpoint
Cause:    CheckpointHook deletes the old checkpoint before it writes the new one, and writes
          last_checkpoint in place
Versions: mmengine <= 0.10.7
Upstream: https://github.com/open-mmlab/mmengine/blob/v0.10.7/mmengine/hooks/checkpoint_hook.py
Delete:   when MMEngine deletes last
"""

import functools

from mmengine.hooks import CheckpointHook, checkpoint_hook

from mmballoon.cli import atomic_write

_removed = []  # files that CheckpointHook has asked to delete, while it saves


class _RemoveLater:
    """A file backend that notes what to delete."""

    def __init__(self, backend):
        self._backend = backend

    def __getattr__(self, name):
        return getattr(self._backend, name)

    def remove(self, path):
        _removed.append(path)


def _delete_last(save):
    @functools.wraps(save)
    def wrapped(self, *args, **kwargs):
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

    return wrapped


def apply():
    """Replace the two methods that save."""
    if checkpoint_hook.__dict__.get('open') is atomic_write:
        return
    for name in ('_save_checkpoint_with_step', '_save_best_checkpoint'):
        setattr(CheckpointHook, name, _delete_last(getattr(CheckpointHook, name)))
    checkpoint_hook.open = atomic_write  # it writes last_checkpoint with open(path, 'w')
