"""Learning curves as a picture: ``default_hooks = dict(curves=dict(type='CurvesHook'))``."""

import json
from pathlib import Path

from mmcv import imread
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.visualization import LocalVisBackend

from mmballoon.cli import atomic_write

MARK = 'mmballoon CurvesHook'  # in the file: only a picture of ours is replaced


@HOOKS.register_module()
class CurvesHook(Hook):
    """Draw loss and mAP by epoch into ``<work_dir>/curves.png`` after each validation.

    It reads what MMEngine's LocalVisBackend wrote (``<work_dir>/*/vis_data/scalars.json``), so that a
    resumed run is drawn whole. (Upstream's analyze_logs.py draws one log and one kind of value at a
    time, and needs seaborn.)
    """

    priority = 'LOWEST'  # after the metrics of this epoch are written

    @master_only  # one file, however many processes train
    def after_val_epoch(self, runner, metrics=None):
        path = Path(runner.work_dir, 'curves.png')
        drawn = draw_curves(path.parent, runner.max_epochs)
        # TensorBoard, Weights & Biases, ...
        for backend in runner.visualizer._vis_backends.values():
            if drawn and not isinstance(backend, LocalVisBackend):
                picture = imread(path, channel_order='rgb')
                backend.add_image('curves.png', picture, step=runner.epoch)  # MLflow needs the .png


def read_scalars(work_dir):
    """({epoch: [loss]}, {metric: {epoch: value}}) of a run and of the runs that it resumed.

    A later run replaces the epochs of an earlier one from its own first epoch on.
    """
    losses, metrics = {}, {}
    logs = work_dir.glob('*/vis_data/scalars.json')
    for path in sorted(logs):  # the names of the folders are their times
        epochs, values = {}, {}
        for line in path.read_text(encoding='utf-8').splitlines():
            if not (line.startswith('{') and line.endswith('}')):
                continue  # cut off by a kill
            record = json.loads(line)
            if 'loss' in record and 'epoch' in record:
                epochs.setdefault(record['epoch'], []).append(record['loss'])
            for name in ('bbox_mAP', 'bbox_mAP_50'):
                if f'coco/{name}' in record and 'step' in record:
                    values.setdefault(name, {})[record['step']] = record[f'coco/{name}']
        for old in (losses, *metrics.values()):
            for epoch in [epoch for epoch in old if epochs and epoch >= min(epochs)]:
                del old[epoch]
        losses.update(epochs)
        for name, new in values.items():
            metrics.setdefault(name, {}).update(new)
    return losses, metrics


def draw_curves(work_dir, max_epochs):
    """Write ``work_dir/curves.png``, unless no epoch was logged yet, or the file is of somebody else.

    Returns whether it was written.
    """
    path = work_dir / 'curves.png'
    losses, metrics = read_scalars(work_dir)
    if not losses or (path.exists() and MARK.encode() not in path.read_bytes()):
        return False
    # Not pyplot, which needs a window system and shares its state with the visualizers.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout='constrained')
    left, right = figure.subplots(1, 2)
    epochs = sorted(losses)
    left.plot(epochs, [sum(losses[e]) / len(losses[e]) for e in epochs])
    left.set(title='Training loss', ylabel='mean of the epoch', ylim=(0, None))
    for name, values in metrics.items():
        epochs = sorted(values)
        label = f'{name}, last {values[epochs[-1]]:.3f}'
        right.plot(epochs, [values[e] for e in epochs], marker='.', label=label)
    right.set(title='Validation', ylabel='average precision', ylim=(0, 1))
    if metrics:
        right.legend(loc='lower right')
    for axes in (left, right):
        axes.set(xlabel='epoch', xlim=(0, max_epochs))
        axes.grid(alpha=0.3)
    with atomic_write(path) as file:
        figure.savefig(file, dpi=120, format='png', metadata=dict(Software=MARK))
    return True
