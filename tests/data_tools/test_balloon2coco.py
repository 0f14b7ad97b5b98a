"""data_tools/balloon2coco.py against answers worked out on paper."""

import hashlib
import json
import math
import random
import subprocess
import sys
from pathlib import Path

import balloon2coco
import pytest
import via_files as v
from hypothesis import example, given, settings
from hypothesis import strategies as st

ROOT = Path(__file__).parents[2]
REAL = ROOT.parent / 'shared/data/balloon'


def write(tmp_path, text, name='via.json', images=('a.jpg',), **save):
    folder = tmp_path / 'photos'
    folder.mkdir(exist_ok=True)
    for image in images:
        v.save_image(folder / image, **save)
    (folder / name).write_text(text, encoding='utf-8')
    return folder / name


def convert(path, *args):
    """Converted COCO (dict) of one VIA file; asserts nothing but that the tool ran."""
    out = path.parent.parent / 'out.json'
    balloon2coco.main([str(path), '--out', str(out), *args])
    return json.loads(out.read_text(encoding='utf-8'))


def refuse(capsys, path, *args):
    """The one line that the tool ends with on bad input; asserts status 2 and that nothing was
    written.
    """
    before = sorted(path.parent.parent.rglob('*'))
    with pytest.raises(SystemExit) as stop:
        balloon2coco.main([str(path), '--out', str(path.parent.parent / 'out.json'), *args])
    assert stop.value.code == 2
    assert sorted(path.parent.parent.rglob('*')) == before
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith('error: ') and '; next: ' in lines[0], lines
    return lines[0]


# ---- dialects x shapes: box and area on paper

SHAPES = {
    'polygon': (v.POLYGON, [10, 10, 10, 10], 100),
    'rect': (v.RECT, [5, 6, 7, 8], 56),
    'circle': (v.CIRCLE, [40, 30, 20, 20], math.pi * 100),
    'ellipse': (v.ELLIPSE, [30, 30, 40, 20], math.pi * 200),
    'ellipse upright': (dict(v.ELLIPSE, theta=math.pi / 2), [40, 20, 20, 40], math.pi * 200),
    'polyline': (v.POLYLINE, [0, 0, 30, 40], 600),
}


@pytest.mark.parametrize('dialect', v.DIALECTS)
@pytest.mark.parametrize('shape', SHAPES)
def test_shape_in_dialect(tmp_path, dialect, shape):
    region, box, area = SHAPES[shape]
    coco = convert(write(tmp_path, v.DIALECTS[dialect]([v.entry('a.jpg', region)]), dialect))
    assert coco['images'] == [dict(id=1, file_name='a.jpg', width=100, height=80)]
    assert coco['categories'] == [dict(id=1, name='balloon', supercategory='')]
    (annotation,) = coco['annotations']
    assert annotation['id'] == annotation['image_id'] == annotation['category_id'] == 1
    assert annotation['bbox'] == pytest.approx(box, abs=0.05)
    assert annotation['area'] == pytest.approx(area, rel=0.01)
    assert annotation['iscrowd'] == 0 and len(annotation['segmentation'][0]) % 2 == 0


def test_closing_point_is_dropped(tmp_path):
    coco = convert(write(tmp_path, v.via1([v.entry('a.jpg', v.POLYGON)])))
    assert coco['annotations'][0]['segmentation'] == [[10, 10, 20, 10, 20, 20, 10, 20]]


@pytest.mark.parametrize(
    'name, encoding',
    [
        ('mine.txt', 'utf-8'),
        ('with space.json', 'utf-8'),
        ('气球.json', 'utf-8'),
        ('bom.json', 'utf-8-sig'),
        ('bom.csv', 'utf-8-sig'),
    ],
)
def test_any_file_name_and_bom(tmp_path, name, encoding):
    text = (v.via_csv if name.endswith('csv') else v.via2)([v.entry('气 球.jpg', v.POLYGON)])
    path = write(tmp_path, '', name, images=['气 球.jpg'])
    path.write_text(text, encoding=encoding)
    assert convert(path)['images'][0]['file_name'] == '气 球.jpg'
    assert len(convert(path.parent)['annotations']) == 1  # found by itself in its folder


