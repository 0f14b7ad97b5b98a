"""Annotation files as other people's programs wrote them: one table for each kind of surprise."""

import base64
import contextlib
import csv
import io
import json
import math
import os
import re
import shutil

import balloon2coco
import check_coco
import import_annotations
import numpy as np
import pytest
import via_files as v
from PIL import Image

from mmballoon.cli import IMG_EXTENSIONS, read_image


class Case:
    """What one run of a command wrote and printed."""

    def __init__(self, root, main, args, capsys):
        self.status = 0
        try:
            main([str(arg) for arg in args])
        except SystemExit as stop:
            self.status = stop.code
        self.out = ''.join(capsys.readouterr())
        path = root / 'o.json'
        self.coco = json.loads(path.read_text(encoding='utf-8')) if path.exists() else None
        assert (self.coco is None) == (self.status != 0) and self.status in (0, 2), self.out
        if self.status:
            assert self.out.count('error: ') == 1 and '; next: ' in self.out, self.out

    @property
    def objects(self):
        """[(file name, class, box rounded to 0.1)], sorted"""
        names = {c['id']: c['name'] for c in self.coco['categories']}
        files = {i['id']: i['file_name'] for i in self.coco['images']}
        return sorted(
            (files[a['image_id']], names[a['category_id']], *(round(x, 1) for x in a['bbox']))
            for a in self.coco['annotations']
        )

    @property
    def classes(self):
        return [c['name'] for c in self.coco['categories']]


@pytest.fixture
def run(tmp_path, capsys, monkeypatch):
    """run(files, *args): write {name: text, bytes or (width, height)} and import to o.json."""
    monkeypatch.chdir(tmp_path)

    def function(files, *args, main=import_annotations.main):
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, tuple):
                v.save_image(path, *content)
            elif isinstance(content, bytes):
                path.write_bytes(content)
            else:
                text = content if isinstance(content, str) else json.dumps(content)
                path.write_text(text, encoding='utf-8')
        (tmp_path / 'o.json').unlink(missing_ok=True)
        return Case(tmp_path, main, [*args, '--out', 'o.json'], capsys)

    return function


def coco(annotations=(), images=(('a.jpg', 200, 100),), categories=('b',), **extra):
    """COCO (dict) with ids from 1; an annotation is a dict of what differs from a 40 x 50 box."""
    box = dict(image_id=1, category_id=1, bbox=[10, 10, 40, 50], iscrowd=0)
    rows = [dict(id=i, **(box | a)) for i, a in enumerate(annotations, 1)]
    pictures = [
        dict(id=i, file_name=n, **(dict(width=w, height=h) if w else {}))
        for i, (n, w, h) in enumerate(images, 1)
    ]
    names = [c if isinstance(c, dict) else dict(id=i, name=c) for i, c in enumerate(categories, 1)]
    return dict(images=pictures, annotations=rows, categories=names, **extra)


def voc(*boxes, filename='a.jpg', size=None, difficult=(), name='b'):
    """Pascal VOC XML (str) of boxes (xmin, ymin, xmax, ymax)."""
    parts = ''
    if size:
        parts = f'<size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>'
    for i, box in enumerate(boxes):
        corners = ''.join(f'<{k}>{x}</{k}>' for k, x in zip(('xmin', 'ymin', 'xmax', 'ymax'), box))
        flag = f'<difficult>{int(i in difficult)}</difficult>'
        parts += f'<object><name>{name}</name>{flag}<bndbox>{corners}</bndbox></object>'
    return f'<annotation><filename>{filename}</filename>{parts}</annotation>'


def labelme(*shapes, image='a.jpg', size=(200, 100)):
    rows = [dict(label='b', group_id=None, flags={}, shape_type='polygon') | s for s in shapes]
    return dict(imagePath=image, imageWidth=size[0], imageHeight=size[1], shapes=rows)


SQUARE = [[10, 10], [50, 10], [50, 60], [10, 60]]  # the box [10, 10, 40, 50]
BOX = ('a.jpg', 'b', 10, 10, 40, 50)
YOLO = '0 0.15 0.35 0.2 0.5'  # the same box in an image of 200 x 100
IMAGE = {'i/a.jpg': (200, 100)}


# ---- a. YOLO pose


@pytest.mark.parametrize('shape, numbers', [('[2, 2]', 4), ('[2, 3]', 6), ('[12, 2]', 24)])
def test_of_a_yolo_pose_the_box_is_taken(run, shape, numbers):
    line = f'{YOLO} {" ".join(["0.4"] * numbers)}'
    yaml = f'names: {{0: b}}\nkpt_shape: {shape}\n'
    assert run({**IMAGE, 'l/a.txt': line, 'data.yaml': yaml}, 'l', 'i').objects == [BOX]


# ---- b. two images of one stem


@pytest.mark.parametrize(
    'files, args, expected',
    [
        (['images/train/1.jpg', 'images/val/1.jpg'], ('labels/train', 'images'), 'train/1.jpg'),
        (['images/train/1.jpg', 'images/val/1.jpg'], ('labels/val', 'images'), None),
        (['train/images/1.jpg', 'val/images/1.jpg'], ('labels/train', '.'), 'train/images/1.jpg'),
        (['images/1.jpg', 'images/1.png'], ('labels/train', 'images'), None),
        (['images/x/1.jpg', 'images/y/1.jpg'], ('labels/train', 'images'), None),
    ],
)
def test_a_label_belongs_to_the_image_beside_it_or_to_none(run, files, args, expected):
    files = {name: (200, 100) for name in files}
    label = {'labels/train/1.txt': YOLO, 'classes.txt': 'b'}
    case = run({**files, **label, 'labels/val/2.txt': YOLO}, *args)
    if expected:
        assert [o[0] for o in case.objects] == [expected]
    else:
        assert case.status == 2
        assert 'ambiguous' in case.out or 'none of its 1 images' in case.out


# ---- c. another size than the image's


@pytest.mark.parametrize('kind', ['coco', 'voc', 'labelme'])
@pytest.mark.parametrize(
    'stated, expected', [((400, 200), BOX), ((200, 200), BOX), ((200, 100), BOX), ((0, 0), BOX)]
)
def test_boxes_are_scaled_to_the_image(run, kind, stated, expected):
    sx, sy = (stated[0] / 200 or 1, stated[1] / 100 or 1)
    box = [10 * sx, 10 * sy, 50 * sx, 60 * sy]
    x, y, w, h = box[0], box[1], box[2] - box[0], box[3] - box[1]
    points = [[px * sx, py * sy] for px, py in SQUARE]
    files = {
        'coco': {'c.json': coco([dict(bbox=[x, y, w, h])], [('a.jpg', *stated)])},
        'voc': {'x/a.xml': voc([x + 0.0, y + 0.0, *box[2:]], [0, 0, 1.5, 1.5], size=stated)},
        'labelme': {'x/a.json': labelme(dict(points=points), size=stated)},
    }[kind]
    case = run({**IMAGE, **files}, 'c.json' if kind == 'coco' else 'x', 'i')
    assert expected in case.objects
    other = stated not in ((200, 100), (0, 0))
    sizes = f'{stated[0]} x {stated[1]} in the annotations, 200 x 100 in the image'
    assert (sizes in case.out) == other


@pytest.mark.parametrize('orientation', [5, 6, 7, 8])
@pytest.mark.parametrize('factor', [1, 2])
@pytest.mark.parametrize('name', ['a.png', 'a.tif'])
def test_boxes_drawn_on_the_stored_image_are_turned_with_it(
    run, tmp_path, orientation, factor, name
):
    """A white rectangle in the stored image, turned by OpenCV itself, is where the box says."""
    stored = Image.new('L', (200, 100))
    stored.paste(255, (20, 30, 80, 50))
    exif = Image.Exif()
    exif[0x0112] = orientation
    (tmp_path / 'i').mkdir()
    stored.save(tmp_path / 'i' / name, exif=exif)
    box = dict(bbox=[factor * x for x in (20, 30, 60, 20)])
    case = run({'c.json': coco([box], [(name, 200 * factor, 100 * factor)])}, 'c.json', 'i')
    ys, xs = np.nonzero(read_image(tmp_path / 'i' / name)[..., 0])
    seen = (xs.min(), ys.min(), np.ptp(xs) + 1, np.ptp(ys) + 1)
    assert case.objects == [(name, 'b', *map(float, seen))]
    assert 'turned by the EXIF orientation' in case.out


