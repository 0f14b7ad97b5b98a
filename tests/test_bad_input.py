"""Bad input to every command: one line and status 2, nothing half-written; or, where it is legal, it works.

Each line of CASES is a command and, behind =>, a part of its error line, or `works`. A command with
[a|b] is one case for a and one for b. bad_input_files.py makes the files.
"""

import contextlib
import ctypes
import itertools
import os
import re
import shlex

import bad_input_files
import pytest
from conftest import ROOT, one_line_error

pytestmark = pytest.mark.slow
CONFIGS = '|'.join(bad_input_files.CONFIGS)
CHANGES = '|'.join(bad_input_files.CHANGES)

CASES = f"""
tools/train.py {{configs}}/[{CONFIGS}] --work-dir {{out}} =>
tools/train.py {{configs}}/[{CHANGES}].py --work-dir {{out}} =>
"""


def expand(text):
    """[(words of a command, what to expect)] of a text like CASES."""
    found = []
    for line in text.strip().splitlines():
        command, expected = line.rsplit('=>', 1)
        parts = re.split(r'\[([^\]]*\|[^\]]*)\]', command)
        choices = [part.split('|') if i % 2 else [part] for i, part in enumerate(parts)]
        for chosen in itertools.product(*choices):
            found.append((shlex.split(''.join(chosen)), expected.strip()))
    return found


ALL = expand(CASES)


@pytest.fixture(scope='module')
def files(tiny, tmp_path_factory):
    """{placeholder: path}"""
    folder = tmp_path_factory.mktemp('bad')
    mark = bad_input_files.make(folder, tiny)
    names = {path.name: path for path in folder.iterdir()}
    return dict(names, mark=mark, config=tiny.config, good=tiny.checkpoint, root=tiny.root, image=tiny.images[0])


@pytest.mark.parametrize('command, expected', ALL, ids=[' '.join(words) for words, _ in ALL])
def test_one_line_and_nothing_half_written(command, expected, files, in_process, tmp_path):
    places = dict(files, out=tmp_path / 'out')
    done = in_process(*(word.format(**places) for word in command), env=dict(BALLOON_ROOT=files['root']))
    lines = [line for line in done.err.splitlines() if 'error: ' in line]
    with open('/tmp/bad_log.txt', 'a') as log:
        print(done.status, command, lines or done.err[-300:] + done.out[-300:], file=log)
    assert done.status == 2 and len(lines) == 1 and '; next: ' in lines[0], done.err[-2000:]
