"""What this project registers with MMEngine: ``custom_imports =
dict(imports=['mmballoon.plugins'])`` in a config.
"""

from . import channels_last, copy_paste, curves, depthwise, fast_pipeline, transfer  # noqa: F401
