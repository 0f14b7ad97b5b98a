"""Read annotations of other programs into the entries that VIA files give (mmballoon/data/via.py).

Each reader takes the annotation files of one split, and gives (entries, classes that the source lists in
its order, notes for a person). The class of a region is its attribute 'class'. Some things
are lost: YOLO rounds coordinates, and an image without a .txt file is left out; Pascal VOC has boxes only,
in whole pixels; keypoints of any format are not read. (The library supervision reads these formats too,
but rounds outlines to masks of whole pixels, and ends at the first broken object.)
"""

import base64
import io
import json
import math
import re
from xml.etree import ElementTree

from mmballoon.cli import UserError
from mmballoon.data import coco
from mmballoon.data.shapes import Skip, polygon_box, short, turned
from mmballoon.data.via import Entry, Region, as_dict, make_region, number_of, positive


def _entry(objects, read_object, *args, **about):
    """Entry of an image. read_object(item, *args) gives class and Region."""
    entry = Entry(**about)
    for item in objects:
        try:
            name, region = read_object(item, *args)
        except Skip as skip:
            name, region = '', Region('none', {}, problem=skip.args)
        except (AttributeError, LookupError, OverflowError, TypeError, ValueError):
            problem = 'broken: not an object of this format', short(item)
            name, region = '', Region('none', {}, problem=problem)
        region.attributes['class'] = '' if name is None else str(name)
        entry.regions.append(region)
    return entry


def parse(path, kind, function):
    """What ``function`` makes of the bytes of a file."""
    try:
        data = path.read_bytes()
        return function(data)
    except FileNotFoundError:
        raise UserError(path, 'no such file', 'check the path') from None
    except UnicodeDecodeError as error:
        raise UserError(path, f'not in UTF-8 (byte {error.start})', 'save it as UTF-8') from None
    except (ValueError, SyntaxError, RecursionError) as error:  # SyntaxError: of ElementTree
        reason = str(error).replace('\n', ' ')
        is_utf8 = data.decode(errors='replace').encode() == data and 'encoding' not in reason
        advice = 'export it again' if is_utf8 else 'save it as UTF-8'
        raise UserError(path, f'not valid {kind} ({reason})', advice) from None


def read_lines(path):
    """The lines of a text file (list of str), trimmed."""
    text = parse(path, 'text', lambda data: data.decode('utf-8-sig'))
    return [line.strip() for line in re.split('\r\n?|\n', text)]  # not at U+2028


def _pixels(width, height):
    """(width, height) that a file states, or None."""
    size = positive(width), positive(height)
    return size if all(size) else None


def _is_set(mark):
    """Whether a mark, such as iscrowd, is set; some programs write it as text."""
    return bool(number_of(mark)) or mark in ('true', 'True')


def _is_score(value):
    """Whether a detector wrote this: what it found is a suggestion."""
    return not isinstance(value, bool) and number_of(value) is not None


def _region(shape, **numbers):
    """Region of a shape, with the numbers that it has in VIA."""
    return make_region(dict(name=shape, **numbers), {})


def _turned_rect(x, y, width, height, degrees):
    """Region of a box that is turned around its center, clockwise; degrees: number, text or None."""
    region = _region('rect', x=x, y=y, width=width, height=height)
    if angle := math.radians(float(degrees or 0)):
        center = x + width / 2, y + height / 2
        region.outlines = [turned(points, angle, center) for points in region.outlines]
    return region


def _polygon(xs, ys):
    return _region('polygon', all_points_x=list(xs), all_points_y=list(ys))