# ---- geometry


@pytest.mark.parametrize(
    'shape, box, area',
    [
        (v.polygon((-10, 10), (10, 10), (10, 20), (-10, 20)), [0, 10, 10, 10], 100),
        (v.polygon((90, 70), (120, 70), (120, 100), (90, 100)), [90, 70, 10, 10], 100),
        (dict(v.RECT, x=0, y=0, width=100, height=80), [0, 0, 100, 80], 8000),
        (dict(v.CIRCLE, cx=0, cy=0), [0, 0, 10, 10], math.pi * 25),
        (
            v.polygon(*[(-9, -9), (99, -9), (99, 89), (-9, 89)] * 2),
            [0, 0, 99, 80],
            99 * 80,
        ),  # twice around
    ],
)
def test_clipped_to_the_image(tmp_path, shape, box, area):
    (annotation,) = convert(write(tmp_path, v.via2([v.entry('a.jpg', shape)])))['annotations']
    assert annotation['bbox'] == pytest.approx(box, abs=0.05)
    assert annotation['area'] == pytest.approx(area, rel=0.01)


@pytest.mark.parametrize(
    'orientation, size', [(1, (100, 80)), (3, (100, 80)), (6, (80, 100)), (8, (80, 100))]
)
def test_exif_orientation_as_the_loader_sees_it(tmp_path, orientation, size):
    from mmcv import imread

    path = write(tmp_path, v.via2([v.entry('a.jpg', v.POLYGON)]), orientation=orientation)
    image = convert(path)['images'][0]
    assert (image['width'], image['height']) == size
    assert imread(str(path.parent / 'a.jpg')).shape[1::-1] == size  # what MMDetection trains on


# ---- what is skipped is counted by reason, and --strict refuses it


@pytest.mark.parametrize(
    'shape, reason',
    [
        (v.POINT, 'a shape without area'),
        (dict(name='blob'), 'a shape without area'),
        (v.polygon((1, 1), (2, 2), (1, 1)), 'fewer than 3 distinct points'),
        (dict(name='polyline', all_points_x=[1, 9], all_points_y=[1, 9]), 'a line without area'),
        (v.polygon((1, 1), (2, 2), (3, 3)), 'zero area'),
        (dict(v.CIRCLE, r=0), 'fewer than 3 distinct points'),
        (dict(v.RECT, x=200), 'wholly outside the image'),
        (dict(v.RECT, x=100), 'wholly outside the image'),
    ],
)
def test_skipped_by_reason(tmp_path, capsys, shape, reason):
    path = write(tmp_path, v.via2([v.entry('a.jpg', shape, v.POLYGON)]))
    assert len(convert(path)['annotations']) == 1
    table = capsys.readouterr().out
    assert any(line.split() == f'skipped: {reason} 1'.split() for line in table.splitlines()), table
    (path.parent.parent / 'out.json').unlink()
    assert '1 regions skipped' in refuse(capsys, path, '--strict')


def test_summary_counts_images_and_files(tmp_path, capsys):
    entries = [
        v.entry('a.jpg', v.POLYGON, size=1),
        v.entry('empty.jpg'),
        v.entry('gone.jpg', v.RECT),
    ]
    path = write(tmp_path, v.via2(entries), images=['a.jpg', 'empty.jpg', 'extra.jpg'])
    coco = convert(path)
    assert [image['file_name'] for image in coco['images']] == ['a.jpg', 'empty.jpg']
    out = capsys.readouterr().out
    for label, count in (
        ('images', 2),
        ('without regions', 1),
        ('regions', 2),
        ('shape polygon', 1),
        ('shape rect', 1),
        ('converted', 1),
        ('skipped: its image is missing', 1),
    ):
        assert any(line.split() == f'{label} {count}'.split() for line in out.splitlines()), (
            label,
            out,
        )
    assert 'note: 1 entries without an image: gone.jpg' in out
    assert 'note: 1 images without an entry: extra.jpg' in out
    assert 'note: 1 images of another size in bytes than VIA saw: a.jpg' in out
    assert [i['file_name'] for i in convert(path, '--drop-empty')['images']] == ['a.jpg']


