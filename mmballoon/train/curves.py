"""Learning curves as a picture: ``default_hooks = dict(curves=dict(type='CurvesHook'))``."""

import json
import math
from pathlib import Path

from mmcv import imread
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.visualization import LocalVisBackend

from mmballoon.cli import atomic_write

MARK = 'mmballoon CurvesHook'  # in the file: only a picture of ours is replaced
EPOCH_KEY = {'loss': 'epoch', 'coco/bbox_mAP': 'step', 'coco/bbox_mAP_50': 'step'}  # in the log


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
        for backend in runner.visualizer._vis_backends.values():
            if drawn and not isinstance(backend, LocalVisBackend):  # TensorBoard, MLflow, ...
                picture = imread(path, channel_order='rgb')
                backend.add_image('curves.png', picture, step=runner.epoch)  # MLflow needs the .png


def read_curves(work_dir):
    """{name: {epoch: [values]}} of the loss and of mAP, of a run and of the runs that it resumed.

    A later run replaces the epochs of an earlier one from its own first epoch on.
    """
    curves = {name: {} for name in EPOCH_KEY}
    for path in sorted(work_dir.glob('*/vis_data/scalars.json')):  # a folder's name is its time
        new = {name: {} for name in EPOCH_KEY}
        for line in path.read_text(encoding='utf-8').splitlines():
            whole = line.startswith('{') and line.endswith('}')  # else cut off by a kill
            record = json.loads(line) if whole else {}
            for name, key in EPOCH_KEY.items():
                if name in record and key in record:
                    new[name].setdefault(record[key], []).append(record[name])
        first = min(new['loss'], default=math.inf)
        for name, old in curves.items():
            curves[name] = {e: values for e, values in old.items() if e < first} | new[name]
    return curves


def draw_curves(work_dir, max_epochs):
    """Write ``work_dir/curves.png``, unless no epoch was logged yet, or the file is of somebody else.

    Returns whether it was written.
    """
    path, curves = work_dir / 'curves.png', read_curves(work_dir)
    if not curves['loss'] or (path.exists() and MARK.encode() not in path.read_bytes()):
        return False
    # Not pyplot, which needs a window system and shares its state with the visualizers.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout='constrained')
    left, right = figure.subplots(1, 2)
    for name, points in curves.items():
        epochs = sorted(points)
        means = [sum(points[epoch]) / len(points[epoch]) for epoch in epochs]
        if name == 'loss':
            left.plot(epochs, means)
        elif points:
            label = f'{name.removeprefix("coco/")}, last {means[-1]:.3f}'
            right.plot(epochs, means, marker='.', label=label)
            right.legend(loc='lower right')
    # After the lines: a limit that is set before them holds for both ends.
    left.set(title='Training loss', ylabel='mean of the epoch', ylim=(0, None))
    right.set(title='Validation', ylabel='average precision', ylim=(0, 1))
    for axes in (left, right):
        axes.set(xlabel='epoch', xlim=(0, max_epochs))
        axes.grid(alpha=0.3)
    with atomic_write(path) as file:
        figure.savefig(file, dpi=120, format='png', metadata=dict(Software=MARK))
    return True