def read_yolo(files, class_names, about):
    """YOLO: one .txt per image, ``class cx cy width height`` or ``class x y x y ...``, from 0 to 1.

    Class names come from ``about``, the (path, mapping) of a YAML file or None, else for each file from
    classes.txt, a .names file or a YAML file with ``names``, beside it or up to three folders above,
    else from ``class_names``.
    """
    lists = {folder: _yolo_names(folder) for folder in dict.fromkeys(p.parent for p in files)}
    if about:
        path, mapping = about
        for source, names, _ in lists.values():
            # A list of names in the dataset itself; another YAML file may divide it in another way.
            text = source and source.suffix not in ('.yaml', '.yml') and names != mapping['names']
            if text and path.parent.resolve() in source.resolve().parents:
                first, second = (', '.join(each.values()) for each in (names, mapping['names']))
                found = f'{first}, but {path} names {second}'
                raise UserError(source, found, 'correct one of them, or remove it')
        lists = dict.fromkeys(lists, (path, mapping['names'], mapping['keypoints']))
    sources = dict.fromkeys(str(source) for source, _, _ in lists.values() if source)
    notes = [f'the class names are those of {", ".join(sources)}'] if sources else []
    entries, classes = [], {}
    for path in files:
        source, names, keypoints = lists[path.parent]
        if not source:
            source, names = '--classes', dict(enumerate(class_names or []))
        classes |= dict.fromkeys(names[number] for number in sorted(names))
        lines = [line for line in read_lines(path) if line]
        image = dict(filename=path.stem, pixels=(1, 1), label=path)
        entries.append(_entry(lines, _yolo_object, path, source, names, keypoints, **image))
    return entries, list(classes), notes


def _yolo_object(line, path, source, names, keypoints):
    number, *values = map(float, line.split())
    if not number.is_integer():
        raise ValueError('a class is a whole number')
    # Keypoints follow a box as x, y and 0, 1 or 2, which says whether they are visible.
    visible = {*values[6::3]} if len(values) % 3 == 1 else set()
    has_keypoints = visible and visible <= {0, 1, 2} and (2 in visible or len(values) % 2)
    if has_keypoints or (keypoints and len(values) == 4 + keypoints):
        values = values[:4]
    if values and not -1 <= min(values) <= max(values) <= 2:  # a box may reach out of the image
        raise Skip('broken: the numbers are not from 0 to 1, as shares of the image', short(line))
    if len(values) not in (4, 5) and (len(values) % 2 or len(values) < 6):
        raise Skip('broken: neither 4 numbers nor pairs', short(line))
    if number not in names:
        if names:
            found = f'class {number:g}, but {source} has {len(names)} names, from 0'
            raise UserError(path, found, 'correct one of them')
        advice = 'write them into classes.txt beside it, one a line, or pass --classes'
        raise UserError(path, f'class {number:g} without a name', advice)
    if len(values) in (4, 5):
        x, y, w, h = values[:4]
        region = _region('rect', x=x - w / 2, y=y - h / 2, width=w, height=h)
        if values[4:]:  # a score: a detector wrote it
            region.attributes['status'] = 'suggested'
        return names[number], region
    return names[number], _polygon(values[::2], values[1::2])


def _yolo_names(folder):
    """(file, {number: class name}, how many numbers of each object are for keypoints)"""
    chosen, keypoints = (None, {}), 0
    for place in (folder, *list(folder.resolve().parents)[:3]):
        lists = sorted(path for end in ('names', 'labels') for path in place.glob(f'*.{end}'))
        for path in (place / 'classes.txt', *lists):
            if path.is_file() and not chosen[0]:
                chosen = path, {i: name for i, name in enumerate(read_lines(path)) if name}
        for path, about in yaml_files(place):
            chosen = chosen if chosen[0] else (path, about['names'])
            keypoints = keypoints or about['keypoints']
    return *chosen, keypoints


def yaml_files(folder):
    """(path, mapping) of the YAML files with ``names`` in a folder. Others are of another program,
    unless they are called data.yaml.
    """
    for path in sorted((*folder.glob('*.yaml'), *folder.glob('*.yml'))):
        try:
            about = parse(path, 'YAML', _read_yaml)
            if 'names' not in about:
                found = 'not valid YAML (no list of names)'
                raise UserError(path, found, 'list the class names in it')
        except UserError:
            if path.name == 'data.yaml':
                raise
            continue
        yield path, about


