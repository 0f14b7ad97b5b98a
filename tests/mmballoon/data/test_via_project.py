"""Projects of VIA: opened as VIA 2 opens them, and read back by our own converter."""

import html
import json
import re
from pathlib import Path

import balloon2coco
import numpy as np
import pytest
from PIL import Image

from mmballoon.data.via import read_via
from mmballoon.data.via_project import read_base, via_project

HOSTILE = '<img src=x onerror="alert(1)">', 'R&B "quoted"', '气球 ü', 'a&lt;b', 'x' * 100_000


def region(label, box=(10.25, 20.5, 40, 60), outline=None, score=0.876, status='suggested'):
    return dict(label=label, score=score, status=status, box=list(box), outline=outline)


def opened(text):
    """What VIA 2.0.x holds after "Load": (images in its order, default path, region attributes).

    The rules are those of project_open_parse_json_file, project_import_settings and
    annotation_editor_get_metadata_row_html in VIA's via.js.
    """
    project = json.loads(text)
    assert all(project[name] for name in ('_via_settings', '_via_img_metadata', '_via_attributes'))
    assert set(project['_via_settings']) <= {'ui', 'core', 'project'}  # another one is a TypeError
    images = project['_via_img_metadata']
    for key, image in images.items():
        assert {'filename', 'size', 'regions', 'file_attributes'} <= image.keys()
        assert isinstance(image['regions'], list)
        assert key == f'{image["filename"]}{image["size"]}' or image['size'] == -1
    order = project['_via_image_id_list']
    assert sorted(order) == sorted(images)
    return [images[key] for key in order], project


def shown(project, attribute):
    """{option id: the text that a browser shows for it}; fails where it would make an element."""
    options = project['_via_attributes']['region'][attribute]['options']
    for text in options.values():
        assert not re.search(r'<\s*[a-zA-Z/!]', text), text
    return {key: html.unescape(text) for key, text in options.items()}


@pytest.mark.parametrize('label', HOSTILE)
def test_a_class_name_stays_text(tmp_path, label):
    text = via_project([('a.jpg', 3, [region(label)])], [label], 'class', tmp_path)
    (image,), project = opened(text)
    assert shown(project, 'class') == {label: label}
    assert image['regions'][0]['region_attributes'] == {
        'class': label, 'status': 'suggested', 'score': '0.876'
    }  # fmt: skip
    (tmp_path / 'p.json').write_text(text, encoding='utf-8')
    (entry,), options = read_via(tmp_path / 'p.json')
    assert options['class'].get(label, label) == label
    assert entry.regions[0].outlines == [[10.25, 20.5, 40, 20.5, 40, 60, 10.25, 60]]


def test_many_regions_folders_and_names(tmp_path):
    names = ['one/a b.jpg', 'two/a b.jpg', 'ü.jpg', '气球.jpg', 'it\'s "x".jpg']
    outline = [0.5, 0.5, 9.5, 0.5, 5, 8.25]
    rows = [(name, i, [region('b', outline=outline)] * 300) for i, name in enumerate(names)]
    images, project = opened(via_project(rows, ['b', 'c'], 'type', tmp_path))
    assert [image['filename'] for image in images] == names
    shape = images[0]['regions'][299]['shape_attributes']
    assert shape == dict(name='polygon', all_points_x=[0.5, 9.5, 5], all_points_y=[0.5, 0.5, 8.25])
    path = project['_via_settings']['core']['default_filepath']
    assert path == tmp_path.resolve().as_uri() + '/'
    assert shown(project, 'type') == {'b': 'b', 'c': 'c'}
    assert list(shown(project, 'status')) == ['suggested', 'ok', 'wrong']