# ---- classes


def classes_of(coco):
    names = {category['id']: category['name'] for category in coco['categories']}
    return [names[annotation['category_id']] for annotation in coco['annotations']]


@pytest.mark.parametrize(
    'value, name',
    [
        ('cat', 'cat'),
        ('  cat ', 'cat'),
        (7, '7'),
        ('1', 'Siamese cat'),
        ({'1': True}, 'Siamese cat'),
        ({'dog': True, '1': False}, 'dog'),
        (None, None),
        ('', None),
        ({}, None),
        ({'a': True, 'b': True}, None),
        (True, None),
        (['cat'], None),
    ],
    ids=str,
)
def test_class_from_attribute(tmp_path, capsys, value, name):
    regions = [(v.RECT, {'type': value}), (v.RECT, {'type': 'zebra'})]
    path = write(tmp_path, v.project([v.entry('a.jpg', *regions)], {'type': {'1': 'Siamese cat'}}))
    assert classes_of(convert(path, '--class-attribute', 'type')) == ([name] if name else []) + [
        'zebra'
    ]
    assert ('skipped: no single class in its' in capsys.readouterr().out) == (name is None)


def test_class_order_is_alphabetical_or_as_asked(tmp_path, capsys):
    path = write(tmp_path, v.via2([v.entry('a.jpg', *[(v.RECT, {'k': name}) for name in 'bca'])]))
    assert [c['name'] for c in convert(path, '--class-attribute', 'k')['categories']] == [
        'a',
        'b',
        'c',
    ]
    assert "for the config: classes=('a', 'b', 'c')" in capsys.readouterr().out
    coco = convert(path, '--class-attribute', 'k', '--classes', 'c', 'a')
    assert [c['name'] for c in coco['categories']] == ['c', 'a'] and classes_of(coco) == ['c', 'a']
    assert "skipped: class 'b' not in --classes" in capsys.readouterr().out


def test_null_attributes_are_like_none(tmp_path):
    data = json.loads(v.via2([v.entry('a.jpg', v.RECT)]))
    next(iter(data.values()))['regions'][0]['region_attributes'] = None
    assert len(convert(write(tmp_path, json.dumps(data)))['annotations']) == 1


def test_unknown_attribute(tmp_path, capsys):
    path = write(tmp_path, v.via2([v.entry('a.jpg', (v.RECT, {'kind': 'x'}))]))
    assert "no region has a class in its attribute 'type' (attributes seen: kind)" in refuse(
        capsys, path, '--class-attribute', 'type'
    )


# ---- broken and hostile input: one line, status 2, nothing written


def shape(**change):
    return v.via2([v.entry('a.jpg', dict(v.POLYGON, **change))])


BROKEN = {
    'not JSON': ('{"a": ', 'not valid JSON'),
    'empty': ('', 'neither VIA JSON nor VIA CSV'),
    'prose': ('hello, world\n', 'neither VIA JSON nor VIA CSV'),
    'a list': ('[1, 2]', 'this is a JSON list'),
    'no image': ('{}', 'no image in it'),
    'COCO': ('{"images": [], "annotations": []}', 'this is COCO JSON, which needs no conversion'),
    'VIA 3': ('{"project": {}, "file": {}, "metadata": {}}', 'this is a VIA 3 project'),
    'other JSON': ('{"a": {"b": 1}}', 'this is other JSON'),
    'deep': ('{"a": ' + '[' * 200000, 'nested too deeply'),
    'more behind': (v.via2([v.entry('a.jpg', v.RECT)]) + '}', 'not valid JSON (Extra data'),
    'no colon': ('{"a" 3}', "not valid JSON (Expecting ':'"),
    'same key twice': (
        '{"a": {"filename": "a.jpg", "regions": []}, "a": {}}',
        "key 'a' occurs twice",
    ),
    'same image twice': (
        json.dumps({k: dict(filename='a.jpg', regions=[]) for k in 'ab'}),
        "two entries mean the image 'a.jpg'",
    ),
    'regions a number': (
        json.dumps({'a': dict(filename='a.jpg', regions=3)}),
        'regions are of type int',
    ),
    'no shape': (
        json.dumps({'a': dict(filename='a.jpg', regions=[{}])}),
        "(broken: it has no shape, first image 'a.jpg', region 0)",
    ),
    'no name': (json.dumps({'a': dict(filename=5, regions=[])}), "entry 'a' has no file name"),
    'NaN': (
        shape(all_points_x=[float('nan'), 1, 2, 3, 4]),
        "x is not between -1,000,000 and 1,000,000 pixels, first image 'a.jpg', region 0, found nan)",
    ),
    '1e308': (
        shape(all_points_y=[1e308, 1, 2, 3, 4]),
        "y is not between -1,000,000 and 1,000,000 pixels, first image 'a.jpg', region 0, found 1e+308",
    ),
    'strings': (
        shape(all_points_x=list('01234')),
        "(broken: x is not a number, first image 'a.jpg', region 0, found '0')",
    ),
    'booleans': (
        shape(all_points_x=[True] * 5),
        "x is not a number, first image 'a.jpg', region 0, found True",
    ),
    'lengths': (shape(all_points_x=[1, 2]), 'not two lists of equal length'),
    'points missing': (shape(all_points_x=None), 'not two lists of equal length'),
    'negative width': (
        v.via2([v.entry('a.jpg', dict(v.RECT, width=-3))]),
        "width is not between 0 and 1,000,000 pixels, first image 'a.jpg', region 0, found -3",
    ),
    'no radius': (
        v.via2([v.entry('a.jpg', dict(name='circle', cx=1, cy=1))]),
        "r is not a number, first image 'a.jpg', region 0, found None",
    ),
    'outside its folder': (v.via2([v.entry('../whole.jpg', v.RECT)]), 'none of its 1 images is in'),
    'no image there': (v.via2([v.entry('b.jpg', v.RECT)]), 'none of its 1 images is in'),
    'CSV, shape broken': (
        v.via_csv([v.entry('a.jpg', v.RECT)]).replace('""rect""', 'rect'),
        'line 2: not valid JSON',
    ),
    'CSV, cut off': (
        v.via_csv([v.entry('a.jpg', v.RECT)]).splitlines()[0] + '\na.jpg,12',
        'line 2: too few fields',
    ),
}


@pytest.mark.parametrize('case', BROKEN)
def test_broken_annotation(tmp_path, capsys, case):
    text, message = BROKEN[case]
    v.save_image(tmp_path / 'whole.jpg')  # outside the folder of the images
    path = write(tmp_path, text)
    assert message in (line := refuse(capsys, path)) and str(path) in line


def test_not_utf8(tmp_path, capsys):
    path = write(tmp_path, '')
    path.write_bytes(b'\xff\xfe\x00{')
    assert 'not in UTF-8 (byte 0); next: save it as UTF-8' in refuse(capsys, path)


def jpeg(tmp_path):
    v.save_image(tmp_path / 'whole.jpg', 300, 200)
    return (tmp_path / 'whole.jpg').read_bytes()


