"""A tiny rendered set and a barely trained checkpoint, made once a session by the commands a person
types.
"""

import contextlib
import gc
import os
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import forked
import pytest
from filelock import FileLock  # torch needs it as well
from mmengine.config import config

from mmballoon.train import rules  # first: before anything imports mmdet

os.environ['MPLBACKEND'] = 'agg'  # no test opens a window
rules.apply()
forked.read_metafiles_once()
gc.freeze()  # MMEngine collects garbage for each dataset; what the imports left need not be searched

ROOT = Path(__file__).parents[1]
# The files with the longest tests. They come first, so that at the end no process waits for another's.
LONG = ('benchmarks', 'cross_validate', 'torchrun', 'notebook', 'annotating', 'kill', 'foreign_files',
        'other_systems', 'own_data', 'visualisation', 'full_disk')  # fmt: skip


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.path.stem.removeprefix('test_') not in LONG)


def pytest_configure(config):
    """One server of commands for all test processes."""
    if 'PYTEST_XDIST_WORKER' not in os.environ:
        commands = contextlib.ExitStack()
        os.environ['FORKING_PYTHON'] = commands.enter_context(forked.server())
        config.add_cleanup(commands.close)


def run(*args, env=None, cwd=ROOT, check=True, timeout=3600):
    """Run ``python ARGS`` as a person would from the repository; returns the CompletedProcess,
    output as text.
    """
    whole = {**os.environ, 'CUDA_VISIBLE_DEVICES': '', **(env or {})}
    command = [os.environ['FORKING_PYTHON'], *map(str, args)]
    options = dict(capture_output=True, text=True, errors='backslashreplace', timeout=timeout)
    done = subprocess.run(command, cwd=cwd, env=whole, **options)
    if check and done.returncode:
        raise AssertionError(
            f'{args} exited {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}'
        )
    return done


def one_line_error(*args, **kwargs):
    """Run a command that must fail; returns its one error line, asserting that there is no
    traceback before it.
    """
    done = run(*args, check=False, **kwargs)
    lines = [line for line in done.stderr.splitlines() if line.startswith('error: ')]
    assert done.returncode not in (0, None) and 'Traceback' not in done.stderr, done.stderr
    assert len(lines) == 1 and '; next: ' in lines[0], done.stderr
    return lines[0]


@pytest.fixture
def in_process(monkeypatch, capsys):
    """A function that runs a command in this process, which saves its imports.

    It returns an object with ``status``, ``out`` and ``err``, and asserts that there is no traceback.
    """

    def run_it(script, *args, env=None):
        for name, value in (env or {}).items():
            monkeypatch.setenv(name, str(value))
        monkeypatch.chdir(ROOT)
        monkeypatch.setattr(sys, 'argv', [script, *map(str, args)])
        monkeypatch.setattr(sys, 'path', sys.path[:])
        # Two seconds for each training; nobody reads it here.
        monkeypatch.setattr(config, 'FormatCode', lambda text, **options: (text, True))
        from mmengine.logging import MMLogger
        from mmengine.visualization import Visualizer

        # Earlier ones write to streams that pytest has closed, and to folders that are gone.
        for kind in (MMLogger, Visualizer, *Visualizer.__subclasses__()):
            kind._instance_dict.clear()
        status = 0
        # What earlier commands left behind is not collected in the middle of this one: Python 3.11 then
        # fails in ast.parse, which reads the configs (cpython issue 106905).
        gc.disable()
        try:
            runpy.run_path(str(ROOT / script), run_name='__main__')
        except SystemExit as stop:
            status = stop.code or 0
        finally:
            gc.enable()
        out, err = capsys.readouterr()
        assert 'Traceback' not in err, err
        return SimpleNamespace(status=status, out=out, err=err)

    return run_it


@pytest.fixture
def mistake(in_process):
    """A function that runs a command which must fail, and returns its error line."""

    def run_it(script, *args, env=None):
        done = in_process(script, *args, env=env)
        lines = [line for line in done.err.splitlines() if line.startswith('error: ')]
        assert done.status == 2 and len(lines) == 1 and '; next: ' in lines[0], done.err
        return lines[0]

    return run_it


def write_small_config(file, side=128, base=f'{ROOT}/configs'):
    """Write the toy config for images of ``side`` pixels instead of 320 and 384; returns the file."""
    text = (ROOT / 'configs/my_rtmdet_tiny_toy.py').read_text()
    for old, new in (
        ("_base_ = '.", f"_base_ = '{base}"),
        ('img_scale = (320, 320)', f'img_scale = ({side}, {side})'),
        ('test_scale = (384, 384)', f'test_scale = ({side}, {side})'),
    ):
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    file.write_text(text)
    return file


class Tiny:
    """Data root, config and checkpoint of the session's tiny run."""

    def __init__(self, root, config):
        self.root, self.config, self.work_dir = root, config, root / 'work'
        self.env = dict(BALLOON_ROOT=str(root))
        self.images = sorted((root / 'val').glob('*.jpg'))

    @property
    def checkpoint(self):
        return self.work_dir / 'epoch_2.pth'


def once(tmp_path_factory, name, make):
    """A folder of this session that ``make(folder)`` filled, in the first test process that needs it."""
    parent = tmp_path_factory.getbasetemp()
    if 'PYTEST_XDIST_WORKER' in os.environ:
        parent = parent.parent  # of all processes
    folder = parent / name
    with FileLock(f'{folder}.lock'):
        if not (folder / 'made').exists():
            folder.mkdir()
            make(folder)
            (folder / 'made').touch()
    return folder


@pytest.fixture(scope='session')
def tiny_data(tmp_path_factory):
    def make(folder):
        root = folder / 'toy balloons'  # a space, as in many people's paths
        run('data_tools/make_toy_balloons.py', '--out', root, '--train', 8, '--val', 4)
        run('data_tools/balloon2coco.py', '--data-root', root)
        write_small_config(folder / 'my_rtmdet_tiny_toy.py')

    folder = once(tmp_path_factory, 'tiny', make)
    return Tiny(folder / 'toy balloons', folder / 'my_rtmdet_tiny_toy.py')


@pytest.fixture(scope='session')
def tiny(tiny_data, tmp_path_factory):
    """The tiny set, and two epochs of training on it: one, then --resume for the second."""

    def make(folder):
        train = ['tools/train.py', tiny_data.config, '--work-dir', folder / 'work', '--cfg-options']
        train += ['train_cfg.val_interval=1', 'train_dataloader.num_workers=0']
        train += ['train_dataloader.persistent_workers=False']
        run(*train, 'train_cfg.max_epochs=1', env=tiny_data.env)
        assert (folder / 'work/epoch_1.pth').is_file()
        done = run(*train, 'train_cfg.max_epochs=2', '--resume', env=tiny_data.env)
        (folder / 'train.log').write_text(done.stdout + done.stderr)

    folder = once(tmp_path_factory, 'tiny_run', make)
    tiny_data.work_dir = folder / 'work'
    tiny_data.train_log = (folder / 'train.log').read_text()
    return tiny_data


@pytest.fixture(scope='session')
def exported(tiny, tmp_path_factory):
    """The tiny checkpoint as a file of the export, for images of 128 pixels."""

    def make(folder):
        args = ['--out', folder / 'onnx/model.onnx', '--img-size', 128]
        done = run('tools/export_onnx.py', tiny.config, tiny.checkpoint, *args, env=tiny.env)
        (folder / 'printed.txt').write_text(done.stdout)

    return once(tmp_path_factory, 'exported', make) / 'onnx/model.onnx'
