"""Commands that start from a process which has already imported what they need: 9 seconds less for each.

The imports run once; each command is a fork of that process with arguments, environment and output of its
own. test_other_systems.py, test_notebook.py and test_annotating.py start commands as a person does.
"""

import gc
import multiprocessing
import os
import runpy
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

_context = multiprocessing.get_context('forkserver')
_context.set_forkserver_preload(
    ['mmcompat', 'mmballoon.train', 'mmballoon.train.rules', 'mmdet.apis']
)
# Read when the libraries are loaded, which is too late in a fork
AT_START = ('PYTHONPATH', 'OMP_NUM_THREADS', 'PYTHONIOENCODING', 'PYTHONUTF8', 'LANG', 'LC_ALL')


def can_fork(args, env):
    """Whether a command is one of our scripts, in an environment that need not be there at its start."""
    return str(args[0]).endswith('.py') and not set(AT_START) & set(env or {})


def run(args, env, cwd, timeout):
    """(returncode, stdout, stderr) in an object, as of subprocess.run, of ``python ARGS``."""
    with tempfile.TemporaryDirectory() as folder:
        outputs = [Path(folder, name) for name in ('stdout', 'stderr')]
        arguments = (list(map(str, args)), env, str(cwd), list(map(str, outputs)))
        process = _context.Process(target=_command, args=arguments)
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            raise AssertionError(f'{args} did not end in {timeout} s')
        texts = [path.read_text(errors='backslashreplace') for path in outputs]
        return SimpleNamespace(returncode=process.exitcode, stdout=texts[0], stderr=texts[1])


def _command(args, env, cwd, outputs):
    for number, path in enumerate(outputs, 1):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    sys.argv = args
    sys.path.insert(0, '' if args[0] == '-c' else str(Path(args[0]).resolve().parent))
    gc.freeze()  # as in conftest.py
    if args[0] == '-c':
        exec(args[1], dict(__name__='__main__'))
    else:
        runpy.run_path(args[0], run_name='__main__')
