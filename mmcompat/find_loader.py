"""pkgutil.find_loader, with which mmengine and mmcv ask whether mmcv has its compiled operators.

Symptom:  AttributeError: module 'pkgutil' has no attribute 'find_loader'
Cause:    Python 3.14 removed it
Versions: mmengine <= 0.10.7, mmcv <= 2.2.0, with Python >= 3.14
Upstream: https://github.com/open-mmlab/mmengine/blob/v0.10.7/mmengine/utils/dl_utils/misc.py (mmcv_full_available)
Delete:   when both call importlib.util.find_spec
"""

import importlib.util
import pkgutil


def find_loader(name):
    """The loader of a module (str), or None where there is none, as Python 3.13 returned it."""
    spec = importlib.util.find_spec(name)
    return spec and spec.loader


def apply():
    """Put find_loader back, where Python has none."""
    if not hasattr(pkgutil, 'find_loader'):
        pkgutil.find_loader = find_loader


apply()
