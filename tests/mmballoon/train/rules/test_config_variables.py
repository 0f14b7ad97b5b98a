"""--cfg-options that name variables of a config's text."""

from argparse import ArgumentParser
from types import SimpleNamespace

import pytest
from conftest import ROOT
from mmengine.config import Config, DictAction

from mmballoon.cli import UserError
from mmballoon.train.rules import config_variables

BASE = """
data_root = 'data/'
max_epochs = 10
classes = dict(names=('a', 'b'), colours=dict(first='red'))
steps = [dict(type='Load'), dict(type='Flip', prob=0.5)]
model = dict(head=dict(num_classes=len(classes['names'])))
train_dataloader = dict(dataset=dict(data_root=data_root, metainfo=classes, pipeline=steps))
train_cfg = dict(max_epochs=max_epochs)
param_scheduler = [dict(end=max_epochs), dict(begin=100 // max_epochs)]
"""
OWN = """
_base_ = 'base.py'
load_from = f'epoch_{_base_.max_epochs}.pth'
max_epochs = _base_.max_epochs * 2; batch_size = 4
lr = batch_size / 256
train_cfg = dict(max_epochs=max_epochs)
optim_wrapper = dict(optimizer=dict(lr=lr))"""


@pytest.fixture
def config(tmp_path):
    """A function from options to the Config with them, as the commands apply them."""
    (tmp_path / 'base.py').write_text(BASE)
    (tmp_path / 'own.py').write_text(OWN)

    def merged(options, name='own.py', before=()):
        cfg = Config.fromfile(tmp_path / name)
        cfg.update(dict(before))
        cfg.merge_from_dict(options)
        return cfg

    return merged


def test_all_that_follows_from_a_variable_follows(config, capsys):
    cfg = config({'data_root': 'mine/', 'batch_size': 8}, before=dict(launcher='pytorch'))
    assert cfg.train_dataloader.dataset.data_root == cfg.data_root == 'mine/'
    assert cfg.optim_wrapper.optimizer.lr == 8 / 256 and cfg.launcher == 'pytorch'
    cfg = config({'max_epochs': 2}, 'base.py')
    assert cfg.train_cfg.max_epochs == 2 and cfg.param_scheduler == [{'end': 2}, {'begin': 50}]
    cfg = config({'classes.names': ('x', 'y', 'z'), 'steps.1.prob': 0.25})
    assert cfg.model.head.num_classes == 3
    assert cfg.train_dataloader.dataset.metainfo.names == ('x', 'y', 'z')
    assert cfg.train_dataloader.dataset.metainfo.colours == {'first': 'red'}
    assert cfg.train_dataloader.dataset.pipeline[1] == dict(type='Flip', prob=0.25)
    assert capsys.readouterr().err == ''


def test_the_line_that_sets_a_variable_last_is_the_one_that_changes(config):
    """What the base computes, and what this file takes from the base's value, stays."""
    cfg = config({'max_epochs': 3})
    assert cfg.train_cfg.max_epochs == cfg.max_epochs == 3
    assert cfg.load_from == 'epoch_10.pth' and cfg.param_scheduler[0].end == 10


CHILD = """
_base_ = 'base.py'
if True:
    data_root = 'mine/'
    train_dataloader = dict(dataset=dict(data_root=data_root))
size, lr = (64, 64), 1
lr *= 2
scale: int = 3
max_epochs = 50
model = dict(size=size, lr=lr, scale=scale)
"""


def test_every_kind_of_assignment(config, tmp_path, capsys):
    (tmp_path / 'child.py').write_text(CHILD)
    options = dict(data_root='x/', lr=5, scale=6)
    cfg = config({**options, 'size': [32, 32]}, 'child.py')
    assert cfg.train_dataloader.dataset.data_root == 'x/' and cfg.model.size == (32, 32)
    assert (cfg.model.lr, cfg.model.scale) == (5, 6) and capsys.readouterr().err == ''
    (tmp_path / 'child.py').write_text("_base_ = 'base.py'\nsize = (1, 1)\nmodel = dict(size=size)")
    assert config(dict(size=[3, 4]), 'child.py').model.size == (3, 4)  # --cfg-options size=3,4


