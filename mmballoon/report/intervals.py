"""95 % intervals: which values are plausible for all images of this kind, given these few?

The standard error is that of the leave-one-out jackknife over images (Efron and Tibshirani, An
Introduction to the Bootstrap, 1993, chapter 11), which keeps the objects of an image together. A
metric is taken on the logit scale, so that its interval stays between 0 and 1, with half an object
added to hits and to misses (Agresti, Categorical Data Analysis, 2013, section 3.1). Student's t has
as many degrees of freedom as the kurtosis of the images' contributions allows (O'Neill, The American
Statistician 68, 2014): few where a few images decide. benchmarks/interval_coverage.py prints how often such
intervals hold the true value.
"""

from functools import lru_cache

import hotcoco
import numpy as np
from scipy.special import expit, logit
from scipy.stats import t as student_t

from mmballoon.data.checks import AREAS

METRICS = {'AP': None, 'AP50': None, 'AP75': None, 'APs': 'small', 'APm': 'medium', 'APl': 'large'}
# With fewer images that hold such objects, no interval that was tried held the true value often enough.
MIN_IMAGES = 8
GROUPS = 100  # with more images, as many groups of them are left out in turn (Kott, 2001)


def metrics(evaluation, other=None):
    """{metric: {'value', 'low', 'high'}} of a COCOeval, or of what ``other`` adds to it.

    A metric without any object (-1 in COCO) is None. Where fewer than MIN_IMAGES images hold such
    objects, 'low' and 'high' are None. Both evaluations are of the same images: a difference is that
    of each set of images, so that what is hard for both does not widen its interval.
    """
    rows, values, left_out = {}, evaluation.get_results(), _leave_out(evaluation)
    new_values, new_left_out = (other.get_results(), _leave_out(other)) if other else ({}, {})
    plain = [a for a in evaluation.coco_gt.dataset['annotations'] if not a['iscrowd']]
    for name, size in METRICS.items():
        low, high = AREAS.get(size, (0, np.inf))
        objects = [a['image_id'] for a in plain if low <= a['area'] < high]
        value, images = values[name], len(set(objects))
        if other:
            gain = new_values[name] - value
            ends = difference_interval(gain, new_left_out[name] - left_out[name], images)
        else:
            gain, ends = value, share_interval(value, left_out[name], images, len(objects))
        rows[name] = dict(value=gain, low=ends[0], high=ends[1]) if value >= 0 else None
    return rows


def f1(counts, images):
    """{'value', 'low', 'high'} of the F1 of {image id: {'tp', 'fp', 'fn'}}; images: how many have objects."""
    tp = np.array([row['tp'] for row in counts.values()])
    boxes = np.array([2 * row['tp'] + row['fp'] + row['fn'] for row in counts.values()])
    left_out = 2 * (tp.sum() - tp) / np.maximum(1, boxes.sum() - boxes)
    value = 2 * tp.sum() / max(1, boxes.sum())
    low, high = share_interval(value, left_out, images, boxes.sum() / 2)
    return dict(value=float(value), low=low, high=high)


def share_interval(value, left_out, images, objects):
    """(low, high) of a value from 0 to 1, or (None, None) for too few images.

    left_out: (G,) the values without each image or group. images: how many have objects.
    """
    if images < MIN_IMAGES:
        return None, None
    center, *others = logit((np.array([value, *left_out]) * objects + 0.5) / (objects + 1))
    # Where all images are nearly perfect, they hardly differ, and nothing says how a bad one looks:
    # then a quarter of the variance of a share of independent objects (the quarter is from simulation).
    least = 1 / (4 * (objects + 1) * expit(center) * expit(-center))
    half = _half_width(np.array(others), images, least)
    return min(value, float(expit(center - half))), max(value, float(expit(center + half)))


def difference_interval(value, left_out, images):
    """(low, high) of a difference of two such values; see ``share_interval``."""
    if images < MIN_IMAGES:
        return None, None
    half = _half_width(left_out, images)
    return max(-1.0, value - half), min(1.0, value + half)


def _half_width(left_out, images, least=0):
    """Half of the width of an interval; least: the variance is at least this."""
    squares = (left_out - left_out.mean()) ** 2
    freedom = images - 1
    if squares.any():
        kurtosis = len(squares) * (squares**2).sum() / squares.sum() ** 2
        freedom = min(freedom, 2 * len(squares) / max(kurtosis - 1, 0.5))
    variance = max((len(squares) - 1) * squares.mean(), least)
    return float(student_t.ppf(0.975, freedom) * np.sqrt(variance))


@lru_cache(maxsize=2)  # a comparison asks twice
def _leave_out(evaluation):
    """{metric: (G,) array}: the values without each image or group of images.

    COCO looks at 101 recalls. Without an image, recall changes by less than one of these steps or by
    a whole one, and the jackknife would multiply this jump; here there are 1001 recalls.
    """
    fine = hotcoco.COCOeval(evaluation.coco_gt, evaluation.coco_dt, 'bbox')
    fine.params.rec_thrs, fine.params.max_dets = np.linspace(0, 1, 1001).tolist(), [100]
    fine.evaluate()
    fine.accumulate()
    fine.summary_lines()
    keys = evaluation.coco_gt.get_img_ids()
    groups = [set(keys[i::GROUPS]) for i in range(min(GROUPS, len(keys)))]
    rest = {str(i): [k for k in keys if k not in group] for i, group in enumerate(groups)}
    rows, whole = fine.slice_by(rest), fine.get_results()
    return {
        name: np.array([rows[i][name] if rows[i][name] >= 0 else whole[name] for i in rest])
        for name in METRICS
    }
