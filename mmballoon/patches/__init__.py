"""Patches for what upstream breaks on today's PyTorch; importing this package applies them.

One module per defect. Each states the symptom, its cause, the versions concerned, the upstream
issue and when the module can be deleted; each does nothing where upstream is sound; applying one
twice changes nothing. They are applied on import, before MMDetection is, so that spawned
data-loader workers and torchrun's processes have them as well.
"""

from mmballoon.environment import check

check()  # in one line, before the first patch imports what may be missing

from . import warnings_filter, find_loader, mmcv_ext, batch_norm_eps, device  # noqa: F401, E402  isort: skip  (before the others)
from . import (  # noqa: F401, E402
    amp,
    checkpoint,
    checkpoint_hook,
    config_text,
    cpu_dist,
    fit,
    head_module,
    ins_head,
    ins_mask_size,
    local_backend,
    nms_best_first,
    paste_mask,
    pkg_resources,
    resume,
    screen,
    spawn,
    ssd_head,
    visualizer,
    weights,
)
