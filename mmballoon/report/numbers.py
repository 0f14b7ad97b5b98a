"""The numbers of the report. Every metric is hotcoco's; this module asks for them, and names failures."""

from collections import Counter, defaultdict

import hotcoco
import numpy as np

from mmballoon.data.checks import AREAS, SIZE_EDGES
from mmballoon.report import intervals
from mmballoon.report.label_errors import BACKGROUND, IOU, entry, overlaps, suspects

TIDE = dict(
    missed='Miss', false_alarm='Bkg', double='Dupe', shifted='Loc', wrong_class='Cls', both='Both'
)


def measure(data, detections, other, img_size):
    """All numbers of the report (dict).

    Args:
        data: COCO (dict); every annotation has an area and iscrowd.
        detections: COCO result dicts.
        other: those of the checkpoint to compare with, or None.
        img_size: the longer side of the network's input in pixels.
    """
    truth = hotcoco.COCO(data)
    objects = [a for a in data['annotations'] if not a['iscrowd']]
    whole = evaluate(truth, detections)
    matched = match(whole, detections)
    curve = threshold_curve(matched, len(objects))
    shown = [d for d in detections if d['score'] >= curve['threshold']]
    at_threshold = evaluate(truth, shown)
    status = at_threshold.image_diagnostics(IOU)
    if curve['best']:
        images = len({a['image_id'] for a in objects})
        curve['best'] |= intervals.f1(status['img_summary'], images)
    thresholds = {}
    for category in data['categories']:
        own = [pair for pair in matched if pair[0]['category_id'] == category['id']]
        count = sum(a['category_id'] == category['id'] for a in objects)
        if best := threshold_curve(own, count)['best']:
            thresholds[category['name']] = best['score']
    failed = failures(status, data, shown)
    confusion = at_threshold.confusion_matrix(IOU)
    costs = whole.tide_errors(IOU, BACKGROUND)['delta_ap'] if objects and detections else {}
    return dict(
        images=len(data['images']),
        objects=len(objects),
        detections=len(detections),
        img_size=img_size,
        metrics=intervals.metrics(whole),
        difference=None if other is None else intervals.metrics(whole, evaluate(truth, other)),
        threshold=curve,
        thresholds=thresholds,
        shown=shown,
        failures=failed,
        kinds=Counter(f['kind'] for f in failed),
        missed=Counter(size_name(f['bbox']) for f in failed if f['kind'] == 'missed'),
        per_image=status['img_summary'],
        tide={kind: costs[name] for kind, name in TIDE.items() if name in costs},
        calibration=whole.calibration(),
        curves={key: np.asarray(v).tolist() for key, v in whole.report()['curves'].items()},
        confusion=dict(ids=confusion['cat_ids'], matrix=confusion['matrix'].tolist()),
        label_errors=suspects(data, detections),
        sizes=ap_by_size(data, detections, img_size),
    )


def evaluate(truth, detections):
    """hotcoco's COCOeval of detections (list of COCO result dicts), accumulated and summed up."""
    evaluation = hotcoco.COCOeval(truth, truth.load_res(detections), 'bbox')
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summary_lines()
    return evaluation


def match(evaluation, detections):
    """[(detection, whether it hits an object)] of the detections that count.

    Matching runs from the highest score down, so a hit does not depend on the detections below it.
    """
    status = evaluation.image_diagnostics(IOU)['dt_status']
    pairs = [(d, status.get(i)) for i, d in enumerate(detections, start=1)]
    return [(d, kind == 'tp') for d, kind in pairs if kind in ('tp', 'fp')]


