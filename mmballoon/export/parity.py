"""Whether an exported file detects what the model detects, each with its own pre-processing."""

import contextlib
import io
import math
import runpy
from pathlib import Path

import numpy as np
import torch

from mmballoon.cli import UserError

# Largest differences that pass: pixels of the image, score, mAP; and the share of detections they hold
# for. A pair of boxes whose IoU is that of NMS within rounding may go either way, and so may their
# neighbours then: in float32 this is rare. With 8-bit integers every box moves, so only mAP counts.
LIMITS = {
    'float32': (0.5, 1e-3, 1e-3, 0.995),
    'float16': (1, 5e-3, 1e-2, 0.95),
    'int8': (math.inf, math.inf, 1e-2, 0.5),
}
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


def differences(left, right, score_thr):
    """How far the best detections of ``left`` are from their nearest ones of the same class in ``right``.

    left, right: (boxes (K, 4), scores (K), labels (K)), scores in descending order. A score this
    close to ``score_thr`` may be on either side of it, so it is not looked for.

    Returns an array (D, 2): the largest distance of a coordinate in pixels and the difference of
    scores, for each of the D detections. Both are infinite where ``right`` has none of the class.
    """
    box_limit, score_limit = LIMITS['float32'][:2]
    rows = []
    for box, score, label in list(zip(*left))[:BEST]:
        if score < score_thr + score_limit:
            break
        same = right[2] == label
        distances = np.abs(right[0][same] - box).max(1)
        gaps = np.abs(right[1][same] - score)
        if same.any():
            nearest = (distances / box_limit + gaps / score_limit).argmin()
            rows.append((distances[nearest], gaps[nearest]))
        else:
            rows.append((math.inf, math.inf))
    return np.array(rows).reshape(-1, 2)


def check(model, detector, files=None):
    """Compare a model with its exported file, and return the figures as a line of text.

    Args:
        model: what ``onnx_file.load`` returned.
        detector: a ``Detector``.
        files: images; None: those of the config's validation split, with mAP.

    Raises:
        UserError: they differ, or there is nothing to compare.
    """
    validation = None if files else dataset(model.cfg.val_dataloader)
    files = files or image_files(validation)
    in_torch, in_onnx = torch_detector(model), onnx_detector(detector)
    results = [(in_torch(file), in_onnx(file)) for file in files]
    *limits, map_limit, share = LIMITS[detector.metadata['dtype']]
    pairs = [pair for one, other in results for pair in ((one, other), (other, one))]
    score_thr = detector.metadata['score_thr']
    rows = np.concatenate([differences(*pair, score_thr) for pair in pairs])
    if not len(rows):
        raise UserError(f'{len(files)} images: no detections to compare; next: --images FOLDER')
    box, score = np.quantile(rows, share, axis=0, method='higher')
    agree = box <= limits[0] and score <= limits[1]
    figures = (
        f'{len(files)} images: {share:.1%} of the boxes within {box:.2g} px and of the scores within '
        f'{score:.2g}'
    )
    if validation:
        maps = [coco_metrics(model.cfg, validation, side)['bbox_mAP'] for side in zip(*results)]
        figures += f', mAP {maps[0]:.3f} in torch and {maps[1]:.3f} in ONNX Runtime'
        agree = agree and round(abs(maps[0] - maps[1]), 6) <= map_limit
    if not agree:
        allowed = f'{limits[0]:g} px, {limits[1]:g} and {map_limit:g}'
        raise UserError(
            f'the exported file detects something else: {figures} (allowed: {allowed}); next: install '
            'the versions of constraints.txt; if they are installed, report this as a bug'
        )
    return figures


def dataset(dataloader):
    """The dataset of a config's data loader, with all its images."""
    from mmdet.registry import DATASETS

    return DATASETS.build(dict(dataloader.dataset, test_mode=True))


def image_files(dataset):
    """The paths of a dataset's images, in its order."""
    return [dataset.get_data_info(i)['img_path'] for i in range(len(dataset))]


def coco_metrics(cfg, dataset, detections, quiet=True):
    """MMDetection's COCO metrics of detections in the order of a dataset: {'bbox_mAP': 0.433, ...}.

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