def test_exchanged_width_and_height_change_nothing(run):
    case = run({**IMAGE, 'x/a.xml': voc([11, 11, 50, 60], size=(100, 200))}, 'x', 'i')
    assert case.objects == [BOX] and '100 x 200 in the annotations' in case.out


# ---- d. ids twice


@pytest.mark.parametrize(
    'change, message',
    [
        (lambda d: d['images'][1].update(id=1), 'id 1 occurs 2 times in images'),
        (lambda d: d['categories'][1].update(id=1), 'id 1 occurs 2 times in categories'),
        (lambda d: d['annotations'][1].update(id=1), 'id 1 occurs 2 times in annotations'),
        (lambda d: d['annotations'][1].update(image_id=7), 'annotation 2 names image 7'),
        (lambda d: d['annotations'][1].pop('category_id'), "has no 'category_id'"),
        (lambda d: d['images'][0].pop('file_name'), "number 0 of images has no 'file_name'"),
        (lambda d: d.pop('categories'), "no list 'categories' in it"),
    ],
)
def test_what_is_wrong_in_a_coco_file_is_named(run, change, message):
    data = coco([{}, {}], [('a.jpg', 200, 100), ('b.jpg', 200, 100)], 'bc')
    change(data)
    case = run({**IMAGE, 'i/b.jpg': (200, 100), 'c.json': data}, 'c.json', 'i')
    assert case.status == 2 and message in case.out and 'KeyError' not in case.out


# ---- e. names of YOLO


@pytest.mark.parametrize(
    'files, classes',
    [
        ({'data.yaml': 'nc: 1\nnames: balloon\n'}, ['balloon']),
        ({'data.yaml': 'names: [balloon, mug]\n'}, ['balloon', 'mug']),
        ({'data.yaml': 'names: {0: balloon, 1: mug}\n'}, ['balloon', 'mug']),
        ({'data.yaml': 'names: [no, "yes"]\n'}, ['no', 'yes']),  # YAML's booleans are names here
        ({'l/dataset.yaml': 'names: [balloon]\n'}, ['balloon']),
        ({'config.yml': 'names: [balloon]\n'}, ['balloon']),
        ({'l/broken.yaml': '[', 'data.yaml': 'names: [balloon]\n'}, ['balloon']),
        ({'obj.names': 'balloon\nmug\n'}, ['balloon', 'mug']),
        ({'l/predefined.names': 'balloon\n'}, ['balloon']),
        ({'classes.txt': 'balloon \nmug\n\n'}, ['balloon', 'mug']),
        ({'classes.txt': '\ufeff气球\n'}, ['气球']),
        ({'classes.txt': 'a\u2028b\x0cc\r\nmug\r'}, ['a\u2028b\x0cc', 'mug']),
    ],
)
def test_class_names_of_yolo(run, files, classes):
    case = run({**IMAGE, 'l/a.txt': YOLO, **files}, 'l', 'i')
    assert case.classes == classes and case.objects[0][1] == classes[0]


def test_class_names_of_yolo_from_three_folders_above(run):
    files = {
        'i/a/b/c/a.jpg': (200, 100),
        'labels/a/b/c/a.txt': YOLO,
        'labels/data.yaml': 'names: [b]',
    }
    assert run(files, 'labels/a/b/c', 'i').objects == [('a/b/c/a.jpg', *BOX[1:])]


@pytest.mark.parametrize(
    'line, names, message',
    [
        (YOLO, {}, 'class 0 without a name; next: write them into classes.txt'),
        ('3' + YOLO[1:], {'classes.txt': 'a\nb'}, 'classes.txt has 2 names, from 0'),
        ('-1' + YOLO[1:], {'classes.txt': 'a\nb'}, 'class -1, but'),
        (YOLO, {'classes.txt': '气球'.encode('gbk')}, 'not in UTF-8 (byte 0); next: save it as'),
        ('0 164 487 105 35', {'classes.txt': 'b'}, 'the numbers are not from 0 to 1'),
        ('0 0.5 0.5', {'classes.txt': 'b'}, 'neither 4 numbers nor pairs'),
        ('0.5 0.1 0.2 0.1 0.2', {'classes.txt': 'b'}, 'not an object of this format'),
    ],
)
def test_what_is_wrong_in_a_yolo_file_is_named(run, line, names, message):
    case = run({**IMAGE, 'l/a.txt': line, **names}, 'l', 'i')
    assert case.status == 2 and message in case.out.replace('./', '').replace('l/../', '')


def test_classes_name_the_numbers_where_no_file_does(run):
    case = run({**IMAGE, 'l/a.txt': '1' + YOLO[1:]}, 'l', 'i', '--classes', 'mug', 'b')
    assert case.objects == [BOX] and case.classes == ['mug', 'b']


@pytest.mark.parametrize('line', ['0.000000' + YOLO[1:], f'{YOLO}\n\n'])
def test_legal_lines_of_yolo(run, line):
    assert run({**IMAGE, 'l/a.txt': line, 'classes.txt': 'b'}, 'l', 'i').objects == [BOX]


def test_boxes_with_a_score_are_suggestions(run):
    files = {**IMAGE, 'l/a.txt': f'{YOLO} 0.93', 'classes.txt': 'b'}
    case = run(files, 'l', 'i')
    assert case.status == 2 and '1 suggestions in 1 images are not reviewed (a.jpg)' in case.out
    assert run(files, 'l', 'i', '--accept-suggestions').objects == [BOX]


@pytest.mark.parametrize('score', [0.93, 1, 0, '0.93'])
@pytest.mark.parametrize('status', [{}, dict(status=None), dict(status='')])
def test_a_coco_file_with_scores_holds_suggestions(run, status, score):
    files = {**IMAGE, 'c.json': coco([dict(score=score, attributes=status)])}
    assert '1 suggestions in 1 images are not reviewed' in run(files, 'c.json', 'i').out
    assert run(files, 'c.json', 'i', '--accept-suggestions').objects == [BOX]


def test_shapes_of_labelme_with_a_score_are_suggestions(run):
    files = {**IMAGE, 'i/a.json': labelme(dict(points=SQUARE, score=0.93))}  # X-AnyLabeling's
    assert '1 suggestions in 1 images are not reviewed' in run(files, 'i').out
    assert len(run(files, 'i', '--accept-suggestions').objects) == 1
    for drawn in (dict(score=None), dict(score=0.93, flags=dict(ok=True))):  # by a person
        shape = dict(points=SQUARE) | drawn
        assert len(run({**IMAGE, 'i/a.json': labelme(shape)}, 'i').objects) == 1


def test_every_suffix_that_the_training_reads_is_an_image(run):
    for suffix in (*IMG_EXTENSIONS, '.gif'):
        picture = io.BytesIO()
        Image.new('L', (200, 100)).save(picture, 'JPEG')
        files = {f'x/i/a{suffix}': picture.getvalue(), 'x/l/a.txt': YOLO, 'x/classes.txt': 'b'}
        shutil.rmtree('x', ignore_errors=True)
        assert run(files, 'x/l', 'x/i').objects == [(f'a{suffix}', *BOX[1:])]


def test_where_class_names_come_from_is_said(run, tmp_path):
    (tmp_path / 'classes.txt').write_text('aeroplane\n')
    case = run({**IMAGE, 'x/l/a.txt': YOLO}, 'x/l', 'i')
    assert case.classes == ['aeroplane']
    assert f'the class names are those of {tmp_path}/classes.txt' in case.out


def test_the_yaml_file_that_a_person_names(run):
    files = {'ds/images/train/a.jpg': (200, 100), 'ds/labels/train/a.txt': YOLO}
    for name, names in (('a_coarse', '[thing]'), ('b_fine', '[ball]')):
        files[f'ds/{name}.yaml'] = f'names: {names}\ntrain: images/train\n'
    for name, expected in (('a_coarse', 'thing'), ('b_fine', 'ball')):
        case = run(files, f'ds/{name}.yaml')
        assert case.status == 0, case.out
        assert case.classes == [expected] and f'{name}.yaml' in case.out


def test_two_lists_of_class_names_that_differ(run, tmp_path):
    files = {'ds/images/train/a.jpg': (200, 100), 'ds/labels/train/a.txt': YOLO}
    files['ds/data.yaml'] = 'names: [ball, mug]\ntrain: images/train\n'
    case = run(files | {'ds/labels/classes.txt': 'mug\nball\n'}, 'ds')
    assert (
        case.status == 2 and 'classes.txt: mug, ball, but ds/data.yaml names ball, mug' in case.out
    )
    (tmp_path / 'ds/labels/classes.txt').unlink()
    case = run(files | {'classes.txt': 'aeroplane\n'}, 'ds')  # of somebody else
    assert case.classes == ['ball', 'mug']


def test_an_image_on_a_list_that_is_not_there(run):
    files = {
        'ds/images/a.jpg': (200, 100),
        'ds/labels/a.txt': YOLO,
        'ds/train.txt': 'images/a.jpg\nimages/a.jpg\n',
    }
    files['ds/data.yaml'] = 'names: [b]\ntrain: train.txt\n'
    assert run(files, 'ds').objects == [BOX]
    case = run(files | {'ds/train.txt': 'images/a.jpg\nimages/b.jpg\n'}, 'ds')
    assert case.status == 2
    assert 'train.txt: 1 of its 2 images are not there: images/b.jpg' in case.out


@pytest.mark.parametrize(
    'name', ['README.txt', 'train.txt', 'notes.json', 'README.roboflow.txt', '.DS_Store', 'a.csv']
)
def test_other_files_are_no_annotations(run, name):
    text = '[]' if name.endswith('json') else 'images/a.jpg\nhello, you all\n'
    case = run({**IMAGE, 'l/a.txt': YOLO, 'l/classes.txt': 'b', f'l/{name}': text}, 'l', 'i')
    assert case.objects == [BOX] and 'without an image' not in case.out


# ---- f., g. LabelMe


def png(width, height, keep):
    image = Image.new('1', (width, height))
    image.paste(1, keep)
    data = io.BytesIO()
    image.save(data, 'PNG')
    return base64.b64encode(data.getvalue()).decode()


MASK = dict(shape_type='mask', points=[[10, 10], [49, 59]])


@pytest.mark.parametrize(
    'shape, box, area',
    [
        (dict(points=SQUARE), [10, 10, 40, 50], 2000),
        (dict(points=[[50, 60], [10, 10]], shape_type='rectangle'), [10, 10, 40, 50], 2000),
        (dict(points=[[50, 50], [50, 60]], shape_type='circle'), [40, 40, 20, 20], 313.8),
        (MASK | dict(mask=png(40, 50, (0, 0, 40, 50))), [10, 10, 40, 50], 2000),
        (MASK | dict(mask=png(40, 50, (5, 5, 40, 30))), [15, 15, 35, 25], 875),
        (MASK, [10, 10, 40, 50], 2000),
        (
            dict(points=[[30, 10], [50, 30], [30, 50], [10, 30]], shape_type='rotation'),
            [10, 10, 40, 40],
            800,
        ),
        (
            dict(points=[[30, 10], [50, 30], [30, 50], [10, 30]], shape_type='oriented_rectangle'),
            [10, 10, 40, 40],
            800,
        ),
    ],
)
def test_shapes_of_labelme(run, shape, box, area):
    case = run({**IMAGE, 'i/a.json': labelme(shape)}, 'i')
    (annotation,) = case.coco['annotations']
    assert annotation['bbox'] == box and annotation['area'] == pytest.approx(area, rel=1e-3)


def test_a_mask_of_labelme_is_carried_as_run_lengths(run):
    from pycocotools import mask

    shape = MASK | dict(mask=png(40, 50, (5, 5, 40, 30)))
    (annotation,) = run({**IMAGE, 'i/a.json': labelme(shape)}, 'i').coco['annotations']
    pixels = mask.decode(annotation['segmentation'])
    assert pixels.shape == (100, 200) and pixels[15:40, 15:50].all() and pixels.sum() == 875


def test_group_id_joins_parts_of_one_class(run):
    right = [[70, 10], [100, 10], [100, 60], [70, 60]]
    shapes = [dict(points=p, group_id=g, label=n) for p, g, n in (
        (SQUARE, 1, 'b'), (right, 1, 'b'), (SQUARE, 1, 'c'), (right, None, 'c'), (SQUARE, None, 'c')
    )]  # fmt: skip
    case = run({**IMAGE, 'i/a.json': labelme(*shapes)}, 'i')
    assert case.objects[0] == ('a.jpg', 'b', 10, 10, 90, 50) and len(case.objects) == 4
    first = case.coco['annotations'][0]
    assert len(first['segmentation']) == 2 and first['area'] == pytest.approx(2000 + 1500)
    assert '1 objects in several parts' in case.out


@pytest.mark.parametrize('flag, status', [('wrong', 0), ('suggested', 2)])
def test_a_part_that_is_wrong_or_suggested_is_not_joined_to_a_reviewed_one(run, flag, status):
    right = [[70, 10], [100, 10], [100, 60], [70, 60]]
    shapes = [dict(points=SQUARE, group_id=1), dict(points=right, group_id=1, flags={flag: True})]
    case = run({**IMAGE, 'i/a.json': labelme(*shapes)}, 'i')
    assert case.status == status, case.out
    if status == 0:
        assert [o[:2] for o in case.objects] == [('a.jpg', 'b')] and case.objects[0][4] < 60


# ---- h., j. Pascal VOC


def test_difficult_objects_are_crowds(run):
    files = {**IMAGE, 'x/a.xml': voc([11, 11, 50, 60], [101, 11, 120, 30], difficult=[1])}
    case = run(files, 'x', 'i')
    assert [a['iscrowd'] for a in case.coco['annotations']] == [0, 1]
    assert '1 objects are difficult: iscrowd' in case.out


@pytest.mark.parametrize(
    'box, other, expected',
    [
        ([11, 11, 50, 60], [1, 1, 5, 5], (10, 10, 40, 50)),  # from 1, as the devkit says
        ([10, 10, 50, 60], [0, 1, 5, 5], (10, 10, 40, 50)),  # a zero
        ([10.5, 10, 50.5, 60], [1, 1, 5, 5], (10.5, 10, 40, 50)),  # fractions
        ([10, 10, 50, 60], [1, 1, 5.25, 5], (10, 10, 40, 50)),  # of another object
        (['10.0', '10.0', '49.0', '59.0'], [1, 1, 5, 5], (9, 9, 40, 50)),  # no fraction
    ],
)
def test_the_files_say_whether_pixels_count_from_one(run, box, other, expected):
    files = {
        **IMAGE,
        'i/b.jpg': (200, 100),
        'x/a.xml': voc(box),
        'x/b.xml': voc(other, filename='b.jpg'),
    }
    case = run(files, 'x', 'i')
    assert case.objects[0][2:] == expected
    line = 'counted from 1' if expected[0] + 1 == float(box[0]) else 'taken as they are: '
    assert f'boxes of Pascal VOC are {line}' in case.out


@pytest.mark.parametrize(
    'filename, label, images, expected',
    [
        ('a', 'a.xml', ['a.png'], 'a.png'),  # without suffix
        ('IMG_42.JPG', 'a.xml', ['a.png'], 'a.png'),  # renamed
        ('b.png', 'a.xml', ['a.png', 'b.png'], 'a.png'),  # renumbered
        ('b.png', '0001.xml', ['a.png', 'b.png'], 'b.png'),
        ('a.png', 'a.xml', ['a.png', 'a.jpg'], 'a.png'),
        ('', 'a.xml', ['a.png'], 'a.png'),
        ('a.png', 'a.XML', ['a.png'], 'a.png'),
    ],
)
def test_an_xml_file_finds_its_image(run, filename, label, images, expected):
    files = {f'i/{name}': (200, 100) for name in images}
    case = run({**files, f'x/{label}': voc([11, 11, 50, 60], filename=filename)}, 'x', 'i')
    assert case.objects == [(expected, *BOX[1:])]


# ---- i., k., l. COCO

PARTS = [[10, 10, 40, 10, 40, 60, 10, 60], [70, 10, 100, 10, 100, 60, 70, 60]]
RUNS = [10 * 100 + 10, 50, 50, 50, 200 * 100 - 1110 - 50]  # two columns of 50 pixels at x = 10, 11


@pytest.mark.parametrize(
    'change, box, area',
    [
        (dict(segmentation=PARTS, bbox=[10, 10, 90, 50]), [10, 10, 90, 50], 3000),
        (dict(segmentation=[PARTS[0], [70, 10, 70, 60]], bbox=[0] * 4), [10, 10, 30, 50], 1500),
        (dict(segmentation=dict(size=[100, 200], counts=RUNS)), [10, 10, 2, 50], 100),
        (dict(segmentation=[]), [10, 10, 40, 50], 2000),
        (dict(attributes=dict(rotation=90.0)), [5, 15, 50, 40], 2000),
        (
            dict(bbox=[20, 20, 40, 40], attributes=dict(rotation=45.0)),
            [40 - 20 * 2**0.5, 40 - 20 * 2**0.5, 40 * 2**0.5, 40 * 2**0.5],
            1600,
        ),
    ],
)
def test_outlines_of_coco_are_kept(run, change, box, area):
    case = run({**IMAGE, 'c.json': coco([change])}, 'c.json', 'i')
    (annotation,) = case.coco['annotations']
    assert annotation['bbox'] == pytest.approx(box) and annotation['area'] == pytest.approx(area)
    outline = change.get('segmentation')
    if outline == PARTS:
        assert annotation['segmentation'] == PARTS


def test_run_lengths_of_coco_are_kept_in_both_forms(run):
    from pycocotools import mask

    pixels = np.zeros((100, 200), np.uint8, order='F')
    pixels[20:60, 30:90] = np.random.default_rng(0).integers(0, 2, (40, 60))
    text = mask.encode(pixels)
    flat = np.concatenate([[0], pixels.ravel('F'), [2]])
    edges = np.flatnonzero(np.diff(flat))
    runs = np.diff([0, *edges]).tolist()
    for counts in (text['counts'].decode(), runs):
        outline = dict(size=[100, 200], counts=counts)
        case = run({**IMAGE, 'c.json': coco([dict(segmentation=outline)])}, 'c.json', 'i')
        (annotation,) = case.coco['annotations']
        assert (mask.decode(annotation['segmentation']) == pixels).all()
        assert annotation['area'] == pixels.sum()


@pytest.mark.parametrize(
    'counts', ['999', 'zzzzzz', 'P?', [1, 2], [-1, 20001], ['a'], [], 5, None, [20000.0]]
)
def test_broken_run_lengths_are_skipped(run, counts):
    outline = dict(size=[100, 200], counts=counts)
    case = run({**IMAGE, 'c.json': coco([dict(segmentation=outline), {}])}, 'c.json', 'i')
    assert len(case.objects) == 1 and 'skipped, broken' in case.out


@pytest.mark.parametrize('size', [[0, 0], [-1, -1], [0, 5]])
def test_a_mask_without_a_size_is_skipped(run, size):
    outline = dict(size=size, counts=[size[0] * size[1]])
    data = coco([dict(segmentation=outline), {}], images=[('a.jpg', None, None)])
    case = run({**IMAGE, 'c.json': data}, 'c.json', 'i')
    assert len(case.objects) == 1 and 'skipped, broken: a mask of another size' in case.out


@pytest.mark.parametrize(
    'annotations, crowds, taken',
    [
        ([dict(iscrowd=1), dict(iscrowd=1)], [0, 0], 2),  # CVAT: all of them
        ([dict(iscrowd=1, attributes=dict(occluded=False)), {}], [0, 0], 1),  # CVAT: some
        ([dict(iscrowd=1), {}], [1, 0], 0),  # a crowd, as COCO means it
        ([dict(iscrowd='1'), dict(iscrowd='0')], [1, 0], 0),  # as text
        ([dict(iscrowd='true'), dict(iscrowd='False')], [1, 0], 0),
        ([dict(ignore='1'), dict(ignore='0', iscrowd='')], [1, 0], 0),
    ],
)
def test_crowds_that_are_none_are_taken(run, annotations, crowds, taken):
    case = run({**IMAGE, 'c.json': coco(annotations)}, 'c.json', 'i')
    assert [a['iscrowd'] for a in case.coco['annotations']] == crowds
    assert (f'{taken} objects marked iscrowd, as CVAT marks its masks: taken' in case.out) == bool(
        taken
    )


# ---- classes


@pytest.mark.skipif(os.name == 'nt', reason='Windows has no such file names')
def test_names_cannot_command_the_terminal(run, tmp_path, capsys):
    """Names of images, classes and shapes, in what is printed by an import and by a check."""
    hostile = 'a\x1b[2J\x9b2J\n\r.jpg'
    images = [(hostile, 100, 50), ('lost' + hostile, 9, 9), ('b.jpg', 200, 100)]
    found = [dict(image_id=1), dict(image_id=2), dict(image_id=3, bbox=[300, 1, 5, 5])]
    data = coco(found, images=images, categories=[hostile])
    case = run({f'i/{hostile}': (200, 100), 'i/b.jpg': (200, 100), 'c.json': data}, 'c.json', 'i')
    shape = dict(name='\x1b[2J')
    text = v.via2([v.entry(hostile, shape, (v.RECT, {'k': hostile}))])
    args = ['i/via.json', '--class-attribute', 'k', '--classes', hostile, 'other']
    via = run({'i/via.json': text}, *args, main=balloon2coco.main)
    with pytest.raises(SystemExit):
        check_coco.main(['c.json', '--images', 'i', '--out', str(tmp_path / 'out')])
    for out in (case.out, via.out, ''.join(capsys.readouterr())):
        assert '\\x1b[2J' in out and not re.search('[\x00-\x09\x0b-\x1f\x7f-\x9f]', out), out


def test_classes_keep_the_order_of_the_source_and_those_without_a_box(run):
    data = coco(
        [{}], categories=[dict(id=7, name='zebra'), dict(id=1, name='b'), dict(id=3, name='a')]
    )
    case = run({**IMAGE, 'c.json': data}, 'c.json', 'i')
    assert case.classes == ['zebra', 'b', 'a'] and case.objects == [BOX]
    assert "class 'zebra' has no box in o" in case.out and "class 'a' has no box in o" in case.out


def test_a_class_whose_regions_were_all_skipped_is_named(run):
    data = coco([{}, dict(category_id=2, bbox=[900, 0, 5, 5])], categories='bc')
    case = run({**IMAGE, 'c.json': data}, 'c.json', 'i')
    assert case.classes == ['b', 'c']
    assert "class 'c' has no box in o: all its 1 regions were skipped" in case.out


def test_an_outline_that_is_not_where_bbox_is_is_said(run):
    there, near = [[30, 30, 60, 30, 60, 50]], [[1, 1, 11, 1, 11, 10]]
    box = dict(bbox=[1, 1, 10, 10])
    short = dict(box, segmentation=[[30, 30, 60, 50]])  # no outline: the box is taken
    data = coco([dict(box, segmentation=there), dict(box, segmentation=near), short, box])
    case = run({**IMAGE, 'c.json': data}, 'c.json', 'i')
    assert '1 outlines are not where bbox is: the outline is taken' in case.out


def test_the_supercategory_of_roboflow_is_no_class(run):
    categories = [dict(id=0, name='toys', supercategory='none')]
    categories += [dict(id=1, name='b', supercategory='toys')]
    case = run({**IMAGE, 'c.json': coco([{}], categories=categories)}, 'c.json', 'i')
    assert case.classes == ['b'] and "category 'toys' is above the others" in case.out


def test_a_format_without_a_list_of_classes_says_how_to_convert_another_split(run):
    case = run({**IMAGE, 'x/a.xml': voc([11, 11, 50, 60])}, 'x', 'i')
    assert 'pass the same --classes for a split that is converted apart' in case.out


# ---- VIA: the class and its attribute


@pytest.mark.parametrize(
    'attributes, args, class_name, line',
    [
        ([{'type': 'trashcan'}] * 2, [], 'trashcan', "attribute 'type': trashcan; so is the class"),
        ([{'type': 'trashcan'}] * 2, ['--class-name', 'bin'], 'bin', '--class-attribute type'),
        (
            [{'type': 'cat'}, {'type': 'dog'}],
            [],
            'balloon',
            'for a class each, pass --class-attribute type',
        ),
        ([{'type': 'cat'}, {}], [], 'balloon', 'for a class each, pass --class-attribute type'),
        ([{'type': 'cat', 'id': '7'}] * 2, [], 'balloon', 'pass --class-attribute type'),
        ([{}, {}], [], 'balloon', ''),
        ([{'status': 'ok', 'score': '0.5'}] * 2, [], 'balloon', ''),
    ],
)
def test_the_class_of_a_via_file(run, attributes, args, class_name, line):
    text = v.via2([v.entry('a.jpg', *[(v.RECT, a) for a in attributes])])
    case = run({**IMAGE, 'i/via.json': text}, 'i/via.json', *args, main=balloon2coco.main)
    assert case.classes == [class_name] and line in case.out
    assert line or 'values of attribute' not in case.out


def test_options_of_via_are_classes_in_their_order(run):
    options = {'type': {'z': 'zebra', 'm': 'mug &lt;b&gt;', 'a': 'ant'}}
    text = v.project(
        [v.entry('a.jpg', (v.RECT, {'type': 'm'}), (v.RECT, {'type': 'new'}))], options
    )
    args = ['i/via.json', '--class-attribute', 'type']
    case = run({**IMAGE, 'i/via.json': text}, *args, main=balloon2coco.main)
    assert case.classes == ['zebra', 'mug <b>', 'ant', 'new']
    assert [o[1] for o in case.objects] == ['mug <b>', 'new']


# ---- suggestions


def suggested(kind, status):
    """A file with an object of a person and one with a status."""
    if kind == 'via':
        regions = [(v.RECT, {'k': 'b'}), (v.RECT, {'k': 'b', 'status': status})]
        return {'i/via.json': v.via2([v.entry('a.jpg', *regions)])}
    if kind == 'labelme':
        shapes = dict(points=SQUARE), dict(points=SQUARE, flags={status: True})
        return {'i/a.json': labelme(*shapes)}
    return {'c.json': coco([{}, dict(attributes=dict(status=status), bbox=[60, 10, 40, 50])])}


@pytest.mark.parametrize('kind', ['via', 'labelme', 'coco'])
def test_suggestions_are_no_truth_before_somebody_looked(run, kind):
    main = balloon2coco.main if kind == 'via' else import_annotations.main
    args = dict(via=['i/via.json'], labelme=['i'], coco=['c.json', 'i'])[kind]
    for status, count in (('ok', 2), ('check', 2), ('wrong', 1)):
        case = run({**IMAGE, **suggested(kind, status)}, *args, main=main)
        assert len(case.objects) == count and 'info' not in case.coco
    case = run({**IMAGE, **suggested(kind, 'suggested')}, *args, main=main)
    assert case.status == 2 and '1 suggestions in 1 images are not reviewed (a.jpg)' in case.out
    case = run(suggested(kind, 'suggested'), *args, '--accept-suggestions', main=main)
    assert len(case.objects) == 2
    assert case.coco['info']['description'] == 'with 1 suggestions that nobody reviewed'


# ---- what is not read here is named, with what to do

SHAPE = '<object><name>b</name><polygon><pt><x>1</x><y>2</y></pt></polygon></object>'
OTHERS = {
    'annotations.xml': ('<annotations><image id="0" name="a.jpg"/></annotations>', 'CVAT XML', '-if cvat'),
    'video.xml': ('<annotations><track id="0" label="b"/></annotations>', 'CVAT XML', '-if cvat'),
    'web.xml': (f'<annotation>{SHAPE}</annotation>', 'LabelMe-web XML', '-if label_me'),
    'ls.json': ([dict(id=1, annotations=[], data={})], 'Label Studio JSON', 'export it as COCO'),
    'min.json': ([dict(image='a', annotator=1, annotation_id=2)], 'Label Studio JSON', 'as COCO'),
    '_annotations.createml.json': ([dict(image='a.jpg', annotations=[])], 'CreateML JSON', 'export it as COCO from'),
    'default.json': (dict(info={}, categories={}, items=[]), 'Datumaro JSON', '-if datumaro'),
    'a.jpg.json': (dict(tags=[], size=dict(height=1), objects=[]), 'Supervisely JSON', 'export it as COCO'),
    'train.csv': ('ImageID,Source,LabelName,Confidence,XMin\n', 'OpenImages CSV', '-if open_images'),
    'labels.csv': ('filename,width,height,class,xmin,ymin,xmax,ymax\n', 'TensorFlow CSV', 'COCO'),
    'panoptic.json': (
        dict(images=[], annotations=[dict(segments_info=[])], categories=[]),
        'COCO panoptic JSON',
        '-if coco_panoptic',
    ),
    'via3.json': (dict(project={}, file={}, metadata={}), 'a VIA 3 project', 'balloon2coco.py'),
    'via2.json': (v.via2([v.entry('a.jpg', v.RECT)]), 'a VIA file', 'python data_tools/balloon2coco.py'),
    'P0001.txt': ('10 10 50 10 50 60 10 60 plane 0\n', 'DOTA text', 'export it as COCO'),
}  # fmt: skip


@pytest.mark.parametrize('name', OTHERS)
@pytest.mark.parametrize('as_folder', [False, True])
def test_other_formats_are_named_with_what_to_do(run, name, as_folder):
    text, kind, advice = OTHERS[name]
    path = f'x/{name}'
    case = run({**IMAGE, path: text, 'x/README.txt': 'hello'}, 'x' if as_folder else path, 'i')
    assert case.status == 2 and f'{path}: this is {kind}' in case.out and advice in case.out
    assert 'look at this region' not in case.out


def test_an_archive_is_to_be_unpacked(run, tmp_path):
    import zipfile

    with zipfile.ZipFile(tmp_path / 'a.zip', 'w') as archive:
        archive.writestr('a', 'b')
    assert 'a.zip: an archive; next: unpack it' in run({}, 'a.zip').out


def test_keypoints_of_coco_are_left_and_the_boxes_taken(run):
    data = coco([dict(keypoints=[1, 2, 2], num_keypoints=1)])
    assert run({**IMAGE, 'c.json': data}, 'c.json', 'i').objects == [BOX]


# ---- whole data sets

