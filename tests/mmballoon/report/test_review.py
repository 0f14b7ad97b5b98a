"""--review: from a file of VIA or of COCO to a project that shows the worst first, and back."""

import argparse
import copy
import json
from types import SimpleNamespace

import balloon2coco
import pytest
from mmengine.config import ConfigDict
from PIL import Image

from mmballoon.cli import UserError
from mmballoon.report.review import add_arguments, check, review
from mmballoon.report.split import load_split

NAMES = 'fine.png', 'moved ü.png', 'missing "1".png'
CIRCLE = dict(name='circle', cx=30, cy=30, r=12.5)
RECT = dict(name='rect', x=50, y=40, width=20, height=30)


def entry(name, *shapes):
    """An entry of VIA as text, with odd numbers and blanks that only its own bytes keep."""
    regions = ', '.join(
        f'{{"shape_attributes": {json.dumps(shape)}, "region_attributes":{{"type":"b","note":1.50}}}}'
        for shape in shapes
    )
    return f'{{"filename": {json.dumps(name)}, "size":-1, "regions":[{regions}],"file_attributes":{{}}}}'


ENTRIES = [entry(NAMES[0], RECT), entry(NAMES[1], CIRCLE, RECT), entry(NAMES[2])]


@pytest.fixture
def data(tmp_path, capsys):
    """A converted data root; functions to review it, and to convert a project."""
    folder = tmp_path / 'train'
    folder.mkdir()
    for name in NAMES:
        Image.new('RGB', (100, 100)).save(folder / name)
    text = ',\n'.join(f'{json.dumps(name)}: {e}' for name, e in zip(NAMES, ENTRIES))
    (folder / 'via.json').write_text(f'{{{text}}}', encoding='utf-8')

    def convert(file):
        """The COCO file of a file of VIA, or the one line that refuses it."""
        out = tmp_path / 'coco_train.json'
        out.unlink(missing_ok=True)
        try:
            balloon2coco.main([str(file), str(folder), '--class-attribute', 'type'])
        except SystemExit:
            return capsys.readouterr().err
        return json.loads(out.read_text(encoding='utf-8'))

    def run(rows=None, sources=None, **changes):
        sources = sources or [dataset]
        part = load_split(ConfigDict(datasets=sources))
        args = dict(review=tmp_path / 'r.json', extend=None, class_attribute='type', lang='en')
        args = SimpleNamespace(**(args | changes))
        check(args)
        result = dict(label_errors=rows or ROWS, failures=FAILURES, threshold=dict(threshold=0.5))
        text, lines = review(args, result, part, sources)
        args.review.write_text(text, encoding='utf-8')
        project = json.loads(text)
        images = [project['_via_img_metadata'][key] for key in project['_via_image_id_list']]
        return SimpleNamespace(
            text=text, lines=lines, images=images, project=project, path=args.review
        )

    coco = convert(folder / 'via.json')
    dataset = ConfigDict(
        data_root=str(tmp_path), ann_file='coco_train.json', data_prefix=dict(img='train')
    )
    dataset.metainfo = dict(classes=('b',))
    return SimpleNamespace(
        run=run, convert=convert, coco=coco, via=folder / 'via.json', root=tmp_path, dataset=dataset
    )


def row(kind, image, bbox, score=None, truth=None):
    truth = truth and dict(category_id=1, bbox=truth)
    return dict(kind=kind, image_id=image, category_id=1, bbox=bbox, score=score, truth=truth)


ROUND, SQUARE = [17.5, 17.5, 25, 25], [50, 40, 20, 30]
ROWS = [
    row('missing_annotation', 3, [10, 10, 30, 20], 0.9),
    row('moved', 2, [27, 17, 25, 25], 0.8, ROUND),
    row('missing_annotation', 1, [0, 0, 9, 9], 0.2),  # below the threshold
]
FAILURES = [
    row('missed', 2, ROUND),  # it has its reason
    row('missed', 2, SQUARE),
    row('empty_image', 3, [10, 10, 30, 20], 0.9),  # as above
    row('double', 1, SQUARE, 0.7, SQUARE),  # says nothing about the annotation
]


def marks(image):
    return [region['region_attributes'] for region in image['regions']]


def test_marks_in_the_order_of_suspicion_and_the_rest_keeps_its_bytes(data):
    done = data.run(extend=data.via)
    assert [image['filename'] for image in done.images] == [NAMES[2], NAMES[1], NAMES[0]]
    assert ENTRIES[0] in done.text  # to the byte
    assert marks(done.images[0]) == [
        dict(type='b', status='suggested', score='0.90', reason='No annotation here? b 0.90')
    ]
    own = dict(type='b', note=1.5, status='check')
    assert marks(done.images[1]) == [
        own | dict(reason='Box elsewhere? b 0.80'), own | dict(reason='Missed object')
    ]  # fmt: skip
    assert [r['shape_attributes'] for r in done.images[1]['regions']] == [CIRCLE, RECT]
    assert list(done.project['_via_attributes']['region']['status']['options']) == [
        'suggested', 'ok', 'wrong', 'check'
    ]  # fmt: skip
    line = '2 annotations to check, 1 suggestions, in 2 of 3 images, which come first'
    assert done.lines == [line]


