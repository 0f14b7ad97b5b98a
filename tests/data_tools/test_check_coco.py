"""data_tools/check_coco.py: what it counts, what it finds wrong, and its pictures."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import check_coco
import numpy as np
import pytest
import via_files as v
from PIL import Image, ImageDraw

from mmballoon.cli import read_image

ROOT = Path(__file__).parents[2]


def photo(path, seed, width=300, height=200):
    """A picture unlike any other: smooth noise of its own seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cells = np.random.default_rng(seed).integers(0, 255, (9, 9, 3), dtype=np.uint8)
    Image.fromarray(cells).resize((width, height), Image.Resampling.BICUBIC).save(path)


def coco(root, split, boxes):
    """A COCO file with one image a list of boxes, and pictures for them."""
    images, annotations = [], []
    for i, found in enumerate(boxes, start=1):
        name = f'{split}{i}.jpg'
        if not (root / split / name).exists():
            photo(root / split / name, sum(map(ord, name)) * 7 + i)
        images.append(dict(id=i, file_name=name, width=300, height=200))
        annotations += [
            dict(
                id=len(annotations) + j,
                image_id=i,
                category_id=1,
                bbox=box,
                area=box[2] * box[3],
                iscrowd=0,
            )
            for j, box in enumerate(found, start=1)
        ]
    path = root / f'coco_{split}.json'
    path.write_text(
        json.dumps(
            dict(images=images, annotations=annotations, categories=[dict(id=1, name='balloon')])
        )
    )
    return path


@pytest.fixture
def data(tmp_path):
    train = coco(tmp_path, 'train', [[[10, 10, 20, 20], [50, 50, 60, 60]], [[0, 0, 150, 120]], []])
    val = coco(tmp_path, 'val', [[[5, 5, 90, 90]], [[250, 150, 3, 3]]])
    return tmp_path, [str(train), str(val), '--out', str(tmp_path / 'out')]


def run(args, capsys):
    status = 0
    try:
        check_coco.main(args)
    except SystemExit as stop:
        status = stop.code
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_counts_sizes_and_pictures(data, capsys):
    root, args = data
    status, out, err = run(args, capsys)
    assert (status, err) == (0, '')
    assert (
        'train: 3 images (1 without boxes), 3 boxes' in out
        and 'val: 2 images (0 without boxes), 2 boxes' in out
    )
    assert '1 small, 1 medium, 1 large' in out  # areas 400, 3600, 18000
    assert '3 at 300 px' in out
    assert 'Together 5 images (5 at 300 px) and 5 boxes (2 small, 2 medium, 1 large).' in out
    assert (
        'val: 1 boxes are smaller than one cell of the finest stride (8 px) at 640 px' in out
    )  # 3 * 640 / 300 = 6.4
    assert 'No duplicates between train and val' in out
    assert 'boxes per image  0 to 2, median 1' in out
    for name in ('contact_sheet_train.png', 'contact_sheet_val.png'):
        assert Image.open(root / 'out' / name).size[0] > 400
    sheet = np.asarray(Image.open(root / 'out/contact_sheet_train.png')).astype(int)
    red = np.abs(sheet - (255, 60, 90)).sum(2) < 10
    assert red[8:25, 8].all()  # the left side of the box [10, 10, 20, 20], scaled by 240 / 300


def test_leakage(data, capsys):
    root, args = data
    shutil.copy(root / 'train/train1.jpg', root / 'val/val1.jpg')
    Image.open(root / 'train/train2.jpg').resize((150, 100)).resize((300, 200)).save(
        root / 'val/val2.jpg', quality=60
    )
    status, out, err = run(args, capsys)
    assert status == 2
    assert 'identical files: train/train1.jpg and val/val1.jpg (0 of 256 bits differ)' in out
    assert 'near-duplicates: train/train2.jpg and val/val2.jpg' in out
    assert (
        '1 identical files between splits: data leakage, the evaluation on these images is not valid'
        in err
    )
    assert '1 near-duplicates between splits' in err


def test_what_is_wrong_is_named_and_fails(data, capsys):
    root, args = data
    (root / 'train/train1.jpg').write_bytes(b'no image')
    (root / 'train/train3.jpg').unlink()
    photo(root / 'val/val1.jpg', 1, width=320)
    coco(root, 'val', [[[5, 5, 90, 90], [5, 5, 90, 90], [280, 0, 40, 10]], [[1, 1, 0, 5]]])
    status, _, err = run(args, capsys)
    assert status == 2 and 'error: 6 problems' in err and '; next: ' in err
    for message in (
        'train1.jpg: not a readable image',
        'train3.jpg: missing',
        'val1.jpg: 320 x 200 pixels, the COCO file says 300 x 200',
        'annotation 2',
        'occurs twice',
        '[280.0, 0.0, 40.0, 10.0] leaves the image (300 x 200)',
        '[1.0, 1.0, 0.0, 5.0] has no size',
    ):
        assert message in err, message


