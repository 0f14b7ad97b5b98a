"""The ``python`` of the tests behaves as Python does."""

import os
import signal
import subprocess
import sys

import pytest
from conftest import run

TELLS = """
import os, sys
print(sys.argv[1:], os.environ['WORD'], os.getcwd(), sys.stdin.read(), sys.flags.utf8_mode)
print('no', file=sys.stderr)
sys.exit(3)
"""
WAITS = """
import os, signal, time
signal.signal(signal.SIGTERM, lambda *_: exit(7))
print(os.getpid(), flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize('utf8', ['0', '1'])  # one of them is read at the start: no fork
def test_arguments_environment_streams_and_status(tmp_path, utf8):
    env = {**os.environ, 'WORD': 'ö', 'PYTHONUTF8': utf8, 'PYTHONIOENCODING': 'utf-8'}
    options = dict(input='in', capture_output=True, encoding='utf-8', env=env, cwd=tmp_path)
    for python in (os.environ['FORKING_PYTHON'], sys.executable):
        done = subprocess.run([python, '-c', TELLS, 'a b', '*'], **options)
        assert done.stdout == f"['a b', '*'] ö {tmp_path} in {utf8}\n"
        assert done.stderr == 'no\n' and done.returncode == 3


def test_a_bug_keeps_its_traceback():
    done = run('-c', '1 / 0', check=False)
    assert done.returncode == 1 and 'ZeroDivisionError' in done.stderr


@pytest.mark.parametrize('number, status', [(signal.SIGTERM, 7), (signal.SIGKILL, -9)])
def test_a_signal_reaches_the_command(number, status):
    command = [os.environ['FORKING_PYTHON'], '-c', WAITS]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    pid = int(process.stdout.readline())
    assert pid != process.pid
    process.send_signal(number)
    assert process.wait() == status
    assert process.stdout.read() == ''  # ends when the command does, too
