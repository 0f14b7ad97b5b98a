"""Rules: how this project's own commands train, test and detect.

``apply()`` is called by our commands, also in the data-loader workers that they start. Importing a
module of this package changes nothing.
"""

import functools
from importlib import import_module

from mmballoon.cli import check_packages

RULES = (
    'warnings_filter', 'classes', 'number_type', 'checkpoint_hook', 'config_code', 'config_text',
    'config_variables', 'drawing', 'local_backend', 'mac', 'nms_best_first', 'resume',
    'save_best', 'schedule', 'short_log', 'weights', 'weights_match',
)  # fmt: skip


def apply():
    """Apply the repairs of upstream, then our rules; a second call changes nothing.

    Raises:
        UserError: the installed packages are not those that pyproject.toml asks for.
    """
    check_packages()
    import mmcompat  # noqa: F401

    for name in RULES:
        import_module(f'{__name__}.{name}').apply()


def instead(owner, name, function):
    """Call ``function`` instead of ``owner.name``, with what was there as its first argument.

    owner: a class or a module. Call it only from an ``apply()`` with functools.cache, so that nothing is
    replaced twice.
    """
    original = getattr(owner, name)

    @functools.wraps(original)
    def replaced(*args, **kwargs):
        return function(original, *args, **kwargs)

    setattr(owner, name, replaced)
