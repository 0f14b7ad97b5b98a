"""Read annotations of other programs into the entries that VIA files give (mmballoon/data/via.py).

Each reader takes a path and a folder of images. The class of a region is its attribute 'class'. What a
format cannot carry, or is not taken over: YOLO rounds coordinates, and an image without a .txt file is
left out; Pascal VOC has boxes only, in whole pixels; of COCO, an object in several parts and a mask
become their box, and crowd regions are skipped. (The library supervision reads these formats too, but
rounds outlines to masks of whole pixels, and ends at the first broken object.)
"""

import json
from pathlib import Path
from xml.etree import ElementTree

from mmballoon.cli import UserError
from mmballoon.data.images import SUFFIXES, image_size
from mmballoon.data.shapes import Skip, short
from mmballoon.data.via import Entry, Region, make_region


def _entry(filename, objects, read_object, *args):
    """Entry of an image. read_object(item, *args) gives the class and the VIA shape of an object."""
    entry = Entry(str(filename))
    for item in objects:
        try:
            name, shape = read_object(item, *args)
            region = make_region(shape, {'class': str(name)})
        except Skip as skip:
            region = Region('none', {'class': ''}, problem=skip.args)
        except (AttributeError, LookupError, OverflowError, TypeError, ValueError):
            problem = 'broken: not an object of this format', short(item)
            region = Region('none', {'class': ''}, problem=problem)
        entry.regions.append(region)
    return entry


def _files(folder, suffix):
    """The files of a folder, without those that macOS adds (they start with ._)."""
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    return [path for path in paths if path.suffix == suffix and path.name[:1] != '.']


def _load(path, kind, parse):
    """What ``parse`` makes of the bytes of a file."""
    if not path.is_file():
        raise UserError(f'{path}: no such file; next: check the path')
    try:
        return parse(path.read_bytes())
    except (ValueError, SyntaxError, RecursionError) as error:  # SyntaxError: of ElementTree
        found = f'not valid {kind} ({error})'.replace('\n', ' ')
        raise UserError(f'{path}: {found}; next: export it again') from None


def _rect(x, y, width, height):
    return dict(name='rect', x=x, y=y, width=width, height=height)


def _polygon(xs, ys):
    return dict(name='polygon', all_points_x=list(xs), all_points_y=list(ys))


def read_yolo(folder, images):
    """YOLO: one .txt per image, ``class cx cy width height`` or ``class x y x y ...``, from 0 to 1.

    Class names come from classes.txt, obj.names or data.yaml (``names``), in the folder or above it;
    else they are class_0, class_1, ...
    """
    names = _yolo_names(folder)
    by_stem = {path.stem: path for path in images.rglob('*') if path.suffix.lower() in SUFFIXES}
    entries = []
    for path in _files(folder, '.txt'):
        if path.name != 'classes.txt':
            image = by_stem.get(path.stem)
            filename = image.relative_to(images).as_posix() if image else f'{path.stem}.jpg'
            size = image_size(image) if image else (1, 1)
            lines = [line for line in _load(path, 'text', _lines) if line.strip()]
            entries.append(_entry(filename, lines, _yolo_object, names, *size))
    return entries


def _lines(data):
    return data.decode('utf-8-sig').splitlines()


def _yolo_object(line, names, width, height):
    number, *values = line.split()
    name, values = names.get(int(number), f'class_{int(number)}'), [float(v) for v in values]
    if len(values) in (4, 5):  # 5: with a score
        x, y, w, h = values[:4]
        return name, _rect((x - w / 2) * width, (y - h / 2) * height, w * width, h * height)
    if len(values) % 2 or len(values) < 6:
        raise Skip('broken: neither 4 numbers nor pairs', short(line))
    return name, _polygon([x * width for x in values[::2]], [y * height for y in values[1::2]])


