"""What pycocotools says: the reference of every evaluation here."""

import contextlib

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval


def annotation(key, image, box, category=1):
    area = box[2] * box[3]
    return dict(id=key, image_id=image, category_id=category, bbox=box, area=area, iscrowd=0)


def pycocotools_stats(data, detections):
    """(12,) the numbers of pycocotools for a COCO dict and COCO result dicts."""
    with contextlib.redirect_stdout(None):
        truth = COCO()
        truth.dataset = dict(data, info={})
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes([dict(d) for d in detections]), 'bbox')
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats
