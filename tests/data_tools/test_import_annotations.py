"""import_annotations.py: the same objects, written in each format by the test itself, come back."""

import json
import math
import random
from pathlib import Path

import balloon2coco
import import_annotations
import pytest
import via_files as v

ROOT = Path(__file__).parents[2]
REAL = ROOT.parent / 'shared/data/balloon'


def boxes_by_image(coco):
    """{(file stem, class): sorted boxes [x, y, width, height]}"""
    stems = {image['id']: Path(image['file_name']).stem for image in coco['images']}
    names = {category['id']: category['name'] for category in coco['categories']}
    found = {}
    for a in coco['annotations']:
        found.setdefault((stems[a['image_id']], names[a['category_id']]), []).append(a['bbox'])
    return {key: sorted(boxes) for key, boxes in found.items()}


# ---- writers, independent of the readers


def per_image(coco):
    names = {category['id']: category['name'] for category in coco['categories']}
    for image in coco['images']:
        objects = [
            (names[a['category_id']], a['bbox'], a['segmentation'][0])
            for a in coco['annotations']
            if a['image_id'] == image['id']
        ]
        yield image, objects


def write_yolo(coco, folder, outlines=False):
    names = [category['name'] for category in coco['categories']]
    (folder / 'classes.txt').write_text('\n'.join(names))
    for image, objects in per_image(coco):
        width, height = image['width'], image['height']
        lines = []
        for name, (x, y, w, h), outline in objects:
            values = [(x + w / 2) / width, (y + h / 2) / height, w / width, h / height]
            if outlines:
                values = [v / (height if i % 2 else width) for i, v in enumerate(outline)]
            lines.append(f'{names.index(name)} ' + ' '.join(f'{value:.6f}' for value in values))
        (folder / f'{Path(image["file_name"]).stem}.txt').write_text('\n'.join(lines))


def write_yolo_outlines(coco, folder):
    write_yolo(coco, folder, outlines=True)


def write_voc(coco, folder):
    for image, objects in per_image(coco):
        items = ''
        for name, (x, y, w, h), _ in objects:
            corners = zip(('xmin', 'ymin', 'xmax', 'ymax'), (x + 1, y + 1, x + w, y + h))
            box = ''.join(f'<{key}>{round(value)}</{key}>' for key, value in corners)
            items += f'<object><name>{name}</name><bndbox>{box}</bndbox></object>'
        text = f'<annotation><filename>{image["file_name"]}</filename>{items}</annotation>'
        (folder / f'{Path(image["file_name"]).stem}.xml').write_text(text)


def write_labelme(coco, folder):
    for image, objects in per_image(coco):
        shapes = []
        for name, _, outline in objects:
            points = [list(p) for p in zip(outline[::2], outline[1::2])]
            shapes.append(dict(label=name, shape_type='polygon', points=points))
        data = dict(imagePath='..\\images\\' + image['file_name'], shapes=shapes)
        (folder / f'{Path(image["file_name"]).stem}.json').write_text(json.dumps(data))


def write_foreign_coco(coco, folder):
    """Ids from 0, no areas, absolute paths."""
    data = dict(
        images=[dict(image, id=image['id'] - 1, file_name='/data/' + image['file_name'])
                for image in coco['images']],
        categories=[dict(id=c['id'] - 1, name=c['name']) for c in coco['categories']],
        annotations=[
            dict(id=a['id'] - 1, image_id=a['image_id'] - 1, category_id=a['category_id'] - 1,
                 bbox=a['bbox'], segmentation=a['segmentation'])
            for a in coco['annotations']
        ],
    )  # fmt: skip
    (folder / 'instances.json').write_text(json.dumps(data))


WRITERS = [write_yolo, write_yolo_outlines, write_voc, write_labelme, write_foreign_coco]


