"""``--resume`` takes the newest checkpoint that is whole.

Symptom:  RuntimeError: PytorchStreamReader failed ..., or FileNotFoundError, on ``--resume``
Cause:    find_latest_checkpoint returns what the file last_checkpoint names, whole or not
Versions: mmengine <= 0.10.7
Upstream: https://github.com/open-mmlab/mmengine/blob/v0.10.7/mmengine/runner/checkpoint.py
Delete:   when find_latest_checkpoint checks what it returns
"""

import re
import zipfile
from pathlib import Path

from mmengine.logging import print_log
from mmengine.runner import runner


def is_whole(path):
    """Whether a checkpoint file is a complete archive whose parts have their checksums."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (OSError, zipfile.BadZipFile, EOFError):
        return False


def find_latest_checkpoint(path):
    """The newest whole checkpoint (str) of a work directory, or None; names those it skips in the log."""
    path = Path(path)
    for part in path.glob('.*.part'):  # what a kill left behind
        part.unlink(missing_ok=True)
    candidates = sorted(path.glob('*_*.pth'), key=_step, reverse=True)
    candidates = [c for c in candidates if re.fullmatch(r'(epoch|iter)_\d+', c.stem)]
    marker = path / 'last_checkpoint'
    named = Path(marker.read_text(encoding='utf-8').strip()) if marker.is_file() else None
    if named and named.name and named not in candidates:
        candidates.insert(0, named)
    for candidate in candidates:
        if is_whole(candidate):
            return str(candidate)
        print_log(f'{candidate}: missing or not whole, so it is skipped', 'current')
    return None


def _step(path):
    return int(re.search(r'(\d+)$', path.stem)[1]) if re.search(r'\d+$', path.stem) else -1


def apply():
    """Let the Runner find its checkpoint with the function above."""
    runner.find_latest_checkpoint = find_latest_checkpoint


apply()
