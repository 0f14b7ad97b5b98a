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
    lines = {name: line for name, line in requirements().items() if not names or name in names}
    problems = list(filter(None, map(_problem, lines, lines.values())))
    if not problems:
        return None
    found = ', '.join(text for text, _, _ in problems)
    remove = ' '.join(name for _, some, _ in problems for name in some)
    install = dict.fromkeys(f'"{line}"' for _, _, some in problems for line in some)
    uninstall = f'pip uninstall -y {remove} && ' if remove else ''
    return f'{found}; next: {uninstall}pip install {" ".join(install)}'


def _problem(name, requirement):
    """(what is wrong, packages to remove, packages to install), or None if the package fits."""
    install = [requirement, 'torchvision'] if name == 'torch' else [requirement]
    versions = {n: _version(n) for n in (name, *OTHER_NAMES.get(name, ())) if _version(n)}
    if not versions:
        return f'{name} is not installed', [], install
    from packaging.requirements import Requirement  # matplotlib needs it as well

    wanted = Requirement(requirement).specifier
    if name == 'mmcv-lite' and not _version('mmyolo'):
        wanted = Requirement(f'mmcv{MMCV_ALONE}').specifier
    if len(set(versions.values())) > 1 and name != 'opencv-python':
        both = ' and '.join(f'{n} {installed}' for n, installed in versions.items())
        return f'{both} are installed into one folder', list(versions), install
    for n, installed in versions.items():
        if not wanted.contains(installed, prereleases=True):
            what = f'{n} {installed} is installed, expected {wanted}'
            return what, [n] if n != name else [], install
    # Each release of torchvision is compiled for one release of torch.
    torch, needs = _version('torch'), requires(name) if name == 'torchvision' else []
    for line in map(Requirement, needs or []):
        if line.name == 'torch' and torch and not line.specifier.contains(torch, True):
            what = f'{name} {versions[name]} is for torch {line.specifier}, found torch {torch}'
            return what, [], [f'torch=={torch.partition("+")[0]}', name]
    return None


def _version(package):
    try:
        return version(package)
    except PackageNotFoundError:
        return None
