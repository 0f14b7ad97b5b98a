"""How a repair takes the place of what it repairs, once."""

import functools
import sys
from types import FunctionType


def replace(owner, name, new, everywhere=False):
    """Let ``new`` take the place of ``owner.name``, unless a repair already has.

    owner: a class or a module; everywhere: also in the modules of OpenMMLab that have imported it.
    """
    original = getattr(owner, name)
    if original is new or hasattr(original, 'repaired'):
        return
    if isinstance(new, FunctionType):
        new.repaired = True
    setattr(owner, name, new)
    for module_name, module in list(sys.modules.items()) if everywhere else ():
        openmmlab = module_name.split('.')[0] in ('mmengine', 'mmcv', 'mmdet', 'mmyolo')
        if openmmlab and vars(module).get(name) is original:
            setattr(module, name, new)


def repair(owner, name, everywhere=False):
    """A decorator: the function is called instead of ``owner.name``, which is its first argument."""

    def decorate(function):
        original = getattr(owner, name)

        @functools.wraps(original)
        def repaired(*args, **kwargs):
            return function(original, *args, **kwargs)

        replace(owner, name, repaired, everywhere)
        return function

    return decorate
