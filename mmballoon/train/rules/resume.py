"""``--resume`` takes a checkpoint that is whole; where there is none, training starts as without ``--resume``.

Symptom:  RuntimeError: PytorchStreamReader failed ..., or FileNotFoundError, on ``--resume``; or a training
          from random weights, although the config or --cfg-options name others in load_from
Cause:    find_latest_checkpoint returns what the file last_checkpoint names, whole or not; and
          tools/train.py sets load_from to None, even where there is nothing to resume
Upstream: https://github.com/open-mmlab/mmengine/blob/v0.10.7/mmengine/runner/checkpoint.py
"""

import itertools
import re
from pathlib import Path

from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.runner import runner

from mmballoon.cli import is_whole


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
    damaged = list(itertools.takewhile(lambda path: not is_whole(path), candidates))
    chosen = next(iter(candidates[len(damaged) :]), None)
    skipped = {path.name: 'not whole' if path.exists() else 'missing' for path in damaged}
    for path in saved if chosen else ():
        if _number(path) > _number(chosen):
            skipped.setdefault(path.name, 'not the last one written')
    if skipped:
        reasons = ', '.join(f'{name} ({reason})' for name, reason in sorted(skipped.items()))
        print_log(
            f'{folder}: --resume takes {chosen and chosen.name}; skipped: {reasons}', 'current'
        )
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
            print_log(
                f'{folder}: --resume finds no checkpoint here; the training begins', 'current'
            )
            parsed.resume = None
    return parsed


def apply():
    """Let the Runner find its checkpoint with the function above."""
    runner.find_latest_checkpoint = find_latest_checkpoint
