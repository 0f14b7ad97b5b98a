"""A ``python`` for tests whose commands need no imports: 9 seconds less for each.

A server imports the libraries once, and forks itself for each command. ``python`` is a client of it, which
passes on its arguments, environment, streams and signals, and ends as the command does. It starts the real
Python for other options than -c and -m, and where the environment changes what a start reads.
"""

import contextlib
import functools
import gc
import importlib
import json
import os
import runpy
import select
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Read when Python or the libraries are loaded, which is too late in a fork.
AT_START = ('OMP_NUM_THREADS', 'PYTHONIOENCODING', 'PYTHONUTF8', 'LANG', 'LC_ALL',
            'PYTHONWARNINGS', 'PYTHONWARNDEFAULTENCODING')  # fmt: skip


def at_start(env):
    return [env.get('PYTHONPATH', str(ROOT)), *map(env.get, AT_START)]


@contextlib.contextmanager
def server(env=os.environ):
    """The path of a ``python``, in a folder of its own, whose commands start in such an environment."""
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
        python, address = Path(folder, 'python'), f'{folder}/socket'
        words = shlex.join([sys.executable, '-IS', __file__, address])
        python.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
        python.chmod(0o700)
        listener.bind(address)
        listener.listen(64)
        command = [sys.executable, __file__, '--serve', str(listener.fileno()), str(python)]
        process = subprocess.Popen(
            command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            pass_fds=[listener.fileno()], start_new_session=True,
        )  # fmt: skip
        try:
            yield str(python)
        finally:
            process.kill()
            process.wait()


def read_metafiles_once():
    """MMEngine reads a hundred YAML files of MMDetection for each config that inherits from it: 0.2 s."""
    from mmengine.config import Config, utils

    utils.load = functools.cache(utils.load)
    Config.fromfile(ROOT / 'configs/my_rtmdet_tiny.py')


def serve(listener, python):
    """Fork for each connection, until the tests have ended. Returns, in a fork, what it shall run."""
    parent, imported = os.getppid(), False
    listener.settimeout(10)
    while os.getppid() == parent:
        with contextlib.suppress(TimeoutError):
            connection = listener.accept()[0]
            if not imported:
                for name in ('mmcompat', 'mmballoon.train', 'mmballoon.train.rules', 'mmdet.apis'):
                    importlib.import_module(name)
                read_metafiles_once()
                gc.freeze()  # as in conftest.py
                imported = True
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the next process
            if not os.fork():
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                listener.close()
                return answer(connection, python)
            connection.close()
    sys.exit()


def answer(connection, python):
    """Start a command in a fork, and tell the client its process id and its exit code."""
    streams = socket.recv_fds(connection, 1, 3)[1]
    with connection.makefile() as file:
        args, env, cwd = json.load(file)
    if args[0] == '-u':  # as torchrun starts its processes; what they log, they flush
        args = args[1:]
    known = args[0] in ('-c', '-m') or args[0].endswith('.py')
    if at_start(env) != at_start(os.environ) or not known:
        os._exit(0)
    process = os.fork()
    if process:
        for stream in streams:
            os.close(stream)
        tell(connection, process)
        threading.Thread(target=end_with_client, args=(connection, process), daemon=True).start()
        tell(connection, os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]))
        os._exit(0)
    connection.close()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    for number, name in enumerate(('stdin', 'stdout', 'stderr')):
        old, lines = getattr(sys, name), 1 if name == 'stderr' else -1
        new = open(number, old.mode, lines, old.encoding, old.errors, closefd=False)  # noqa: SIM115
        setattr(sys, name, new)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    sys.executable = python  # the commands that it starts are forks, too
    return args


def tell(connection, number):
    with contextlib.suppress(BrokenPipeError):  # the client was killed
        connection.sendall(f'{number}\n'.encode())


def end_with_client(connection, process):
    hung_up = select.poll()
    hung_up.register(connection, 0)
    hung_up.poll()
    with contextlib.suppress(ProcessLookupError):  # it has ended
        os.kill(process, signal.SIGKILL)


def ask(address, args):
    """Let the server run a command, and end as it does."""
    passed_on = signal.SIGINT, signal.SIGTERM
    signal.pthread_sigmask(signal.SIG_BLOCK, passed_on)  # one that comes now waits for its handler
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        socket.send_fds(connection, [b'.'], [0, 1, 2])
        connection.sendall(json.dumps([args, dict(os.environ), os.getcwd()]).encode())
        connection.shutdown(socket.SHUT_WR)
        with connection.makefile() as said:
            process = said.readline()
            if not process:
                signal.pthread_sigmask(signal.SIG_UNBLOCK, passed_on)
                os.execv(sys.executable, [sys.executable, *args])
            for number in passed_on:
                signal.signal(number, lambda number, frame: os.kill(int(process), number))
            signal.pthread_sigmask(signal.SIG_UNBLOCK, passed_on)
            code = int(said.readline())
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    sys.exit(code)


if __name__ == '__main__':
    if sys.argv[1] != '--serve':
        ask(sys.argv[1], sys.argv[2:])
    sys.path[0] = str(ROOT)
    what, *rest = serve(socket.socket(fileno=int(sys.argv[2])), sys.argv[3])
    if what == '-c':
        sys.path[0], sys.argv = '', ['-c', *rest[1:]]
        exec(rest[0], dict(__name__='__main__'))
    elif what == '-m':
        sys.path[0], sys.argv = os.getcwd(), rest
        runpy.run_module(rest[0], run_name='__main__', alter_sys=True)
    else:
        sys.path[0], sys.argv = str(Path(what).resolve().parent), [what, *rest]
        runpy.run_path(what, run_name='__main__')