def threshold_curve(matched, objects):
    """{'rows', 'best', 'threshold'}: counts, precision, recall and F1 by score threshold.

    matched: of ``match``. objects: their number. A row for each thousandth at which something changes,
    highest first.
    """
    pairs = sorted(((d['score'], hit) for d, hit in matched), reverse=True)
    scores = np.array([score for score, _ in pairs])
    hits = np.cumsum([hit for _, hit in pairs])
    rows = []
    for threshold in np.unique(np.floor(scores * 1000) / 1000)[::-1]:
        count = int((scores >= threshold).sum())
        tp = int(hits[count - 1])
        row = dict(score=float(threshold), tp=tp, fp=count - tp, fn=objects - tp)
        fractions = dict(precision=tp / count, recall=tp / max(1, objects))
        rows.append(row | fractions | dict(f1=2 * tp / (count + objects)))
    best = max((row for row in rows if row['f1']), key=lambda row: row['f1'], default=None)
    return dict(rows=rows, best=best, threshold=best['score'] if best else 0.3)


def failures(status, data, detections):
    """Failures (list of dicts of ``entry``) of detections, worst first.

    status: hotcoco's image_diagnostics of these detections. The kinds follow TIDE (Bolya et al.,
    ECCV 2020), which hotcoco counts but does not list. A surplus detection is judged by the object
    of largest IoU; an object is missed if no detection touches it.
    """
    objects, surplus, touched = defaultdict(list), [], set()
    for a in data['annotations']:
        objects[a['image_id']].append(a)
    for i, detection in enumerate(detections, start=1):
        if status['dt_status'].get(i) == 'fp':
            kind, near, iou = _judge(detection, objects[detection['image_id']])
            touched.add(near and near['id'])
            surplus.append(entry(kind, detection, near, iou))
    lost = [a for a in data['annotations'] if status['gt_status'].get(a['id']) == 'fn']
    missed = [entry('missed', a) for a in lost if a['id'] not in touched]
    missed.sort(key=lambda f: -f['bbox'][2] * f['bbox'][3])
    return missed + sorted(surplus, key=lambda f: -f['score'])


def size_name(bbox):
    """'small', 'medium' or 'large': COCO's group of a box."""
    area = bbox[2] * bbox[3]
    return next(name for name, (low, high) in AREAS.items() if low <= area < high)


def _judge(detection, objects):
    """(kind, nearest object or None, IoU) of a detection that matches no object."""
    if not objects:
        return 'empty_image', None, None
    ious = overlaps([detection], objects)[0]
    same = np.array([a['category_id'] == detection['category_id'] for a in objects])
    own, other = np.where(same, ious, -1), np.where(same, -1, ious)
    for limit, kinds in ((IOU, ('double', 'wrong_class')), (BACKGROUND, ('shifted', 'both'))):
        for kind, values in zip(kinds, (own, other)):
            if values.max() >= limit:
                return kind, objects[values.argmax()], float(values.max())
    return 'false_alarm', None, None


def ap_by_size(data, detections, img_size):
    """[{'low', 'high', 'objects', 'AP' or None}] by the square root of a box's area, network pixels."""
    scales = {i['id']: img_size / max(1, i['width'], i['height']) for i in data['images']}

    def scale(item):
        x, y, width, height = (value * scales[item['image_id']] for value in item['bbox'])
        return dict(item, bbox=[x, y, width, height], area=width * height)

    scaled = dict(data, annotations=[scale(a) for a in data['annotations']])
    truth = hotcoco.COCO(scaled)
    evaluation = hotcoco.COCOeval(truth, truth.load_res([scale(d) for d in detections]), 'bbox')
    rows = [dict(low=low, high=high) for low, high in zip(SIZE_EDGES, (*SIZE_EDGES[1:-1], 1e5))]
    evaluation.params.area_rng = [[row['low'] ** 2, row['high'] ** 2] for row in rows]
    evaluation.params.area_rng_lbl = [str(row['low']) for row in rows]
    evaluation.evaluate()
    evaluation.accumulate()
    areas = [a['area'] for a in scaled['annotations'] if not a['iscrowd']]
    for i, row in enumerate(rows):
        row['objects'] = sum(row['low'] ** 2 <= area < row['high'] ** 2 for area in areas)
        precision = evaluation.eval['precision'][:, :, :, i, -1]  # (IoU, recall, class)
        row['AP'] = float(precision[precision > -1].mean()) if row['objects'] else None
    return rows
