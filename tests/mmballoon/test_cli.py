"""mmballoon/cli.py: what is a person's mistake, what is Ctrl-C, and what keeps its traceback."""

import argparse
import json
import multiprocessing
import os
import signal
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import ROOT
from mmengine.logging import MMLogger

from mmballoon import cli, upstream
from mmballoon.cli import UserError, report_errors


def end(error, monkeypatch, script='tools/train.py'):
    monkeypatch.setattr(sys, 'argv', [script])
    with pytest.raises(SystemExit) as stop, report_errors():
        raise error
    return stop.value.code


def test_mistakes_end_in_one_line(monkeypatch, capsys):
    assert end(UserError('a.jpg: gone; next: find it'), monkeypatch) == 2
    assert capsys.readouterr().err == 'error: a.jpg: gone; next: find it\n'


def test_ctrl_c_even_where_upstream_wraps_it(monkeypatch, capsys):
    """MMEngine's pretty_text catches everything, Ctrl-C too, and raises a SyntaxError instead."""
    assert end(KeyboardInterrupt(), monkeypatch) == 130
    wrapped = SyntaxError('Failed to format the config file')
    wrapped.__context__ = KeyboardInterrupt()
    assert end(wrapped, monkeypatch) == 130
    assert capsys.readouterr().err.count('--resume continues from there') == 2
    assert end(KeyboardInterrupt(), monkeypatch, 'tools/test.py') == 130
    assert capsys.readouterr().err == '\nstopped\n'


def test_sigterm_while_another_error_is_reported(tmp_path, monkeypatch, capsys):
    """With torchrun, a process that is told to end first sees that its connection is closed."""
    script = tmp_path / 'script.py'
    script.write_text('def main():\n    raise RuntimeError("Connection closed by peer")\n')
    monkeypatch.setattr(sys, 'argv', ['tools/train.py'])
    monkeypatch.setattr(sys, 'path', sys.path[:])
    monkeypatch.setattr(cli, 'explain', lambda error: os.kill(os.getpid(), signal.SIGTERM))
    try:
        with pytest.raises(SystemExit) as stop:
            upstream.run(script)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    assert stop.value.code == 143 and capsys.readouterr().err.startswith('\nstopped')


def test_anything_else_keeps_its_traceback(monkeypatch):
    with pytest.raises(ZeroDivisionError), report_errors():
        raise ZeroDivisionError
    with pytest.raises(RuntimeError, match='of our own'), report_errors():
        raise RuntimeError('a bug of our own')
    cfg = SimpleNamespace(train_dataloader=3)

    def load(number):
        return number.dataset

    with pytest.raises(AttributeError), report_errors():
        load(cfg.train_dataloader)
    monkeypatch.setenv('DEBUG', '1')
    with pytest.raises(UserError), report_errors():
        raise UserError('shown whole')


# ---- errors in a person's own code keep their traceback, through the real command

TRANSFORM = """
from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS

@TRANSFORMS.register_module(force=True)
class MyTransform(BaseTransform):
    def transform(self, results):
        raise ValueError("column 'x' does not exist")
"""


@pytest.fixture
def train_with(tiny_data, tmp_path, monkeypatch):
    """A function that trains with a module of one's own, named in custom_imports of the config."""

    def run(module, change=''):
        MMLogger._instance_dict.clear()
        config = tmp_path / 'own.py'
        config.write_text(
            f'_base_ = {str(ROOT / "configs/my_rtmdet_tiny_toy.py")!r}\n'
            f'custom_imports = dict(imports=["mmballoon.train", "{module}"])\n{change}'
        )
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setenv('BALLOON_ROOT', str(tiny_data.root))
        args = ['tools/train.py', str(config), '--work-dir', str(tmp_path / 'w')]
        monkeypatch.setattr(sys, 'argv', args)
        upstream.run('tools/train.py', 'mmdet')

    return run


def test_a_value_error_in_a_transform_of_ones_own(train_with, tmp_path):
    (tmp_path / 'my_transform.py').write_text(TRANSFORM)
    change = (
        'train_pipeline = _base_.train_pipeline\ntrain_pipeline[2] = dict(type="MyTransform")\n'
    )
    change += 'train_dataloader = dict(num_workers=0, persistent_workers=False, '
    change += 'dataset=dict(pipeline=train_pipeline))\n'
    with pytest.raises(ValueError, match='column'):
        train_with('my_transform', change)


def test_a_syntax_error_in_a_module_of_ones_own(train_with, tmp_path):
    (tmp_path / 'my_plugin.py').write_text('def f(:\n')
    with pytest.raises(SyntaxError):
        train_with('my_plugin')


def test_a_missing_module_of_ones_own(train_with):
    with pytest.raises(ImportError, match='no_such_plugin'):
        train_with('no_such_plugin')


def test_a_file_of_ones_own_that_is_missing():
    with pytest.raises(FileNotFoundError), report_errors():
        Path('my_lookup_table.csv').read_text()