def round_trip(coco, images, tmp_path, write):
    folder, out = tmp_path / 'labels', tmp_path / 'out.json'
    folder.mkdir()
    write(coco, folder)
    path = folder / 'instances.json' if write is write_foreign_coco else folder
    import_annotations.main([str(path), str(images), '--out', str(out)])
    return json.loads(out.read_text())


def assert_same_boxes(found, expected):
    """Each expected box has one found box, within 0.5 px on every side."""
    found, expected = boxes_by_image(found), boxes_by_image(expected)
    assert found.keys() == expected.keys()
    for key, boxes in expected.items():
        assert len(found[key]) == len(boxes)
        for box in boxes:
            closest = min(found[key], key=lambda other: math.dist(other, box))
            assert closest == pytest.approx(box, abs=0.5)
            found[key].remove(closest)


def two_images(tmp_path, write):
    """A file about one of two images in ``tmp_path/images`` that ``write`` wrote."""
    regions = [(v.POLYGON, {'k': 'ball'}), (v.RECT, {'k': 'mug'})]
    images, out, folder = tmp_path / 'images', tmp_path / 'expected.json', tmp_path / 'labels'
    for name in ('a.jpg', 'b.jpg'):
        v.save_image(images / name)
    entries = [v.entry('a.jpg', *regions), v.entry('b.jpg', regions[1])]
    (tmp_path / 'via.json').write_text(v.via2(entries))
    args = [str(tmp_path / 'via.json'), str(images), '--out', str(out), '--class-attribute', 'k']
    balloon2coco.main(args)
    folder.mkdir()
    write(json.loads(out.read_text()), folder)
    return next(path for path in sorted(folder.iterdir()) if path.name != 'classes.txt')


@pytest.mark.parametrize('write', WRITERS)
def test_two_classes_come_back(tmp_path, capsys, write):
    regions = [(v.POLYGON, {'k': 'ball'}), (v.RECT, {'k': 'mug'}), (v.CIRCLE, {'k': 'ball'})]
    images = tmp_path / 'images'
    for name in ('a.jpg', 'b.jpg'):
        v.save_image(images / name)
    entries = [v.entry('a.jpg', *regions), v.entry('b.jpg', regions[1])]
    (tmp_path / 'via.json').write_text(v.via2(entries))
    out = tmp_path / 'expected.json'
    args = [str(tmp_path / 'via.json'), str(images), '--out', str(out), '--class-attribute', 'k']
    balloon2coco.main(args)
    expected = json.loads(out.read_text())
    found = round_trip(expected, images, tmp_path, write)
    assert_same_boxes(found, expected)
    assert [i['id'] for i in found['images']] == [1, 2] and found['annotations'][0]['id'] == 1
    assert [c['name'] for c in found['categories']] == ['ball', 'mug']


@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_dir(), reason=f'only where the real images are in {REAL}')
@pytest.mark.parametrize('split, boxes', [('train', 255), ('val', 50)])
@pytest.mark.parametrize('write', WRITERS)
def test_real_set_comes_back(tmp_path, write, split, boxes):
    out = tmp_path / 'expected.json'
    balloon2coco.main([str(REAL / split), '--out', str(out)])
    expected = json.loads(out.read_text())
    found = round_trip(expected, REAL / split, tmp_path, write)
    assert len(found['annotations']) == boxes
    assert_same_boxes(found, expected)


@pytest.mark.parametrize(
    'name, text, message',
    [
        ('a.txt', '0 0.5 0.5', 'all 1 regions were skipped (broken: neither 4 numbers nor pairs'),
        (
            'a.txt',
            'cat 0.5 0.5 0.1 0.1',
            "not an object of this format, first image 'a.jpg', region 0, found 'cat 0.5",
        ),
        ('a.xml', '<annotation>', 'not valid XML'),
        ('a.json', '{', 'not valid JSON'),
        ('a.png.bak', '', 'no .xml (Pascal VOC), .json (LabelMe) or .txt (YOLO) files'),
    ],
)
def test_broken_files_end_in_one_line(tmp_path, capsys, name, text, message):
    v.save_image(tmp_path / 'images/a.jpg')
    (tmp_path / 'labels').mkdir()
    (tmp_path / 'labels' / name).write_text(text)
    before = sorted(tmp_path.rglob('*'))
    with pytest.raises(SystemExit) as stop:
        import_annotations.main([str(tmp_path / 'labels'), str(tmp_path / 'images')])
    err = capsys.readouterr().err
    assert stop.value.code == 2 and message in err and err.count('\n') == 1
    assert sorted(tmp_path.rglob('*')) == before


