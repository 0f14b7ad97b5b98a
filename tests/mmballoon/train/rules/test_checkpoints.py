"""mmballoon/train/rules/checkpoints.py: names in save_best that no validation reports."""

import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from mmdet.evaluation import CocoMetric
from mmengine.hooks import CheckpointHook
from mmengine.logging import MessageHub, MMLogger

from mmballoon.cli import UserError
from mmballoon.train.rules import checkpoints

NAMES = [f'coco/bbox_{item}' for item in checkpoints.ITEMS]


def test_the_names_are_those_that_the_metric_reports(tiny_data):
    """CocoMetric of an empty prediction, against the list that is made without any."""
    import numpy as np

    metric = CocoMetric(ann_file=str(tiny_data.root / 'coco_val.json'), metric='bbox')
    metric.dataset_meta = dict(classes=('balloon',))
    found = dict(bboxes=np.array([[1.0, 1, 9, 9]]), scores=np.array([0.5]), labels=np.array([0]))
    metric.results = [({}, dict(found, img_id=1))]
    results = metric.evaluate(size=1)
    assert sorted(results) == sorted(checkpoints.reported(metric)) == sorted(NAMES)
    assert checkpoints.reported(CocoMetric(metric='bbox', classwise=True)) is None
    assert checkpoints.reported(object()) is None


def test_it_is_said_before_the_first_epoch(tmp_path):
    hook = CheckpointHook(save_best='bbox_mAP', rule='greater')
    metrics = [CocoMetric(metric='bbox')]
    runner = SimpleNamespace(
        work_dir=str(tmp_path), val_loop=SimpleNamespace(evaluator=SimpleNamespace(metrics=metrics)),
        logger=MMLogger.get_instance('a'), message_hub=MessageHub.get_instance('a'), _resume=False,
    )  # fmt: skip
    with pytest.raises(UserError) as error:
        hook.before_train(runner)
    assert str(error.value) == (
        f'save_best: the validation reports no bbox_mAP; next: choose one of {", ".join(NAMES)}'
    )
    CheckpointHook(save_best='coco/bbox_mAP', rule='greater').before_train(runner)
    CheckpointHook(save_best='auto').before_train(runner)


def test_a_checkpoint_that_is_no_file_here(tmp_path):
    """--resume takes addresses as well. What such a checkpoint lists is not deleted here."""
    hub = MessageHub.get_instance('c')
    best = tmp_path / 'best_score_epoch_2.pth'
    best.write_bytes(b'mine')
    hub.update_info_dict(dict(last_ckpt='work/epoch_3.pth', best_ckpt=str(best), keep_ckpt_ids=[3]))
    runner = SimpleNamespace(message_hub=hub, resumed='https://example.org/epoch_3.pth')
    checkpoints._forget_others(CheckpointHook(filename_tmpl='epoch_{}.pth'), runner, tmp_path)
    assert hub.get_info('keep_ckpt_ids') == [] and 'best_ckpt' not in hub.runtime_info


def test_where_only_the_first_validation_tells(tmp_path, monkeypatch):
    script = Path(__file__).with_name('kill_at_every_write.py')
    spec = importlib.util.spec_from_file_location(script.stem, script)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, script.stem, module)
    spec.loader.exec_module(module)
    for kind in (MMLogger, MessageHub):
        kind._instance_dict.clear()
    with pytest.raises(UserError, match='reports no accuracy; next: choose one of score'):
        module.train(str(tmp_path), False, epochs=1, best='accuracy')
