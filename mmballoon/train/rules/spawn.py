"""On a Mac, data-loader workers start by spawn, as Python itself starts processes there.

Symptom:  a data-loader worker dies on macOS: "... may have been in progress in another thread when
          fork() was called"
Cause:    mmengine forks on every system but Windows; libraries of macOS do not allow it
Upstream: https://github.com/open-mmlab/mmengine/blob/v0.10.7/mmengine/utils/dl_utils/setup_env.py
          (Python stopped to fork there: https://github.com/python/cpython/issues/77906)

We have no Mac. The tests start workers by spawn on Linux.
"""

import functools
import sys

from mmengine.runner import runner


def _by_spawn(set_multi_processing):
    @functools.wraps(set_multi_processing)
    def wrapped(mp_start_method='spawn', **kwargs):
        set_multi_processing(mp_start_method='spawn', **kwargs)

    return wrapped


def apply():
    """Let the Runner start workers by spawn, whatever the config says."""
    if sys.platform == 'darwin' and not hasattr(runner.set_multi_processing, '__wrapped__'):
        runner.set_multi_processing = _by_spawn(runner.set_multi_processing)