def _read_yaml(data):
    """A YAML mapping (dict), in which ``names`` become {number: class name}."""
    import yaml  # mmengine needs it as well

    class Texts(yaml.SafeLoader):
        yaml_implicit_resolvers = {}  # all values are texts: "no" and 1.0 can be names

    try:
        about = as_dict(yaml.load(data, Loader=Texts))
        names = about.get('names', {})
        if isinstance(names, str) and (not names or names.isdigit()):
            raise ValueError('names is a number')
        names = [names] if isinstance(names, str) else names
        items = names.items() if isinstance(names, dict) else enumerate(names)
        names = {int(number): str(name).strip() for number, name in items}
        about |= {'names': names} if names else {}
        about['keypoints'] = math.prod(int(n) for n in about.get('kpt_shape', ['0']))
    except (yaml.YAMLError, LookupError, TypeError, ValueError) as error:
        raise ValueError(f'no names: {error}') from None
    return about


def read_voc(files):
    """Pascal VOC: one .xml per image. Its pixels count from 1, and xmax and ymax belong to the box.

    Many programs write other numbers: where one file has a fraction or a zero, coordinates are taken
    as they are. An object that is ``difficult`` becomes a crowd region, which the evaluation ignores.
    """
    entries, notes, first = [], [], 1
    roots = {path: parse(path, 'XML', ElementTree.fromstring) for path in files}
    for path, root in roots.items():
        for corner in root.iterfind('object/bndbox/*'):
            number = number_of(corner.text)  # None is no sign of another convention
            if first and number is not None and not (number >= 1 and number.is_integer()):
                first, odd = 0, f'{path.name} has {corner.tag} {corner.text}'
                notes = [f'boxes of Pascal VOC are taken as they are: {odd}']
    for path, root in roots.items():
        objects = [_texts(item) for item in root.iterfind('object')]
        pixels = _pixels(root.findtext('size/width'), root.findtext('size/height'))
        name = (root.findtext('filename') or path.stem).strip()
        about = dict(filename=name, pixels=pixels, label=path)
        entries.append(_entry(objects, _voc_object, first, **about))
    if first and any(entry.regions for entry in entries):
        notes = ['boxes of Pascal VOC are counted from 1, up to and with the last pixel']
    difficult = sum(region.crowd for entry in entries for region in entry.regions)
    return entries, [], notes + [f'{difficult} objects are difficult: iscrowd'] * bool(difficult)


def _texts(item):
    """{tag: text} of an object of Pascal VOC, with those of its box and of its attributes (CVAT's)."""
    texts = {tag.tag: (tag.text or '').strip() for tag in (*item, *item.iterfind('bndbox/*'))}
    for attribute in item.iterfind('attributes/attribute'):
        texts.setdefault(attribute.findtext('name'), attribute.findtext('value'))
    return texts


def _voc_object(item, first):
    left, top, right, bottom = (float(item[key]) for key in ('xmin', 'ymin', 'xmax', 'ymax'))
    rect = left - first, top - first, right - left + first, bottom - top + first
    region = _turned_rect(*rect, item.get('rotation'))
    region.crowd = _is_set(item.get('difficult'))
    return item['name'], region


def read_labelme(files):
    """LabelMe: one .json per image, with polygons, rectangles, circles and masks.

    Polygons of one class and one group_id are one object in several parts.
    """
    entries, groups = [], 0
    for path in files:
        data = parse(path, 'JSON', json.loads)
        if isinstance(as_dict(data).get('shapes'), list):
            name = data.get('imagePath')
            name = name if isinstance(name, str) and name else path.stem
            pixels = _pixels(data.get('imageWidth'), data.get('imageHeight'))
            about = dict(filename=name, pixels=pixels, label=path)
            entry = _entry(data['shapes'], _labelme_object, pixels, **about)
            groups += _join_groups(entry, data['shapes'])
            entries.append(entry)
    notes = [f'{groups} objects in several parts (one class and group_id)'] * bool(groups)
    return entries, [], notes