@pytest.mark.parametrize('source', ['via', 'coco'])
def test_it_converts_once_the_suggestions_are_reviewed(data, source):
    """What nobody touched comes back as it was: regions to check are a person's own."""
    done = data.run(extend=data.via if source == 'via' else None)
    assert 'error: ' in (line := data.convert(done.path)) and '1 suggestions in 1 images' in line
    marks(done.images[0])[0]['status'] = 'ok'
    done.path.write_text(json.dumps(done.project), encoding='utf-8')
    after = data.convert(done.path)
    before = {
        (data.coco['images'][a['image_id'] - 1]['file_name'], *a['bbox'])
        for a in data.coco['annotations']
    }
    found = {
        (after['images'][a['image_id'] - 1]['file_name'], *a['bbox']) for a in after['annotations']
    }
    assert found == before | {(NAMES[2], 10, 10, 30, 20)}
    assert [c['name'] for c in after['categories']] == ['b'] and len(after['images']) == 3


def test_links_to_images_keep_their_names(data):
    """As git-annex and DVC leave them, and two datasets that link to one file."""
    (data.root / 'store').mkdir()
    for i, name in enumerate(NAMES):
        path = data.root / 'train' / name
        path.rename(data.root / f'store/{i}')
        path.symlink_to(data.root / f'store/{i}')
    done = data.run()
    assert {image['filename'] for image in done.images} == {*NAMES}
    (data.root / 'again').mkdir()
    (data.root / 'again/0.png').symlink_to(data.root / 'store/0')
    images = [dict(data.coco['images'][0], file_name='0.png')]
    boxes = [a for a in data.coco['annotations'] if a['image_id'] == 1]
    again = dict(data.coco, images=images, annotations=boxes)
    (data.root / 'again.json').write_text(json.dumps(again))
    other = copy.deepcopy(data.dataset)
    other.update(ann_file='again.json', data_prefix=dict(img='again'))
    done = data.run(sources=[data.dataset, other], review=data.root / 's.json')
    assert {image['filename'] for image in done.images} == {*NAMES}


def test_what_via_cannot_hold_is_counted(data):
    coco = json.loads((data.root / 'coco_train.json').read_text())
    coco['annotations'][0]['segmentation'] *= 2
    coco['annotations'][1]['iscrowd'] = 1
    coco['categories'].append(dict(id=2, name='other'))
    coco['annotations'][2]['category_id'] = 2  # of no class in the config: kept all the same
    (data.root / 'coco_train.json').write_text(json.dumps(coco))
    done = data.run(rows=ROWS[:1])
    assert done.lines[1] == 'note: 2 annotations are crowds or no single polygon: boxes in VIA'
    assert [mark['type'] for image in done.images for mark in marks(image)] == [
        'b',
        'b',
        'other',
        'b',
    ]


def test_a_file_of_some_of_the_images(data):
    """Suspects in the other images, and of regions that the file does not have, are counted."""
    data.via.write_text(f'{{"only": {entry(NAMES[1], RECT)}}}', encoding='utf-8')
    done = data.run(extend=data.via)
    assert [image['filename'] for image in done.images] == [NAMES[1]]
    assert [mark['reason'] for mark in marks(done.images[0])] == ['Missed object']
    counts = '1 annotations to check, 0 suggestions, in 1 of 1 images, which come first'
    assert done.lines[0] == counts
    assert done.lines[1] == f'note: 5 more are in images or regions that {data.via} lacks'


def test_mistakes(data):
    (data.root / 'r.json').write_text('mine')
    with pytest.raises(UserError, match='r.json: exists; next: choose another --review'):
        data.run()
    (data.root / 'r.json').unlink()
    (data.root / 'v.csv').write_text(
        'filename,file_size,region_count,region_shape_attributes,region_attributes\na,1,0,{},{}\n'
    )
    with pytest.raises(UserError, match='v.csv: CSV, expected JSON; next: '):
        data.run(extend=data.root / 'v.csv')
    (data.root / 'v.json').write_text('{"a": {"filename": "gone.png", "regions": []}}')
    with pytest.raises(UserError, match='v.json: none of its images is in'):
        data.run(extend=data.root / 'v.json')
    entry = json.loads(ENTRIES[0])
    for key, value in (('status', 'ripe'), ('status', 0), ('reason', 'hidden')):
        entry['regions'][0]['region_attributes'] = {key: value}
        (data.root / 'v.json').write_text(json.dumps({'a': entry}))
        said = f"v.json: its attribute '{key}' holds {value}, which --review would replace"
        with pytest.raises(UserError, match=said):
            data.run(extend=data.root / 'v.json')
    entry['regions'][0]['region_attributes'] = {'status': 'OK ', 'reason': 'Double box'}  # ours
    (data.root / 'v.json').write_text(json.dumps({'a': entry}))
    data.run(extend=data.root / 'v.json')
    data.run(review=data.root / 'r2.json', extend=data.root / 'r.json')
    parser = argparse.ArgumentParser()
    add_arguments(parser.add_argument)
    with pytest.raises(SystemExit):  # the class would be replaced by the mark
        parser.parse_args(['--class-attribute', 'status'])
