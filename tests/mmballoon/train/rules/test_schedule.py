"""A resumed training has, from its first iteration, the learning rates of a whole training with the same config."""

import importlib.util
import sys
from pathlib import Path

import pytest
from mmengine.hooks import Hook
from mmengine.logging import MessageHub, MMLogger

from mmballoon.cli import UserError

SCRIPT = Path(__file__).with_name('kill_at_every_write.py')
SCHEDULE = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=3),
    dict(
        type='CosineAnnealingLR', begin=1, by_epoch=True, convert_to_iter_based=True, eta_min=1e-4
    ),
    dict(type='MultiStepLR', milestones=[2, 4], gamma=0.5, by_epoch=True),
]


class Rates(Hook):
    """Notes (epoch, iteration, learning rate) before each iteration."""

    def __init__(self):
        self.seen = []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        rate = runner.optim_wrapper.get_lr()['lr'][0]
        self.seen.append((runner.epoch, runner.iter, pytest.approx(rate)))


@pytest.fixture
def rates(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location(SCRIPT.stem, SCRIPT)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, SCRIPT.stem, module)
    spec.loader.exec_module(module)

    def run(folder, resume=False, epochs=6, schedule=None, **options):
        """The rates of a training (list), and its warnings about --resume."""
        for kind in (MMLogger, MessageHub):
            kind._instance_dict.clear()
        hook, said = Rates(), []
        monkeypatch.setattr(MMLogger, 'warning', lambda self, line: said.append(line))
        if schedule is None:
            schedule = [dict(step) for step in SCHEDULE]
            schedule[1].update(end=epochs, T_max=epochs - 1)
        module.train(
            str(tmp_path / folder),
            resume,
            epochs,
            param_scheduler=schedule,
            custom_hooks=[hook],
            **options,
        )
        return hook.seen, [line for line in said if line.startswith('--resume')]

    return run


@pytest.mark.parametrize(
    'change, text',
    [
        ({}, None),
        (
            dict(batch_size=1),
            'iterations per epoch (by the batch size and the number of images) was 2, now 4',
        ),
        (
            dict(batch_size=4),
            'iterations per epoch (by the batch size and the number of images) was 2, now 1',
        ),
        (dict(epochs=9), 'max_epochs was 6, now 9'),
        (dict(lr=0.05), 'learning rate was 0.01, now 0.05'),
        (dict(weight_decay=0.1), 'the config is not the one of the checkpoint: weight_decay; '),
    ],
    ids=str,
)
def test_the_rates_are_those_of_a_whole_training(rates, tmp_path, change, text):
    old = tmp_path / 'a/epoch_3.pth'
    rates('a', keep=6)
    whole, _ = rates('b', **change)
    resumed, said = rates('c', resume=True, load_from=str(old), **change)
    assert resumed and resumed == [seen for seen in whole if seen[0] >= 3]
    assert len(said) == (text is not None) and (not said or text in said[0])


def test_another_optimizer_is_one_line(rates, tmp_path):
    rates('a', keep=6)
    old = str(tmp_path / 'a/epoch_3.pth')
    with pytest.raises(UserError, match='epoch_3.pth: was not written with AdamW, .*load_from='):
        rates('b', resume=True, load_from=old, type='AdamW')


PLATEAU = dict(
    type='ReduceOnPlateauLR', monitor='score', rule='less', patience=0, factor=0.5, threshold=0.1
)


@pytest.mark.parametrize(
    'schedule',
    [
        [],
        [PLATEAU],
        [SCHEDULE[0], PLATEAU],
        [dict(type='OneCycleLR', eta_max=0.1, total_steps=12, by_epoch=False)],
    ],
    ids=['none', 'plateau', 'warm-up and plateau', 'one cycle'],
)
def test_schedules_of_every_kind_can_be_resumed(rates, tmp_path, schedule):
    """What follows a metric knows it from the checkpoint: the score gets worse in each epoch here."""
    rates('a', keep=6, schedule=schedule)
    whole, _ = rates('b', schedule=schedule)
    old = str(tmp_path / 'a/epoch_3.pth')
    resumed, said = rates('c', resume=True, load_from=old, schedule=schedule)
    assert resumed == [seen for seen in whole if seen[0] >= 3] and said == []
    if PLATEAU in schedule:
        assert len({str(rate) for _, _, rate in resumed}) == 3
