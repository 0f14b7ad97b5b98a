"""mmballoon/train/curves.py and hooks.py, on the session's tiny run, which was resumed once."""

import json
from types import SimpleNamespace

import mmcompat  # noqa: F401

import cv2
from matplotlib.figure import Figure
from mmengine.visualization import LocalVisBackend

from mmballoon.train.curves import CurvesHook, draw_curves, read_curves


def test_curves_of_a_resumed_run(tiny):
    picture = cv2.imread(str(tiny.work_dir / 'curves.png'))
    assert (
        picture is not None
        and picture.shape[1] == 1200
        and not list(tiny.work_dir.glob('*.part.png'))
    )
    curves = read_curves(tiny.work_dir)
    assert sorted(curves['loss']) == [1, 2] and sorted(curves['coco/bbox_mAP']) == [1, 2]


def test_the_log_says_in_one_line_what_the_checkpoint_gave(tiny):
    lines = [line for line in tiny.train_log.splitlines() if 'tensors were loaded' in line]
    assert len(lines) == 1 and 'not loaded' not in lines[0]


def test_later_runs_replace_what_earlier_ones_had(tmp_path):
    draw_curves(tmp_path, 3)
    assert not (tmp_path / 'curves.png').exists()  # nothing logged yet
    for run, epochs in (
        ('20260101_000000', {1: 4.0, 2: 3.0}),
        ('20260102_000000', {2: 2.0, 3: 1.0}),
    ):
        path = tmp_path / run / 'vis_data' / 'scalars.json'
        path.parent.mkdir(parents=True)
        records = [dict(loss=loss, epoch=epoch, step=epoch) for epoch, loss in epochs.items()]
        records += [{'coco/bbox_mAP': loss / 10, 'step': epoch} for epoch, loss in epochs.items()]
        path.write_text(''.join(json.dumps(r) + '\n' for r in records))
    with open(path, 'a') as file:
        file.write('{"loss": 0.5, "epo')  # the process was killed here
    curves = read_curves(tmp_path)
    assert curves['loss'] == {1: [4.0], 2: [2.0], 3: [1.0]}
    assert curves['coco/bbox_mAP'] == {1: [0.4], 2: [0.2], 3: [0.1]}


def test_the_whole_curves_are_in_the_picture(tmp_path, monkeypatch):
    path = tmp_path / '20260101_000000/vis_data/scalars.json'
    path.parent.mkdir(parents=True)
    path.write_text('{"loss": 7.0, "epoch": 1}\n{"coco/bbox_mAP": 0.5, "step": 1}\n')
    figures, save = [], Figure.savefig
    monkeypatch.setattr(
        Figure, 'savefig', lambda self, *args, **kw: (figures.append(self), save(self, *args, **kw))
    )
    assert draw_curves(tmp_path, 3)
    for axes, top in zip(figures[0].axes, (7.0, 0.5)):
        (line,) = axes.lines
        assert line.get_ydata().tolist() == [top] and axes.get_ylim()[0] == 0
        assert top <= axes.get_ylim()[1] and axes.get_xlim() == (0, 3)


def test_a_new_run_in_an_old_folder_is_drawn_alone(tmp_path):
    for run, epochs in (('20260101_000000', 20), ('20260102_000000', 4)):
        path = tmp_path / run / 'vis_data' / 'scalars.json'
        path.parent.mkdir(parents=True)
        records = [dict(loss=1.0, epoch=epoch, step=epoch) for epoch in range(1, epochs + 1)]
        records.append({'coco/bbox_mAP': 0.04 * epochs, 'step': epochs})
        path.write_text(''.join(json.dumps(r) + '\n' for r in records))
    curves = read_curves(tmp_path)
    assert sorted(curves['loss']) == [1, 2, 3, 4] and curves['coco/bbox_mAP'] == {4: [0.16]}


def test_other_loggers_get_the_picture(tmp_path):
    class Backend:
        def add_image(self, name, image, step):
            self.got = name, image.shape, step

    local, other = LocalVisBackend(str(tmp_path / 'local')), Backend()
    visualizer = SimpleNamespace(_vis_backends={'Local': local, 'Other': other})
    runner = SimpleNamespace(work_dir=str(tmp_path), max_epochs=4, epoch=2, visualizer=visualizer)
    hook = CurvesHook()
    hook.after_val_epoch(runner)
    assert not hasattr(other, 'got')  # nothing was logged, so there is no picture
    scalars = tmp_path / '1' / 'vis_data' / 'scalars.json'
    scalars.parent.mkdir(parents=True)
    scalars.write_text('{"loss": 1.0, "epoch": 1}\n')
    hook.after_val_epoch(runner)
    name, (height, width, channels), step = other.got
    assert (name, channels, step) == ('curves.png', 3, 2) and width > height > 100
    assert not (tmp_path / 'local').exists()


def test_a_picture_of_somebody_else_is_not_replaced(tmp_path):
    log = tmp_path / '20260101_000000/vis_data/scalars.json'
    log.parent.mkdir(parents=True)
    log.write_text('{"loss": 1.0, "epoch": 1}\n')
    draw_curves(tmp_path, 3)
    first = (tmp_path / 'curves.png').stat().st_mtime_ns
    draw_curves(tmp_path, 3)
    assert (tmp_path / 'curves.png').stat().st_mtime_ns > first  # its own
    (tmp_path / 'curves.png').write_text('of somebody else')
    draw_curves(tmp_path, 3)
    assert (tmp_path / 'curves.png').read_text() == 'of somebody else'