COCO_FILE = '_annotations.coco.json'
YAML = 'names: [b, c]\n'
LAYOUTS = {
    'Roboflow COCO': {
        f'{s}/{name}': content
        for s in ('train', 'valid', 'test')
        for name, content in (('a.jpg', (200, 100)), (COCO_FILE, coco([{}], categories='bc')))
    },
    'Roboflow YOLO': {
        f'{s}/{name}': content
        for s in ('train', 'valid', 'test')
        for name, content in (('images/a.jpg', (200, 100)), ('labels/a.txt', YOLO))
    }
    | {'data.yaml': f'train: ../train/images\nval: ../valid/images\ntest: ../test/images\n{YAML}'}
    | {'README.roboflow.txt': 'hello you\n'},
    'Roboflow YOLO without paths': {
        f'{s}/{name}': content
        for s in ('train', 'valid', 'test')
        for name, content in (('images/a.jpg', (200, 100)), ('labels/a.txt', YOLO))
    }
    | {'data.yaml': YAML},
    'Ultralytics': {
        f'{kind}/{s}/a.{suffix}': content
        for s in ('train', 'val', 'test')
        for kind, suffix, content in (('images', 'jpg', (200, 100)), ('labels', 'txt', YOLO))
    }
    | {'coco8.yaml': f'path: ../datasets/coco8\ntrain: images/train\nval: [images/val]\ntest: images/test\n{YAML}'},
    'Ultralytics with lists': {
        f'{kind}/{s}/a.{suffix}': content
        for s in ('train', 'val', 'test')
        for kind, suffix, content in (('images', 'jpg', (200, 100)), ('labels', 'txt', YOLO))
    }
    | {f'{s}.txt': f'./images/{s}/a.jpg\n' for s in ('train', 'val', 'test')}
    | {'d.yaml': 'train: train.txt\nval: val.txt\ntest: test.txt\nnames:\n  0: b\n  1: c\n'},
    'CVAT YOLO': {
        f'obj_{s}_data/{s}.{suffix}': content
        for s in ('train', 'valid', 'test')
        for suffix, content in (('jpg', (200, 100)), ('txt', YOLO))
    }
    | {f'{s}.txt': f'data/obj_{s}_data/{s}.jpg\n' for s in ('train', 'valid', 'test')}
    | {'obj.names': 'b\nc\n', 'obj.data': 'classes = 2\n'},
    'VOC': {
        f'{folder}/{s}{suffix}': content
        for s in ('train', 'val', 'test')
        for folder, suffix, content in (
            ('JPEGImages', '.jpg', (200, 100)),
            ('Annotations', '.xml', voc([11, 11, 50, 60], filename=f'{s}.jpg')),
            ('ImageSets/Main', '.txt', f'{s}\n'),
        )
    },
    'COCO itself': {
        name: content
        for s in ('train', 'val', 'test')
        for name, content in (
            (f'{s}2017/a.jpg', (200, 100)),
            (f'annotations/instances_{s}2017.json', coco([{}], categories='bc')),
        )
    },
    'COCO with a folder for each split': {
        name: content
        for s in ('train', 'val', 'test')
        for name, content in (
            (f'{s}/a.jpg', (200, 100)),
            (f'annotations/instances_{s}.json', coco([{}], categories='bc')),
        )
    },
    'COCO with one folder of images': {
        name: content
        for s in ('train', 'val', 'test')
        for name, content in (
            (f'images/{s}.jpg', (200, 100)),
            (f'{s}.json', coco([{}], images=[(f'{s}.jpg', 200, 100)], categories='bc')),
        )
    },
    'COCO with all images in the folder of one split': {
        name: content
        for s in ('train', 'val', 'test')
        for name, content in (
            (f'train/{s}.jpg', (200, 100)),
            (f'annotations/{s}.json', coco([{}], images=[(f'{s}.jpg', 200, 100)], categories='bc')),
        )
    },
    'CVAT COCO with the names of its subsets': {
        name: content
        for s in ('Train', 'Validation', 'Test')
        for name, content in (
            (f'images/{s}/a.jpg', (200, 100)),
            (f'annotations/instances_{s}.json', coco([{}], categories='bc')),
        )
    },
    'CVAT YOLO with the names of its subsets': {
        f'obj_{s}_data/{s}.{suffix}': content
        for s in ('Train', 'Validation', 'Test')
        for suffix, content in (('jpg', (200, 100)), ('txt', YOLO))
    }
    | {f'{s}.txt': f'data/obj_{s}_data/{s}.jpg\n' for s in ('Train', 'Validation', 'Test')}
    | {'obj.names': 'b\nc\n'},
    'VOC in folders with capitals': {
        f'{s}/a.{suffix}': content
        for s in ('Train', 'Val', 'Test')
        for suffix, content in (('jpg', (200, 100)), ('xml', voc([11, 11, 50, 60])))
    },
    'Ultralytics with paths of Windows': {
        f'{kind}/{s}/a.{suffix}': content
        for s in ('train', 'val', 'test')
        for kind, suffix, content in (('images', 'jpg', (200, 100)), ('labels', 'txt', YOLO))
    }
    | {f'{s}.txt': f'C:\\me\\images\\{s}\\a.jpg\r\n' for s in ('train', 'val')}
    | {'d.yaml': f'train: train.txt\r\nval: val.txt\r\ntest: images\\test\r\n{YAML}'},
    'LabelMe in folders': {
        f'{s}/a.{suffix}': content
        for s in ('train', 'val', 'test')
        for suffix, content in (('jpg', (200, 100)), ('json', labelme(dict(points=SQUARE))))
    },
}  # fmt: skip


@pytest.mark.parametrize('name', LAYOUTS)
@pytest.mark.parametrize('elsewhere', [False, True])
def test_a_whole_data_set_is_converted_in_one_run(run, tmp_path, capsys, name, elsewhere):
    files = {f'ds/{path}': content for path, content in LAYOUTS[name].items()}
    with contextlib.suppress(AssertionError):
        run(files, 'nothing')  # writes the files
    root = tmp_path / ('root' if elsewhere else 'ds')
    args = ['ds', '--data-root', str(root)] if elsewhere else ['ds']
    for _ in range(2):  # a second time, over its own files
        import_annotations.main(args)
    assert 'earlier split' not in capsys.readouterr().out
    for split in ('train', 'val', 'test'):
        data = json.loads((root / f'coco_{split}.json').read_text())
        names = [c['name'] for c in data['categories']]
        assert names == (['b'] if name.startswith(('VOC', 'LabelMe')) else ['b', 'c'])
        (annotation,) = data['annotations']
        assert annotation['bbox'] == pytest.approx([10, 10, 40, 50])
        (image,) = data['images']
        assert (root / split / image['file_name']).is_file()  # where the configs look for it
    assert len(list(tmp_path.glob('coco*'))) == 0


def test_two_splits_without_a_list_share_their_classes(run, tmp_path):
    files = {}
    for split, name in (('train', 'zebra'), ('val', 'ant')):
        files |= {
            f'ds/{split}/a.jpg': (200, 100),
            f'ds/{split}/a.xml': voc([11, 11, 50, 60], name=name),
        }
    with contextlib.suppress(AssertionError):
        run(files, 'nothing')
    import_annotations.main(['ds'])
    for split in ('train', 'val'):
        data = json.loads((tmp_path / f'ds/coco_{split}.json').read_text())
        assert [c['name'] for c in data['categories']] == ['ant', 'zebra']


@pytest.mark.parametrize(
    'files, args, message',
    [
        ({'ds/data.yaml': f'train: gone\nval: gone\n{YAML}'}, ['ds'], 'train: gone is not there'),
        ({'ds/Annotations/a.xml': voc([1, 1, 2, 2]), 'ds/JPEGImages/a.jpg': (200, 100),
          'ds/ImageSets/Main/train.txt': 'a\nb\n'}, ['ds'], '1 images without a file in Annotations: b'),
        ({'ds/a.txt': YOLO, 'ds/a.jpg': (200, 100)}, ['ds', '--split', '0.5'], 'without a name'),
        (LAYOUTS['Ultralytics'], ['.', '--out', 'o.json'], 'it has train and val and test; next: drop'),
        ({'x.json': coco(), 'y.json': coco()}, ['.'], '2 COCO files (x.json, y.json)'),
        ({'x/a.jpg': (9, 9)}, ['gone'], 'gone: no such file or folder'),
    ],
)  # fmt: skip
def test_a_data_set_that_is_incomplete_is_refused(run, tmp_path, capsys, files, args, message):
    with contextlib.suppress(AssertionError):
        run(files, 'nothing')
    before = sorted(tmp_path.rglob('*'))
    with pytest.raises(SystemExit) as stop:
        import_annotations.main(args)
    err = capsys.readouterr().err
    assert stop.value.code == 2 and message in err and err.count('\n') == 1
    assert sorted(tmp_path.rglob('*')) == before


def test_one_folder_with_images_and_labels_is_split(run, tmp_path):
    files = {f'ds/images/{i}.jpg': (200, 100) for i in range(4)}
    files |= {f'ds/labels/{i}.txt': YOLO for i in range(4)} | {'ds/data.yaml': YAML}
    with contextlib.suppress(AssertionError):
        run(files, 'nothing')
    import_annotations.main(['ds', '--split', '0.5', '--data-root', 'root'])
    for split in ('train', 'val'):
        data = json.loads((tmp_path / f'root/coco_{split}.json').read_text())
        assert len(data['images']) == 2 and math.isclose(data['annotations'][0]['area'], 2000)
        for image in data['images']:
            assert (tmp_path / 'root' / split / image['file_name']).is_file()


def pair(name, place=''):
    """An image with its YOLO label (dict) in a split called ``name``."""
    files = {f'ds/{place}images/{name}/{name}.jpg': (200, 100)}
    return files | {f'ds/{place}labels/{name}/{name}.txt': YOLO}


def voc_pair(name):
    files = {f'ds/JPEGImages/{name}.jpg': (200, 100)}
    return files | {f'ds/Annotations/{name}.xml': voc([11, 11, 50, 60], filename=f'{name}.jpg')}


class Whole:
    """What one run without --out printed."""

    def __init__(self, run, root, files, *args):
        with contextlib.suppress(AssertionError):
            run(files, 'nothing')  # writes the files
        self.status, out = 0, io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            try:
                import_annotations.main([*args])
            except SystemExit as stop:
                self.status = stop.code
        self.out = out.getvalue()