def test_sigterm_ends_a_forked_worker_though_it_waits_for_a_lock():
    with report_errors(), multiprocessing.get_context('fork').Pool(1) as pool:
        default = pool.apply(signal.getsignal, [signal.SIGTERM])
    assert default == signal.SIG_DFL


def test_the_file_system_says_what_is_wrong(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop, report_errors():
        tmp_path.write_text('x')
    assert stop.value.code == 2
    assert (
        capsys.readouterr().err
        == f'error: {tmp_path}: Is a directory; next: name a file, not a folder\n'
    )


def test_a_package_that_upstream_asks_for(capsys):
    code = "def draw():\n    raise ImportError('panopticapi is not installed')\n\n\ndraw()"
    with pytest.raises(SystemExit) as stop, report_errors():
        exec(compile(code, '/a/mmdet/visualization/local_visualizer.py', 'exec'), {})
    found = 'error: panopticapi is not installed; next: install this package'
    assert stop.value.code == 2 and capsys.readouterr().err.startswith(found)
    with pytest.raises(ImportError), report_errors():
        exec(compile(code, '/a/mine/local_visualizer.py', 'exec'), {})


def test_a_package_that_mmdetection_refuses(capsys, monkeypatch):
    code = compile(
        "assert False, 'MMCV==2.2.0 is used but incompatible'", '/a/mmdet/__init__.py', 'exec'
    )
    line = 'mmcv-lite 2.2.0 is installed, expected <2.1,>=2.0.1; next: pip install ...'
    monkeypatch.setattr(cli, 'package_problems', lambda: line)
    with pytest.raises(SystemExit), report_errors():
        exec(code, {})
    assert capsys.readouterr().err == f'error: {line}\n'
    monkeypatch.setattr(cli, 'package_problems', lambda: None)
    with pytest.raises(AssertionError), report_errors():
        exec(code, {})


def test_what_is_no_file_is_not_replaced(tmp_path):
    """Whoever is root in a container would replace /dev/null for everybody."""
    os.mkfifo(tmp_path / 'null')
    with pytest.raises(UserError, match='null: is no file'), cli.atomic_write(tmp_path / 'null'):
        pass
    assert not (tmp_path / 'null').is_file() and len(list(tmp_path.iterdir())) == 1


def test_control_characters_stay_in_one_line(capsys):
    with pytest.raises(SystemExit), report_errors():
        raise UserError('a\nb.jpg: gone; next: find it')
    assert capsys.readouterr().err == 'error: a\\nb.jpg: gone; next: find it\n'


def test_an_error_in_a_convolution_keeps_its_traceback():
    """It may be a full GPU memory, or a module of one's own: no guess about the config."""
    import torch

    with pytest.raises(RuntimeError, match='channels'), report_errors():
        torch.nn.Conv2d(3, 1, 1)(torch.zeros(1, 2, 4, 4))


def test_an_error_of_python_itself_keeps_its_traceback(monkeypatch):
    """Python 3.11 raises it at times from ast.parse (cpython issue 106905); no config is to blame."""
    from mmengine.config import Config

    def parse(*args):
        raise SystemError('AST constructor recursion depth mismatch')

    monkeypatch.setattr('ast.parse', parse)
    with pytest.raises(SystemError), report_errors():
        Config.fromfile(ROOT / 'configs/my_rtmdet_tiny.py')


def test_score_thresholds_are_a_number_or_those_of_a_report_by_name(tmp_path):
    report = tmp_path / 'report.json'
    report.write_text(
        json.dumps(dict(threshold=dict(threshold=0.4), thresholds=dict(mug=0.2, car=0.9)))
    )
    assert cli.score_thresholds('0.3')(['a', 'b']) == [0.3, 0.3]
    assert cli.score_thresholds(str(report))(['ball', 'mug']) == [0.4, 0.2]
    with pytest.raises(cli.UserError, match='has thresholds of mug, car, not of zebra; next: pass'):
        cli.score_thresholds(str(report))(['zebra'])
    assert cli.count_boxes('\x1b[2J.jpg', [], [], [0.4]).startswith('\\x1b[2J.jpg: 0 boxes')
    line = cli.count_boxes('a.jpg', [0.5, 0.3, 0.3], [0, 0, 1], [0.4, 0.2])
    assert line == "a.jpg: 2 boxes with a score of its class's or more (highest 0.50)"


@pytest.mark.parametrize(
    'text',
    [
        'none.json',
        '.',
        '[]',
        '{}',
        '{"threshold": 0.3}',
        '{"thresholds": {"a": null}, "threshold": {"threshold": 1}}',
        b'\xff',
    ],
)
def test_what_holds_no_score_thresholds(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = text
    if text not in ('none.json', '.'):
        (tmp_path / 'a.json').write_bytes(text if isinstance(text, bytes) else text.encode())
        name = 'a.json'
    with pytest.raises(argparse.ArgumentTypeError, match=f'{name}: no number, and .*; next: pass'):
        cli.score_thresholds(name)
