"""Whether the installed packages fit, asked before MMDetection is imported.

Nothing else is imported for it: versions are read from the metadata of the packages. A package
without metadata (on PYTHONPATH, say) counts as fitting.
"""

import importlib.util
from importlib.metadata import PackageNotFoundError, requires, version

from mmballoon.errors import UserError

# Module -> its line of requirements.txt (tests/mmballoon/test_environment.py compares them).
REQUIREMENTS = {
    'numpy': 'numpy>=1.26',
    'torch': 'torch>=2.6',
    'torchvision': 'torchvision',
    'mmengine': 'mmengine>=0.10.4,<0.11',
    'mmcv': 'mmcv-lite>=2.0.1,<2.1',
    'mmdet': 'mmdet>=3.0.0,<3.4',
    'mmyolo': 'mmyolo>=0.5.0,<0.7',
    'pytorch_grad_cam': 'grad-cam>=1.4.8',
    'pycocotools': 'pycocotools>=2.0.8',
    'cv2': 'opencv-python>=4.10',
    'PIL': 'pillow',
    'matplotlib': 'matplotlib',
    'tqdm': 'tqdm',
    'hotcoco': 'hotcoco',
    'jinja2': 'jinja2',
    'distutils': 'setuptools',
}
CORE = ('numpy', 'torch', 'torchvision', 'mmengine', 'mmcv', 'mmdet')  # what the patches need
MMCV_ALONE = 'mmcv-lite>=2.0.1,<2.2'  # the range of MMDetection, where MMYOLO is not installed
OTHER_NAMES = {'mmcv': 'mmcv', 'mmengine': 'mmengine-lite'}  # other packages with the same module


def check():
    """Raise a UserError where the packages that the patches need do not fit."""
    line = problems(CORE)
    if line:
        raise UserError(line)


def problems(modules):
    """The line (str) that says, package by package, what is wrong and what to install, or None."""
    found, remove, install = [], [], []
    for module in modules:
        problem = _problem(module)
        if problem:
            found.append(problem[0])
            remove += problem[1]
            install += problem[2]
    if not found:
        return None
    uninstall = f'pip uninstall -y {" ".join(remove)} && ' if remove else ''
    quoted = ' '.join(f'"{package}"' for package in dict.fromkeys(install))
    return f'{", ".join(found)}; next: {uninstall}pip install {quoted}'


def _problem(module):
    """(what is wrong, packages to remove, packages to install), or None if the module fits."""
    requirement = REQUIREMENTS[module]
    install = [requirement, 'torchvision'] if module == 'torch' else [requirement]
    if not _exists(module):
        return f'{module} is not installed', [], install
    from packaging.requirements import Requirement  # mmcv and matplotlib need it as well

    wanted = Requirement(MMCV_ALONE if module == 'mmcv' and not _exists('mmyolo') else requirement)
    names = [wanted.name, OTHER_NAMES.get(module)]
    versions = {name: _version(name) for name in names if name and _version(name)}
    if len(set(versions.values())) > 1:
        both = ' and '.join(f'{name} {found}' for name, found in versions.items())
        return f'{both} are installed into one folder', list(versions), install
    for name, found in versions.items():
        if not wanted.specifier.contains(found, prereleases=True):
            remove = [name] if name != wanted.name else []
            return f'{name} {found} is installed, expected {wanted.specifier}', remove, install
    if module == 'torchvision' and versions:
        return _other_torch(versions['torchvision'])
    return None


def _other_torch(torchvision):
    """Each release of torchvision is compiled for one release of torch."""
    from packaging.requirements import Requirement

    torch = _version('torch')
    for needed in map(Requirement, requires('torchvision') or []):
        if needed.name == 'torch' and torch and not needed.specifier.contains(torch, True):
            found = (
                f'torchvision {torchvision} is for torch {needed.specifier}, found torch {torch}'
            )
            return found, [], [f'torch=={torch.partition("+")[0]}', 'torchvision']
    return None


def _exists(module):
    return importlib.util.find_spec(module) is not None


def _version(package):
    try:
        return version(package)
    except PackageNotFoundError:
        return None
