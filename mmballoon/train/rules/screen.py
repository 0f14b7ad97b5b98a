"""The screen shows progress; pages of settings go to the log file only, and warnings of old spellings nowhere.

Upstream: https://github.com/open-mmlab/mmengine/blob/v0.10.7/mmengine/runner/runner.py (_log_env, dump_config)
          https://github.com/open-mmlab/mmdetection/blob/v3.3.0/mmdet/models/layers/se_layer.py (torch.cuda.amp)

The file <work_dir>/<time>/<time>.log has everything. BALLOON_VERBOSE=1 shows it on the screen as well.
"""

import logging
import os
import warnings

from mmengine.logging import MMLogger

from mmballoon.train.rules import instead

STARTS = (
    'Config:', '------', 'Hooks will be executed', 'paramwise_options', 'Exp name:',
    '"FileClient" will be deprecated', '"HardDiskBackend" is the alias',
)  # fmt: skip
# Warnings that nobody can act on; any other is shown.
WARNINGS = (
    r'`torch\.cuda\.amp',
    'pkg_resources is deprecated',
    r'torch\.meshgrid: in an upcoming release',
    r'Failed to add <class .mmengine\.visualization',  # a demo saves its images itself
    'Warning: The text is out of bounds',  # a label at the border
    r'.pin_memory. argument is set as true but',  # the base config's, without a GPU
)


def is_progress(record):
    """Whether a log record belongs on the screen."""
    message = record.getMessage().lstrip()
    return not message.startswith(STARTS) and 'bypass_duplicate=True' not in message


@instead(MMLogger, '__init__')
def _filter_screen(init, self, *args, **kwargs):
    init(self, *args, **kwargs)
    for handler in self.handlers:
        if type(handler) is logging.StreamHandler and not os.environ.get('BALLOON_VERBOSE'):
            handler.addFilter(is_progress)


def apply():
    for message in WARNINGS:
        warnings.filterwarnings('ignore', message=message)
