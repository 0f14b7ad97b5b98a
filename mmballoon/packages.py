"""Whether the installed packages are those that pyproject.toml asks for."""

import re
from importlib.metadata import PackageNotFoundError, requires, version

CORE = ('numpy', 'torch', 'torchvision', 'mmengine', 'mmcv-lite', 'mmdet')  # what MMDetection needs
MMCV_ALONE = '<2.2,>=2.0.1'  # the range of MMDetection, where MMYOLO is not installed
OTHER_NAMES = {  # packages that bring the same module
    'mmcv-lite': ('mmcv',),
    'mmengine': ('mmengine-lite',),
    'opencv-python': ('opencv-python-headless', 'opencv-contrib-python'),
}


def requirements():
    """{package: requirement} (str) that the installed mmballoon asks for: pyproject.toml."""
    try:
        lines = requires('mmballoon') or []
    except PackageNotFoundError:
        return {}
    lines = [line.partition(';')[0].strip() for line in lines if 'extra == "export"' not in line]
    names = [re.match(r'[\w.-]+', line)[0] for line in lines]
    return {name: line for name, line in zip(names, lines) if name != 'mmballoon'}


def package_problems(names=None):
    """The line (str) that says what is wrong with the packages (all, or these), and what to install;
    or None.
    """
    found, remove, install = [], [], []
    for name, requirement in requirements().items():
        problem = (names is None or name in names) and _problem(name, requirement)
        if problem:
            found.append(problem[0])
            remove += problem[1]
            install += problem[2]
    if not found:
        return None
    uninstall = f'pip uninstall -y {" ".join(remove)} && ' if remove else ''
    quoted = ' '.join(f'"{package}"' for package in dict.fromkeys(install))
    return f'{", ".join(found)}; next: {uninstall}pip install {quoted}'


def _problem(name, requirement):
    """(what is wrong, packages to remove, packages to install), or None if the package fits."""
    install = [requirement, 'torchvision'] if name == 'torch' else [requirement]
    versions = {n: _version(n) for n in (name, *OTHER_NAMES.get(name, ())) if _version(n)}
    if not versions:
        return f'{name} is not installed', [], install
    from packaging.requirements import Requirement  # matplotlib needs it as well

    wanted = Requirement(requirement)
    if name == 'mmcv-lite' and not _version('mmyolo'):
        wanted = Requirement(name + MMCV_ALONE)
    if len(set(versions.values())) > 1 and name != 'opencv-python':
        both = ' and '.join(f'{n} {found}' for n, found in versions.items())
        return f'{both} are installed into one folder', list(versions), install
    for n, found in versions.items():
        if not wanted.specifier.contains(found, prereleases=True):
            what = f'{n} {found} is installed, expected {wanted.specifier}'
            return what, [n] if n != name else [], install
    return _other_torch(versions[name]) if name == 'torchvision' else None


def _other_torch(torchvision):
    """Each release of torchvision is compiled for one release of torch."""
    from packaging.requirements import Requirement

    torch = _version('torch')
    for needed in map(Requirement, requires('torchvision') or []):
        if needed.name == 'torch' and torch and not needed.specifier.contains(torch, True):
            what = f'torchvision {torchvision} is for torch {needed.specifier}, found torch {torch}'
            return what, [], [f'torch=={torch.partition("+")[0]}', 'torchvision']
    return None


def _version(package):
    try:
        return version(package)
    except PackageNotFoundError:
        return None
