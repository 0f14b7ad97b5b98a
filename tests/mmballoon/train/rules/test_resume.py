"""Which checkpoint --resume takes, and which files a run may delete: those that it wrote, no others."""

import importlib.util
import os
import sys
from argparse import Namespace
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MessageHub, MMLogger
from mmengine.runner import runner, save_checkpoint

from mmballoon import upstream
from mmballoon.cli import UserError
from mmballoon.train.rules import resume, weights

SCRIPT = Path(__file__).with_name('kill_at_every_write.py')


@pytest.fixture
def train(monkeypatch):
    """The tiny training of kill_at_every_write.py: 3 epochs, each better than the one before."""
    spec = importlib.util.spec_from_file_location(SCRIPT.stem, SCRIPT)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, SCRIPT.stem, module)  # its classes are looked up there
    spec.loader.exec_module(module)

    def run(folder, resume=False, **options):
        for kind in (MMLogger, MessageHub):
            kind._instance_dict.clear()
        module.train(str(folder), resume, **options)

    return run


def checkpoint(path, content=1, time=None):
    torch.save(dict(a=torch.full((3,), content)), path)
    if time:
        os.utime(path, (time, time))
    return path


@pytest.fixture
def said(monkeypatch):
    """The lines that resume.py logs."""
    lines = []
    monkeypatch.setattr(resume, 'print_log', lambda line, logger: lines.append(line))
    return lines


# ---- which checkpoint


def test_last_checkpoint_comes_first_and_then_the_time_of_writing(tmp_path, said):
    old = checkpoint(tmp_path / 'epoch_200.pth', time=1000)
    last = checkpoint(tmp_path / 'epoch_30.pth', time=2000)
    assert resume.find_latest_checkpoint(tmp_path) == str(last)  # no marker: written last
    (tmp_path / 'last_checkpoint').write_text(str(old))
    assert resume.find_latest_checkpoint(tmp_path) == str(old)  # as upstream does
    (tmp_path / 'last_checkpoint').write_text(str(last))
    said.clear()
    assert resume.find_latest_checkpoint(tmp_path) == str(last)
    assert said == [
        f'{tmp_path}: --resume takes epoch_30.pth; skipped: epoch_200.pth (not the last one written)'
    ]


def test_what_is_not_whole_is_skipped_and_named(tmp_path, said):
    checkpoint(tmp_path / 'epoch_1.pth', time=1000)
    last = checkpoint(tmp_path / 'epoch_2.pth', time=2000)
    last.write_bytes(last.read_bytes()[:-9])
    part = tmp_path / '.epoch_3.pth.12ab34cd.part'
    part.write_text('half')
    (tmp_path / 'last_checkpoint').write_text(str(last))
    assert resume.find_latest_checkpoint(tmp_path) == str(tmp_path / 'epoch_1.pth')
    assert said == [f'{tmp_path}: --resume takes epoch_1.pth; skipped: epoch_2.pth (not whole)']
    assert part.read_text() == 'half'  # by its name alone, it may be anybody's
    (tmp_path / 'epoch_1.pth').unlink()
    assert resume.find_latest_checkpoint(tmp_path) is None


def test_a_folder_that_was_moved(tmp_path):
    """cp and mv keep the path in last_checkpoint, and cp gives all files the same time."""
    for number in (9, 10):
        checkpoint(tmp_path / f'epoch_{number}.pth', time=1000)
    (tmp_path / 'last_checkpoint').write_text('/elsewhere/epoch_10.pth')
    assert resume.find_latest_checkpoint(tmp_path) == str(tmp_path / 'epoch_10.pth')


def test_the_runner_uses_it():
    assert runner.find_latest_checkpoint is resume.find_latest_checkpoint


# ---- a --resume that has nothing to resume


@pytest.mark.parametrize('where', ['--work-dir', '--cfg-options', 'config', 'default'])
def test_resume_without_a_checkpoint_is_a_start(tmp_path, monkeypatch, said, where):
    """load_from then holds, from --cfg-options or from the config, as without --resume. It is said."""
    monkeypatch.chdir(tmp_path)
    folder = Path('work_dirs/a' if where == 'default' else 'elsewhere')
    Path('a.py').write_text('work_dir = "elsewhere"' if where == 'config' else 'x = 1')
    options = dict(
        load_from='X', **(dict(work_dir='elsewhere') if where == '--cfg-options' else {})
    )
    given = dict(config='a.py', cfg_options=options, work_dir=None)
    if where == '--work-dir':
        given['work_dir'] = 'elsewhere'
    else:
        given['cfg_options'] = options

    def parsed(resumes):
        return resume.parse_args(lambda: Namespace(**given, resume=resumes)).resume

    assert parsed('auto') is None and parsed('b.pth') == 'b.pth' and parsed(None) is None
    assert said == [f'{folder}: --resume finds no checkpoint here; the training begins']
    folder.mkdir(parents=True)
    checkpoint(folder / 'epoch_1.pth')
    assert parsed('auto') == 'auto' and len(said) == 1


def test_an_upstream_script_gets_these_arguments(tmp_path, monkeypatch):
    (tmp_path / 'trains.py').write_text(
        'from argparse import Namespace\n'
        'def parse_args(): return Namespace(config="", work_dir="w", resume="auto")\n'
        'def main(): open("resume", "w").write(str(parse_args().resume))\n'
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, 'path', sys.path[:])
    upstream.run(tmp_path / 'trains.py')
    assert (tmp_path / 'resume').read_text() == 'None'


# ---- whose files


