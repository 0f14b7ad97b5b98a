"""What this project registers with MMEngine, for configs with
``custom_imports = dict(imports=['mmballoon.train'])``.
"""

import mmcompat  # noqa: F401

from . import copy_paste, curves, fast_pipeline, hooks  # noqa: F401
