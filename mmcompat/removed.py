"""Functions that newer releases of Python and setuptools removed, and that MMEngine still calls."""

import importlib.util
import os
import pkgutil

from ._replace import replace


def find_loader(name):
    """The loader of a module (str), or None where there is none, as Python 3.13 returns it.

    Symptom:  AttributeError: module 'pkgutil' has no attribute 'find_loader'
    Cause:    Python 3.14 removed it; mmengine and mmcv ask with it for compiled operators
    Versions: mmengine <= 0.10.7, mmcv <= 2.2.0, with Python >= 3.14
    Upstream: https://github.com/open-mmlab/mmengine/blob/v0.10.7/mmengine/utils/dl_utils/misc.py
    Delete:   when both call importlib.util.find_spec
    """
    spec = importlib.util.find_spec(name)
    return spec and spec.loader


def is_installed(package):
    """Whether a package (str) can be imported.

    Symptom:  ModuleNotFoundError: No module named 'pkg_resources', where a config inherits by ``mmdet::``
    Cause:    setuptools 82 removed it, and Python >= 3.12 installs no setuptools by itself
    Versions: mmengine <= 0.10.7 with setuptools >= 82, or without setuptools
    Upstream: https://github.com/open-mmlab/mmengine/blob/v0.10.7/mmengine/utils/package_utils.py
    Delete:   when mmengine asks importlib instead
    """
    spec = importlib.util.find_spec(package)
    return spec is not None and spec.origin is not None


def get_installed_path(package):
    """The folder (str) of an installed package.

    Raises:
        ModuleNotFoundError: there is none of this name.
    """
    if not is_installed(package):
        raise ModuleNotFoundError(f'No module named {package!r}', name=package)
    return os.path.dirname(importlib.util.find_spec(package).origin)


if not hasattr(pkgutil, 'find_loader'):
    pkgutil.find_loader = find_loader
if importlib.util.find_spec('pkg_resources') is None:
    from mmengine.utils import package_utils

    replace(package_utils, 'is_installed', is_installed, everywhere=True)
    replace(package_utils, 'get_installed_path', get_installed_path, everywhere=True)
