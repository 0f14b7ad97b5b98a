"""On a Mac: the CPU, unless the GPU of Apple silicon is asked for; workers start by spawn, as Python does there.

Symptom:  AssertionError: ``AmpOptimizerWrapper`` is only available training on gpu, npu, mlu or musa;
          a data-loader worker dies: "... may have been in progress in another thread when fork() was called"
Cause:    mmengine takes the device mps wherever torch has it, and its mixed precision does not know it; it
          forks on every system but Windows, which libraries of macOS do not allow
Upstream: https://github.com/open-mmlab/mmengine/blob/v0.10.7/mmengine/device/utils.py
          (Python stopped forking there: https://github.com/python/cpython/issues/77906)

BALLOON_DEVICE=mps in the environment keeps mps, for those who want to try it. We have no Mac: the tests
pretend to run on one, and start workers by spawn on Linux.
"""

import functools
import os
import sys

from mmengine.device import utils
from mmengine.runner import runner

from mmballoon.train.rules import instead


def _by_spawn(set_multi_processing, mp_start_method='spawn', **kwargs):
    set_multi_processing(mp_start_method='spawn', **kwargs)


@functools.cache
def apply():
    """Let get_device() return 'cpu' instead of 'mps', and the Runner start workers by spawn."""
    if utils.DEVICE == 'mps' and os.environ.get('BALLOON_DEVICE') != 'mps':
        utils.DEVICE = 'cpu'
    if sys.platform == 'darwin':
        instead(runner, 'set_multi_processing', _by_spawn)
