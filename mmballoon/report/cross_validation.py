"""What a cross-validation says: all folds together, each fold, and a forecast for more images."""

from collections import Counter

import hotcoco
import numpy as np
from scipy.stats import t as student_t

from mmballoon.report import intervals
from mmballoon.report.numbers import evaluate, match, threshold_curve

MORE = 20  # images


def summarise(data, detections, folds):
    """Numbers of a cross-validation (dict).

    Args:
        data: COCO (dict) of all images.
        detections: COCO result dicts, each of the training that left its image out.
        folds: image ids, a list for each fold.

    'aligned' is what the pooled mAP gains where the n-th best detection of each fold counts as equally
    sure: a gain means that the folds' scores are not on one scale, which makes the pooled mAP too low
    (Forman and Scholz, Apples-to-apples in cross-validation studies, 2010).
    """
    truth = hotcoco.COCO(data)
    whole = evaluate(truth, detections)
    by_fold = whole.slice_by({str(i): keys for i, keys in enumerate(folds)})
    fold_of = {key: i for i, keys in enumerate(folds) for key in keys}
    plain = [a for a in data['annotations'] if not a['iscrowd']]
    objects = Counter((fold_of[a['image_id']], a['category_id']) for a in plain)
    ranks, aligned = Counter(), []
    for d in sorted(detections, key=lambda d: -d['score']):
        group = fold_of[d['image_id']], d['category_id']
        ranks[group] += 1
        aligned.append(dict(d, score=1 / (1 + ranks[group] / max(1, objects[group]))))
    rows, matched = [], match(whole, detections)
    for i, keys in enumerate(folds):
        count = sum(fold_of[a['image_id']] == i for a in plain)
        own = [pair for pair in matched if fold_of[pair[0]['image_id']] == i]
        best = threshold_curve(own, count)['threshold']
        rows.append(dict(images=len(keys), objects=count, AP=by_fold[str(i)]['AP'], threshold=best))
    values = [row['AP'] for row in rows if row['AP'] >= 0]
    return dict(
        rows=rows,
        mean=float(np.mean(values)),
        spread=float(np.std(values, ddof=1)),
        aligned=intervals.metrics(whole, evaluate(truth, aligned))['AP'],
    )


def learning_curve(data, detections, folds, sizes):
    """Measured mAP by number of training images, and the forecast for more of them (dict).

    Args:
        data, folds: as for ``summarise``.
        detections: a list for each size, of trainings on that many images.
        sizes: (S,) mean number of training images, increasing.

    1 - mAP is taken as a power of the number of images (Hestness et al., Deep learning scaling is
    predictable, empirically, 2017), fitted on the log scale. 'forecast' is empty where the slope may be
    zero: its interval is that of the jackknife over folds, with Student's t.
    """
    truth = hotcoco.COCO(data)
    keys = [image['id'] for image in data['images']]
    rest = {str(i): [key for key in keys if key not in set(fold)] for i, fold in enumerate(folds)}
    rows = [evaluate(truth, some).slice_by(rest) for some in detections]
    measured = [row['_overall']['AP'] for row in rows]
    left_out = np.array([[row[name]['AP'] for row in rows] for name in rest])  # (folds, S)
    fits = [fit(sizes, values) for values in (measured, *left_out)]
    axis = max(len(keys) + MORE, round(2 * sizes[-1]))
    forecast, fitted = [], []
    if with_interval([slope for slope, _ in fits])['high'] < 0:
        for n in (len(keys), len(keys) + MORE, axis):
            row = gain(sizes, measured, left_out, n)
            forecast.append(dict(row, images=n, now=sizes[-1]))
        for n in np.linspace(sizes[0], axis, 30):
            fitted.append((n / axis, with_interval([at(f, n) for f in fits])))
    upper = [(x, min(1, row['high'])) for x, row in fitted]
    lower = [(x, max(0, row['low'])) for x, row in fitted]
    drawn = dict(
        measured=[(n / axis, value) for n, value in zip(sizes, measured)],
        fitted=[(x, row['value']) for x, row in fitted],
        band=upper + lower[::-1],
    )
    return dict(sizes=sizes, measured=measured, forecast=forecast, axis=axis, drawn=drawn)


def gain(sizes, measured, left_out, images):
    """What a cross-validation with more images would measure above the last value of this one.

    Args:
        sizes, measured: (S,) number of training images, and the mAP with each.
        left_out: (F, S) the same mAP without one of the F folds each.
        images: number of training images of the forecast.

    Returns {'value', 'low', 'high'}. The interval contains the error of the fitted line (jackknife over
    folds, with Student's t), and the noise of two measurements: the last one here, which is also a part of
    the fit, and the one to come. The noise is how far the folds' pseudo-values (Efron and Tibshirani, An
    Introduction to the Bootstrap, 1993, chapter 11) are from a line of each fold.
    """
    sizes, measured, folds = np.asarray(sizes), np.asarray(measured), len(left_out)
    fits = [fit(sizes, values) for values in (measured, *left_out)]
    value, *others = (at(line, images) - at(line, sizes[-1]) for line in fits)
    points = np.vander(np.log(sizes), 2)
    solve = np.linalg.pinv(points)  # (2, S): slope and intercept from the values
    pseudo = folds * _log_error(measured) - (folds - 1) * _log_error(left_out)
    residuals = pseudo - pseudo @ (points @ solve).T
    # The variance of a mean over the folds
    noise = (residuals**2).sum() / (folds**2 * (len(sizes) - 2))
    share = solve[0, -1] * np.log(images / sizes[-1])  # of the last measurement in the fitted gain
    error = 1 - measured[-1]
    noise *= error**2 * (1 + 2 * share) + (error - value) ** 2
    return with_interval([value, *others], noise)


def _log_error(values):
    return np.log(1 - np.clip(values, 0, 0.999))


def fit(sizes, values):
    """(slope, intercept) of log(1 - mAP) against log(images)."""
    return np.polyfit(np.log(sizes), _log_error(values), 1)


def at(line, images):
    """mAP of the fitted curve at a number of images."""
    return 1 - np.exp(np.polyval(line, np.log(images)))


def with_interval(values, noise=0):
    """{'value', 'low', 'high'}; values: the one of all folds, then those without one fold each.

    noise: a variance to add to that of the jackknife.
    """
    value, rest = values[0], np.array(values[1:])
    half = student_t.ppf(0.975, len(rest) - 1) * np.sqrt((len(rest) - 1) * rest.var() + noise)
    return dict(value=float(value), low=float(value - half), high=float(value + half))