def test_yolo_split_and_a_text_file_without_an_image(tmp_path, capsys):
    for i in range(5):
        v.save_image(tmp_path / f'photos/{i}.jpg')
        (tmp_path / f'photos/{i}.txt').write_text('0 0.5 0.5 0.2 0.2\n')
    (tmp_path / 'photos/gone.txt').write_text('0 0.5 0.5 0.2 0.2\n')
    (tmp_path / 'photos/classes.txt').write_text('ball\n')
    import_annotations.main([str(tmp_path / 'photos'), '--split', '0.6'])
    assert len(list((tmp_path / 'train').iterdir())) == 3
    out = capsys.readouterr().out
    assert '1 entries without an image: gone' in out and "classes=('ball',)" in out


@pytest.mark.parametrize('write', WRITERS)
def test_fuzz_no_traceback_and_no_partial_output(tmp_path, write):
    """200 mutations of a valid file of each format: converted, or refused in one line."""
    path = two_images(tmp_path, write)
    rng, whole, out = random.Random(0), path.read_text(encoding='utf-8'), tmp_path / 'out.json'
    source = path if write is write_foreign_coco else path.parent
    for _ in range(200):
        path.write_text(v.mutate(rng, whole), encoding='utf-8')
        v.outcome(
            import_annotations.main, [str(source), str(tmp_path / 'images'), '--out', str(out)], out
        )


@pytest.mark.parametrize('write', [write_labelme, write_foreign_coco])
def test_wrong_types_at_every_place(tmp_path, write):
    path = two_images(tmp_path, write)
    source, out = path if write is write_foreign_coco else path.parent, tmp_path / 'out.json'
    args, outcomes = [str(source), str(tmp_path / 'images'), '--out', str(out)], set()
    for tree in v.with_every_value_replaced(json.loads(path.read_text())):
        path.write_text(json.dumps(tree))
        outcomes.add(v.outcome(import_annotations.main, args, out))
    assert outcomes == {0, 2}


@pytest.mark.parametrize(
    'text', ['names: 5', 'names: {x: y}', '[', '- a', 'names: [a, b', '', '\0']
)
def test_broken_list_of_class_names(tmp_path, capsys, text):
    v.save_image(tmp_path / 'images/a.jpg')
    (tmp_path / 'labels').mkdir()
    (tmp_path / 'labels/a.txt').write_text('0 0.5 0.5 0.2 0.2')
    (tmp_path / 'labels/data.yaml').write_text(text)
    with pytest.raises(SystemExit) as stop:
        import_annotations.main([str(tmp_path / 'labels'), str(tmp_path / 'images')])
    err = capsys.readouterr().err
    assert stop.value.code == 2 and 'data.yaml: not valid YAML (' in err and err.count('\n') == 1


def test_class_names_from_yaml(tmp_path):
    v.save_image(tmp_path / 'images/a.jpg')
    (tmp_path / 'labels').mkdir()
    (tmp_path / 'labels/a.txt').write_text('1 0.5 0.5 0.2 0.2')
    out = tmp_path / 'out.json'
    for text in ('names: [ab, cd]', 'names: {0: ab, 1: cd}'):
        (tmp_path / 'data.yaml').write_text(text)
        import_annotations.main(
            [str(tmp_path / 'labels'), str(tmp_path / 'images'), '--out', str(out)]
        )
        assert [c['name'] for c in json.loads(out.read_text())['categories']] == ['ab', 'cd']
