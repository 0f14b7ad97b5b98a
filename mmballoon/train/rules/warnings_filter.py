"""Warnings that upstream raises on today's PyTorch, that nobody can act on, and that bury what
matters.

Symptom:  pages of FutureWarning and UserWarning, some of them once per epoch or per image
Cause:    old spellings inside mmdet, mmengine and torchvision's callers: torch.cuda.amp, pkg_resources, torch.meshgrid
Upstream: https://github.com/open-mmlab/mmdetection/blob/v3.3.0/mmdet/models/layers/se_layer.py (torch.cuda.amp)

Named one by one: any other warning is shown.
"""

import warnings

MESSAGES = (
    r'`torch\.cuda\.amp',
    'pkg_resources is deprecated',
    r'torch\.meshgrid: in an upcoming release',
    r'Failed to add <class .mmengine\.visualization',  # a demo saves its images itself
    'Warning: The text is out of bounds',  # a label at the border
    r'.pin_memory. argument is set as true but',  # the base config's, without a GPU
)


def apply():
    """Ignore these messages."""
    for message in MESSAGES:
        warnings.filterwarnings('ignore', message=message)