@pytest.mark.parametrize(
    'format, mode, options',
    [
        ('TIFF', 'F', {}),
        ('TIFF', 'I', {}),
        ('TIFF', 'RGB', dict(compression='zstd')),
        ('TGA', 'RGB', {}),
        ('PCX', 'RGB', {}),
        ('DDS', 'RGB', {}),
    ],
)
def test_images_that_opencv_cannot_read_are_found(data, capsys, format, mode, options):
    root, args = data
    Image.new(mode, (300, 200)).save(root / 'train/train1.jpg', format, **options)
    status, _, err = run(args, capsys)
    assert status == 2 and 'error: 1 problem' in err
    assert 'train1.jpg: not a readable image' in err


def test_damage_that_opencv_passes_over_is_found(data, capsys):
    root, args = data
    path = root / 'train/train1.jpg'
    with Image.open(path) as image:
        image.save(path, 'TIFF', compression='tiff_lzw')
    content = path.read_bytes()
    path.write_bytes(content[:2000] + bytes(500) + content[2500:])
    assert read_image(path).shape == (200, 300, 3)
    assert run(args, capsys)[0] == 2


@pytest.mark.parametrize(
    'text, message',
    [
        ('{', 'not COCO JSON'),
        ('[]', 'not COCO JSON'),
        ('{"images": []}', "not COCO JSON (no list 'categories' in it)"),
        (v.via2([v.entry('a.jpg', v.RECT)]), 'not COCO JSON'),
        (
            json.dumps(
                dict(
                    images=[],
                    categories=[],
                    annotations=[dict(id=1, image_id=9, category_id=1, bbox=[0] * 4)],
                )
            ),
            'annotation 1 names image 9 or category 1, which is not there); next: convert it with python '
            'data_tools/import_annotations.py',
        ),
    ],
)
def test_not_coco(tmp_path, capsys, text, message):
    (tmp_path / 'a.json').write_text(text)
    status, out, err = run([str(tmp_path / 'a.json'), '--out', str(tmp_path / 'o')], capsys)
    assert status == 2 and message in err and err.count('\n') == 1 and '; next: ' in err
    assert not (tmp_path / 'o').exists()


def test_as_a_command_without_torch(data):
    root, args = data
    code = 'import sys, check_coco; check_coco.main(sys.argv[1:]); assert not {"torch", "cv2"} & set(sys.modules)'
    subprocess.run(
        [sys.executable, '-c', code, *args],
        check=True,
        capture_output=True,
        env=dict(PYTHONPATH=str(ROOT / 'data_tools'), PATH=''),
    )


def change(path, function):
    data = json.loads(path.read_text())
    function(data)
    path.write_text(json.dumps(data))


MENDS = 'import_annotations.py'


@pytest.mark.parametrize(
    'function, messages',
    [
        (lambda d: d['annotations'][1].update(id=1), ['id 1 occurs 2 times in annotations']),
        (lambda d: d['images'].append(d['images'][0]), ['id 1 occurs 2 times in images']),
        (lambda d: d['images'].append(d['images'][0] | dict(id=99)), ['file_name train1.jpg occurs 2 times']),
        (lambda d: d['annotations'][0].update(area=None), ["1 annotations without 'area', first train1", MENDS]),
        (lambda d: d['annotations'][0].update(bbox=[0.1, 0.2, 0.3, 0.4]), ['smaller than a pixel']),
        (lambda d: d['annotations'][0].update(bbox=[5, 5, 0.9, 40]), ['smaller than a pixel: training']),
        (lambda d: [a.update(area=0) for a in d['annotations']], ["3 annotations without 'area'", MENDS]),
        (lambda d: [a.update(iscrowd=1) for a in d['annotations']], ['all 3 annotations are iscrowd', MENDS]),
        (lambda d: d['annotations'][1].update(area=-5.0), ["1 annotations without 'area'", MENDS]),
        (lambda d: d['annotations'][1].update(area=float('nan')), ["1 annotations without 'area'"]),
        (lambda d: d['annotations'][0].update(id=0), ['has the id 0, with which pycocotools', MENDS]),
        (lambda d: d['annotations'][0].pop('id'), ["1 annotations without 'id', first train1.jpg", MENDS]),
        (lambda d: d['annotations'][0].pop('area'), ["1 annotations without 'area', first train1", MENDS]),
        (lambda d: d['annotations'][0].pop('iscrowd'), ["1 annotations without 'iscrowd'", MENDS]),
        (
            lambda d: d['categories'].append(dict(id=2, name='balloon')),
            ["2 categories have the name 'balloon': python data_tools/import_annotations.py"],
        ),
        (
            lambda d: d['categories'].append(dict(id=2, name='mug')),
            ['train and val have different categories: mug in one of them only'],
        ),
        (lambda d: d['images'][0].update(width=301), ['300 x 200 pixels, the COCO file says 301 x 200']),
        (lambda d: d['images'][0].pop('width'), ['300 x 200 pixels, the COCO file says 0 x 200']),
    ],
)  # fmt: skip
def test_each_thing_that_is_wrong_has_its_line_and_status_2(data, capsys, function, messages):
    root, args = data
    change(root / 'coco_train.json', function)
    status, _, err = run(args, capsys)
    assert status == 2 and '; next: ' in err
    for message in messages:
        assert message in err


