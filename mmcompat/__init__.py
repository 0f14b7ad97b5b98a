"""Repairs: the documented uses of MMDetection and MMYOLO work again on today's PyTorch.

Importing this package before MMDetection applies them all. README.md lists them. A repair does nothing
where upstream is sound, and applying one twice changes nothing. No default, log line, file, device or
number type of upstream is changed.
"""

from . import removed, ops  # noqa: F401  isort: skip  (MMDetection imports with these only)
from . import box_am, checkpoint, class_names, cpu_training, models, pictures, progress  # noqa: F401
