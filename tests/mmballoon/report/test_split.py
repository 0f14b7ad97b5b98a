"""A class is its name: files with other orders, gaps in their ids, classes that are missing."""

import json
import pickle
from types import SimpleNamespace

import cv2
import hotcoco
import numpy as np
import pytest
import torch
from coco_reference import annotation, pycocotools_stats
from mmengine.config import ConfigDict

from mmballoon.cli import UserError
from mmballoon.export import compare, detector
from mmballoon.report import numbers, split
from mmballoon.report.results import read_results

CLASSES = ['zebra', 'ball', 'mug']  # of the config: labels 0, 1, 2


def write_split(folder, name, ids, first_image=1, seed=0):
    """A COCO file with categories ``ids`` {class: id} in that order, and 9 small images.

    Returns its dataset in a config, and the detections of a network by image:
    {image id: (boxes, scores, labels)}, in the classes and the order of the config.
    """
    rng = np.random.default_rng(seed)
    annotations, detections = [], {}
    images = [
        dict(id=first_image + i, file_name=f'{i}.png', width=400, height=400) for i in range(9)
    ]
    (folder / name).mkdir()
    for image in images:
        cv2.imwrite(str(folder / name / image['file_name']), np.zeros((9, 9, 3), np.uint8))
        boxes, labels = [], []
        for _ in range(rng.integers(1, 6)):
            label = int(rng.integers(3))
            x, y, width, height = rng.uniform(5, 150, 4).tolist()
            if CLASSES[label] in ids:
                key = len(annotations) + 1
                box = [x, y, width, height]
                annotations.append(annotation(key, image['id'], box, ids[CLASSES[label]]))
            x += rng.normal(0, 3)
            boxes.append([x, y, x + width, y + height])
            labels.append(label if rng.random() < 0.8 else int(rng.integers(3)))
        columns = np.array(boxes), rng.random(len(boxes)), np.array(labels)
        detections[image['id']] = columns
    categories = [dict(id=key, name=name) for name, key in ids.items()]
    data = dict(images=images, annotations=annotations, categories=categories)
    (folder / f'{name}.json').write_text(json.dumps(data))
    dataset = dict(
        type='CocoDataset',
        data_root=str(folder),
        ann_file=f'{name}.json',
        data_prefix=dict(img=f'{name}/'),
        metainfo=dict(classes=tuple(CLASSES)),
    )
    return ConfigDict(dataset), detections


def by_name(folder, name, detections):
    """pycocotools' numbers of detections whose classes are looked up by name in the file."""
    data = json.loads((folder / f'{name}.json').read_text())
    ids = {category['name']: category['id'] for category in data['categories']}
    rows = [
        dict(
            image_id=image,
            category_id=ids[CLASSES[label]],
            bbox=[x1, y1, x2 - x1, y2 - y1],
            score=score,
        )
        for image, columns in detections.items()
        for (x1, y1, x2, y2), score, label in zip(*(column.tolist() for column in columns))
        if CLASSES[label] in ids
    ]
    return pycocotools_stats(data, rows)


ORDERS = {
    'same order': dict(zebra=1, ball=2, mug=3),
    'another order': dict(ball=1, mug=2, zebra=3),
    'gaps in the ids': dict(mug=90, zebra=7, ball=13),
    'one is missing': dict(mug=1, zebra=2),
    'others beside them': dict(cat=1, mug=2, dog=3, zebra=4, ball=5),
}


def sample(image, path, columns):
    """As in results.pkl of tools/test.py."""
    columns = dict(zip(('bboxes', 'scores', 'labels'), map(torch.as_tensor, columns)))
    return dict(img_id=image, img_path=str(path), pred_instances=columns)


@pytest.mark.parametrize('ids', ORDERS.values(), ids=ORDERS)
def test_the_report_is_pycocotools_by_name(tmp_path, ids):
    """As results.pkl, which has labels, and as a file of ONNX, which has names in any order."""
    dataset, detections = write_split(tmp_path, 'val', ids)
    part = split.load_split(dataset)
    samples = [
        sample(image, f'elsewhere/{i}.png', columns)
        for i, (image, columns) in enumerate(detections.items())
    ]
    (tmp_path / 'results.pkl').write_bytes(pickle.dumps(samples))
    result = numbers.measure(
        split.to_coco(part), read_results(tmp_path / 'results.pkl', part), None, 640
    )
    reference = by_name(tmp_path, 'val', detections)
    values = [row['value'] if row else -1 for row in result['metrics'].values()]
    np.testing.assert_allclose(values, reference[:6], rtol=0, atol=1e-6)
    assert list(part.names.values()) == CLASSES and 0 < values[0] < 1


