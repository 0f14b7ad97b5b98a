"""What tools/suggest_annotations.py does: detect on new images, order them, write the suggestions."""

import json
import os
from hashlib import sha256
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from mmballoon.cli import UserError, atomic_write, pick_device
from mmballoon.data.checks import NEAR, difference_hash
from mmballoon.data.coco import thumbnail
from mmballoon.data.images import ImageFolder, image_size
from mmballoon.data.via import read_via
from mmballoon.data.via_project import via_project

LEAST = 0.05  # detections with a lower score say nothing about how sure the detector is
REPORT = Path('outputs/report/report.json')


def suggest(args):
    """Write the suggestions for the arguments of the command; yields lines of text about them.

    Raises:
        UserError: no new image, an unreadable one, or a file that is in the way.
    """
    if args.out.exists():
        raise UserError(f'{args.out}: exists; next: choose another --out, or move it away')
    if not args.images.is_dir():
        raise UserError(f'{args.images}: no such folder; next: name the folder of the images')
    folder = ImageFolder(args.images)
    entries = read_via(args.extend)[0] if args.extend else []
    known = {folder.find(entry.filename) for entry in entries}
    missing = len(entries) - len(known - {None})
    names = [name for name in folder.images() if name not in known]
    if not names:
        raise UserError(f'{args.images}: no image without annotations in it; next: add images')
    sizes = {name: image_size(args.images / name) for name in names}
    detect, classes = load_detector(args)
    found = {}
    for name in tqdm(names, 'detecting', disable=None):
        image = cv2.imread(str(args.images / name))
        if image is None:
            raise UserError(f'{args.images / name}: not a readable image; next: replace it')
        found[name] = [region for region in detect(image) if region['score'] >= LEAST]
    order = in_order(args.images, found)[: args.top]
    threshold, why = choose_threshold(args)
    images = [(name, [r for r in found[name] if r['score'] >= threshold]) for name in order]
    args.out.parent.mkdir(parents=True, exist_ok=True)
    if args.format == 'via':
        rows = [(n, (args.images / n).stat().st_size, regions) for n, regions in images]
        text = via_project(rows, classes, args.class_attribute, args.images, args.extend)
        write(args.out, text)
    elif args.format == 'coco':
        write(args.out, json.dumps(to_coco(images, sizes, classes), ensure_ascii=False))
    else:
        args.out.mkdir()
        for name, regions in images:
            target = args.out / f'{name}.json'
            target.parent.mkdir(parents=True, exist_ok=True)
            path = os.path.relpath(args.images / name, target.parent)
            write(target, json.dumps(to_labelme(path, sizes[name], regions), ensure_ascii=False))
    count = sum(len(regions) for _, regions in images)
    yield f'{count} suggestions in {len(images)} of {len(names)} new images, score {threshold:.2f} or more ({why})'
    yield 'order: the least sure images first, those that look like an earlier one last'
    if missing:
        yield f'note: {missing} images of {args.extend} are not in {args.images}; VIA will ask for them'
    yield f'saved: {args.out}'
    if args.format == 'via':
        yield f'if VIA does not show the images: Project > Add local files, and choose those in {args.images}'


def write(path, text):
    with atomic_write(path, 'w') as file:
        file.write(text)


def load_detector(args):
    """(function from an image, (H, W, 3) uint8 BGR, to regions as via_project takes them; class names)"""
    if not args.model.endswith('.py'):
        from mmballoon.export.detector import Detector

        detector = Detector(args.model)
        classes = detector.metadata['classes']
        return lambda image: _regions(*detector(image), (), classes), classes
    device = pick_device(args.device)
    from mmballoon.train import rules

    rules.apply()
    from mmdet.apis import inference_detector, init_detector

    from mmballoon.inference import prepare

    model = prepare(init_detector(args.model, str(args.weights), device=device))
    classes = list(model.dataset_meta['classes'])

    def detect(image):
        instances = inference_detector(model, image).pred_instances.cpu().numpy()
        masks = instances.get('masks', ())
        return _regions(instances.bboxes, instances.scores, instances.labels, masks, classes)

    return detect, classes


