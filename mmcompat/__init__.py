"""Repairs: what MMDetection and MMYOLO document works again on today's PyTorch.

Importing this package before MMDetection applies them all. Each module repairs one cause, and says in
its docstring the symptom, the cause, the versions concerned, the upstream issue, and when it can be
deleted. A repair does nothing where upstream is sound, and applying one twice changes nothing. No
default, log line, file, device or number type of upstream is changed.
"""

from . import find_loader, mmcv_ext, batch_norm_eps  # noqa: F401  isort: skip  (before the others)
from . import (  # noqa: F401
    checkpoint,
    cpu_amp,
    cpu_dist,
    head_module,
    ins_head,
    ins_mask_size,
    paste_mask,
    pkg_resources,
    ssd_head,
    visualizer,
)