@pytest.mark.parametrize('ids', ORDERS.values(), ids=ORDERS)
def test_an_exported_file_is_pycocotools_by_name(tmp_path, ids, monkeypatch):
    dataset, detections = write_split(tmp_path, 'val', ids)
    images = iter(detections.values())
    order = [2, 0, 1]  # the file's label of each of CLASSES

    class Fake:
        metadata, name = dict(classes=['ball', 'mug', 'zebra']), 'ONNX Runtime'

        def __init__(self, path, runtime):
            pass

        def __call__(self, image):
            boxes, scores, labels = next(images)
            return boxes, scores, np.array(order)[labels]

    monkeypatch.setattr(detector, 'Detector', Fake)
    part = split.load_split(dataset)
    found = compare.detect('model.onnx', part)
    evaluation = numbers.evaluate(hotcoco.COCO(split.to_coco(part)), found)
    reference = by_name(tmp_path, 'val', detections)
    np.testing.assert_allclose(evaluation.stats, reference, rtol=0, atol=1e-6)


def test_an_exported_file_of_other_classes(tmp_path, monkeypatch):
    dataset, _ = write_split(tmp_path, 'val', dict(mug=1))
    other = SimpleNamespace(metadata=dict(classes=['car']), name='ONNX Runtime')
    monkeypatch.setattr(detector, 'Detector', lambda path, runtime: other)
    with pytest.raises(UserError, match='model.onnx: it detects car, and the config has zebra'):
        compare.detect('model.onnx', split.load_split(dataset))


@pytest.mark.parametrize('first_image', [1, 100], ids=['the same ids', 'other ids'])
def test_two_datasets_at_once(tmp_path, first_image):
    """ConcatDataset: the detections of each image come to its own annotations."""
    left, in_left = write_split(tmp_path, 'left', dict(zebra=1, ball=2, mug=3))
    right, in_right = write_split(tmp_path, 'right', dict(mug=1, ball=2), first_image, seed=1)
    wrapped = dict(type='RepeatDataset', times=1, dataset=right)
    part = split.load_split(ConfigDict(type='ConcatDataset', datasets=[left, wrapped]))
    assert len(part.images) == 18
    samples = [
        sample(image, tmp_path / name / f'{i}.png', columns)
        for name, detections in (('left', in_left), ('right', in_right))
        for i, (image, columns) in enumerate(detections.items())
    ]
    (tmp_path / 'results.pkl').write_bytes(pickle.dumps(samples))
    found = read_results(tmp_path / 'results.pkl', part)
    evaluation = numbers.evaluate(hotcoco.COCO(split.to_coco(part)), found)
    # By hand: both files in one, with the categories of the left one.
    files = [json.loads((tmp_path / f'{name}.json').read_text()) for name in ('left', 'right')]
    one = dict(files[0], images=[*files[0]['images']], annotations=[*files[0]['annotations']])
    new = {1: 3, 2: 2}
    for image in files[1]['images']:
        one['images'].append(dict(image, id=image['id'] + 1000))
    for a in files[1]['annotations']:
        changed = dict(image_id=a['image_id'] + 1000, category_id=new[a['category_id']])
        one['annotations'].append(dict(a, id=a['id'] + 1000) | changed)
    (tmp_path / 'one.json').write_text(json.dumps(one))
    together = in_left | {key + 1000: columns for key, columns in in_right.items()}
    reference = by_name(tmp_path, 'one', together)
    np.testing.assert_allclose(evaluation.stats, reference, rtol=0, atol=1e-6)