def test_a_variable_that_only_the_base_computes_with(config, tmp_path, capsys):
    """The option reaches the base; without it, training says that the child's line changes nothing."""
    path = tmp_path / 'child.py'
    path.write_text(CHILD)
    cfg = config({'max_epochs': 2}, 'child.py')
    assert cfg.train_cfg.max_epochs == cfg.max_epochs == 2 and capsys.readouterr().err == ''
    assert said(Config.fromfile(path)) == [
        f'{path}: sets max_epochs, and nothing in it follows from that: what it inherits was computed '
        'before; next: --cfg-options max_epochs=..., which reaches that, or set its results'
    ]
    # A variable that only counts is no setting.
    path.write_text(
        "_base_ = 'base.py'\nmodel = dict(heads=[1 for _ in range(2)])\nfor i in range(3):\n    pass\n"
    )
    assert said(Config.fromfile(path)) == []
    for file in (tmp_path / 'own.py', *(ROOT / 'configs').glob('my_*.py')):
        assert said(Config(filename=str(file))) == []


def said(cfg):
    lines = []
    runner = SimpleNamespace(cfg=cfg, logger=SimpleNamespace(warning=lines.append))
    config_variables._note_unused(lambda self: None, runner)
    return lines


def test_keys_that_mmengine_reads_are_merged_as_ever(config):
    options = {'train_cfg.max_epochs': 1, 'optim_wrapper.optimizer.type': 'AdamW', 'resume': True}
    cfg = config({**options, 'max_epochs': 7})
    assert cfg.train_cfg.max_epochs == 1 and cfg.resume is True
    assert cfg.optim_wrapper.optimizer == dict(lr=4 / 256, type='AdamW')


@pytest.mark.parametrize(
    ('key', 'advice'),
    [
        ('optimizer.lr', '; next: lr or optim_wrapper.optimizer.lr'),
        ('epochs', '; next: max_epochs'),
        ('head.num_classes', '; next: model.head.num_classes'),
        ('quite.different', ''),
    ],
)
def test_what_changes_nothing_is_said(config, capsys, key, advice):
    config({key: 1, 'batch_size': 4})  # the value that it has: not worth a line
    found = f'note: --cfg-options {key}: nothing that MMEngine reads follows from it{advice}'
    assert capsys.readouterr().err.strip() == found


@pytest.mark.parametrize(
    'options', [{'max_epochs': 0}, {'classes.names': 3}, {'steps.7.prob': 1}, {'classes.x.y': 1}]
)
def test_an_option_that_does_not_fit_is_one_line(config, options):
    with pytest.raises(UserError, match=f'--cfg-options {next(iter(options))}=.*; next: correct'):
        config(options, 'base.py')


def test_a_config_that_is_no_file_or_no_python_keeps_upstreams_merge(tmp_path, config, capsys):
    cfg = Config(dict(a=1))
    cfg.merge_from_dict({'a': 2})
    assert cfg.a == 2
    (tmp_path / 'own.yml').write_text('max_epochs: 1\ntrain_cfg:\n  max_epochs: 1\n')
    assert config({'max_epochs': 5}, 'own.yml').train_cfg.max_epochs == 1
    assert 'max_epochs: nothing' in capsys.readouterr().err


@pytest.mark.parametrize(
    'text, value',
    [
        ('/My Drive/toy  data', '/My Drive/toy  data'),
        ('"/My Drive/a.pth" ', '/My Drive/a.pth'),
        ('hot air balloon, cat', ['hot air balloon', 'cat']),
        ("( 'a b', )", ('a b',)),
        ('[(1, 2), [a b, c] ]', [(1, 2), ['a b', 'c']]),
        ('1, 2', [1, 2]),
    ],
)
def test_spaces_inside_a_value_stay(text, value):
    parser = ArgumentParser()
    parser.add_argument('--cfg-options', nargs='+', action=DictAction)
    assert parser.parse_args(['--cfg-options', f'a.b={text}']).cfg_options == {'a.b': value}