@pytest.mark.parametrize(
    'table, key, value, found',
    [
        ('annotations', 'bbox', ['1', 1, 5, 5], 'a box without 4 numbers'),
        ('annotations', 'segmentation', [['1'] * 6], 'a segmentation that is no list of poly'),
        (
            'annotations',
            'id',
            '0',
            "the 'id' '0', which is no number",
        ),  # not found by the evaluation
        ('annotations', 'id', 'a', "the 'id' 'a', which is no number"),
        ('annotations', 'area', '400', "the 'area' '400', which is no number"),
        ('annotations', 'iscrowd', '0', "the 'iscrowd' '0', which is no number"),  # a crowd
        ('images', 'width', '300', "the 'width' '300', which is no number"),
        ('images', 'height', '200', "the 'height' '200', which is no number"),
    ],
)
def test_numbers_in_quotes_are_refused_as_the_training_would(
    data, capsys, table, key, value, found
):
    root, args = data
    change(root / 'coco_train.json', lambda d: d[table][0].update({key: value}))
    status, _, err = run(args, capsys)
    assert status == 2 and err.count('\n') == 1
    assert f'{table[:-1]} {value if key == "id" else 1} has {found}' in err


def test_outlines_are_needed_where_the_recipe_learns_masks(data, capsys):
    root, args = data
    status, out, _ = run(args, capsys)
    assert status == 0 and 'no outline' not in out
    outline = [[10, 10, 30, 10, 30, 30]]
    change(root / 'coco_train.json', lambda d: d['annotations'][0].update(segmentation=outline))
    change(root / 'coco_train.json', lambda d: d['annotations'][1].update(segmentation=[]))
    status, out, _ = run(args, capsys)
    assert status == 0 and 'train: 2 of 3 annotations have no outline' in out
    status, _, err = run([*args, '--masks'], capsys)
    assert status == 2
    assert "train: 2 annotations without 'segmentation', first train1.jpg: annotation 2" in err


def test_files_of_one_name_have_a_sheet_each_and_show_leakage(tmp_path, capsys):
    """Roboflow: train/_annotations.coco.json and valid/_annotations.coco.json, beside the images."""
    paths = []
    for split in ('train', 'valid'):
        coco(tmp_path, split, [[[10, 10, 20, 20]]])
        (tmp_path / f'coco_{split}.json').rename(tmp_path / split / '_annotations.coco.json')
        paths.append(str(tmp_path / split / '_annotations.coco.json'))
    args = [*paths, '--out', str(tmp_path / 'out')]
    assert run(args, capsys)[0] == 0
    sheets = [path.name for path in (tmp_path / 'out').glob('contact_sheet_*')]
    assert len(sheets) == 2 and all('train' in name or 'valid' in name for name in sheets)
    shutil.copy(tmp_path / 'train/train1.jpg', tmp_path / 'valid/valid1.jpg')
    status, _, err = run(args, capsys)
    assert status == 2 and '1 identical files between splits: data leakage' in err


def test_files_of_one_path_each_have_a_name(tmp_path, capsys):
    path = str(coco(tmp_path, 'train', [[[10, 10, 20, 20]]]))
    run([path, path, '--out', str(tmp_path / 'out')], capsys)
    assert len(list((tmp_path / 'out').glob('contact_sheet_*'))) == 2


@pytest.mark.parametrize('count, bits', [(400, 20), (400, 26), (40, 0)])
def test_pairs_are_found_without_comparing_all(count, bits):
    """Groups of images a few bits apart among others: found as by comparing all with all."""
    from mmballoon.data.checks import pairs
    from mmballoon.data.coco import Split

    rng = np.random.default_rng(0)
    rows = rng.integers(0, 2, (count, 256), dtype=np.uint8)
    for i in range(0, count, 4):  # the second of four is near the first
        rows[i + 1] = rows[i]
        rows[i + 1, rng.choice(256, bits, replace=False)] ^= 1
    images = {i: dict(file_name=str(i)) for i in range(count)}
    hashes = {i: (str(i), np.packbits(row).tobytes()) for i, row in enumerate(rows)}
    same, near = pairs([Split('train', None, images, {}, {}, hashes=hashes)])
    distance = (rows[:, None] != rows[None]).sum(2)
    expected = {(i, j, distance[i, j]) for i, j in np.argwhere(np.triu(distance <= 26, 1))}
    assert same == [] and len(expected) == count // 4
    assert {(int(a[1]), int(b[1]), d) for a, b, d in near} == expected


