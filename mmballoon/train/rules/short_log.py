"""The screen shows progress; pages of settings go to the log file only.

Symptom:  several hundred lines (environment, config, hooks, paramwise_options) before the first line about
          training
Cause:    MMEngine's Runner and its optimizer constructor log them at the level of progress
Upstream: https://github.com/open-mmlab/mmengine/blob/v0.10.7/mmengine/runner/runner.py (_log_env, dump_config)

The file <work_dir>/<time>/<time>.log has everything. BALLOON_VERBOSE=1 shows it on the screen as well.
"""

import functools
import logging
import os

from mmengine.logging import MMLogger

from mmballoon.train.rules import instead

STARTS = (
    'Config:', '------', 'Hooks will be executed', 'paramwise_options', 'Exp name:',
    '"FileClient" will be deprecated', '"HardDiskBackend" is the alias',
)  # fmt: skip


def is_progress(record):
    """Whether a log record belongs on the screen."""
    message = record.getMessage().lstrip()
    return not message.startswith(STARTS) and 'bypass_duplicate=True' not in message


def _init(init, self, *args, **kwargs):
    init(self, *args, **kwargs)
    for handler in self.handlers:
        if type(handler) is logging.StreamHandler:
            handler.addFilter(is_progress)


@functools.cache
def apply():
    """Filter what each new logger sends to the screen."""
    if not os.environ.get('BALLOON_VERBOSE'):
        instead(MMLogger, '__init__', _init)
