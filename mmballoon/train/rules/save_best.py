"""A name in ``save_best`` that no validation reports ends in one line, before the first epoch if possible.

Symptom:  KeyError: 'bbox_mAP' after the first validation
Cause:    CheckpointHook reads metrics[save_best] without asking whether it is there
Upstream: https://github.com/open-mmlab/mmengine/issues/1560
"""

import functools

from mmdet.evaluation import CocoMetric
from mmengine.hooks import CheckpointHook

from mmballoon.cli import UserError
from mmballoon.train.rules import instead

ITEMS = ('mAP', 'mAP_50', 'mAP_75', 'mAP_s', 'mAP_m', 'mAP_l')  # CocoMetric's own choice


def reported(metric):
    """Names (list) of what a metric will report, or None where only its first result tells."""
    if not isinstance(metric, CocoMetric) or metric.classwise or 'proposal' in metric.metrics:
        return None
    items = metric.metric_items or ITEMS
    return [f'{metric.prefix}/{kind}_{item}' for kind in metric.metrics for item in items]


def require_names(hook, names):
    """Raise a UserError unless ``names`` has all that save_best asks for."""
    for name in hook.save_best or ():
        if name not in (*names, 'auto'):
            advice = f'choose one of {", ".join(names)}'
            raise UserError('save_best', f'the validation reports no {name}', advice)


def _begin(before_train, self, runner):
    before_train(self, runner)
    metrics = runner.val_loop.evaluator.metrics if runner.val_loop else []
    names = [reported(metric) for metric in metrics]
    if names and None not in names:
        require_names(self, sum(names, []))


def _save(save_best, self, runner, metrics):
    require_names(self, list(metrics))
    save_best(self, runner, metrics)


@functools.cache
def apply():
    """Check before the first epoch, and at each validation."""
    instead(CheckpointHook, 'before_train', _begin)
    instead(CheckpointHook, '_save_best_checkpoint', _save)
