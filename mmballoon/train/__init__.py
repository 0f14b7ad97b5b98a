"""What this project registers with MMEngine, for configs with
``custom_imports = dict(imports=['mmballoon.train'])``.
"""

import mmcompat  # noqa: F401

from . import (  # noqa: F401
    channels_last,
    copy_paste,
    curves,
    depthwise,
    epoch_seed,
    fast_pipeline,
    negatives,
    transfer,
)  # fmt: skip
