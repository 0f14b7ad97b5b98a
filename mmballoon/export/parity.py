"""Whether an exported file detects what the model detects, each with its own pre-processing."""

import contextlib
import io
import math
import runpy
from pathlib import Path

import numpy as np
import torch

from mmballoon.errors import UserError

BOX, SCORE, MAP = 0.5, 1e-3, 1e-3  # largest differences that pass: pixels of the image, score, mAP
HALF_BOX, HALF_SCORE, HALF_MAP = 4, 2e-2, 1e-2  # float16 has 11 bits
BEST = 100  # of each image: as many as COCO's metrics see


def runtime():
    """The class Detector of tools/onnx_demo.py: the check runs the very file that people copy."""
    return runpy.run_path(str(Path(__file__).parents[2] / 'tools/onnx_demo.py'))['Detector']


def torch_detector(model):
    """A function like ``Detector.__call__`` for a file: MMDetection's pipeline and model."""
    from mmdet.apis import inference_detector

    def detect(file):
        found = inference_detector(model, str(file)).pred_instances.numpy()
        return found.bboxes, found.scores, found.labels

    return detect


def onnx_detector(detector):
    """The same for a ``Detector``."""
    from mmcv import imread

    return lambda file: detector(imread(str(file)))


def difference(left, right, score_thr):
    """How far the best detections of ``left`` are from their nearest ones of the same class in ``right``.

    left, right: (boxes (K, 4), scores (K), labels (K)), scores in descending order. A score this
    close to ``score_thr`` may be on either side of it, so it is not looked for.

    Returns the largest distance of a coordinate in pixels, the largest difference of scores, and the
    number of detections. The distance is infinite where there is no detection of the class.
    """
    box, score, count = 0.0, 0.0, 0
    boxes, scores, labels = right
    for one_box, one_score, one_label in list(zip(*left))[:BEST]:
        if one_score < score_thr + SCORE:
            break
        count += 1
        if not (labels == one_label).any():
            return math.inf, math.inf, count
        distances = np.abs(boxes - one_box).max(1)
        gaps = np.abs(scores - one_score)
        cost = np.where(labels == one_label, distances / BOX + gaps / SCORE, math.inf)
        nearest = cost.argmin()
        box, score = max(box, distances[nearest]), max(score, gaps[nearest])
    return float(box), float(score), count


def check(model, detector, files=None):
    """Compare a model with its exported file, and return the figures as a line of text.

    Args:
        model: what ``onnx_file.load`` returned.
        detector: a ``Detector``.
        files: images; None: those of the config's validation split, with mAP.

    Raises:
        UserError: they differ, or there is nothing to compare.
    """
    dataset = None if files else validation_set(model.cfg)
    files = files or [dataset.get_data_info(i)['img_path'] for i in range(len(dataset))]
    in_torch, in_onnx = torch_detector(model), onnx_detector(detector)
    results = [(in_torch(file), in_onnx(file)) for file in files]
    half = detector.metadata['dtype'] == 'float16'
    limits = (HALF_BOX, HALF_SCORE, HALF_MAP) if half else (BOX, SCORE, MAP)
    box = score = count = 0
    for truth, found in results:
        for left, right in ((truth, found), (found, truth)):
            one = difference(left, right, detector.metadata['score_thr'])
            box, score, count = max(box, one[0]), max(score, one[1]), count + one[2]
    figures = f'{len(files)} images: boxes within {box:.2g} px, scores within {score:.2g}'
    right = box <= limits[0] and score <= limits[1]
    if dataset:
        maps = [coco_metrics(model.cfg, dataset, side)['bbox_mAP'] for side in zip(*results)]
        figures += f', mAP {maps[0]:.3f} in torch and {maps[1]:.3f} in ONNX Runtime'
        right = right and round(abs(maps[0] - maps[1]), 6) <= limits[2]
    if not count:
        raise UserError(f'{len(files)} images: no detections to compare; next: --images FOLDER')
    if not right:
        allowed = f'{limits[0]:g} px, {limits[1]:g} and {limits[2]:g}'
        raise UserError(
            f'the exported file detects something else: {figures} (allowed: {allowed}); next: report '
            'this with the versions of torch, onnxscript and onnxruntime'
        )
    return figures


def validation_set(cfg):
    """The data set of ``val_dataloader``, with all its images."""
    from mmdet.registry import DATASETS

    return DATASETS.build(dict(cfg.val_dataloader.dataset, test_mode=True))


def coco_metrics(cfg, dataset, detections, quiet=True):
    """MMDetection's COCO metrics of detections in the order of a data set: {'bbox_mAP': 0.433, ...}.

    MMDetection rounds them to three decimals. Without any detection, bbox_mAP alone is there, 0.

    detections: [(boxes (K, 4), scores (K), labels (K))], arrays, in pixels of the images.
    """
    from mmdet.registry import METRICS
    from mmengine.logging import MMLogger

    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel('WARNING' if quiet else 'INFO')
    with contextlib.redirect_stdout(io.StringIO()) if quiet else contextlib.nullcontext():
        metric = METRICS.build(cfg.val_evaluator)
        metric.dataset_meta = dataset.metainfo
        for i, (boxes, scores, labels) in enumerate(detections):
            info = dataset.get_data_info(i)
            found = dict(bboxes=boxes, scores=scores, labels=labels)
            found = {key: torch.as_tensor(value) for key, value in found.items()}
            shape = (info['height'], info['width'])
            sample = dict(img_id=info['img_id'], ori_shape=shape, pred_instances=found)
            metric.process({}, [sample])
        found = metric.evaluate(len(dataset))
    logger.setLevel(level)
    return {key.split('/')[1]: value for key, value in found.items()} or {'bbox_mAP': 0.0}
