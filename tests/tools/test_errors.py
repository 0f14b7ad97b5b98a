"""tools/errors.py: what is a person's mistake, what is Ctrl-C, and what keeps its traceback."""

import sys

import pytest

from mmballoon.errors import UserError, report_errors


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


def test_anything_else_keeps_its_traceback(monkeypatch):
    with pytest.raises(ZeroDivisionError), report_errors():
        raise ZeroDivisionError
    with pytest.raises(RuntimeError, match='of our own'), report_errors():
        raise RuntimeError('a bug of our own')
    monkeypatch.setenv('DEBUG', '1')
    with pytest.raises(UserError), report_errors():
        raise UserError('shown whole')
