"""What a cross-validation trains on is never what it tests on, whatever the config's datasets are."""

import copy
import json
import os
import signal
import sys
from argparse import Namespace

import pytest
from mmengine.config import Config

from mmballoon.cli import UserError
from mmballoon.data import folds
from mmballoon.report import trainings
from mmballoon.report.split import load_split

ARGS = Namespace(folds=3, seed=0, group=None, learning_curve=False)


@pytest.fixture
def cfg(tiny_data, monkeypatch):
    monkeypatch.setenv('BALLOON_ROOT', str(tiny_data.root))
    return Config.fromfile(tiny_data.config)


def left_out(folder):
    """The file names of each fold; asserts that its training has none of them."""
    found = []
    for run in sorted(folder.glob('fold_?')):
        train, test = (
            {
                image['file_name']
                for image in json.loads((run / f'{part}.json').read_text())['images']
            }
            for part in ('train', 'test')
        )
        assert not train & test and train
        found.append(test)
    return found


def test_a_file_that_train_and_val_list(cfg, tiny_data, tmp_path):
    """val is train; each of its 8 images is dealt once."""
    cfg.val_dataloader.dataset = copy.deepcopy(cfg.train_dataloader.dataset)
    part, _ = trainings.prepare(cfg, tmp_path / 'folds', ARGS)
    assert len(part.images) == 8 == sum(map(len, left_out(tmp_path / 'folds')))


def test_a_file_with_two_annotations(cfg, tiny_data, tmp_path):
    changed = json.loads((tiny_data.root / 'coco_train.json').read_text())
    changed['annotations'][0]['bbox'][0] += 1
    (tmp_path / 'changed.json').write_text(json.dumps(changed))
    cfg.val_dataloader.dataset = copy.deepcopy(cfg.train_dataloader.dataset)
    cfg.val_dataloader.dataset.ann_file = str(tmp_path / 'changed.json')
    with pytest.raises(UserError, match='is listed twice, with other boxes'):
        trainings.prepare(cfg, tmp_path / 'folds', ARGS)


def test_imports_that_are_a_text(cfg, tmp_path):
    cfg.custom_imports = dict(imports='mmballoon.train')
    trainings.prepare(cfg, tmp_path, ARGS)
    found = Config.fromfile(tmp_path / 'fold_1/config.py').custom_imports.imports
    assert found == 'mmballoon.train'


def test_train_alone(cfg, tmp_path):
    cfg.val_dataloader = cfg.val_cfg = cfg.val_evaluator = None
    trainings.prepare(cfg, tmp_path / 'folds', ARGS)
    assert sum(map(len, left_out(tmp_path / 'folds'))) == 8


def test_datasets_inside_datasets(cfg, tmp_path):
    plain = cfg.train_dataloader.dataset
    other = dict(copy.deepcopy(cfg.val_dataloader.dataset), pipeline=plain.pipeline)
    both = dict(type='ConcatDataset', datasets=[plain, other])
    cfg.train_dataloader.dataset = both
    trainings.prepare(cfg, tmp_path / 'folds', ARGS)
    assert sum(map(len, left_out(tmp_path / 'folds'))) == 12  # val is in both, and dealt once
    repeated = dict(type='RepeatDataset', times=5, dataset=plain)
    for dataset in (
        dict(type='RepeatDataset', times=2, dataset=both),
        dict(type='ConcatDataset', datasets=[repeated]),
    ):
        cfg.train_dataloader.dataset = dataset
        with pytest.raises(UserError, match='datasets inside another dataset'):
            trainings.prepare(cfg, tmp_path / 'others', ARGS)


def test_other_weights_are_another_cross_validation(cfg, tmp_path):
    weights = tmp_path / 'w.pth'
    weights.write_bytes(b'one')
    cfg.load_from = str(weights)
    trainings.prepare(cfg, tmp_path / 'folds', ARGS)
    weights.write_bytes(b'two')
    with pytest.raises(UserError, match='is of a cross-validation with another weights'):
        trainings.prepare(cfg, tmp_path / 'folds', ARGS)


@pytest.mark.parametrize('text', ['[1]', '{'])
def test_a_folds_json_of_somebody_else(cfg, tmp_path, text):
    (tmp_path / 'folds.json').write_text(text)
    with pytest.raises(UserError, match='is of no cross-validation'):
        trainings.prepare(cfg, tmp_path, ARGS)
    assert (tmp_path / 'folds.json').read_text() == text


def test_a_group_that_is_in_no_name(cfg):
    part = load_split(dict(datasets=trainings.sources(cfg)))
    assert len(folds.together(part, r'(toy)_')) == 1
    with pytest.raises(UserError, match='it is in no file name, such as'):
        folds.together(part, r'(.+)_frme')


@pytest.mark.parametrize(
    ('count', 'at_once', 'threads'),
    [(3, 1, [None] * 3), (4, 2, [1] * 4), (5, 2, [1, 1, 1, 1, 2]), (6, 4, [1, 1, 1, 1, 2, 2])],
)
def test_the_last_trainings_share_the_free_threads(count, at_once, threads):
    assert [trainings._threads(i, count, at_once) for i in range(count)] == threads


@pytest.fixture
def start(tmp_path, monkeypatch):
    """Function that starts a training in which upstream's script is replaced by an expression."""

    def start(expression):
        python, code = tmp_path / 'python', tmp_path / 'train.py'
        code.write_text(
            'import os, sys, time\n'
            'from mmballoon.report import trainings\n'
            f'trainings.upstream.run = lambda *_: {expression} or sys.exit(7)\n'
            "trainings.main('folder')\n"
        )
        python.write_text(f'#!/bin/sh\nexec {os.environ["FORKING_PYTHON"]} {code}\n')
        python.chmod(0o700)
        monkeypatch.setattr(sys, 'executable', str(python))
        return trainings._start(tmp_path, None)

    return start


@pytest.mark.skipif(sys.platform == 'win32', reason='a shell script')
def test_a_training_ends_with_its_command(start, tmp_path):
    """On every system. A kill of the command closes this pipe."""
    process = start('time.sleep(60)')
    process.stdin.close()
    assert process.wait() == -signal.SIGTERM, (tmp_path / 'output.txt').read_text()


@pytest.mark.skipif(sys.platform == 'win32', reason='a shell script')
def test_nobody_reads_the_pipe_that_ends_a_training(start, tmp_path):
    """Such as a logger that asks for a password: its question is in output.txt, which nobody answers."""
    process = start('os.path.samestat(os.fstat(0), os.stat(os.devnull)) and sys.exit(3)')
    assert process.wait() == 3, (tmp_path / 'output.txt').read_text()
