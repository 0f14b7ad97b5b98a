"""The report's numbers and page, on detections whose failures were planted."""

import json
import random
import re

import hotcoco
import numpy as np
import pytest
from coco_reference import annotation, pycocotools_stats
from PIL import Image

from mmballoon.data import coco
from mmballoon.report import build, numbers

HOSTILE = '<script>alert(1)</script>"\'\n\u202egpj.jpg'


def detection(image, box, score=0.9, category=1):
    return dict(image_id=image, category_id=category, bbox=[float(v) for v in box], score=score)


def data_set(annotations, images=2, classes=('balloon',)):
    return dict(
        images=[
            dict(id=i, file_name=f'{i}.jpg', width=400, height=400) for i in range(1, images + 1)
        ],
        annotations=annotations,
        categories=[dict(id=i, name=name) for i, name in enumerate(classes, start=1)],
    )


def measure(data, detections, other=None):
    return numbers.measure(data, detections, other, 640)


def html(data, detections, tmp_path, lang='en'):
    path = tmp_path / 'coco_val.json'
    path.write_text(json.dumps(data))
    result = measure(data, detections)
    result.update(made=dict(config='config.py', checkpoint='a.pth'), use='', findings=[])
    return build.render(result, coco.load(path), lang), result


def random_set(seed):
    rng = random.Random(seed)

    def box():
        return [rng.uniform(0, 200), rng.uniform(0, 200), rng.uniform(5, 150), rng.uniform(5, 150)]

    truth = [
        annotation(i, rng.randint(1, 9), box(), rng.randint(1, 3))
        | dict(iscrowd=int(rng.random() < 0.1))
        for i in range(1, 60)
    ]
    found = [
        detection(
            a['image_id'],
            [v + rng.uniform(-5, 5) if i < 2 else v for i, v in enumerate(a['bbox'])],
            round(rng.random(), 1),  # ties
            rng.choice((a['category_id'], 1)),
        )
        for a in truth
    ]
    return data_set(truth, 9, 'abc'), found + [
        detection(rng.randint(1, 9), box(), 0.5) for _ in range(30)
    ]


@pytest.mark.parametrize('seed', range(12))
def test_hotcoco_agrees_with_pycocotools(seed):
    """In every digit: the report does not ask pycocotools again."""
    data, found = random_set(seed)
    evaluation = numbers.evaluate(hotcoco.COCO(data), found)
    reference = pycocotools_stats(data, found)
    np.testing.assert_allclose(evaluation.stats, reference, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    'kind, annotations, found',
    [
        ('missed', [[100, 100, 50, 50]], []),
        ('false_alarm', [[100, 100, 50, 50]], [detection(1, [300, 300, 50, 50])]),
        ('empty_image', [], [detection(1, [300, 300, 50, 50])]),
        ('double', [[100, 100, 50, 50]], [detection(1, [100, 100, 50, 50]), detection(1, [105, 100, 50, 50], 0.8)]),
        ('shifted', [[100, 100, 50, 50]], [detection(1, [125, 100, 50, 50])]),  # IoU 1 / 3
        ('wrong_class', [[100, 100, 50, 50]], [detection(1, [100, 100, 50, 50], category=2)]),
        ('both', [[100, 100, 50, 50]], [detection(1, [125, 100, 50, 50], category=2)]),
    ],
)  # fmt: skip
def test_planted_failure_has_its_name(kind, annotations, found):
    boxes = [annotation(i, 1, box) for i, box in enumerate(annotations, start=1)]
    data = data_set(boxes, classes=('balloon', 'kite'))
    status = numbers.evaluate(hotcoco.COCO(data), found).image_diagnostics(numbers.IOU)
    named = [f['kind'] for f in numbers.failures(status, data, found)]
    missed = ['missed'] if kind == 'false_alarm' else []  # the false alarm is elsewhere
    assert named == missed + [kind]


