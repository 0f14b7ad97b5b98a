"""Files that appear whole: checkpoints, results.pkl, predictions, images.

Symptom:  after a kill or on a full disk, ``--resume`` ends with "PytorchStreamReader failed finding central
          directory"; best_*.pth is truncated
Cause:    LocalBackend.put opens the file itself and writes into it
Upstream: https://github.com/open-mmlab/mmengine/blob/v0.10.7/mmengine/fileio/backends/local_backend.py
"""

import errno
from pathlib import Path

from mmengine.fileio import LocalBackend

from mmballoon.cli import UserError, atomic_write


def _put(self, obj, filepath):
    path = Path(filepath)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with atomic_write(path) as file:
            file.write(obj)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise UserError(
            f'{filepath}: no space left on the disk for {len(obj) / 1e6:.1f} MB; next: free some space. '
            'Earlier checkpoints are whole, and --resume continues from the last one'
        ) from error


def _put_text(self, obj, filepath, encoding='utf-8'):
    _put(self, obj.encode(encoding), filepath)


def apply():
    """Replace the two methods that write."""
    LocalBackend.put, LocalBackend.put_text = _put, _put_text
