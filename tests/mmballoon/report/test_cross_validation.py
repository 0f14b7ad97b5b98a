"""Numbers of a cross-validation, on detections whose answer is known."""

import numpy as np
import pytest

from mmballoon.report import cross_validation

FOLDS = [[i, i + 1] for i in range(1, 21, 2)]
KEYS = range(1, 21)


def make_data(objects=4):
    boxes = [[10 + 60 * i, 10, 40, 40] for i in range(objects)]
    common = dict(category_id=1, area=1600, iscrowd=0)
    annotations = [dict(common, image_id=key, bbox=box) for key in KEYS for box in boxes]
    return dict(
        images=[dict(id=key, width=640, height=480, file_name=f'{key}.jpg') for key in KEYS],
        annotations=[dict(a, id=i) for i, a in enumerate(annotations, start=1)],
        categories=[dict(id=1, name='balloon')],
    )


def detect(data, share, seed=0):
    """Exact boxes of a share of the objects."""
    rng = np.random.default_rng(seed)
    kept = [a for a in data['annotations'] if rng.random() < share]
    return [dict(a, score=float(rng.uniform(0.5, 1))) for a in kept]


def test_a_fold_with_lower_scores_costs():
    """Hits and false alarms of one fold score half as much: its hits come after others' false alarms."""
    data = make_data()
    found = detect(data, 0.9)
    wrong = [dict(d, bbox=[500, 400, 30, 30], score=d['score'] - 0.3) for d in found[::3]]
    alike = cross_validation.summarise(data, found + wrong, FOLDS)
    low = [
        dict(d, score=d['score'] / 4 if d['image_id'] > 10 else d['score']) for d in found + wrong
    ]
    unlike = cross_validation.summarise(data, low, FOLDS)
    assert unlike['mean'] == pytest.approx(alike['mean'])  # within each fold, the order is the same
    assert [row['objects'] for row in alike['rows']] == [8] * 10
    assert unlike['aligned']['low'] > 0 and unlike['aligned']['value'] > alike['aligned']['value']
    assert unlike['rows'][9]['threshold'] < 0.25 < unlike['rows'][0]['threshold']


def test_the_power_law_is_found():
    """1 - mAP of 0.6, 0.42, 0.3 at 4, 8, 16 images: half for four times as many, so 0.19 at 40."""
    data = make_data(objects=10)
    found = [detect(data, share, seed=1) for share in (0.4, 0.58, 0.7)]
    curve = cross_validation.learning_curve(data, found, FOLDS, [4, 8, 16])
    assert curve['measured'] == pytest.approx([0.4, 0.58, 0.7], abs=0.05)
    assert [row['images'] for row in curve['forecast']] == [20, 40, 40]
    for row in curve['forecast']:
        assert row['low'] < row['value'] < row['high'] and row['now'] == 16
    assert curve['forecast'][1]['value'] == pytest.approx(0.11, abs=0.03)
    assert len(curve['drawn']['band']) == 60


@pytest.mark.parametrize('noise', [0.01, 0.03])
@pytest.mark.parametrize('slope', [0.12, 0.3])
def test_the_interval_of_the_gain_holds_the_next_measurement(noise, slope):
    """Each fold has images of its own difficulty; each of its trainings, and those to come, have noise."""
    rng, sizes, inside = np.random.default_rng(0), np.array([24, 48, 96]), 0
    for _ in range(400):
        fold = rng.normal(0, 0.05, (5, 1))
        error = 0.45 * (np.array([*sizes, 192]) / 24) ** -slope
        values = 1 - error + fold + rng.normal(0, noise, (5, 4))
        left_out = (values.sum(axis=0) - values) / 4
        measured, later = values[:, :3].mean(axis=0), values[:, 3].mean()
        row = cross_validation.gain(sizes, measured, left_out[:, :3], 192)
        inside += row['low'] <= later - measured[-1] <= row['high']
    assert 0.92 <= inside / 400 <= 0.98


@pytest.mark.parametrize('shares', [(0.6, 0.6, 0.6), (0.62, 0.58, 0.6), (0.7, 0.6, 0.5)])
def test_no_forecast_where_the_curve_is_flat(shares):
    data = make_data()
    found = [detect(data, share, seed=i) for i, share in enumerate(shares)]
    curve = cross_validation.learning_curve(data, found, FOLDS, [4, 8, 16])
    assert curve['forecast'] == [] and curve['drawn']['band'] == []


def test_the_interval_of_the_jackknife():
    """Values 1 to 4 without each of 4 folds: standard error 3 * sqrt(5/12) = 1.936, t(3) = 3.182."""
    row = cross_validation.with_interval([2.5, 1, 2, 3, 4])
    assert row['high'] - row['value'] == pytest.approx(3.182 * 1.936, rel=1e-3)