def test_each_planted_failure_is_on_the_page_under_its_name(tmp_path):
    """All at one score, so that the best threshold shows all of them."""
    boxes = [[10, 10, 50, 50], [110, 10, 50, 50], [210, 10, 50, 50], [310, 10, 50, 50]]
    boxes += [[10, 110, 50, 50]]
    data = data_set(
        [annotation(i, 1, box) for i, box in enumerate(boxes, start=1)], 2, ('balloon', 'kite')
    )
    found = [
        detection(1, boxes[0]),
        detection(1, [15, 10, 50, 50]),  # double
        detection(1, [135, 10, 50, 50]),  # shifted; the third object is missed
        detection(1, boxes[3], category=2),  # wrong class
        detection(1, [35, 110, 50, 50], category=2),  # both
        detection(1, [200, 200, 50, 50]),  # false alarm, or an object that nobody annotated
        detection(2, [200, 200, 50, 50]),  # in an image without objects
    ]
    text, result = html(data, found, tmp_path)
    cards = re.findall(r'data-kind="(\w+)">.*?<strong>(.*?)</strong>', text, re.DOTALL)
    assert sorted(cards[: len(result['failures'])]) == sorted(
        dict(
            missed='Missed object',
            false_alarm='False alarm',
            empty_image='Detection in an image without objects',
            double='Double box',
            shifted='Badly placed box',
            wrong_class='Wrong class',
            both='Wrong class, badly placed',
        ).items()
    )
    assert ('missing_annotation', 'No annotation here?') in cards[len(result['failures']) :]


def test_image_that_opencv_cannot_read_has_no_picture(tmp_path):
    Image.new('F', (9, 9)).save(tmp_path / 'a.tif')
    assert build.data_url(tmp_path / 'a.tif', 9) is None


def test_object_without_annotation_is_a_possible_label_error():
    found = [detection(1, [10, 10, 100, 100]), detection(1, [250, 250, 80, 80], 0.95)]
    errors = measure(data_set([annotation(1, 1, [10, 10, 100, 100])]), found)['label_errors']
    assert [(e['kind'], e['bbox']) for e in errors] == [('missing_annotation', [250, 250, 80, 80])]


def test_object_that_nothing_finds_is_a_possible_label_error():
    boxes = [annotation(1, 1, [10, 10, 100, 100]), annotation(2, 2, [10, 10, 50, 50])]
    errors = measure(data_set(boxes), [detection(1, [10, 10, 100, 100])])['label_errors']
    assert [(e['kind'], e['bbox']) for e in errors] == [('never_found', [10, 10, 50, 50])]


def test_map_by_the_size_in_the_network():
    """At 640 px, images of 400 pixels are enlarged by 1.6: a box of 10 pixels is 16 wide there."""
    boxes = [annotation(1, 1, [10, 10, 10.1, 10.1]), annotation(2, 2, [10, 10, 100, 100])]
    result = measure(data_set(boxes), [detection(1, [10, 10, 10.1, 10.1])])
    found = {row['low']: (row['objects'], row['AP']) for row in result['sizes']}
    assert found == {
        **dict.fromkeys((0, 8, 32, 64, 256), (0, None)), 16: (1, pytest.approx(1)), 128: (1, 0)
    }  # fmt: skip


def test_confusion_matrix_with_categories_in_any_order(tmp_path):
    """A balloon (1) that is taken for a kite (2); the file names the kite first."""
    data = data_set([annotation(1, 1, [10, 10, 99, 99])], classes=('balloon', 'kite'))
    data['categories'].reverse()
    text, _ = html(data, [detection(1, [10, 10, 99, 99], category=2)], tmp_path)
    rows = re.findall(r'<tr><th><bdi>(\w+)</bdi></th>(.*?)</tr>', text)
    header = re.findall(r'<bdi>(\w+)</bdi>', text.split('class="matrix"')[1].split('</tr>')[0])
    found = {name: re.findall(r'>([^<>]+)</td>', row) for name, row in rows}
    assert found['balloon'][header.index('kite')] == '1' and '1' not in found['kite']