def test_a_name_like_best_makes_no_file_ours(tmp_path):
    for fold in (1, 2, 3):
        save_checkpoint(dict(a=fold), str(tmp_path / f'best_fold_{fold}.pth'))
    assert len(list(tmp_path.iterdir())) == 3


def test_a_run_deletes_only_what_it_wrote(tmp_path, train, capsys):
    """Epochs 1 to 3 with one kept: foreign checkpoints and temporary files stay, and are announced."""
    foreign = [
        tmp_path / name for name in ('best_score_epoch_80.pth', 'epoch_9.pth', '.epoch_1.pth.part')
    ]
    for path in foreign:
        path.write_text('of somebody else')
    train(tmp_path)
    assert all(path.read_text() == 'of somebody else' for path in foreign)
    left = sorted(path.name for path in tmp_path.glob('*.pth') if path not in foreign)
    assert left == ['best_score_epoch_3.pth', 'epoch_3.pth']


def test_what_will_be_replaced_is_said_at_the_start(tmp_path, train, monkeypatch):
    said = []
    monkeypatch.setattr(
        MMLogger, 'warning', lambda self, line: said.append(line) if 'holds' in line else None
    )
    train(tmp_path / 'a', epochs=1)
    assert said == []
    train(tmp_path / 'a', epochs=1)
    assert len(said) == 1 and 'holds checkpoints of an earlier training (2, such as ' in said[0]
    assert '--work-dir' in said[0] and '--resume' in said[0]
    said.clear()
    train(tmp_path / 'a', resume=True)
    assert said == []


def test_a_run_resumed_from_another_folder_leaves_that_folder_alone(tmp_path, train):
    train(tmp_path / 'a', epochs=2)
    before = {path: path.read_bytes() for path in (tmp_path / 'a').glob('*.pth')}
    assert len(before) == 2  # epoch 2, and the best
    (tmp_path / 'b').mkdir()
    other = tmp_path / 'b/epoch_2.pth'
    other.write_text('of somebody else')
    train(tmp_path / 'b', resume=True, load_from=str(tmp_path / 'a/epoch_2.pth'))
    assert (tmp_path / 'b/epoch_3.pth').is_file() and other.read_text() == 'of somebody else'
    assert {path: path.read_bytes() for path in (tmp_path / 'a').glob('*.pth')} == before


def test_a_checkpoint_that_another_run_replaced_is_kept(tmp_path, train):
    train(tmp_path, epochs=2)
    last, best = tmp_path / 'epoch_2.pth', tmp_path / 'best_score_epoch_2.pth'
    assert last.is_file() and best.is_file()
    time = last.stat().st_mtime + 1
    best.write_text('of somebody else')
    os.utime(best, (time, time))
    train(tmp_path, resume=True)
    assert (tmp_path / 'best_score_epoch_3.pth').is_file() and not last.exists()
    assert best.read_text() == 'of somebody else'


@pytest.mark.parametrize('copy', ['elsewhere.pth', 'a/first.pth'])
def test_a_copy_of_a_checkpoint_does_not_make_the_files_of_its_names_ours(tmp_path, train, copy):
    """Since the copy was made, another run has written files of these names into the folder."""
    folder, copy = tmp_path / 'a', tmp_path / copy
    train(folder, epochs=2, keep=2)
    copy.write_bytes((folder / 'epoch_2.pth').read_bytes())
    train(folder, epochs=2, keep=2)
    os.utime(copy)
    before = {path: path.read_bytes() for path in folder.glob('*.pth')}
    train(folder, resume=True, load_from=str(copy), epochs=4, keep=2)
    assert {path: path.read_bytes() for path in before if path.exists()} == before
    assert len(before) >= 3 and (folder / 'epoch_4.pth').is_file()


# ---- what is no code


def test_a_text_beside_a_script_is_not_run(tmp_path, monkeypatch):
    """Python's site module runs the lines of w.pth that begin with import; a checkpoint has this name."""
    (tmp_path / 's.py').write_text('import beside\ndef main():\n    open("done", "w").close()\n')
    (tmp_path / 'beside.py').write_text('')
    (tmp_path / 'w.pth').write_text('import os; open("executed", "w").close()\n')
    checkpoint(tmp_path / 'epoch_1.pth')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, 'path', sys.path[:])
    upstream.run(tmp_path / 's.py')
    assert (tmp_path / 'done').exists() and not (tmp_path / 'executed').exists()


def test_a_tag_in_a_yml_config_is_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path('evil.yml').write_text('model: !!python/object/apply:os.mkdir [executed]\n')
    with pytest.raises(Exception, match='could not determine a constructor'):
        Config.fromfile('evil.yml')
    assert not Path('executed').exists()
    Config(dict(scale=(640, 640))).dump('good.yml')
    assert Config.fromfile('good.yml').scale == (640, 640)


def test_a_config_inside_a_checkpoint_is_not_run(tmp_path, train):
    train(tmp_path / 'a', epochs=1)
    path = tmp_path / 'a/epoch_1.pth'
    content = torch.load(path, weights_only=True)
    mark = tmp_path / 'executed'
    content['meta']['config'] = f'open({str(mark)!r}, "w").close()'
    torch.save(content, path)
    train(tmp_path / 'a', resume=True)
    assert (tmp_path / 'a/epoch_3.pth').is_file() and not mark.exists()
    (tmp_path / 'list.pth').write_bytes(b'')
    assert weights._load(lambda filename: dict(meta=5), str(tmp_path / 'list.pth')) == dict(meta=5)
    with pytest.raises(UserError, match='holds no weights'):
        weights._load(lambda filename: [1], str(tmp_path / 'list.pth'))