def _yolo_names(folder):
    """{number: class name}"""
    for place in (folder, folder.parent, folder.parent.parent):
        for path in (place / 'classes.txt', place / 'obj.names'):
            if path.is_file():
                return dict(enumerate(_load(path, 'text', _lines)))
        if (place / 'data.yaml').is_file():
            return _load(place / 'data.yaml', 'YAML', _yaml_names)
    return {}


def _yaml_names(data):
    import yaml  # mmengine needs it as well

    try:
        names = yaml.safe_load(data)['names']
        items = names.items() if isinstance(names, dict) else enumerate(names)
        return {int(number): name for number, name in items}
    except (yaml.YAMLError, LookupError, TypeError) as error:
        raise ValueError(f'no names: {error}') from None


def read_voc(folder, images):
    """Pascal VOC: one .xml per image; its pixels count from 1, and xmax and ymax belong to the box."""
    entries = []
    for path in _files(folder, '.xml'):
        root = _load(path, 'XML', ElementTree.fromstring)
        objects = [(*item, *item.iterfind('bndbox/*')) for item in root.iter('object')]
        objects = [{child.tag: child.text for child in item} for item in objects]
        filename = root.findtext('filename') or f'{path.stem}.jpg'
        entries.append(_entry(filename, objects, _voc_object))
    return entries


def _voc_object(item):
    left, top, right, bottom = (float(item[key]) for key in ('xmin', 'ymin', 'xmax', 'ymax'))
    return item['name'], _rect(left - 1, top - 1, right - left + 1, bottom - top + 1)


def read_labelme(folder, images):
    """LabelMe: one .json per image, with polygons, rectangles and circles."""
    entries = []
    for path in _files(folder, '.json'):
        data = _load(path, 'JSON', json.loads)
        if isinstance(data, dict) and isinstance(data.get('shapes'), list):
            filename = data.get('imagePath') or f'{path.stem}.jpg'
            entries.append(_entry(filename, data['shapes'], _labelme_object))
    return entries


def _labelme_object(shape):
    xs, ys = zip(*shape['points'])
    kind = shape.get('shape_type', 'polygon')
    if kind == 'rectangle':
        return shape['label'], _rect(min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys))
    if kind == 'circle':
        radius = ((xs[1] - xs[0]) ** 2 + (ys[1] - ys[0]) ** 2) ** 0.5
        return shape['label'], dict(name='circle', cx=xs[0], cy=ys[0], r=radius)
    return shape['label'], _polygon(xs, ys) if kind == 'polygon' else dict(name=kind)


def read_coco(path, images):
    """COCO JSON of another program: any ids, missing areas, absolute paths of images."""
    data = _load(path, 'JSON', json.loads)
    try:
        names = {category['id']: category['name'] for category in data['categories']}
        objects = {image['id']: (image['file_name'], []) for image in data['images']}
        for annotation in data['annotations']:
            objects[annotation['image_id']][1].append(annotation)
    except (LookupError, TypeError) as error:
        found = f'not COCO JSON ({type(error).__name__}: {error})'
        raise UserError(f'{path}: {found}; next: export it again') from None
    return [_entry(name, found, _coco_object, names) for name, found in objects.values()]


def _coco_object(annotation, names):
    if annotation.get('iscrowd'):
        raise Skip('a crowd region')
    name, parts = names[annotation['category_id']], annotation.get('segmentation')
    if isinstance(parts, list) and len(parts) == 1 and len(parts[0]) >= 6:
        return name, _polygon(parts[0][::2], parts[0][1::2])
    return name, _rect(*annotation['bbox'])


READERS = {'yolo': read_yolo, 'voc': read_voc, 'labelme': read_labelme, 'coco': read_coco}


def detect_format(path: Path) -> str:
    """The key of READERS for a path."""
    if path.is_file():
        return 'coco'
    for suffix, name in (('.xml', 'voc'), ('.json', 'labelme'), ('.txt', 'yolo')):
        if _files(path, suffix):
            return name
    found = 'no .xml (Pascal VOC), .json (LabelMe) or .txt (YOLO) files, and no COCO file'
    raise UserError(f'{path}: {found}; next: name the folder of the annotations')
