"""Learning curves as a picture: ``default_hooks = dict(curves=dict(type='CurvesHook'))``."""

import json
from pathlib import Path

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from mmballoon.files import atomic_write


@HOOKS.register_module()
class CurvesHook(Hook):
    """Draw loss and mAP by epoch into ``<work_dir>/curves.png``, at each validation; the last epoch
    always has one.

    It reads what MMEngine's LocalVisBackend wrote (``<work_dir>/*/vis_data/scalars.json``), so that
    a run that was resumed is drawn whole. (Upstream's analyze_logs.py draws one log and one kind of
    value a time; it needs seaborn.)
    """

    priority = 'LOWEST'  # after what this epoch gave is written

    @master_only  # one file, however many processes train
    def after_val_epoch(self, runner, metrics=None):
        draw_curves(Path(runner.work_dir), runner.max_epochs)


def read_scalars(work_dir):
    """Losses and metrics of a run and of what it was resumed from.

    Returns:
        ({epoch: [loss]}, {metric: {epoch: value}}): later runs replace the epochs that earlier ones
        had.
    """
    losses, metrics = {}, {}
    for path in sorted(
        work_dir.glob('*/vis_data/scalars.json')
    ):  # the folders' names are their times
        lines = path.read_text().splitlines()
        records = [
            json.loads(line) for line in lines if line[:1] + line[-1:] == '{}'
        ]  # a killed run's last may be cut
        epochs = {}
        for record in records:
            if 'loss' in record and 'epoch' in record:
                epochs.setdefault(record['epoch'], []).append(record['loss'])
            for name in ('bbox_mAP', 'bbox_mAP_50'):
                if f'coco/{name}' in record and 'step' in record:
                    metrics.setdefault(name, {})[record['step']] = record[f'coco/{name}']
        losses.update(epochs)
    return losses, metrics


def draw_curves(work_dir, max_epochs):
    """Write ``work_dir/curves.png``; nothing where no epoch was logged yet."""
    losses, metrics = read_scalars(work_dir)
    if not losses:
        return
    from matplotlib.figure import (
        Figure,
    )  # not pyplot: no window system, no state shared with the visualizers

    figure = Figure(figsize=(10, 4), layout='constrained')
    left, right = figure.subplots(1, 2)
    epochs = sorted(losses)
    left.plot(epochs, [sum(losses[e]) / len(losses[e]) for e in epochs])
    left.set(title='Training loss', ylabel='mean of the epoch', ylim=(0, None))
    for name, values in metrics.items():
        epochs = sorted(values)
        right.plot(
            epochs,
            [values[e] for e in epochs],
            marker='.',
            label=f'{name}, last {values[epochs[-1]]:.3f}',
        )
    right.set(title='Validation', ylabel='average precision', ylim=(0, 1))
    if metrics:
        right.legend(loc='lower right')
    for axes in (left, right):
        axes.set(xlabel='epoch', xlim=(0, max_epochs))
        axes.grid(alpha=0.3)
    with atomic_write(work_dir / 'curves.png') as file:
        figure.savefig(file, dpi=120, format='png')