@pytest.mark.parametrize(
    'change, message',
    [
        (lambda data: b'<html>404</html>', 'not a readable image'),
        (lambda data: b'', 'not a readable image'),
        (lambda data: data[: len(data) // 2], 'image file is truncated'),
        (
            lambda data: data.replace(b'\x00\xc8\x01\x2c', b'\xff\xff\xff\xff'),
            'exceeds limit of 178956970 pixels',
        ),
    ],
    ids=['html', 'empty', 'truncated', 'huge header'],
)
def test_broken_image(tmp_path, capsys, change, message):
    path = write(tmp_path, v.via2([v.entry('a.jpg', v.RECT)]))
    (path.parent / 'a.jpg').write_bytes(change(jpeg(tmp_path)))
    line = refuse(capsys, path)
    assert message in line and 'a.jpg' in line


def test_missing_paths(tmp_path, capsys):
    path = write(tmp_path, v.via2([v.entry('a.jpg', v.RECT)]))
    assert 'no such file' in refuse(capsys, path.with_name('other.json'))
    assert 'no such folder' in refuse(capsys, path, str(tmp_path / 'nowhere'))
    (path.parent / 'second.csv').write_text(v.via_csv([v.entry('a.jpg', v.RECT)]))
    assert '2 VIA files (second.csv, via.json)' in refuse(capsys, path.parent)


# ---- properties

numbers = st.integers(-30, 130)
shapes = st.one_of(
    st.lists(st.tuples(numbers, numbers), min_size=1, max_size=8).map(
        lambda points: v.polygon(*points)
    ),
    st.builds(
        lambda x, y, w, h: dict(name='rect', x=x, y=y, width=w, height=h),
        numbers,
        numbers,
        st.integers(0, 90),
        st.integers(0, 90),
    ),
    st.builds(
        lambda x, y, a, b, t: dict(name='ellipse', cx=x, cy=y, rx=a, ry=b, theta=t),
        numbers,
        numbers,
        st.integers(0, 60),
        st.integers(0, 60),
        st.floats(-3, 3),
    ),
)
files = st.lists(
    st.lists(
        st.tuples(shapes, st.fixed_dictionaries({'k': st.sampled_from(['x', 'y', ''])})), max_size=4
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=60, deadline=None)
@given(files)
# Outlines without an area: a line, rounded; one that crosses itself within a pixel; one of which only a
# line is inside the image.
@example([[(dict(name='ellipse', cx=0, cy=0, rx=1, ry=0, theta=1.0), {'k': 'x'})]])
@example([[(v.polygon((0, 0), (0, 1), (1, 0), (1, 1)), {'k': 'x'})]])
@example([[(v.polygon((0, 0), (1, 80), (0, 80), (0, 81), (1, 80)), {'k': 'x'})]])
def test_every_dialect_gives_the_same_coco(tmp_path_factory, regions):
    tmp_path = tmp_path_factory.mktemp('same')
    entries = [v.entry(f'{i}.jpg', *r) for i, r in enumerate(regions)]
    entries.append(v.entry('last.jpg', v.POLYGON))  # without any region there is nothing to convert
    names = [name for name, _, _ in entries]
    results = [
        convert(write(tmp_path, dialect(entries), name, images=names))
        for name, dialect in v.DIALECTS.items()
    ]
    assert all(result == results[0] for result in results)
    for annotation in results[0]['annotations']:
        x, y, w, h = annotation['bbox']
        assert x >= 0 and y >= 0 and x + w <= 100 + 1e-9 and y + h <= 80 + 1e-9
        assert 0 < annotation['area'] <= w * h * (1 + 1e-9)


@pytest.mark.parametrize('dialect', v.DIALECTS)
def test_fuzz_no_traceback_and_no_partial_output(tmp_path, dialect):
    """300 mutations of a valid file: converted, or refused in one line with status 2."""
    rng, out = random.Random(0), tmp_path / 'out.json'
    regions = [v.POLYGON, v.CIRCLE, (v.RECT, {'k': {'x': True}})]
    whole = v.DIALECTS[dialect]([v.entry('a.jpg', *regions), v.entry('b.jpg', v.POLYLINE)])
    path = write(tmp_path, whole, dialect, images=['a.jpg', 'b.jpg'])
    refused = 0
    for _ in range(300):
        path.write_text(v.mutate(rng, whole), encoding='utf-8')
        args = [str(path), '--out', str(out), *rng.choice([[], ['--class-attribute', 'k']])]
        refused += v.outcome(balloon2coco.main, args, out) == 2
    assert 75 < refused < 299  # the mutations reach both outcomes


@pytest.mark.parametrize('dialect', ['via1.json', 'via2.json', 'project.json'])
def test_wrong_types_at_every_place(tmp_path, dialect):
    """Every value of a file is replaced by every weird one: converted, or refused in one line."""
    regions = [v.POLYGON, v.CIRCLE, (v.RECT, {'k': {'x': True}})]
    text = v.DIALECTS[dialect]([v.entry('a.jpg', *regions), v.entry('b.jpg', v.POLYLINE)])
    path, out = write(tmp_path, text, images=['a.jpg', 'b.jpg']), tmp_path / 'out.json'
    args, outcomes = [str(path), '--out', str(out), '--class-attribute', 'k'], []
    for tree in v.with_every_value_replaced(json.loads(text)):
        path.write_text(json.dumps(tree))
        outcomes.append(v.outcome(balloon2coco.main, args, out))
    assert len(outcomes) > 600 and set(outcomes) == {0, 2}


@pytest.mark.slow
@pytest.mark.skipif(not Path('/proc/self/status').exists(), reason='reads the memory from /proc')
def test_10000_images_in_300_megabytes(tmp_path):
    import os

    entries = [v.entry(f'{i}.jpg', *[v.POLYGON] * 4) for i in range(10_000)]
    v.save_image(tmp_path / 'photos/0.jpg')
    for i in range(1, 10_000):
        os.link(tmp_path / 'photos/0.jpg', tmp_path / f'photos/{i}.jpg')
    (tmp_path / 'photos/via.json').write_text(v.via2(entries))
    code = (
        'import sys, balloon2coco; balloon2coco.main(sys.argv[1:]); '
        'print(int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) / 1000)'
    )
    command = [sys.executable, '-c', code, str(tmp_path / 'photos')]
    env = dict(PYTHONPATH=str(ROOT / 'data_tools'), PATH='')
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    assert float(done.stdout.split()[-1]) < 300


# ---- split


def test_split_is_deterministic_stratified_and_disjoint(tmp_path, capsys):
    entries = [v.entry(f'{i:02d}.jpg', *[v.RECT] * (i % 5)) for i in range(50)]
    path = write(tmp_path, v.via2(entries), images=[name for name, _, _ in entries])

    def split(seed):
        balloon2coco.main([str(path), '--split', '0.8', '--seed', str(seed)])
        files = [
            json.loads((tmp_path / f'coco_{part}.json').read_text()) for part in ('train', 'val')
        ]
        return [{i['file_name'] for i in f['images']} for f in files], [
            len(f['annotations']) for f in files
        ]

    (train, val), boxes = split(0)
    assert split(0) == ([train, val], boxes) and split(1)[0] != [train, val]
    (train, val), boxes = split(0)
    assert not train & val and len(train) == 40 and len(val) == 10
    assert boxes[1] == pytest.approx(20, abs=2)  # a fifth of 100, as stratification promises
    for part, names in (('train', train), ('val', val)):
        assert {p.name for p in (tmp_path / part).iterdir()} == names
    (tmp_path / 'train/mine.txt').write_text('precious')
    with pytest.raises(SystemExit):
        split(0)
    assert 'holds mine.txt' in capsys.readouterr().err and (tmp_path / 'train/mine.txt').exists()


# ---- the whole way: data root, readers, the real set


def test_defaults_same_bytes_and_no_heavy_import(tmp_path):
    for split in ('train', 'val'):
        v.save_image(tmp_path / split / 'a.jpg')
        (tmp_path / split / 'via_region_data.json').write_text(
            v.via1([v.entry('a.jpg', v.POLYGON)])
        )
    code = (
        'import sys, balloon2coco; balloon2coco.main([]); '
        'print(sorted({"torch", "numpy", "cv2", "mmengine"} & set(sys.modules)))'
    )
    env = dict(PYTHONPATH=str(ROOT / 'data_tools'), BALLOON_ROOT=str(tmp_path), PATH='')
    first = subprocess.run(
        [sys.executable, '-c', code], env=env, capture_output=True, text=True, check=True
    )
    assert (
        first.stdout.endswith('[]\n')
        and f'{tmp_path}/coco_val.json: 1 images, 1 boxes' in first.stdout
    )
    before = (tmp_path / 'coco_train.json').read_bytes()
    subprocess.run([sys.executable, '-c', code], env=env, check=True, capture_output=True)
    assert (tmp_path / 'coco_train.json').read_bytes() == before


def test_pycocotools_reads_it_and_perfect_detections_score_one(tmp_path):
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    entries = [v.entry('a.jpg', v.POLYGON, v.CIRCLE), v.entry('b.jpg', v.RECT), v.entry('c.jpg')]
    path = write(tmp_path, v.via2(entries), images=['a.jpg', 'b.jpg', 'c.jpg'])
    convert(path)
    truth = COCO(str(tmp_path / 'out.json'))
    assert (
        truth.annToMask(truth.anns[1]).sum() == 100
    )  # the 10 x 10 square, in pycocotools' convention too
    found = truth.loadRes(
        [
            dict(image_id=a['image_id'], category_id=1, bbox=a['bbox'], score=0.9)
            for a in truth.anns.values()
        ]
    )
    evaluation = COCOeval(truth, found, 'bbox')
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    assert evaluation.stats[0] == 1.0  # 0.969 on balloon val for converters that count from 0


def test_mmdetection_and_an_independent_reader_agree(tmp_path):
    import mmcompat  # noqa: F401

    import supervision
    from mmdet.datasets import CocoDataset

    entries = [v.entry('a.jpg', v.POLYGON, v.CIRCLE), v.entry('b.jpg', v.RECT), v.entry('c.jpg')]
    path = write(tmp_path, v.via2(entries), images=['a.jpg', 'b.jpg', 'c.jpg'])
    coco = convert(path)
    wanted = {
        i['file_name']: sorted(
            [x, y, x + w, y + h]
            for a in coco['annotations']
            if a['image_id'] == i['id']
            for x, y, w, h in [a['bbox']]
        )
        for i in coco['images']
    }
    dataset = CocoDataset(
        ann_file=str(tmp_path / 'out.json'),
        data_prefix=dict(img=str(path.parent)),
        pipeline=[],
        metainfo=dict(classes=('balloon',)),
    )
    assert {
        Path(d['img_path']).name: sorted(i['bbox'] for i in d['instances']) for d in dataset
    } == wanted
    other = supervision.DetectionDataset.from_coco(str(path.parent), str(tmp_path / 'out.json'))
    assert {Path(name).name: sorted(d.xyxy.tolist()) for name, _, d in other} == wanted


MD5 = dict(train='a6cc59355bd5dabe4b5a1a7c31da7b43', val='831f6da936dd00011889c6d704bccd5c')


@pytest.mark.skipif(
    not REAL.is_dir(),
    reason=f'only where the real images are in {REAL}; the other tests use images of their own',
)
def test_real_set(tmp_path):
    from shapely.geometry import Polygon

    for split, images, boxes in (('train', 61, 255), ('val', 13, 50)):
        balloon2coco.main([str(REAL / split), '--out', str(tmp_path / 'real.json'), '--strict'])
        coco = json.loads((tmp_path / 'real.json').read_text())
        assert (len(coco['images']), len(coco['annotations'])) == (images, boxes)
        via = json.loads((REAL / split / 'via_region_data.json').read_text())
        shapes = [r['shape_attributes'] for e in via.values() for r in e['regions'].values()]
        for annotation, s in zip(coco['annotations'], shapes):
            polygon = Polygon(zip(s['all_points_x'], s['all_points_y']))
            assert annotation['area'] == pytest.approx(polygon.area, rel=1e-6)
            assert annotation['bbox'][:2] == list(polygon.bounds[:2])
        digest = hashlib.md5((tmp_path / 'real.json').read_bytes()).hexdigest()
        assert digest == MD5[split], 'the converter writes other bytes than release 0.1'
