"""Intervals: worked out on paper, at the edges, and in simulated sets of images."""

import hotcoco
import interval_coverage
import numpy as np
import pytest
from coco_reference import annotation

from mmballoon.report import intervals, numbers


def test_the_mean_of_numbers_on_paper():
    """16 images of value 0 or 1: mean 0.5, standard error 0.5 / sqrt(15); Student's t of 15 is 2.1314."""
    values = np.array([0, 1] * 8)
    left_out = (values.sum() - values) / 15
    low, high = intervals.difference_interval(0.5, left_out, 16)
    assert (low, high) == pytest.approx((0.5 - 2.1314 * 0.1291, 0.5 + 2.1314 * 0.1291), abs=1e-4)


def test_one_image_that_decides_everything_has_few_degrees_of_freedom():
    values = np.array([1] + [0] * 15)
    left_out = (values.sum() - values) / 15
    low, high = intervals.difference_interval(1 / 16, left_out, 16)
    assert (high - low) / 2 > 3 * 2.1314 / 16 / 3  # the error is 1 / 16; t of 2.3 is 3.8
    assert (high - low) / 2 == pytest.approx(3.8 / 16, rel=0.05)


@pytest.mark.parametrize('images, known', [(7, False), (8, True)])
def test_too_few_images(images, known):
    left_out = np.linspace(0.4, 0.6, images)
    for low, high in (
        intervals.share_interval(0.5, left_out, images, 30),
        intervals.difference_interval(0.1, left_out, images),
    ):
        assert (low is not None and high is not None) == known


@pytest.mark.parametrize('value', [0.0, 0.5, 1.0])
def test_all_images_alike_are_no_certainty(value):
    low, high = intervals.share_interval(value, np.full(13, value), 13, 26)
    assert 0 <= low <= value <= high <= 1 and high - low > 0.05


def perfect(images, score=0.9):
    """A COCOeval of one object in each image, all of them found."""
    truth = [annotation(i, i, [10, 10, 50, 50]) for i in range(1, images + 1)]
    data = dict(
        images=[dict(id=i, file_name='', width=99, height=99) for i in range(1, images + 1)],
        annotations=truth,
        categories=[dict(id=1, name='a')],
    )
    found = [
        dict(image_id=a['image_id'], category_id=1, bbox=a['bbox'], score=score) for a in truth
    ]
    return numbers.evaluate(hotcoco.COCO(data), found)


def test_a_difference_of_nothing():
    row = intervals.metrics(perfect(9), perfect(9, 0.5))['AP']
    assert row == dict(value=0, low=0, high=0)


def test_a_metric_without_objects_and_one_with_too_few():
    rows = intervals.metrics(perfect(7))
    assert rows['APl'] is None and rows['APm'] == dict(value=pytest.approx(1), low=None, high=None)


def test_more_images_than_groups(monkeypatch):
    """In groups, the interval is about that of single images."""
    rng = np.random.default_rng(0)
    images = [interval_coverage.image(rng, 'few', 'middle') for _ in range(60)]
    (evaluation, _), _ = interval_coverage.evaluations(images)
    single = intervals.metrics(evaluation)['AP']
    intervals._leave_out.cache_clear()
    monkeypatch.setattr(intervals, 'GROUPS', 20)
    groups = intervals.metrics(evaluation)['AP']
    widths = [row['high'] - row['low'] for row in (single, groups)]
    assert single['value'] == groups['value'] and 0.6 < widths[1] / widths[0] < 1.6


@pytest.mark.slow
@pytest.mark.parametrize('objects', interval_coverage.OBJECTS)
def test_the_interval_holds_the_true_value(objects):
    """150 sets of 13 images. A true share of 95 % gives less than 88 % in one of 2,000 such tests."""
    _, holds = interval_coverage.coverage(objects, 'middle', images=13, sets=150)
    shares = {name: np.mean(held) for name, held in holds.items() if len(held) > 100}
    print(shares)
    assert {'AP', 'AP50', 'AP75', 'dAP', 'F1'} <= shares.keys()
    assert min(shares.values()) >= 0.88 and np.mean(list(shares.values())) < 0.99
