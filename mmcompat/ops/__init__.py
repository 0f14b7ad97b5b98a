"""mmcv's compiled operators in torch and torchvision, one module per family; see ``mmcv_ext``.

Operators without a gradient take the place of the compiled function in ``mmcv._ext``. Operators with
one take the place of mmcv's Python function, so that torch differentiates them.
"""

import sys


def rebind(name, replacement):
    """Put ``replacement`` wherever a module of mmcv.ops holds its function ``name``.

    To be called before MMDetection imports the name.
    """
    import mmcv.ops

    original = getattr(mmcv.ops, name)
    for module_name, module in list(sys.modules.items()):
        if module_name.startswith('mmcv.ops') and vars(module).get(name) is original:
            setattr(module, name, replacement)
