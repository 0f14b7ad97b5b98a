"""Finding installed packages without pkg_resources.

Symptom:  ModuleNotFoundError: No module named 'pkg_resources', where a config inherits with ``mmdet::``
Cause:    setuptools 82 removed it, and Python >= 3.12 installs no setuptools by itself
Versions: mmengine <= 0.10.7 with setuptools >= 82, or without setuptools
Upstream: https://github.com/open-mmlab/mmengine/blob/v0.10.7/mmengine/utils/package_utils.py
Delete:   when mmengine asks importlib instead
"""

import importlib.util
import os
import sys


def is_installed(package):
    """Whether a package (str) can be imported."""
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


def apply():
    """Replace mmengine's two functions, wherever it has imported them, if they cannot work."""
    if importlib.util.find_spec('pkg_resources') is not None:
        return
    import mmengine  # noqa: F401  (all of it, before its names are replaced)

    for name, module in list(sys.modules.items()):
        if name.split('.')[0] == 'mmengine':
            for function in (is_installed, get_installed_path):
                if function.__name__ in vars(module):
                    setattr(module, function.__name__, function)


apply()
