"""Possible label errors: where annotations and the detections of another training disagree.

Each suspect has a suspicion from 0 to 1, so that all kinds share one list. The kinds with a detection
follow ObjectLab (Tkachenko et al., 2023: overlooked, badly located, swapped), with the share of correct
detections of this score in place of the score: a detector that is often wrong accuses nobody. An
annotation that nothing finds is compared with those of similar size, which may be hard to find as well.
"""

from collections import defaultdict

import hotcoco
import numpy as np

IOU, BACKGROUND = 0.5, 0.1  # TIDE's: the same object from 0.5, no relation below 0.1
LEAST = 0.1  # score, and suspicion
PEERS = 30  # detections of similar score, annotations of similar size
MOST = 300  # suspects; nobody looks at more


def suspects(data, detections):
    """The MOST suspicious (list of dicts), worst first; at most two for an annotation, and one for a detection.

    data: COCO (dict). detections: COCO result dicts. A suspect has 'kind', 'suspicion', 'image_id',
    'category_id', 'bbox' and 'score', of the detection or, where 'score' is None, of the annotation.
    'truth' is the annotation that a detection disagrees with, and 'iou' is the overlap of the two.
    """
    objects, detected = defaultdict(list), defaultdict(list)
    for a in data['annotations']:
        objects[a['image_id']].append(a)
    # After a short training all scores are low, and the best detections are right all the same.
    count = max(sum(d['score'] >= LEAST for d in detections), 2 * len(data['annotations']))
    order = [dict(d) for d in sorted(detections, key=lambda d: -d['score'])[:count]]
    for d in order:
        detected[d['image_id']].append(d)
    ious = {key: overlaps(detected[key], objects[key]) for key in objects.keys() | detected.keys()}
    # Any detection of an annotation defends it. Only the first one is correct, as COCO counts: if the
    # second ones counted, too, a detection of low score where nothing is annotated would be believed.
    # What a detection says about a label counts as often as such detections name their object's class.
    for key, values in ious.items():
        found = set()
        for d, row in zip(detected[key], values):
            d['defence'] = d['trust'] = d['named'] = float(row.max(initial=0) >= IOU)
            if d['trust']:
                d['named'] = float(objects[key][row.argmax()]['category_id'] == d['category_id'])
            if d['trust'] and not objects[key][row.argmax()]['iscrowd']:
                d['trust'] = float(row.argmax() not in found)
                found.add(row.argmax())
    ranks, scores = np.arange(len(order)), np.array([d['score'] for d in order])
    for name in ('trust', 'defence', 'named'):
        for d, share in zip(order, _nearby_mean(ranks, np.array([d[name] for d in order]), scores)):
            d[name] = share
    rows, found_with = [], {}
    for key, values in ious.items():
        rows += _compare(objects[key], detected[key], values, found_with)
    plain = [a for a in data['annotations'] if not a['iscrowd']]
    sizes = np.array([np.log(max(1, a['bbox'][2] * a['bbox'][3])) for a in plain])
    usual = _nearby_mean(sizes, np.array([found_with[a['id']] for a in plain]))
    for i, a in enumerate(plain):
        rows.append(entry('never_found', a, suspicion=usual[i] - found_with[a['id']]))
    rows = [row for row in rows if row['suspicion'] >= LEAST]
    return sorted(rows, key=lambda row: (-row['suspicion'], -(row['score'] or 0)))[:MOST]


def _nearby_mean(positions, values, prior=None):
    """For each item, the mean value of about PEERS others whose positions are next to its own.

    prior: one more value for each item; where there are few others, it counts most.
    """
    order = np.argsort(positions, kind='stable')
    sums = np.concatenate([[0], np.cumsum(values[order])])
    ranks = np.arange(len(values))
    low, high = np.maximum(0, ranks - PEERS // 2), np.minimum(len(values), ranks + PEERS // 2 + 1)
    total, count = sums[high] - sums[low] - values[order], high - low - 1
    if prior is not None:
        total, count = total + prior[order], count + 1
    means = np.zeros(len(values))
    means[order] = total / np.maximum(1, count)
    return means


def _compare(objects, detected, ious, found_with):
    """Suspects of one image; notes in ``found_with`` the best defence of an annotation, by its id.

    detected: best score first, each with 'trust', 'defence' and 'named'; ious: (D, A).
    """
    nearest = ious.argmax(1) if objects else np.zeros(len(detected), int)
    for j, a in enumerate(objects):
        near = [i for i in np.flatnonzero(nearest == j) if ious[i, j] >= BACKGROUND]
        same = [i for i in near if detected[i]['category_id'] == a['category_id']]
        own = max((detected[i]['named'] for i in same if ious[i, j] >= IOU), default=0)
        found_with[a['id']] = max((detected[i]['defence'] for i in near), default=0)
        doubts = [(detected[i]['trust'] * (1 - ious[i, j]), 'moved', i) for i in same[:1]]
        other = [i for i in near if i not in same and ious[i, j] >= IOU]
        doubts += [(detected[i]['named'] * (1 - own), 'wrong_label', i) for i in other]
        if doubts and not a['iscrowd']:
            doubt, kind, i = max(doubts)
            yield entry(kind, detected[i], a, ious[i, j], suspicion=doubt)
    alone = [i for i in range(len(detected)) if not objects or ious[i].max() < BACKGROUND]
    boxes = [detected[i] for i in alone]
    covered = np.triu(overlaps(boxes, boxes), 1).max(0, initial=0) >= IOU  # by a better one
    for i in np.array(alone, int)[~covered]:
        yield entry('missing_annotation', detected[i], suspicion=detected[i]['trust'])


def overlaps(detected, objects):
    """(D, A) IoU of detections and objects; where an object is a crowd, the part of the detection."""
    if not detected or not objects:
        return np.zeros((len(detected), len(objects)))
    boxes = (np.array([item['bbox'] for item in items], float) for items in (detected, objects))
    return hotcoco.mask.iou(*boxes, [bool(item.get('iscrowd')) for item in objects])


def entry(kind, item, truth=None, iou=None, **more):
    """What the page draws of a detection or annotation; truth: the annotation it was compared with."""
    keys = ('image_id', 'category_id', 'bbox', 'score')
    truth = truth and {key: truth[key] for key in ('category_id', 'bbox')}
    return dict({key: item.get(key) for key in keys}, kind=kind, truth=truth, iou=iou, **more)
