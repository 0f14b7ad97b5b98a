"""Run upstream's own scripts with the repairs and our rules applied.

The one module that knows where the installed MMDetection and MMYOLO keep their scripts.
"""

import functools
import importlib.util
import runpy
import sys
from pathlib import Path

from mmballoon.cli import UserError, check_packages, report_errors

PACKAGES = ('mmdet', 'mmyolo')


def package_root(package):
    """The folder in which an installed package keeps its ``tools`` and ``configs`` (Path)."""
    spec = importlib.util.find_spec(package)
    if spec is None:
        raise UserError(package, 'not installed', 'pip install -r requirements.txt')
    return Path(spec.origin).parent / '.mim'


def list_scripts(package):
    """Paths (list of str) of the scripts that a package ships, relative to ``package_root``."""
    root = package_root(package)
    return sorted(str(path.relative_to(root)) for path in root.glob('tools/**/*.py'))


def run(script):
    """Import an upstream script (Path) as a module, with repairs and rules, and call its ``main()``.

    The script does not take the place of ``__main__``: a data-loader worker that is started by
    spawn imports ``__main__`` again, which is our entry point, and so gets the rules as well.
    """
    with report_errors():
        if not script.is_file():
            advice = 'python tools/upstream.py mmdet (or mmyolo) lists them'
            raise UserError(script, 'no such script', advice)
        from mmballoon.train import rules

        rules.apply()
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


def run_bundled(package, path):
    """``run`` the script at ``path`` (str, such as 'tools/train.py') of an installed package."""
    with report_errors():
        check_packages()
        # Inside, so that a SIGTERM which arrives while `run` reports another error is reported, too:
        # with torchrun, the connection to a process that ended before this one is such an error.
        run(package_root(package) / path)
