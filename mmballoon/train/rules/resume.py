"""``--resume`` takes the newest checkpoint that is whole; without any, training starts as without ``--resume``.

Symptom:  RuntimeError: PytorchStreamReader failed ..., or FileNotFoundError, on ``--resume``; or a training
          from random weights, although the config names others in load_from
Cause:    find_latest_checkpoint returns what the file last_checkpoint names, whole or not; and
          tools/train.py sets load_from to None, even where there is nothing to resume
Versions: mmengine <= 0.10.7
Upstream: https://github.com/open-mmlab/mmengine/blob/v0.10.7/mmengine/runner/checkpoint.py
Delete:   when find_latest_checkpoint checks what it returns
"""

import functools
import re
from pathlib import Path

from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.runner import runner

from mmballoon.cli import is_whole


def find_latest_checkpoint(path):
    """The newest whole checkpoint (str) of a work directory, or None; names those it skips in the log."""
    path = Path(path)
    for part in path.glob('.*.part'):  # what a kill left behind
        part.unlink(missing_ok=True)
    candidates = [c for c in path.glob('*.pth') if re.fullmatch(r'(epoch|iter)_\d+', c.stem)]
    candidates.sort(key=lambda c: int(c.stem.split('_')[1]), reverse=True)
    marker = path / 'last_checkpoint'
    named = Path(marker.read_text(encoding='utf-8').strip()) if marker.is_file() else None
    if named and named.name and named not in candidates:
        candidates.insert(0, named)
    for candidate in candidates:
        if is_whole(candidate):
            return str(candidate)
        print_log(f'{candidate}: missing or not whole, so it is skipped', 'current')
    return None


def _load_or_resume(load):
    @functools.wraps(load)
    def wrapped(self):
        automatic = self._resume and self._load_from is None
        if automatic and not self._has_loaded and not find_latest_checkpoint(self.work_dir):
            file = getattr(self.cfg, 'filename', None)
            self._resume, self._load_from = False, file and Config.fromfile(file).get('load_from')
        load(self)

    return wrapped


def apply():
    """Let the Runner find its checkpoint with the functions above."""
    if runner.find_latest_checkpoint is not find_latest_checkpoint:
        runner.find_latest_checkpoint = find_latest_checkpoint
        runner.Runner.load_or_resume = _load_or_resume(runner.Runner.load_or_resume)