OVERLAP = 'warning: 1 images are in several splits'


@pytest.mark.parametrize(
    'files, splits, message',
    [
        # one folder, or one image on both lists
        ({**pair('train'), 'ds/d.yaml': 'names: [b]\ntrain: images/train\nval: images/train'},
         ['train', 'val'], OVERLAP),
        ({**voc_pair('p'), **voc_pair('q'), 'ds/ImageSets/Main/train.txt': 'p\nq\n',
          'ds/ImageSets/Main/val.txt': 'q\n'}, ['train', 'val'], OVERLAP),
        # not only the test images
        ({**voc_pair('p'), **voc_pair('q'), 'ds/ImageSets/Main/trainval.txt': 'p\n',
          'ds/ImageSets/Main/test.txt': 'q\n'}, ['test', 'train'], 'no validation split'),
        ({**pair('test'), **pair('more'), 'ds/classes.txt': 'b'}, [], 'coco_ds.json: 2 images'),
        # the folder that is meant is not there, another one of the same last name is
        ({**pair('train'), 'ds/images/z.jpg': (200, 100), 'ds/labels/z.txt': YOLO,
          'ds/d.yaml': 'names: [b]\ntrain: images/train\nval: ../valid/images'}, None,
         'val: ../valid/images is not there'),
        ({f'ds/{f}.json': coco([{}]) for f in ('train', 'val', 'val_small')} | {'ds/a.jpg': (200, 100)},
         None, 'ds: 2 COCO files of val (val.json, val_small.json)'),
        ({**pair('train'), **pair('val'), **pair('valid'), 'ds/classes.txt': 'b'}, None,
         'ds: several folders of val (val, valid)'),
        # Roboflow's path, and another dataset in the folder above
        ({**pair('train'), 'images/train/b.jpg': (200, 100), 'labels/train/b.txt': YOLO,
          'ds/d.yaml': 'names: [b]\ntrain: ../images/train'}, None,
         'ds: ../images/train could be ds/../images/train or ds/images/train; next: correct this path'),
        # a name that has that of a split in it
        ({f'ds/{f}/a.jpg': (200, 100) for f in ('train', 'val')} |
         {f'ds/carnival_{f}.json': coco([{}]) for f in ('train', 'val')}, ['train', 'val'], ''),
        # which file divides the data
        ({**pair('train'), **pair('val'), 'ds/a.yaml': 'names: [b]\ntrain: images/train',
          'ds/z.yaml': 'names: [zebra]\ntrain: images/val'}, None,
         'ds: 2 files divide it (a.yaml, z.yaml); next: name one of them'),
    ],
)  # fmt: skip
def test_which_images_a_data_set_has(run, tmp_path, files, splits, message):
    case = Whole(run, tmp_path, files, 'ds')
    assert message in case.out
    written = sorted(path.stem for path in (tmp_path / 'ds').glob('coco_*.json'))
    assert written == [f'coco_{split}' for split in splits or ()]
    assert case.status == (2 if splits is None else 0)


def test_a_yaml_file_without_names_is_not_passed_over(run, tmp_path):
    files = {**pair('train'), 'ds/classes.txt': 'b', 'ds/my.yaml': 'train: images/train\nnc: 1'}
    case = Whole(run, tmp_path, files, 'ds/my.yaml')
    assert case.status == 2 and 'ds/my.yaml: no class names' in case.out


def test_a_category_above_the_others_where_a_split_has_no_object(run, tmp_path):
    names = [dict(id=0, name='project', supercategory='none')]
    names += [dict(id=1, name='ball', supercategory='project')]
    for rows in ([dict(category_id=1)], []):
        case = run({**IMAGE, 'c.json': coco(rows, categories=names)}, 'c.json', 'i')
        assert case.classes == ['ball']
    same = [dict(id=1, name='person', supercategory='person')]  # COCO's own
    assert run({**IMAGE, 'c.json': coco([], categories=same)}, 'c.json', 'i').classes == ['person']


# ---- classes of YOLO


def test_each_folder_of_labels_has_its_own_class_names(run):
    files = {f'i/{f}/{f}.jpg': (200, 100) for f in 'pq'}
    files |= {f'l/{f}/{f}.txt': YOLO for f in 'pq'}
    files |= {'l/p/classes.txt': 'cat\ndog\n', 'l/q/classes.txt': 'dog\ncat\n'}  # labelImg's
    case = run(files, 'l', 'i')
    assert [row[:2] for row in case.objects] == [('p/p.jpg', 'cat'), ('q/q.jpg', 'dog')]
    assert 'l/p/classes.txt, l/q/classes.txt' in case.out


POINTS = ' 0.15 0.4 2 0.1 0.3 1 0.2 0.3 2 0.0 0.0 0'  # x, y and whether it is visible


@pytest.mark.parametrize(
    'line, files, box',
    [
        (f'{YOLO} .4 .4 .4 .4', {'data.yaml': 'names: [b]\nkpt_shape: [2, 2]'}, BOX),
        (YOLO + POINTS, {}, BOX),
        (YOLO + POINTS[: POINTS.index(' 0.0')], {}, BOX),
        (YOLO + ' 0.15 0.4 1', {}, BOX),
        ('0 .05 .1 .25 .1 .25 .6 .05 .6', {}, BOX),  # an outline
        ('0 .05 .1 .25 .1 .25 .6 .2 .6 .05 .6', {}, BOX),
    ],
)
def test_keypoints_that_the_list_of_names_does_not_tell(run, line, files, box):
    case = run({**IMAGE, 'l/a.txt': line, 'l/classes.txt': 'b', **files}, 'l', 'i')
    assert case.objects == [box]


@pytest.mark.parametrize(
    'files, args, classes',
    [
        ({'l/a.txt': YOLO, 'data.yaml': "names: ['ball ', ' mug']"}, ('l',), ['ball', 'mug']),
        ({'c.json': coco([{}], categories=['ball ', 'mug'])}, ('c.json',), ['ball', 'mug']),
        ({'l/a.txt': YOLO, 'l/_darknet.labels': 'ball\nmug\n'}, ('l',), ['ball', 'mug']),
        (
            {'l/a.json': labelme(dict(points=SQUARE), dict(points=SQUARE, label=None))},
            ('l',),
            ['b'],
        ),
    ],
)
def test_names_of_classes_are_trimmed(run, files, args, classes):
    case = run({**IMAGE, **files}, *args, 'i')
    assert case.classes == classes and len(case.objects) == 1 and case.objects[0][1] == classes[0]


# ---- the same faults in other formats


def test_regions_without_an_image_of_their_own_go_to_no_other_image(run):
    """The name inside x/a.xml is stale, and which a.jpg is meant cannot be told."""
    images = {name: (200, 100) for name in ('i/b.jpg', 'i/1/a.jpg', 'i/2/a.jpg')}
    labels = {
        f'x/{n}.xml': voc([11, 11, w, 60], filename='b.jpg') for n, w in (('a', 40), ('b', 50))
    }
    case = run(images | labels, 'x', 'i')
    assert case.objects == [('b.jpg', 'b', 10, 10, 40, 50)] and len(case.coco['images']) == 1
    assert '1 ambiguous entries' in case.out and 'its image is missing' in case.out


def test_a_mask_says_for_which_size_the_boxes_are_where_the_image_does_not(run):
    mask = dict(size=[50, 100], counts=[50 * 50, 10 * 50, 40 * 50])  # columns 50 to 59, of 100
    data = coco([dict(bbox=[50, 0, 10, 50], segmentation=mask)], images=[('a.jpg', None, None)])
    case = run({**IMAGE, 'c.json': data}, 'c.json', 'i')
    assert case.objects == [('a.jpg', 'b', 100, 0, 20, 100)]
    assert '100 x 50 in the annotations, 200 x 100 in the image; boxes scaled, 1 masks' in case.out


def test_masks_that_do_not_agree_say_no_size(run):
    """The one that is wrong has moved all boxes of its image."""
    right = dict(size=[100, 200], counts=[50 * 100, 10 * 100, 140 * 100])
    wrong = dict(size=[50, 100], counts=[0, 50 * 100])
    annotations = [dict(segmentation=right), dict(segmentation=wrong), dict(bbox=[10, 10, 20, 20])]
    data = coco(annotations, images=[('a.jpg', None, None)])
    case = run({**IMAGE, 'c.json': data}, 'c.json', 'i')
    assert case.objects == [('a.jpg', 'b', 10, 10, 20, 20), ('a.jpg', 'b', 50, 0, 10, 100)]
    assert 'skipped, broken: a mask of another size than its image' in case.out


