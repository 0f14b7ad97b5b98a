"""What tools/suggest_annotations.py does: detect on new images, order them, write the suggestions."""

import contextlib
import json
import os
from hashlib import sha256
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from mmballoon import upstream
from mmballoon.cli import UserError, pick_device, read_image
from mmballoon.data.checks import difference_hash, look_alike
from mmballoon.data.coco import thumbnail
from mmballoon.data.files import added_files
from mmballoon.data.images import ImageFolder, image_size
from mmballoon.data.via import parse_via
from mmballoon.data.via_project import read_base, via_project

LEAST = 0.05  # detections with a lower score say nothing about how sure the detector is
REPORT = Path('outputs/report/report.json')


def suggest(args):
    """Write the suggestions for the arguments of the command; yields lines of text about them.

    Raises:
        UserError: no new image, an unreadable one, or a file that is in the way.
    """
    if args.out.exists():
        raise UserError(args.out, 'exists', 'choose another --out, or move it away')
    if not args.images.is_dir():
        raise UserError(args.images, 'no such folder', 'name the folder of the images')
    folder, base = ImageFolder(args.images), read_base(args.extend) if args.extend else '{}'
    entries = parse_via(args.extend, base.encode())[0]
    known, changed = set(), []
    for entry in entries:
        for name in annotated(args, folder, entry):
            known.add(name)
            if entry.size and (args.images / name).stat().st_size != entry.size:
                changed.append(entry.filename)
    if changed:
        found = f'{len(changed)} images have another size in bytes than in {args.extend}'
        yield f'note: {found}, such as {changed[0]}: are they the same images?'
    sizes = {n: image_size(args.images / n) for n in folder.images() if n not in known}
    if not sizes:
        found = 'no image that has no annotations yet'
        raise UserError(args.images, found, 'name the folder of the images')
    for name in sizes:
        if name.encode(errors='replace').decode() != name:  # no JSON file could hold it
            raise UserError(args.images / name, 'its name is not in UTF-8', 'rename it')
    detect, classes = load_detector(args)
    detected = {n: detect(read_image(args.images / n)) for n in tqdm(sizes, disable=None)}
    threshold, why = choose_threshold(args)
    images = {
        name: [region for region in detected[name] if region['score'] >= threshold]
        for name in in_order(args.images, detected)[: args.top]
    }
    if args.format == 'via':
        rows = [(name, (args.images / name).stat().st_size, r) for name, r in images.items()]
        texts = {args.out: via_project(rows, classes, args.class_attribute, args.images, base)}
    elif args.format == 'coco':
        texts = {args.out: json.dumps(to_coco(images, sizes, classes), ensure_ascii=False)}
    else:
        files = [to_labelme(args, name, sizes[name], r) for name, r in images.items()]
        texts = dict(files)
        if len(texts) < len(files):
            found = 'images of one name, such as a.jpg and a.png, would have one file'
            raise UserError(args.images, found, 'rename one of each, or choose another --format')
    with added_files() as add:
        for path, text in texts.items():
            add(path, text.encode())
    count = sum(map(len, images.values()))
    yield f'{count} suggestions in {len(images)} of {len(sizes)} images without annotations'
    yield f'minimum score {threshold:.2f} ({why}); the least sure images come first'
    via = ' (if VIA does not show the images: Project > Add local files)' * (args.format == 'via')
    yield f'saved: {args.out}{via}'


def annotated(args, folder, entry):
    """The image of an entry of the project: a list of its name, empty if the image is elsewhere.

    Raises:
        UserError: several images have its name, and not just one of them its size in bytes.
    """
    names = folder.find(entry.filename)
    if len(names) > 1:
        names = [n for n in names if (args.images / n).stat().st_size == entry.size] or names
    if len(names) > 1:
        found = f'{entry.filename} could be {" or ".join(names)}'
        raise UserError(args.extend, found, 'name the folder of the images of this file')
    return names