def test_images_that_are_all_alike_are_fewer_pairs_than_images():
    from mmballoon.data.checks import pairs
    from mmballoon.data.coco import Split

    images = {i: dict(file_name=str(i)) for i in range(3000)}
    bits = bytes([15] * 32)
    alike = Split('a', None, images, {}, {}, hashes={i: ('digest', bits) for i in images})
    near = Split('b', None, images, {}, {}, hashes={i: (str(i), bits) for i in images})
    same, close = pairs([alike, near])
    assert (len(same), len(close)) == (2999, 3000)


def on_a_plain_ground(kind, rng):
    """320 x 240 pixels of one colour, or brighter or darker to the right, with one to three discs."""
    x = np.linspace(0, 80, 320)
    row = dict(white=x * 0 + 255, black=x * 0, brighter=160 + x, darker=240 - x)[kind]
    image = Image.fromarray(np.tile(np.uint8(row)[None, :, None], (240, 1, 3)))
    for _ in range(rng.integers(1, 4)):
        r, color = rng.uniform(15, 50), tuple(map(int, rng.integers(40, 120, 3)))
        x, y = rng.uniform(r, 320 - r), rng.uniform(r, 240 - r)
        ImageDraw.Draw(image).ellipse([x - r, y - r, x + r, y + r], fill=color)
    return image


@pytest.mark.parametrize('kind', ['white', 'black', 'brighter', 'darker'])
def test_images_on_a_plain_ground_are_near_duplicates_only_of_their_copies(tmp_path, kind):
    from mmballoon.data import folds
    from mmballoon.data.coco import Split
    from mmballoon.suggest import in_order

    rng, names = np.random.default_rng(3), []
    for i in range(20):
        names.append(f'{i:02}.png')
        on_a_plain_ground(kind, rng).save(tmp_path / names[-1])
    for i, quality in ((0, 40), (1, 90)):
        image = Image.open(tmp_path / names[i]).resize((160, 120) if i else (320, 240))
        names.append(f'{i:02}.jpg')
        image.save(tmp_path / names[-1], quality=quality)
    sizes = [Image.open(tmp_path / name).size for name in names]
    images = {
        i: dict(file_name=name, width=w, height=h)
        for i, (name, (w, h)) in enumerate(zip(names, sizes))
    }
    groups = folds.together(Split('train', tmp_path, images, {}, {}))
    assert sorted(map(sorted, groups)) == [[0, 20], [1, 21], *([i] for i in range(2, 20))]
    order = in_order(tmp_path, dict.fromkeys(names, ()))
    assert order == [*sorted({*names} - {'00.png', '01.png'}), '00.png', '01.png']


def test_plain_images_are_duplicates_only_where_their_files_are_identical(tmp_path):
    from mmballoon.data.checks import findings, pairs
    from mmballoon.data.coco import Split

    images = {i: dict(file_name=str(i), width=64, height=48) for i in range(5)}
    for bits in (bytes(32), bytes([255] * 32)):  # nothing is brighter than its left, or everything
        hashes = {i: (min(i, 3), bits) for i in images}
        split = Split('a', tmp_path, images, {}, {}, hashes=hashes)
        assert pairs([split]) == ([(('a', '3'), ('a', '4'), 0)], [])
        assert any('note: 5 images are too plain' in line for line in findings([split], 640))


@pytest.mark.parametrize('mode', ['I;16', 'I;16B'])
def test_images_of_16_bits_look_as_the_network_sees_them(tmp_path, mode):
    from mmballoon.data.checks import difference_hash
    from mmballoon.data.coco import thumbnail

    path, hashes = tmp_path / 'a.tif', set()
    for seed in range(2):
        values = np.random.default_rng(seed).integers(300, 65536, (48, 64))
        dtype = {'I;16': '<u2', 'I;16B': '>u2'}[mode]
        Image.frombytes(mode, (64, 48), values.astype(dtype).tobytes()).save(path)
        small = thumbnail(path)
        hashes.add(difference_hash(small))
        assert (np.asarray(small)[..., 0] == values // 256).all()  # as OpenCV
    assert len(hashes) == 2  # white images would all be near-duplicates
