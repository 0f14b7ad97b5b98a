"""Read annotations of other programs into the entries that VIA files give (mmballoon/data/via.py).

Each reader takes a path and a folder of images, and returns (entries, {}). The class of a region is its
attribute 'class'. What a format cannot carry, or is not taken over: YOLO rounds coordinates; Pascal VOC
has boxes only, in whole pixels; of COCO, an object in several parts and a mask become their box, and crowd
regions are skipped.
"""

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from mmballoon.data.images import SUFFIXES, image_size
from mmballoon.data.shapes import BadShape, shape_to_polygon
from mmballoon.data.via import Entry, Region
from mmballoon.errors import UserError


def _region(shape, name, problem=''):
    try:
        polygon = None if problem else shape_to_polygon(shape)
    except BadShape as error:
        polygon, problem = None, str(error)
    return Region(shape.get('name', 'none'), polygon, {'class': str(name)}, problem)


def _rect(x, y, width, height):
    return dict(name='rect', x=x, y=y, width=width, height=height)


def _polygon(xs, ys):
    return dict(name='polygon', all_points_x=list(xs), all_points_y=list(ys))


def read_yolo(folder, images):
    """YOLO: one .txt per image, ``class cx cy width height`` or ``class x y x y ...``, from 0 to 1.

    Class names come from classes.txt or obj.names, or from ``names`` in data.yaml beside or above the
    folder; else they are class_0, class_1, ...
    """
    names = _yolo_names(folder)
    stems = {p.stem: p for p in sorted(images.rglob('*')) if p.suffix.lower() in SUFFIXES}
    entries = []
    for path in sorted(folder.glob('*.txt')):
        if path.name == 'classes.txt':
            continue
        image = stems.get(path.stem)
        entry = Entry(str(image.relative_to(images)) if image else f'{path.stem}.jpg', None)
        width, height = image_size(image) if image else (1, 1)
        for line in path.read_text(encoding='utf-8').splitlines():
            if line.strip():
                entry.regions.append(_yolo_region(line.split(), names, width, height))
        entries.append(entry)
    return entries, {}


def _yolo_region(fields, names, width, height):
    try:
        values = [float(field) for field in fields[1:]]
        name = names.get(int(fields[0]), f'class_{int(fields[0])}')
    except ValueError:
        return _region({}, fields[0], f'{" ".join(fields)!r:.60} is not a line of numbers')
    if len(values) in (4, 5):  # 5: with a score
        x, y, w, h = values[:4]
        return _region(
            _rect((x - w / 2) * width, (y - h / 2) * height, w * width, h * height), name
        )
    if len(values) % 2 or len(values) < 6:
        return _region({}, name, f'{len(values)} numbers, expected 4, or pairs')
    xs, ys = [x * width for x in values[::2]], [y * height for y in values[1::2]]
    return _region(_polygon(xs, ys), name)


def _yolo_names(folder):
    for path in (
        folder / 'classes.txt',
        folder.parent / 'classes.txt',
        folder.parent / 'obj.names',
    ):
        if path.is_file():
            return dict(enumerate(path.read_text(encoding='utf-8').split('\n')))
    for path in (
        folder / 'data.yaml',
        folder.parent / 'data.yaml',
        folder.parent.parent / 'data.yaml',
    ):
        if path.is_file():
            import yaml  # mmengine needs it as well

            names = yaml.safe_load(path.read_text(encoding='utf-8')).get('names', {})
            return dict(names) if isinstance(names, dict) else dict(enumerate(names))
    return {}