def test_truth_comes_back_from_the_converter(tmp_path, capsys):
    """300 regions in each image, in two folders, under names that are hard to write."""
    names = ['one/a b.png', 'two/a b.png', 'one/ü 气球.png', 'two/it\'s "<b>" &amp; 50%.png']
    rng, rows, labels = np.random.default_rng(0), [], [*HOSTILE[:3], 'ball']
    for number, name in enumerate(names):
        (tmp_path / 'images' / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new('RGB', (500, 400)).save(tmp_path / 'images' / name)
        corners = rng.uniform((5, 5), (400, 300), (300, 2))
        found = np.hstack([corners, corners + rng.uniform(3, 95, (300, 2))])
        angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
        ring = np.stack([np.cos(angles), np.sin(angles)], 1) / 2 + 0.5
        rings = [(box[:2] + ring * (box[2:] - box[:2])).ravel() for box in found]
        regions = [
            region(labels[i % 4], box, list(line) if number % 2 else None, status='ok')
            for i, (box, line) in enumerate(zip(found, rings))
        ]
        rows.append((name, (tmp_path / 'images' / name).stat().st_size, regions))
    project, out = tmp_path / 'p.json', tmp_path / 'o.json'
    project.write_text(via_project(rows, labels, 'kind', tmp_path), encoding='utf-8')
    args = [project, tmp_path / 'images', '--class-attribute', 'kind', '--out', out, '--strict']
    balloon2coco.main(list(map(str, args)))
    coco = json.loads(out.read_text(encoding='utf-8'))
    assert [image['file_name'] for image in coco['images']] == names
    classes = {c['id']: c['name'] for c in coco['categories']}
    assert list(classes.values()) == labels
    truth = [(i, r) for i, (_, _, regions) in enumerate(rows, 1) for r in regions]
    for (image, before), after in zip(truth, coco['annotations'], strict=True):
        assert (after['image_id'], classes[after['category_id']]) == (image, before['label'])
        x, y, width, height = after['bbox']
        assert np.abs(np.subtract(before['box'], [x, y, x + width, y + height])).max() < 0.5
        if before['outline']:
            assert np.abs(np.subtract(before['outline'], after['segmentation'][0])).max() < 1


def test_a_project_is_extended_and_its_entries_keep_their_bytes(tmp_path):
    entry = (
        '{ "filename":"old.jpg","size":5,"regions":[{"shape_attributes":{"name":"rect","x":1e0,'
        '"y":2.50,"width":3,"height":4},"region_attributes":{"kind":"\\u6c14","note":"</textarea>"}'
        '}],"file_attributes":{"caption":"\\u00fc"}}'
    )
    settings = {'core': {'default_filepath': './mine/'}, 'project': {'name': 'mine'}, 'ui': {}}
    kinds = dict(type='radio', options={'1': '气', '2': 'R&amp;B'}, default_options={'1': True})
    attributes = dict(region=dict(kind=kinds, note=dict(type='text')), file={})
    base = tmp_path / 'mine.json'
    base.write_text(
        f'{{"_via_settings": {json.dumps(settings)}, "_via_img_metadata" : {{"old.jpg5" : {entry} }},'
        f'"_via_attributes":{json.dumps(attributes)}, "_via_data_format_version":"2.0.10",'
        '"_via_image_id_list":["old.jpg5"]}',
        encoding='utf-8',
    )
    text = via_project(
        [('new.jpg', 7, [region('R&B')])], ['R&B', 'new'], 'kind', tmp_path, read_base(base)
    )
    assert entry in text
    (new, old), project = opened(text)
    assert new['filename'] == 'new.jpg' and old == json.loads(entry)
    assert new['regions'][0]['region_attributes']['kind'] == '2'  # the id of the option R&B
    assert shown(project, 'kind') == {'1': '气', '2': 'R&B', 'new': 'new'}
    assert project['_via_attributes']['region']['kind']['type'] == 'radio'
    assert project['_via_settings']['core']['default_filepath'] == './mine/'
    assert project['_via_settings']['project']['name'] == 'mine'


def test_an_attribute_of_text_becomes_a_dropdown_that_shows_every_value(tmp_path):
    base = tmp_path / 'via.json'
    regions = [dict(shape_attributes=dict(name='point'), region_attributes={'type': 'mug'})]
    base.write_text(json.dumps({'a1': dict(filename='a', size=1, regions={'0': regions[0]})}))
    (new, old), project = opened(
        via_project([('b', 2, [])], ['ball'], 'type', tmp_path, read_base(base))
    )
    assert old['regions'] == regions and new['regions'] == []
    assert shown(project, 'type') == {'ball': 'ball', 'mug': 'mug'}


def test_a_class_that_is_called_as_an_option_is_with_another_text(tmp_path):
    kind = dict(type='dropdown', options={'ripe': 'Ripe tomato'})
    base = dict(_via_settings={}, _via_img_metadata={}, _via_attributes=dict(region={'type': kind}))
    images = [('a.jpg', 3, [region('ripe'), region('Ripe tomato')])]
    (image,), _ = opened(via_project(images, ['ripe'], 'type', tmp_path, json.dumps(base)))
    assert [r['region_attributes']['type'] for r in image['regions']] == ['ripe', 'ripe']


def test_the_real_set_comes_back(tmp_path):
    source = Path('data/balloon/val/via_region_data.json')
    if not source.exists():
        pytest.skip('no real data')
    entries = read_via(source)[0]
    rows = [
        (e.filename, e.size, [region('balloon', outline=r.outlines[0]) for r in e.regions])
        for e in entries
    ]
    (tmp_path / 'p.json').write_text(via_project(rows, ['balloon'], 'class', source.parent))
    back = read_via(tmp_path / 'p.json')[0]
    assert [(e.filename, e.size) for e in back] == [(e.filename, e.size) for e in entries]
    for before, after in zip(entries, back):
        assert [r.outlines for r in after.regions] == [r.outlines for r in before.regions]


def test_an_entry_under_the_key_of_another_image_stays(tmp_path):
    base = tmp_path / 'base.json'
    base.write_text('{"a.jpg3": {"filename": "old/b.jpg", "size": 5, "regions": []}}')
    text = via_project([('a.jpg', 3, [])], ['b'], 'class', tmp_path, read_base(base))
    entries = json.loads(text)['_via_img_metadata']
    assert sorted(entry['filename'] for entry in entries.values()) == ['a.jpg', 'old/b.jpg']
    assert entries['a.jpg3']['filename'] == 'old/b.jpg'