def _regions(boxes, scores, labels, masks, classes):
    outlines = [outline(mask) for mask in masks] if len(masks) else [None] * len(boxes)
    rows = zip(labels, scores.tolist(), boxes.round(2).tolist(), outlines)
    return [
        dict(label=classes[label], score=round(score, 3), status='suggested', box=box, outline=line)
        for label, score, box, line in rows
    ]


def outline(mask, most=40):
    """[x0, y0, x1, y1, ...] in pixels around the largest part of a mask, (H, W) bool; or None.

    At most ``most`` points, within 1 px of the mask's border if that many are enough.
    """
    contours = cv2.findContours(np.uint8(mask), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
    if not contours:
        return None
    contour, tolerance = max(contours, key=cv2.contourArea), 0.5
    points = cv2.approxPolyDP(contour, tolerance, True)
    while len(points) > most:
        tolerance *= 1.2
        points = cv2.approxPolyDP(contour, tolerance, True)
    # Contours run through the centres of the border's pixels, and x counts from the pixel's left side.
    return (points.reshape(-1, 2) + 0.5).ravel().tolist() if len(points) > 2 else None


def in_order(folder, found):
    """Names of the images, the most uncertain first, those that look like an earlier one last."""
    doubt = {
        name: sum(min(r['score'], 1 - r['score']) for r in regions)
        for name, regions in found.items()
    }
    kept, hashes, similar = [], [], []
    for name in sorted(doubt, key=lambda name: (-doubt[name], name)):
        bits = difference_hash(thumbnail(folder / name))
        near = hashes and (np.array(hashes) != bits).sum(1).min() <= NEAR
        (similar if near else kept).append(name)
        hashes.append(bits)
    return kept + similar


def choose_threshold(args):
    """(minimum score, why this one)"""
    if args.pred_score_thr is not None:
        return args.pred_score_thr, '--pred-score-thr'
    if args.weights and REPORT.is_file():
        report = json.loads(REPORT.read_text(encoding='utf-8'))
        digest = sha256(args.weights.read_bytes()).hexdigest()
        if report.get('made', {}).get('checkpoint_sha256') == digest:
            return report['threshold']['threshold'], f'best F1 in {REPORT}'
    return 0.3, 'no report about these weights'


def to_coco(images, sizes, classes):
    """COCO (dict); each annotation has ``attributes`` with its status, ``suggested``, and its score."""
    coco = dict(images=[], annotations=[], categories=[])
    coco['categories'] = [dict(id=i, name=name) for i, name in enumerate(classes, 1)]
    for image_id, (name, regions) in enumerate(images, 1):
        size = dict(zip(('width', 'height'), sizes[name]))
        coco['images'].append(dict(id=image_id, file_name=name, **size))
        for region in regions:
            x1, y1, x2, y2 = region['box']
            points = region['outline'] or [x1, y1, x2, y1, x2, y2, x1, y2]
            annotation = dict(id=len(coco['annotations']) + 1, image_id=image_id, iscrowd=0)
            annotation['category_id'] = classes.index(region['label']) + 1
            annotation |= dict(bbox=[x1, y1, x2 - x1, y2 - y1], segmentation=[points])
            annotation['area'] = cv2.contourArea(np.float32(points).reshape(-1, 2))
            annotation['attributes'] = dict(status=region['status'], score=region['score'])
            coco['annotations'].append(annotation)
    return coco


def to_labelme(path, size, regions):
    """LabelMe's JSON (dict) of one image; each shape has the flag ``suggested``."""
    shapes = []
    for region in regions:
        points = np.reshape(region['outline'] or region['box'], (-1, 2)).tolist()
        kind = 'polygon' if region['outline'] else 'rectangle'
        shape = dict(label=region['label'], points=points, shape_type=kind, group_id=None)
        text = f'score {region["score"]:.2f}'
        shapes.append(shape | dict(description=text, flags=dict(suggested=True)))
    rest = dict(imagePath=path, imageData=None, imageHeight=size[1], imageWidth=size[0])
    return dict(version='5.5.0', flags={}, shapes=shapes) | rest