def read_voc(folder, images):
    """Pascal VOC: one .xml per image; its pixels count from 1, and xmax and ymax belong to the box."""
    entries = []
    for path in sorted(folder.glob('*.xml')):
        try:
            root = ElementTree.parse(path).getroot()
        except ElementTree.ParseError as error:
            raise UserError(f'{path}: not valid XML ({error}); next: export it again') from None
        entry = Entry(root.findtext('filename') or f'{path.stem}.jpg', None)
        for item in root.iter('object'):
            name = item.findtext('name') or ''
            try:
                corners = [
                    float(item.findtext(f'bndbox/{key}'))
                    for key in ('xmin', 'ymin', 'xmax', 'ymax')
                ]
            except (TypeError, ValueError):
                entry.regions.append(_region({}, name, 'its bndbox is incomplete'))
                continue
            x, y = corners[0] - 1, corners[1] - 1
            entry.regions.append(_region(_rect(x, y, corners[2] - x, corners[3] - y), name))
        entries.append(entry)
    return entries, {}


def read_labelme(folder, images):
    """LabelMe: one .json per image, with polygons, rectangles and circles."""
    entries = []
    for path in sorted(folder.glob('*.json')):
        data = _load_json(path)
        if not isinstance(data, dict) or not isinstance(data.get('shapes'), list):
            continue
        entry = Entry(str(data.get('imagePath') or f'{path.stem}.jpg'), None)
        for shape in data['shapes']:
            entry.regions.append(_labelme_region(shape))
        entries.append(entry)
    return entries, {}


def _labelme_region(shape):
    try:
        xs, ys = zip(*shape['points'])
        name, kind = shape['label'], shape.get('shape_type', 'polygon')
        if kind == 'rectangle':
            left, top = min(xs), min(ys)
            return _region(_rect(left, top, max(xs) - left, max(ys) - top), name)
        if kind == 'circle':
            radius = ((xs[1] - xs[0]) ** 2 + (ys[1] - ys[0]) ** 2) ** 0.5
            return _region(dict(name='circle', cx=xs[0], cy=ys[0], r=radius), name)
        if kind == 'polygon':
            return _region(_polygon(xs, ys), name)
        return _region(dict(name=kind), name)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        return _region({}, '', f'{type(error).__name__}: {error}')


def read_coco(path, images):
    """COCO JSON of another program: any ids, missing areas, absolute paths of images."""
    data = _load_json(path)
    try:
        names = {category['id']: category['name'] for category in data['categories']}
        entries = {image['id']: Entry(image['file_name'], None) for image in data['images']}
        for annotation in data['annotations']:
            entries[annotation['image_id']].regions.append(_coco_region(annotation, names))
    except (KeyError, TypeError) as error:
        found = f'{type(error).__name__}: {error}'
        raise UserError(f'{path}: not COCO JSON ({found}); next: export it again') from None
    return list(entries.values()), {}


def _coco_region(annotation, names):
    name = names.get(annotation.get('category_id'), '')
    if annotation.get('iscrowd'):
        return _region({}, name, 'a crowd region')
    parts = annotation.get('segmentation')
    if isinstance(parts, list) and len(parts) == 1 and len(parts[0]) >= 6:
        return _region(_polygon(parts[0][::2], parts[0][1::2]), name)
    try:
        return _region(_rect(*annotation['bbox']), name)
    except (KeyError, TypeError):
        return _region({}, name, 'it has no box')


def _load_json(path):
    try:
        return json.loads(path.read_text(encoding='utf-8-sig'))
    except FileNotFoundError:
        raise UserError(f'{path}: no such file; next: check the path') from None
    except (ValueError, RecursionError) as error:
        raise UserError(f'{path}: not valid JSON ({error}); next: export it again') from None


READERS = {'yolo': read_yolo, 'voc': read_voc, 'labelme': read_labelme, 'coco': read_coco}


def detect_format(path: Path) -> str:
    """The key of READERS for a path.

    Raises:
        UserError: nothing there that looks like one of the formats.
    """
    if path.is_file():
        return 'coco'
    for suffix, name in (('.xml', 'voc'), ('.json', 'labelme'), ('.txt', 'yolo')):
        if path.is_dir() and any(path.glob(f'*{suffix}')):
            return name
    raise UserError(
        f'{path}: no .xml (Pascal VOC), .json (LabelMe) or .txt (YOLO) files, and no COCO file; next: '
        'name the folder of the annotations'
    )
