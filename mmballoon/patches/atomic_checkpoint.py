"""Checkpoints that survive a kill at any moment, and a full disk.

Symptom:  after a kill, ``--resume`` ends with "PytorchStreamReader failed finding central directory", or
          last_checkpoint names a file that was deleted, or best_*.pth is truncated
Cause:    LocalBackend.put writes into the file itself; CheckpointHook deletes the old checkpoint before
          it writes the new one, and writes the file of the epoch a second time after a new best one
Versions: mmengine <= 0.10.7
Upstream: https://github.com/open-mmlab/mmengine/blob/v0.10.7/mmengine/hooks/checkpoint_hook.py
Delete:   when MMEngine writes to a temporary file and renames it, and deletes old files last

Everything that MMEngine writes through its LocalBackend is safe with it: results.pkl, predictions and
images, too.
"""

import errno
import functools
import re
from pathlib import Path

from mmengine.fileio import LocalBackend
from mmengine.hooks import CheckpointHook, checkpoint_hook

from mmballoon.errors import UserError
from mmballoon.files import atomic_write

_removed = []  # files that CheckpointHook has asked to delete, while it saves


def _put(self, obj, filepath):
    path = Path(filepath)
    path.parent.mkdir(parents=True, exist_ok=True)
    old = _other_best(path)
    try:
        with atomic_write(path, instead_of=old[0] if old else None) as file:
            file.write(obj)
        for other in old[1:]:
            other.unlink()
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise UserError(
            f'{filepath}: no space left on the disk for {len(obj) / 1e6:.1f} MB; next: free some space. '
            'Earlier checkpoints are whole, and --resume continues from the last one'
        ) from error


def _other_best(path):
    """Best checkpoints of the same metric: a kill can leave one that CheckpointHook forgot."""
    if not path.name.startswith('best_'):
        return []
    metric = re.sub(r'_\d+$', '', path.stem)  # best_coco_bbox_mAP_epoch
    others = path.parent.glob(f'{metric}_*.pth')
    return [
        other for other in others if other != path and re.fullmatch(rf'{metric}_\d+', other.stem)
    ]


def _put_text(self, obj, filepath, encoding='utf-8'):
    _put(self, obj.encode(encoding), filepath)


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
    """Replace what MMEngine 0.10.7 does unsafely."""
    if LocalBackend.put is _put:
        return
    LocalBackend.put, LocalBackend.put_text = _put, _put_text
    for name in ('_save_checkpoint_with_step', '_save_best_checkpoint'):
        setattr(CheckpointHook, name, _delete_last(getattr(CheckpointHook, name)))
    checkpoint_hook.open = atomic_write  # it writes last_checkpoint with open(path, 'w')


apply()