def test_threshold_of_best_f1():
    found = [detection(1, [10, 10, 100, 100], 0.8), detection(1, [250, 250, 80, 80], 0.4)]
    curve = measure(data_set([annotation(1, 1, [10, 10, 100, 100])]), found)['threshold']
    assert curve['threshold'] == 0.8
    assert (curve['best']['tp'], curve['best']['fp'], curve['best']['f1']) == (1, 0, 1.0)


def test_threshold_of_each_class(tmp_path):
    """The first detection of a kite is one too many, and the only balloon's score is low."""
    data = data_set([annotation(1, 1, [10, 10, 99, 99]), annotation(2, 2, [10, 10, 99, 99], 3)], 2)
    data['categories'] = [dict(id=i, name=n) for i, n in enumerate(['balloon', 'ball', 'kite'], 1)]
    found = [detection(1, [10, 10, 99, 99], 0.3), detection(1, [10, 10, 99, 99], 0.9, category=3)]
    found.append(detection(2, [10, 10, 99, 99], 0.7, category=3))
    text, result = html(data, found, tmp_path)
    assert result['thresholds'] == dict(balloon=0.3, kite=0.7)
    assert '<bdi>kite</bdi> <strong>0.700</strong>' in text


@pytest.mark.parametrize('lang', ['en', 'zh'])
@pytest.mark.parametrize(
    'data, found',
    [
        (data_set([annotation(1, 1, [10, 10, 100, 100])]), []),
        (data_set([]), [detection(1, [10, 10, 100, 100])]),
        (data_set([]), []),
        (data_set([annotation(1, 1, [10, 10, 99, 99])], 1), [detection(1, [10, 10, 99, 99])]),
        (
            data_set([annotation(1, 1, [10, 10, 99, 99], 30)], 1, [f'c{i}' for i in range(30)]),
            [detection(1, [10, 10, 99, 99], category=7)],
        ),
    ],
    ids=['no detections', 'no annotations', 'nothing', 'one image', '30 classes'],
)
def test_unusual_sets_give_a_page(data, found, lang, tmp_path):
    text, result = html(data, found, tmp_path, lang)
    assert '<h2 id="made">' in text and 'nan' not in json.dumps(result).lower()


def test_hostile_names_stay_text(tmp_path):
    data = data_set([annotation(1, 1, [10, 10, 99, 99])], classes=(HOSTILE, 'kite'))
    data['images'][0]['file_name'] = HOSTILE
    text, _ = html(data, [], tmp_path)
    assert '<script>alert' not in text and '&lt;script&gt;alert(1)' in text


def test_page_asks_the_network_for_nothing(tmp_path):
    (tmp_path / 'val').mkdir()
    Image.new('RGB', (400, 400), 'red').save(tmp_path / 'val/1.jpg')
    text, _ = html(data_set([annotation(1, 1, [10, 10, 99, 99])]), [], tmp_path)
    assert 'href="data:image/jpeg;base64,' in text
    assert not [word for word in ('src="http', 'href="http', '@import', 'url(') if word in text]


def test_500_images_with_many_failures(tmp_path):
    rng = random.Random(0)
    (tmp_path / 'val').mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    Image.fromarray(noise).resize((640, 480)).save(tmp_path / 'val/1.jpg')
    for i in range(2, 501):
        (tmp_path / f'val/{i}.jpg').symlink_to(tmp_path / 'val/1.jpg')
    boxes = [annotation(i, i, [rng.randint(0, 300), 10, 50, 50]) for i in range(1, 501)]
    found = [
        detection(i, [rng.randint(0, 300), 10, 50, 50], rng.random())
        for i in range(1, 501)
        for _ in range(20)
    ]
    text, result = html(data_set(boxes, 500), found, tmp_path)
    cards = len(result['failures']) + len(result['label_errors'])
    assert len(result['failures']) > 500 and text.count('data-kind=') == cards
    assert text.count('data-f1=') == 500 and len(text) < 30e6
