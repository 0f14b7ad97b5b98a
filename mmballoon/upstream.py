"""Run upstream's own scripts, of the installed MMDetection or of a clone, with the repairs and our rules."""

import functools
import importlib.util
import runpy
import sys
from pathlib import Path

from mmballoon.cli import UserError, check_packages, report_errors


def package_root(package):
    """The folder in which an installed package keeps its ``tools`` and ``configs`` (Path)."""
    spec = importlib.util.find_spec(package)
    if spec is None:
        raise UserError(package, 'not installed', 'pip install -r requirements.txt')
    return Path(spec.origin).parent / '.mim'


def apply_rules():
    """Apply the repairs and our rules, and return ``mmballoon.train.rules``, whose import takes seconds."""
    from mmballoon.train import rules

    rules.apply()
    return rules


def run(script, package=None):
    """Import an upstream script as a module, with repairs and rules, and call its ``main()``.

    script: path of a file, or, with ``package`` (str), one in ``package_root``, such as 'tools/train.py'.

    The script does not take the place of ``__main__``: a data-loader worker that is started by
    spawn imports ``__main__`` again, which is our entry point, and so gets the rules as well.
    """
    # The outer one is for a SIGTERM that arrives while the inner one reports another error: with torchrun,
    # the connection to a process that ended before this one is such an error.
    with report_errors(), report_errors():
        if package:
            check_packages()
            script = package_root(package) / script
        script = Path(script)
        if not script.is_file():
            advice = 'python tools/upstream.py mmdet (or mmyolo) lists them'
            raise UserError(script, 'no such script', advice)
        rules = apply_rules()
        sys.path.insert(0, str(script.resolve().parent))  # it may import the modules beside it
        spec = importlib.util.spec_from_file_location(script.stem, script)
        if spec is None:
            raise UserError(script, 'no Python script', 'name a file that ends with .py')
        module = importlib.util.module_from_spec(spec)
        sys.modules[script.stem] = module
        spec.loader.exec_module(module)
        if not hasattr(module, 'main'):  # such as MMYOLO's balloon2coco.py
            if '__main__' not in script.read_text(encoding='utf-8'):
                raise UserError(script, 'has no main() and no __main__', 'name a script that has')
            runpy.run_path(str(script), run_name='__main__')
            return
        if hasattr(module, 'parse_args'):
            module.parse_args = functools.partial(rules.resume.parse_args, module.parse_args)
        module.main()
