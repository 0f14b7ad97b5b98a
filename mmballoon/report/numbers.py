"""The numbers of the report. Every metric is hotcoco's; this module asks for them and names
each failure.
"""

import math

import hotcoco
import numpy as np

RESAMPLES, SEED = 1000, 0
METRICS = ('AP', 'AP50', 'AP75', 'APs', 'APm', 'APl')
IOU, BACKGROUND = 0.5, 0.1  # TIDE's: a hit from 0.5, no relation to an object below 0.1
SIZES = {'APs': (0, 32**2), 'APm': (32**2, 96**2), 'APl': (96**2, float('inf'))}  # COCO's, pixels
# hotcoco counts a resample without an object of a size as 0. With objects in five images or more,
# less than 1 % of the resamples are such.
MIN_IMAGES = 5
KINDS = ('missed', 'false_alarm', 'empty_image', 'double', 'shifted', 'wrong_class')


def evaluate(truth, detections):
    """hotcoco's COCOeval of detections (list of COCO result dicts), accumulated and summed up."""
    evaluation = hotcoco.COCOeval(truth, truth.load_res(detections), 'bbox')
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summary_lines()
    return evaluation


def intervals(evaluation, baseline):
    """{metric: {'value', 'low', 'high', 'positive'}}: evaluation minus baseline, and a 95 % interval.

    A bootstrap over images, both on the same resamples. A baseline without detections gives the
    metrics themselves. A metric without any object (-1 in COCO) is None; one whose objects are in
    fewer than MIN_IMAGES images has no interval ('low' is None).
    """
    annotations = evaluation.coco_gt.dataset['annotations']
    result = hotcoco.compare(baseline, evaluation, n_bootstrap=RESAMPLES, seed=SEED)
    rows = {}
    for name in METRICS:
        if result['metrics_b'][name] < 0:
            rows[name] = None
            continue
        ci = result['ci'][name]
        low, high = SIZES.get(name, (0, float('inf')))
        images = {a['image_id'] for a in annotations if low <= a['area'] < high}
        if len(images) < MIN_IMAGES:
            ci = dict(lower=None, upper=None, prob_positive=None)
        rows[name] = dict(
            value=result['deltas'][name],
            low=ci['lower'],
            high=ci['upper'],
            positive=ci['prob_positive'],
        )
    return rows


def threshold_curve(evaluation, detections, objects):
    """{'rows', 'best', 'threshold'}: counts, precision, recall and F1 at each score, highest score first.

    A row's threshold is the score of its last detection. Matching runs from the highest score
    down, so a detection's hit or miss does not depend on those below it.
    """
    status = evaluation.image_diagnostics(IOU)['dt_status']
    ids = [i for i in range(1, len(detections) + 1) if status.get(i) in ('tp', 'fp')]
    ids.sort(key=lambda i: -detections[i - 1]['score'])
    scores = np.array([detections[i - 1]['score'] for i in ids])
    hits = np.cumsum([status[i] == 'tp' for i in ids])
    rows = []
    for i in np.flatnonzero(np.append(scores[:-1] != scores[1:], True)) if ids else ():
        tp, fp = int(hits[i]), int(i + 1 - hits[i])
        precision, recall = tp / (tp + fp), tp / objects if objects else 0.0
        row = dict(score=float(scores[i]), tp=tp, fp=fp, fn=objects - tp)
        row.update(precision=precision, recall=recall, f1=2 * tp / (tp + fp + objects))
        rows.append(row)
    best = max(rows, key=lambda row: row['f1'], default=None)
    if not best or not best['f1']:
        return dict(rows=rows, best=None, threshold=0.3)
    # A person types three digits: the counts on the page are those of the rounded threshold.
    threshold = math.floor(best['score'] * 1000) / 1000
    best = [row for row in rows if row['score'] >= threshold][-1]
    return dict(rows=rows, best=best, threshold=threshold)


def failures(evaluation, truth, detections):
    """[{'kind', 'image_id', 'box', 'score', 'iou', ...}] of all failures, worst first.

    ``detections`` are those that ``evaluation`` holds, in their order. The kinds follow TIDE
    (Bolya et al., ECCV 2020), which hotcoco counts but does not list. A surplus detection is
    judged by the object of largest IoU; an object is missed if no detection touches it.
    """
    result = evaluation.image_diagnostics(IOU)
    objects = {}
    for a in truth.dataset['annotations']:
        objects.setdefault(a['image_id'], []).append(a)
    found, touched = [], set()
    for i, detection in enumerate(detections, start=1):
        if result['dt_status'].get(i) != 'fp':
            continue
        here = objects.get(detection['image_id'], [])
        kind, near, iou = _judge(detection, here)
        if near is not None and iou >= BACKGROUND:
            touched.add(near['id'])
        failure = {key: detection[key] for key in ('image_id', 'category_id', 'score')}
        failure.update(kind=kind, box=detection['bbox'], iou=iou)
        failure['truth'] = near['bbox'] if near is not None and iou >= BACKGROUND else None
        found.append(failure)
    found.sort(key=lambda failure: -failure['score'])
    missed = [
        dict(kind='missed', image_id=a['image_id'], category_id=a['category_id'],
             score=None, iou=None, box=a['bbox'], truth=a['bbox'], size=a['area'])
        for here in objects.values()
        for a in here
        if result['gt_status'].get(a['id']) == 'fn' and a['id'] not in touched
    ]  # fmt: skip
    return sorted(missed, key=lambda failure: -failure['size']) + found


def _judge(detection, objects):
    """(kind, nearest object or None, IoU) of a detection that matches no object."""
    if not objects:
        return 'empty_image', None, 0.0
    ious = hotcoco.mask.iou(
        np.array([detection['bbox']], float),
        np.array([a['bbox'] for a in objects], float),
        [bool(a.get('iscrowd')) for a in objects],
    )[0]
    same = np.array([a['category_id'] == detection['category_id'] for a in objects])
    own, other = np.where(same, ious, -1), np.where(same, -1, ious)
    if own.max() >= IOU:
        return 'double', objects[own.argmax()], float(own.max())
    if other.max() >= IOU:
        return 'wrong_class', objects[other.argmax()], float(other.max())
    if own.max() >= BACKGROUND:
        return 'shifted', objects[own.argmax()], float(own.max())
    return 'false_alarm', objects[ious.argmax()], float(ious.max())
