"""Whether an exported file detects what the model detects, each with its own pre-processing."""

import math

import hotcoco
import numpy as np

from mmballoon.cli import UserError, read_image
from mmballoon.report import numbers
from mmballoon.report.split import image_files, load_split, to_coco, to_results

# Largest differences that pass: pixels of the image, score, 1 - IoU of the masks, mAP; and the share of
# detections that they hold for. Where the IoU of two boxes is that of NMS within rounding, NMS may drop
# the one or the other, and then other neighbours of it: in float32 this is rare. With 8-bit integers every
# box moves, so only the masks and mAP count.
LIMITS = {
    'float32': (0.5, 1e-3, 1e-2, 1e-3, 0.995),
    'float16': (1, 5e-3, 5e-2, 1e-2, 0.95),
    'bfloat16': (5, 2e-2, 0.1, 1e-2, 0.95),  # twice what --amp changes in torch
    'int8': (math.inf, math.inf, 0.2, 1e-2, 0.5),
}
UNEXPECTED = 'install the versions of constraints.txt; if they are installed, report a bug'
BEST = 100  # of each image: as many as COCO's metrics see


def detect(path, split, runtime=None):
    """Detections of an exported file on the images of a Split, as COCO result dicts.

    Classes are matched by name. It prints which runtime it uses, as ``Detector`` chooses it.
    """
    from mmballoon.export.detector import Detector

    detector = Detector(str(path), runtime=runtime)
    print(f'{path}: runs in {detector.name}')
    classes, names = detector.metadata['classes'], split.names.values()
    if not set(classes) & set(names):
        reason = f'it detects {", ".join(classes)}, and the config has {", ".join(names)}'
        raise UserError(path, reason, 'use the config that the file was exported with')
    detected = {key: detector(read_image(file)) for file, key in image_files(split).items()}
    return to_results(split, detected, classes)


def check(model, detector, files=None):
    """The figures (str) of ``compare``; raises a UserError for a file that does not agree with the model."""
    agrees, figures = compare(model, detector, files)
    if not agrees:
        raise UserError('the exported file detects something else', figures, UNEXPECTED)
    return figures


def check_bfloat16(model, path, files=None):
    """``compare`` for OpenVINO in bfloat16: (whether the file may be run so, a line that says it).

    (False, None): OpenVINO is not installed, or this CPU has no instructions for bfloat16.
    """
    from mmballoon.export.detector import Detector

    try:
        detector = Detector(path, runtime='openvino-bfloat16')
    except (ModuleNotFoundError, ValueError):
        return False, None
    agrees, figures = compare(model, detector, files)
    verdict = 'agree' if agrees else 'differ, so onnx_demo.py will use float32,'
    return agrees, f'torch and {detector.name} {verdict} on {figures}'


def compare(model, detector, files=None):
    """Compare a model of ``onnx_file.load`` with a Detector: (whether they are within LIMITS, a line of figures).

    files: images; None: those of the config's validation split, with mAP. Raises a UserError where there
    is nothing to compare.
    """
    from mmdet.apis import inference_detector

    split = None if files else load_split(model.cfg.val_dataloader.dataset)
    files, metadata = files or list(image_files(split)), detector.metadata
    masks = 'mask_thr' in metadata
    columns = ['bboxes', 'scores', 'labels'] + ['masks'] * masks
    results, rows = [], []
    for file in files:
        instances = inference_detector(model, str(file)).pred_instances.numpy()
        sides = [instances[name] for name in columns], detector(read_image(file), masks)
        rows += [differences(*pair, metadata['score_thr']) for pair in (sides, sides[::-1])]
        results.append([side[:3] for side in sides])  # not the masks, which are large
    rows = np.concatenate(rows)
    if not len(rows):
        raise UserError(f'{len(files)} images', 'no detections to compare', '--images FOLDER')
    in_bfloat16 = metadata['dtype'] == 'float32' and detector.runtime == 'openvino-bfloat16'
    *limits, map_limit, share = LIMITS['bfloat16' if in_bfloat16 else metadata['dtype']]
    box, score, mask = largest = np.quantile(rows, share, axis=0, method='higher')
    agree = (largest <= limits).all()
    figures = f'{len(files)} images: {share:.1%} of the boxes within {box:.2g} px'
    figures += f' and of the scores within {score:.2g}'
    if masks:
        figures += f', of the masks with an IoU of {1 - mask:.3f} or more'
    if split:
        truth, sides = hotcoco.COCO(to_coco(split)), zip(*results)
        sides = [to_results(split, dict(zip(split.images, s)), metadata['classes']) for s in sides]
        maps = [numbers.evaluate(truth, side).get_results()['AP'] for side in sides]
        figures += f', mAP {maps[0]:.3f} in torch and {maps[1]:.3f} in {detector.name}'
        change = abs(round(maps[0], 3) - round(maps[1], 3))  # as MMDetection prints them
        agree = agree and round(change, 6) <= map_limit
    if not agree:
        mask = f', IoU {1 - limits[2]:g}' if masks else ''
        figures += f' (allowed: {limits[0]:g} px, {limits[1]:g}{mask} and {map_limit:g})'
    return agree, figures


def differences(left, right, score_thr):
    """How far the best detections of ``left`` are from the nearest ones of their class in ``right``.

    left, right: (boxes (K, 4), scores (K), labels (K)), scores in descending order, and perhaps masks
    (K, H, W) bool. A score this close to ``score_thr`` may be on either side of it, so it is not looked
    for.

    Returns an array (D, 3): the largest distance of a coordinate in pixels, the difference of scores,
    and 1 - IoU of the masks (0 without any), for each of the D detections. All are infinite where
    ``right`` has none of the class.
    """
    box_limit, score_limit = LIMITS['float32'][:2]
    rows = []
    for box, score, label, *mask in list(zip(*left))[:BEST]:
        if score < score_thr + score_limit:
            break
        same = np.flatnonzero(right[2] == label)
        if not len(same):
            rows.append(3 * [math.inf])
            continue
        distances = np.abs(right[0][same] - box).max(1)
        gaps = np.abs(right[1][same] - score)
        near = (distances / box_limit + gaps / score_limit).argmin()
        rows.append([distances[near], gaps[near], 0])
        if mask:
            other = right[3][same[near]]
            rows[-1][2] = (mask[0] ^ other).sum() / max(1, (mask[0] | other).sum())
    return np.array(rows).reshape(-1, 3)