def _labelme_object(shape, pixels):
    xs, ys = zip(*shape['points'])
    kind, mask = shape.get('shape_type') or 'polygon', None
    if kind in ('polygon', 'rotation', 'oriented_rectangle'):
        region = _polygon(xs, ys)
    elif kind == 'circle':
        radius = math.dist((xs[0], ys[0]), (xs[1], ys[1]))
        region = _region('circle', cx=xs[0], cy=ys[0], r=radius)
    elif kind in ('rectangle', 'mask'):
        last = kind == 'mask'  # its two points are the first and the last pixel
        left, top = min(xs), min(ys)
        right, bottom = max(xs) + last, max(ys) + last
        region = _region('rect', x=left, y=top, width=right - left, height=bottom - top)
        if last and shape.get('mask') and pixels:
            mask = _labelme_mask(shape['mask'], int(left), int(top), pixels)
    else:
        region = _region(str(kind))
    flags = as_dict(shape.get('flags'))
    scored = 'suggested' if _is_score(shape.get('score')) and not flags.get('ok') else None
    status = next((flag for flag in ('wrong', 'suggested') if flags.get(flag)), scored)
    region.attributes['status'] = status
    region.mask, region.crowd = mask, _is_set(shape.get('difficult'))  # and score: X-AnyLabeling's
    return shape['label'], region


def _labelme_mask(text, left, top, pixels):
    """COCO's run lengths of a PNG in base64, whose upper left corner lies at (left, top)."""
    import numpy as np
    from PIL import Image
    from pycocotools import mask

    try:
        with Image.open(io.BytesIO(base64.b64decode(text))) as image:
            part = np.asarray(image.convert('L')) > 0
    except (Image.DecompressionBombError, OSError, SyntaxError, ValueError):
        raise Skip('broken: a mask that is no image') from None
    whole = np.zeros(pixels[::-1], np.uint8, order='F')
    height, width = whole[top : top + part.shape[0], left : left + part.shape[1]].shape
    whole[top : top + height, left : left + width] = part[:height, :width]
    return _as_json(mask.encode(whole))


def _as_json(mask):
    return dict(size=[int(n) for n in mask['size']], counts=mask['counts'].decode('ascii'))


def _join_groups(entry, shapes):
    """Join the regions of one class and one group_id; returns how many objects have several parts."""
    from pycocotools import mask

    first, kept = {}, []
    for region, shape in zip(entry.regions, shapes):
        group = as_dict(shape).get('group_id')
        if group is not None and not region.problem:
            # A part with a status of its own, such as wrong or suggested, is an object of its own.
            whole = first.setdefault((*region.attributes.values(), str(group)), region)
            if whole is not region:
                masks = [part.mask for part in (whole, region) if part.mask]
                whole.mask = _as_json(mask.merge(masks)) if len(masks) == 2 else None
                whole.outlines += region.outlines
                continue
        kept.append(region)
    entry.regions = kept
    return sum(len(region.outlines) > 1 for region in kept)