def test_links_to_images_keep_their_names(tmp_path):
    """As git-annex and DVC leave them: the regular expression of --group is for these names."""
    both = [write_split(tmp_path, name, dict(zebra=1))[0] for name in ('left', 'right')]
    (tmp_path / 'store').mkdir()
    for i in range(9):
        path = tmp_path / f'left/{i}.png'
        path.rename(tmp_path / f'store/{97 * i}')
        path.symlink_to(tmp_path / f'store/{97 * i}')
    part = split.load_split(ConfigDict(type='ConcatDataset', datasets=both))
    names = [image['file_name'] for image in part.images.values()]
    assert names == [f'{name}/{i}.png' for name in ('left', 'right') for i in range(9)]
    (tmp_path / 'right/0.png').unlink()
    (tmp_path / 'right/0.png').symlink_to(tmp_path / 'store/0')  # the same file, with other boxes
    data = json.loads((tmp_path / 'right.json').read_text())
    data['annotations'].append(annotation(99, 1, [1, 1, 5, 5], 1))
    (tmp_path / 'right.json').write_text(json.dumps(data))
    with pytest.raises(UserError, match='right/0.png: is listed twice, with other boxes'):
        split.load_split(ConfigDict(type='ConcatDataset', datasets=both))


def test_two_datasets_with_classes_in_another_order(tmp_path):
    left, _ = write_split(tmp_path, 'left', dict(zebra=1, ball=2, mug=3))
    right, _ = write_split(tmp_path, 'right', dict(zebra=1, ball=2, mug=3), 100)
    both = ConfigDict(type='ConcatDataset', datasets=[left, right])
    boxes = split.load_split(both).boxes
    right.metainfo.classes = ('mug', 'zebra', 'ball')
    assert split.load_split(both).boxes == boxes
    right.metainfo.classes = ('mug', 'zebra')
    with pytest.raises(UserError, match='right: its classes are mug, zebra, and zebra, ball, mug'):
        split.load_split(both)


def test_detections_of_other_images(tmp_path):
    dataset, detections = write_split(tmp_path, 'val', dict(zebra=1, ball=2, mug=3))
    part, file = split.load_split(dataset), tmp_path / 'results.pkl'
    samples = [
        sample(image, f'elsewhere/{i}.png', columns)
        for i, (image, columns) in enumerate(detections.items())
    ]
    file.write_bytes(pickle.dumps(samples[:2]))
    with pytest.raises(UserError, match='nothing about 7 of the 9 images of the config'):
        read_results(file, part)
    samples[3]['img_path'] = 'train/3.jpg'
    file.write_bytes(pickle.dumps(samples))
    with pytest.raises(UserError, match='train/3.jpg: has detections, and is no image of the'):
        read_results(file, part)


def test_an_image_that_is_listed_twice_has_its_own_detections(tmp_path):
    dataset, detections = write_split(tmp_path, 'val', dict(zebra=1, ball=2, mug=3))
    file = tmp_path / 'val.json'
    data = json.loads(file.read_text())
    data['images'] += [dict(image, id=image['id'] + 100) for image in data['images']]
    file.write_text(json.dumps(data))
    part = split.load_split(dataset)
    paths = [tmp_path / f'val/{i}.png' for i in range(9)]
    samples = [sample(1 + i, path, detections[1 + i]) for i, path in enumerate(paths)]
    samples += [sample(101 + i, path, [[]] * 3) for i, path in enumerate(paths)]
    for row in samples[9:]:
        row['pred_instances']['bboxes'] = torch.zeros(0, 4)
    (tmp_path / 'results.pkl').write_bytes(pickle.dumps(samples))
    found = read_results(tmp_path / 'results.pkl', part)
    assert {d['image_id'] for d in found} <= set(range(1, 10)) and found


def test_ids_that_are_words(tmp_path):
    dataset, _ = write_split(tmp_path, 'val', dict(zebra='z1'))
    with pytest.raises(UserError, match=r"val.json: an id is no number \('z1'\)"):
        split.load_split(dataset)


def test_no_class_of_the_config(tmp_path):
    dataset, _ = write_split(tmp_path, 'val', dict(cat=1))
    with pytest.raises(UserError, match='val.json: no category named zebra, ball, mug'):
        split.load_split(dataset)


@pytest.mark.parametrize('metainfo', [None, {}])
def test_a_config_without_classes_has_those_of_its_dataset(tmp_path, metainfo):
    """A model of COCO's 80 classes, tested on a file with two of them in another order."""
    dataset, _ = write_split(tmp_path, 'val', dict(car=3, person=1))
    dataset.metainfo = metainfo
    names = split.load_split(dataset).names
    assert len(names) == 80 and [*names.items()][:3:2] == [(1, 'person'), (3, 'car')]