def load_detector(args):
    """(function from an image, (H, W, 3) uint8 BGR, to regions as via_project takes them; class names)"""
    if not args.model.endswith('.py'):
        from mmballoon.export.detector import Detector

        detector = Detector(args.model)
        classes = detector.metadata['classes']
        return lambda image: _regions(*detector(image), (), classes), classes
    device = pick_device(args.device)
    upstream.apply_rules()
    from mmdet.apis import inference_detector, init_detector

    from mmballoon.inference import prepare

    model = prepare(init_detector(args.model, str(args.weights), device=device))
    classes = list(model.dataset_meta['classes'])

    def detect(image):
        instances = inference_detector(model, image).pred_instances.cpu().numpy()
        columns = (instances.get(name, ()) for name in ('bboxes', 'scores', 'labels', 'masks'))
        return _regions(*columns, classes)

    return detect, classes


def _regions(boxes, scores, labels, masks, classes):
    outlines = [outline(mask) for mask in masks] if len(masks) else [None] * len(boxes)
    rows = zip(labels, scores.tolist(), boxes.round(2).tolist(), outlines)
    return [
        dict(label=classes[label], score=round(score, 3), status='suggested', box=box, outline=line)
        for label, score, box, line in rows
        if score >= LEAST
    ]


def outline(mask, most=40):
    """[x0, y0, x1, y1, ...] in pixels around the largest part of a mask, (H, W) bool; or None.

    At most ``most`` points, within 1 px of the mask's border if that many are enough.
    """
    contours = cv2.findContours(np.uint8(mask), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
    if not contours:
        return None
    contour, tolerance = max(contours, key=cv2.contourArea), 0.5
    while len(points := cv2.approxPolyDP(contour, tolerance, True)) > most:
        tolerance *= 1.2
    # Contours run through the centres of pixels, and coordinates count from their left and top.
    return (points.reshape(-1, 2) + 0.5).ravel().tolist() if len(points) > 2 else None


def in_order(folder, suggested):
    """Names of the images, the most uncertain first, those that look like an earlier one last."""
    doubt = {
        name: sum(min(region['score'], 1 - region['score']) for region in regions)
        for name, regions in suggested.items()
    }
    kept, similar = {}, []  # name -> hash
    for name in sorted(doubt, key=lambda name: (-doubt[name], name)):
        bits = np.frombuffer(difference_hash(thumbnail(folder / name)), np.uint8)
        if len(look_alike(np.array([*kept.values()], np.uint8).reshape(-1, len(bits)), bits)):
            similar.append(name)
        else:
            kept[name] = bits
    return [*kept, *similar]


def choose_threshold(args):
    """(minimum score, why this one)"""
    if args.pred_score_thr is not None:
        return args.pred_score_thr, '--pred-score-thr'
    if args.weights and REPORT.is_file():
        digest = sha256(args.weights.read_bytes()).hexdigest()
        with contextlib.suppress(ValueError, LookupError, TypeError):  # it may be anybody's
            report = json.loads(REPORT.read_text(encoding='utf-8'))
            if report['made'].get('checkpoint_sha256') == digest:
                return report['threshold']['threshold'], f'of the best F1 in {REPORT}'
    return 0.3, 'there is no report about these weights'


def to_coco(images, sizes, classes):
    """COCO (dict); each annotation has ``attributes`` with its status, ``suggested``, and its score."""
    categories = [dict(id=i, name=name) for i, name in enumerate(classes, 1)]
    coco = dict(images=[], annotations=[], categories=categories)
    for image_id, (name, regions) in enumerate(images.items(), 1):
        width, height = sizes[name]
        coco['images'].append(dict(id=image_id, file_name=name, width=width, height=height))
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


def to_labelme(args, name, size, regions):
    """(path, text) of LabelMe's file for one image; each shape has the flag ``suggested``."""
    path, shapes = (args.out / name).with_suffix('.json'), []
    for region in regions:
        points = np.reshape(region['outline'] or region['box'], (-1, 2)).tolist()
        shape = dict(label=region['label'], points=points, flags=dict(suggested=True))
        shape['shape_type'] = 'polygon' if region['outline'] else 'rectangle'
        shapes.append(shape | dict(group_id=None, description=f'score {region["score"]:.2f}'))
    image = os.path.relpath(args.images / name, path.parent)
    file = dict(version='5.5.0', flags={}, shapes=shapes, imagePath=image, imageData=None)
    file |= dict(imageHeight=size[1], imageWidth=size[0])
    return path, json.dumps(file, ensure_ascii=False)
