"""The CPU on a Mac, unless the GPU of Apple silicon is asked for.

Symptom:  AssertionError: ``AmpOptimizerWrapper`` is only available training on gpu, npu, mlu or musa
Cause:    mmengine takes the device mps wherever torch has it; its mixed precision does not know mps
Upstream: https://github.com/open-mmlab/mmengine/blob/v0.10.7/mmengine/device/utils.py

BALLOON_DEVICE=mps in the environment keeps mps, for those who want to try it: nobody has tested it here.
"""

import os

from mmengine.device import utils


def apply():
    """Let get_device() return 'cpu' instead of 'mps'."""
    if utils.DEVICE == 'mps' and os.environ.get('BALLOON_DEVICE') != 'mps':
        utils.DEVICE = 'cpu'