def read_coco(files):
    """COCO JSON of another program: any ids, missing areas and boxes, absolute paths of images."""
    (path,) = files
    data = coco.read_json(path, 'export it again; from VIA as JSON, for data_tools/balloon2coco.py')
    if problem := next(coco.ids_twice(data), None):
        raise UserError(path, problem, 'give each its own id')
    names = {category['id']: str(category['name']).strip() for category in data['categories']}
    objects = {image['id']: [] for image in data['images']}
    # CVAT marks all its masks as crowds, and gives each of its annotations attributes.
    all_crowds, taken = all(_is_set(a.get('iscrowd')) for a in data['annotations']), 0
    for a in data['annotations']:
        if _is_set(a.get('iscrowd')) and (all_crowds or 'occluded' in as_dict(a.get('attributes'))):
            a['iscrowd'], taken = 0, taken + 1
        objects[a['image_id']].append(a)
    entries = []
    for image in data['images']:
        pixels = _pixels(image.get('width'), image.get('height'))
        about = dict(filename=image['file_name'], pixels=pixels)
        entries.append(_entry(objects[image['id']], _coco_object, names, pixels, **about))
    apart = sum(map(_outline_elsewhere, data['annotations']))
    used = {a['category_id'] for a in data['annotations']}
    below = [c for c in data['categories'] if c['id'] in used or not used]
    parents = {c.get('supercategory') for c in below if c.get('supercategory') != c['name']}
    # Roboflow lists the name of the project as a category above the others.
    unused = parents & set(names.values()) - {names[key] for key in used}
    classes = [name for name in dict.fromkeys(names.values()) if name not in unused]
    notes = [f'{taken} objects marked iscrowd, as CVAT marks its masks: taken'] * bool(taken)
    notes += [f'{apart} outlines are not where bbox is: the outline is taken'] * bool(apart)
    notes += [f"category '{n}' is above the others and has no object: left out" for n in unused]
    return entries, classes, notes


def _outline_elsewhere(annotation):
    """Whether less than half of the bbox and of the outline's box is in both (their IoU is below 0.5)."""
    try:
        x, y, width, height = map(float, annotation['bbox'])
        rings = [ring for ring in annotation.get('segmentation') if len(ring) >= 6]
        points = [float(value) for ring in rings for value in ring]
        left, top, across, down = polygon_box(points)
    except (OverflowError, TypeError, ValueError):
        return False  # no outline, or one that is reported as broken
    both = max(0, min(x + width, left + across) - max(x, left))
    both *= max(0, min(y + height, top + down) - max(y, top))
    return both < 0.5 * (width * height + across * down - both)


def _coco_object(annotation, names, pixels):
    outline, attributes = annotation.get('segmentation'), as_dict(annotation.get('attributes'))
    polygons = [p for p in outline if len(p) >= 6] if isinstance(outline, list) else []
    if polygons:
        parts = [_polygon(p[::2], p[1::2]) for p in polygons]
        region = next((part for part in parts if part.problem), parts[0])
        region.outlines = [outline for part in parts for outline in part.outlines]
    else:
        x, y, w, h = annotation['bbox']
        region = _turned_rect(x, y, w, h, attributes.get('rotation'))
    if isinstance(outline, dict):
        region.mask = _coco_mask(outline, pixels)
    region.crowd = _is_set(annotation.get('iscrowd')) or _is_set(annotation.get('ignore'))
    scored = 'suggested' if _is_score(annotation.get('score')) else None
    region.attributes['status'] = attributes.get('status') or scored
    return names[annotation['category_id']], region


def _coco_mask(outline, pixels):
    """COCO's run lengths, checked: pycocotools reads and writes beyond its memory at broken ones."""
    from pycocotools import mask

    (height, width), counts = outline['size'], outline['counts']
    if min(width, height) < 1 or (pixels and (width, height) != pixels):
        raise Skip('broken: a mask of another size than its image', short(outline['size']))
    runs = counts if isinstance(counts, list) else _runs(counts)
    if not all(type(n) is int and n >= 0 for n in runs) or sum(runs) != width * height:
        raise Skip('broken: run lengths that do not fill the image', short(counts))
    return _as_json(mask.frPyObjects(dict(size=[height, width], counts=runs), height, width))


def _runs(text):
    """The numbers in COCO's text of run lengths: 5 bits a character. From the fourth on, the text holds the
    difference of a number to the one two before it.
    """
    runs, at = [], 0
    while at < len(text):
        value, shift, more = 0, 0, True
        while more:
            bits, more = ord(text[at]) - 48 & 31, ord(text[at]) - 48 & 32
            value |= bits << shift
            at, shift = at + 1, shift + 5
        value -= (1 << shift) if bits & 16 else 0  # the sign
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
    return runs


READERS = {'yolo': read_yolo, 'voc': read_voc, 'labelme': read_labelme, 'coco': read_coco}