def group(*shapes):
    return labelme(*(dict(group_id=1, **shape) for shape in shapes))


@pytest.mark.parametrize(
    'shapes, area',
    [
        ((MASK, MASK | dict(points=[[100, 10], [139, 59]])), 4000),
        ((MASK, dict(points=[[100, 10], [140, 10], [140, 60], [100, 60]])), 4000),
        ((dict(points=[[100, 10], [140, 10], [140, 60], [100, 60]]), MASK), 4000),
    ],
)
def test_group_id_joins_masks(run, shapes, area):
    rows = [s | dict(mask=png(40, 50, (0, 0, 40, 50))) if 'shape_type' in s else s for s in shapes]
    case = run({**IMAGE, 'l/a.json': group(*rows)}, 'l', 'i')
    assert case.objects == [('a.jpg', 'b', 10, 10, 130, 50)]
    assert case.coco['annotations'][0]['area'] == area and '1 objects in several' in case.out


@pytest.mark.parametrize(
    'files, args',
    [
        ({'l/a.json': labelme(dict(points=SQUARE, difficult=True))}, ('l', 'i')),
        ({'c.json': coco([dict(ignore=1)])}, ('c.json', 'i')),
    ],
)
def test_objects_to_be_ignored_are_crowds(run, files, args):
    assert [a['iscrowd'] for a in run({**IMAGE, **files}, *args).coco['annotations']] == [1]


@pytest.mark.parametrize('name, text', [('l/a.xml', voc()), ('l/a.json', labelme())])
def test_nothing_but_images_without_objects(run, name, text):
    case = run({**IMAGE, name: text}, 'l', 'i')
    assert case.status == 2 and '; next: pass --classes' in case.out
    case = run({}, 'l', 'i', '--classes', 'b')
    assert case.classes == ['b'] and len(case.coco['images']) == 1


def test_masks_that_cannot_be_scaled_are_counted(run):
    data = coco([dict(segmentation=dict(size=[200, 400], counts=[0, 100, 79900]))])
    data['images'][0] |= dict(width=400, height=200)
    assert '1 masks replaced by their boxes' in run({**IMAGE, 'c.json': data}, 'c.json', 'i').out


def test_a_mask_that_is_no_image(run):
    case = run({**IMAGE, 'l/a.json': labelme(MASK | dict(mask='eHh4'))}, 'l', 'i')
    assert case.status == 2 and 'a mask that is no image' in case.out


CVAT = '<attributes><attribute><name>rotation</name><value>90.0</value></attribute></attributes>'


def test_turned_boxes_of_pascal_voc(run):
    text = voc([11, 11, 50, 60]).replace('</object>', f'{CVAT}</object>')
    assert run({**IMAGE, 'l/a.xml': text}, 'l', 'i').objects == [('a.jpg', 'b', 5, 15, 50, 40)]


@pytest.mark.parametrize(
    'files, args',
    [
        ({'c.json': coco([dict(bbox=[0.05, 0.1, 0.2, 0.5])])}, ('c.json', 'i')),
        ({'l/a.xml': voc([0.05, 0.1, 0.25, 0.6])}, ('l', 'i')),
        ({'l/a.json': labelme(dict(points=[[0.1, 0.2], [0.3, 0.2], [0.3, 0.4]]))}, ('l', 'i')),
    ],
)
def test_shares_of_the_size_are_no_pixels(run, files, args):
    case = run({**IMAGE, **files}, *args)
    assert case.status == 2 and 'shares of width and height' in case.out


def test_corners_in_place_of_a_size_are_noticed(run):
    data = coco([dict(bbox=[110, 10, 150, 60])])  # x1, y1, x2, y2
    assert (
        'warning: 1 of 1 regions leave the image'
        in run({**IMAGE, 'c.json': data}, 'c.json', 'i').out
    )


CORNERS = [10, 10, 50, 10, 50, 60, 10, 60]


def row(**change):
    """COCO (dict) with one annotation, of which None takes a key away."""
    data = coco([dict(segmentation=[CORNERS])])
    data['annotations'][0] |= change
    for key in [key for key, value in change.items() if value is None]:
        del data['annotations'][0][key]
    return data


@pytest.mark.parametrize(
    'data, box, message',
    [
        (row(image_id='1'), None, 'which is not there); next: export it again'),  # VIA's own COCO
        (row(bbox=None, segmentation=None), None, "has no 'bbox'); next: export it again"),
        (row(category_id=None), None, "has no 'category_id'); next: export it again"),
        (row(image_id=7), None, 'which is not there); next: export it again'),
        (coco([{}], images=[('a.jpg', 200, 100)] * 2), None, 'file_name a.jpg occurs 2 times'),
    ],
)
def test_rows_of_coco_with_another_form(run, data, box, message):
    case = run({**IMAGE, 'c.json': data}, 'c.json', 'i')
    assert message in case.out and (case.objects == [box] if box else case.status == 2)


def test_a_number_and_the_same_number_as_text_are_two_ids(run):
    images = [dict(id=1, file_name='a.jpg'), dict(id='1', file_name='b.jpg')]
    data = coco([{}]) | dict(images=images)
    case = run({**IMAGE, 'i/b.jpg': (200, 100), 'c.json': data}, 'c.json', 'i')
    assert case.objects == [BOX]


@pytest.mark.parametrize(
    'name, content',
    [
        ('l/a.xml', voc([11, 11, 50, 60], name='球')),
        ('l/a.json', labelme(dict(points=SQUARE, label='球'))),
        ('c.json', coco([{}], categories='球')),
        ('l/a.txt', YOLO),
    ],
)
def test_what_is_not_in_utf8(run, name, content):
    text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
    files = {**IMAGE, name: text.encode('gbk'), 'data.yaml': 'names: [球]'.encode('gbk')}
    assert '; next: save it as UTF-8' in run(files, name.partition('/')[0], 'i').out


def test_a_hidden_folder_has_no_images(run):
    files = {**IMAGE, 'i/.thumbnails/a.jpg': (20, 10), 'l/a.txt': YOLO, 'l/classes.txt': 'b'}
    assert run(files, 'l', 'i').objects == [BOX]


def test_a_command_of_another_program_is_quoted(run):
    case = run({**IMAGE, 'my data/a.xml': OTHERS['annotations.xml'][0]}, 'my data', 'i')
    assert "-i 'my data' -if cvat" in case.out


# ---- files of VIA


def test_another_file_beside_the_one_that_is_read_is_named(run):
    text = v.via2([v.entry('a.jpg', v.RECT)])
    files = {**IMAGE, 'i/via_region_data.json': text, 'i/via_project.json': text}
    out = run(files, 'i', main=balloon2coco.main).out
    assert 'i/via_region_data.json is read, and not via_project.json beside it' in out


@pytest.mark.parametrize('mark', ['Suggested', ' suggested'])
def test_a_status_that_a_person_typed(run, mark):
    text = v.via2([v.entry('a.jpg', (v.RECT, dict(status=mark)))])
    case = run({**IMAGE, 'i/a.json': text}, 'i', main=balloon2coco.main)
    assert case.status == 2 and 'not reviewed' in case.out


CSV = (
    '#filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,'
    'region_attributes\na.jpg,-1,"{}",1,0,"{""name"":""rect"",""x"":10,""y"":10,""width"":40,'
    '""height"":50}","{""名"":""球""}"\n'
)


def of_excel(text):
    """CSV as Excel saves it in many languages."""
    out = io.StringIO()
    csv.writer(out, delimiter=';').writerows(csv.reader(io.StringIO(text)))
    return out.getvalue()


@pytest.mark.parametrize(
    'text, message', [(CSV.encode('gbk'), 'i/a.csv: not in UTF-8'), (of_excel(CSV), '')]
)
def test_csv_of_via_that_another_program_saved(run, text, message):
    case = run({**IMAGE, 'i/a.csv': text}, 'i', '--class-attribute', '名', main=balloon2coco.main)
    assert message in case.out and (message or case.objects == [('a.jpg', '球', 10, 10, 40, 50)])
