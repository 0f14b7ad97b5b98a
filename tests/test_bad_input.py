"""Bad input to every command: one line and status 2, nothing half-written; or, where it is legal, it works.

Each line of bad_input.txt is a command and, behind =>, a part of its error line, or `works`. A command with
[a|b] is one case for a and one for b. bad_input_files.py makes the files.
"""

import contextlib
import ctypes
import itertools
import os
import re
import shlex
import struct

import bad_input_files
import pytest
from conftest import ROOT, one_line_error

from mmballoon.export import onnx_file

pytestmark = pytest.mark.slow

CASES = (ROOT / 'tests/bad_input.txt').read_text()
for word in ('CONFIGS', 'CHANGES'):
    CASES = CASES.replace(f'[{word}]', f'[{"|".join(getattr(bad_input_files, word))}]')


def expand(text):
    """[(words of a command, what to expect)] of a text like bad_input.txt."""
    found = []
    for line in text.strip().splitlines():
        command, expected = line.rsplit('=>', 1)
        parts = re.split(r'\[([^\]]*\|[^\]]*)\]', command)
        choices = [part.split('|') if i % 2 else [part] for i, part in enumerate(parts)]
        for chosen in itertools.product(*choices):
            found.append((shlex.split(''.join(chosen)), expected.strip()))
    return found


ALL = expand(CASES)


@contextlib.contextmanager
def without_privileges():
    """Root may read everything; so take this right (CAP_DAC_*) away from this thread for a while."""
    if os.getuid():
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header, data = struct.pack('Ii', 0x20080522, 0), ctypes.create_string_buffer(24)
    assert libc.capget(header, data) == 0
    before = data.raw
    effective, *others = struct.unpack('6I', before)
    data.raw = struct.pack('6I', effective & ~0b110, *others)
    assert libc.capset(header, data) == 0
    try:
        yield
    finally:
        data.raw = before
        assert libc.capset(header, data) == 0


@pytest.fixture(scope='module')
def files(tiny, exported, tmp_path_factory):
    """{placeholder: path}; and the network of the tests is not built again for an export."""
    folder = tmp_path_factory.mktemp('bad')
    mark = bad_input_files.make(folder, tiny)
    names = {path.name: path for path in folder.iterdir()}
    locked_image = folder / 'locked.jpg'
    locked_image.write_bytes(tiny.images[0].read_bytes())
    locked_image.chmod(0)
    locked = folder / 'locked'
    locked.mkdir(mode=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(onnx_file, 'build', lambda model, half: exported.read_bytes())
        yield dict(
            names, mark=mark, config=tiny.config, good=tiny.checkpoint, root=tiny.root,
            image=tiny.images[0], locked=locked, locked_image=locked_image,
        )  # fmt: skip
    locked.chmod(0o700)


@pytest.mark.parametrize('command, expected', ALL, ids=[' '.join(words) for words, _ in ALL])
def test_one_line_and_nothing_half_written(command, expected, files, in_process, tmp_path):
    places = dict(files, out=tmp_path / 'out')
    words = [word.format(**places) for word in command]
    with without_privileges():
        done = in_process(*words, env=dict(BALLOON_ROOT=files['root']))
    written = [path for path in tmp_path.rglob('*') if path.is_file()]
    assert not files['mark'].exists(), 'a hostile file ran its code'
    assert not [path for path in written if path.name.endswith('.part')]
    if expected == 'works':
        images = len(list(files['legal'].iterdir()))
        assert done.status == 0, done.err
        assert (
            len([path for path in written if path.suffix == '.jpg' or 'vis' in path.parts])
            == images
        )
        return
    lines = [line for line in done.err.splitlines() if 'error: ' in line]
    assert done.status == 2 and len(lines) == 1 and expected in lines[0], done.err
    assert '; next: ' in lines[0] or 'usage: ' in done.err, done.err
    if 'check_coco' in command[0]:  # it draws what is wrong
        return
    results = ('.pth', '.onnx', '.png', '.jpg', '.pkl')
    assert not [path for path in written if path.suffix in results or path.name == 'c.json']


def test_how_many_were_tried(capsys):
    legal = 3 * 20  # images, by three commands
    with capsys.disabled():
        print(
            f'\nbad inputs tried: {sum(e != "works" for _, e in ALL)}; unusual but legal: {legal}'
        )
    assert len({tuple(words) for words, _ in ALL}) == len(ALL) >= 100


@pytest.mark.parametrize(
    'command',
    [
        'tools/train.py none.py', 'tools/test.py none.py none.pth',
        'tools/image_demo.py none.jpg none.py --weights none.pth',
        'tools/featmap_vis_demo.py none.jpg none.py none.pth',
        'tools/boxam_vis_demo.py none.jpg none.py none.pth',
        'tools/export_onnx.py none.py none.pth', 'tools/onnx_demo.py none.jpg none.onnx',
        'tools/test_onnx.py none.py none.onnx', 'tools/report.py none.py none.pth',
        'tools/upstream.py none.py', 'data_tools/check_coco.py none.json',
        'data_tools/balloon2coco.py none.json', 'data_tools/import_annotations.py none',
        'data_tools/download_balloon.py --zip none.zip',
        'data_tools/make_toy_balloons.py --out Makefile',
    ],
)  # fmt: skip
def test_as_typed(command):
    """One command line for each command, in a process of its own."""
    assert 'none' in one_line_error(*command.split()) or 'Makefile' in command
