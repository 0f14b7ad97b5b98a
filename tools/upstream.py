r"""Run one of upstream's own scripts, with this project's repairs applied.

The one place that knows where the installed MMDetection and MMYOLO keep their scripts:

    python tools/upstream.py mmdet tools/analysis_tools/browse_dataset.py configs/my_rtmdet_tiny.py \
        --output-dir out --not-show
    python tools/upstream.py mmdet tools/analysis_tools/analyze_logs.py plot_curve LOG.json --keys loss --out loss.png
    python tools/upstream.py ~/mmyolo/demo/boxam_vis_demo.py IMG CONFIG CHECKPOINT      (a script of your own clone)
    python tools/upstream.py mmdet                                                      (lists mmdet's scripts)

Everything after the script is the script's own arguments; ``--help`` there prints its help.
"""
import importlib
import importlib.util
import sys
from pathlib import Path

from errors import Mistake, one_line

if __name__ != '__main__':  # in train.py, test.py and every worker they spawn; as a command, only once it is needed
    with one_line():
        import patches  # noqa: F401

PACKAGES = ('mmdet', 'mmyolo')


def package_root(package):
    """Folder in which an installed package keeps its ``tools`` and ``configs`` (Path)."""
    spec = importlib.util.find_spec(package)
    if spec is None:
        raise SystemExit(f'{package} is not installed; next: make setup, and run with .venv/bin/python')
    return Path(spec.origin).parent / '.mim'


def run(script):
    """Import an upstream script (Path) as a module and call its ``main()``, with the repairs applied.

    Imported and not executed in place of ``__main__``: a spawned data-loader worker then re-imports our entry point,
    and so the repairs, and can unpickle what the script defines. A person's mistake ends in one line (``errors.py``).
    """
    with one_line():
        if not script.is_file():
            raise Mistake(f'{script}: no such script; next: python tools/upstream.py mmdet (or mmyolo) lists them')
        import patches  # noqa: F401
        sys.path.insert(0, str(script.resolve().parent))  # as Python does for the script it runs
        importlib.import_module(script.stem).main()


def main(argv):
    """argv: [package, path inside the package, ARGS...] or [path of a script, ARGS...]."""
    if not argv or argv[0] in ('-h', '--help'):
        raise SystemExit(__doc__)
    if argv[0] in PACKAGES:
        root = package_root(argv[0])
        if len(argv) == 1:
            print(*sorted(p.relative_to(root) for p in root.glob('tools/**/*.py')), sep='\n')
            return
        script, sys.argv = root / argv[1], argv[1:]
    else:
        script, sys.argv = Path(argv[0]), argv
        import patches.grad_cam  # noqa: F401  (only MMYOLO's Box AM demo needs it, and it takes seconds to import)
    run(script)


if __name__ == '__main__':
    main(sys.argv[1:])
