"""Rules: how this project's own commands train, test and detect.

``apply()`` is called by our commands, also in the data-loader workers that they start. Importing a
module of this package changes nothing.
"""

import functools
import pkgutil
from collections import defaultdict
from importlib import import_module

from mmballoon.cli import check_packages

_replacements = defaultdict(list)  # {name of a module here: [(owner, name, function)]}


def instead(owner, *names):
    """A decorator: once the rules are applied, the function is called instead of each ``owner.name``,
    with what was there as its first argument. owner: a class or a module.
    """

    def decorate(function):
        _replacements[function.__module__] += [(owner, name, function) for name in names]
        return function

    return decorate


def _replace(owner, name, function):
    original = getattr(owner, name)

    @functools.wraps(original)
    def replaced(*args, **kwargs):
        return function(original, *args, **kwargs)

    setattr(owner, name, replaced)


def apply():
    """Apply the repairs of upstream, then our rules; a second call changes nothing.

    Raises:
        UserError: the installed packages are not those that pyproject.toml asks for.
    """
    check_packages()
    import mmcompat  # noqa: F401

    _replace_all()


@functools.cache
def _replace_all():
    for _, name, _ in pkgutil.iter_modules(__path__, f'{__name__}.'):
        module = import_module(name)
        if hasattr(module, 'apply'):  # for what is not a function
            module.apply()
        for replacement in _replacements[name]:
            _replace(*replacement)
