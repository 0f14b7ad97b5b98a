"""Label i is the i-th class of the config, whatever order, ids and gaps the files have."""

import contextlib
import io
import json

import mmcompat  # noqa: F401  isort: skip  (before MMDetection)

import numpy as np
import pytest
import torch
from mmdet.datasets import CocoDataset, api_wrappers
from mmdet.datasets.samplers import ClassAwareSampler
from mmdet.evaluation import CocoMetric
from mmdet.evaluation.metrics import coco_metric
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

CLASSES = ('zebra', 'ball', 'mug')
# In each file another order, ids with gaps, and in val one class missing.
FILES = dict(
    train=[(2, 'ball'), (5, 'mug'), (9, 'zebra')],
    val=[(7, 'mug'), (3, 'zebra')],
    test=[(4, 'mug'), (8, 'zebra'), (6, 'ball'), (1, 'a class that the config leaves out')],
)
IMAGES, SIDE = 6, 200


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    """A folder with a COCO file of each split: six images with four boxes each, of every class."""
    folder, random = tmp_path_factory.mktemp('classes'), np.random.default_rng(0)
    for split, categories in FILES.items():
        annotations = []
        for image in range(1, IMAGES + 1):
            for k in range(4):
                x, y, w, h = (*random.integers(0, 100, 2), *random.integers(20, 90, 2))
                annotations.append(
                    dict(
                        id=len(annotations) + 1,
                        image_id=image,
                        category_id=categories[(image + k) % len(categories)][0],
                        bbox=[int(v) for v in (x, y, w, h)],
                        area=int(w * h),
                        iscrowd=0,
                    )
                )
        images = [
            dict(id=i, file_name=f'{i}.jpg', width=SIDE, height=SIDE) for i in range(1, IMAGES + 1)
        ]
        named = [dict(id=id, name=name) for id, name in categories]
        file = dict(images=images, annotations=annotations, categories=named)
        (folder / f'{split}.json').write_text(json.dumps(file))
    return folder


def dataset(root, split, **options):
    with contextlib.redirect_stdout(io.StringIO()):
        return CocoDataset(
            ann_file=str(root / f'{split}.json'),
            data_prefix=dict(img=str(root)),
            metainfo=dict(classes=CLASSES),
            **options,
        )


@pytest.mark.parametrize('split', FILES)
def test_the_dataset_labels_by_name(root, split):
    file, names = json.loads((root / f'{split}.json').read_text()), dict(FILES[split])
    found = dataset(root, split)
    for i in range(IMAGES):
        info = found.get_data_info(i)
        seen = sorted((CLASSES[o['bbox_label']], o['bbox']) for o in info['instances'])
        true = []
        for box in file['annotations']:
            x, y, w, h = box['bbox']
            if box['image_id'] == info['img_id'] and names[box['category_id']] in CLASSES:
                true.append((names[box['category_id']], [x, y, x + w, y + h]))
        assert seen == sorted(true) and seen


def test_a_class_without_objects_is_sampled_from_the_others(root):
    sampler = ClassAwareSampler(dataset(root, 'val', filter_cfg=dict(filter_empty_gt=True)))
    assert sampler.num_cat_imgs[CLASSES.index('ball')] == 0
    assert len(list(sampler)) == IMAGES


def predictions(root, split):
    """What a detector says of each image: true boxes moved, some as another class, also an absent one."""
    file, random = json.loads((root / f'{split}.json').read_text()), np.random.default_rng(1)
    samples = []
    for image in file['images']:
        boxes, labels = [], []
        for annotation in file['annotations']:
            name = dict(FILES[split])[annotation['category_id']]
            if annotation['image_id'] == image['id'] and name in CLASSES:
                x, y, w, h = annotation['bbox'] + random.uniform(-6, 6, 4)
                boxes += [[x, y, x + w, y + h]] * 2
                labels += [CLASSES.index(name), random.integers(3)]
        found = dict(
            bboxes=torch.tensor(boxes, dtype=torch.float32),
            labels=torch.tensor(labels),
            scores=torch.tensor(random.uniform(0.1, 1, len(boxes)), dtype=torch.float32),
        )
        samples.append(dict(img_id=image['id'], ori_shape=(SIDE, SIDE), pred_instances=found))
    return samples


def by_pycocotools(root, split, samples):
    """mAP, and {class: AP}, of pycocotools alone: detections get the id that their name has."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(root / f'{split}.json'))
        ids, results = {name: id for id, name in FILES[split]}, []
        for sample in samples:
            found = sample['pred_instances']
            for (x1, y1, x2, y2), label, score in zip(
                found['bboxes'].tolist(), found['labels'].tolist(), found['scores'].tolist()
            ):
                if CLASSES[label] in ids:
                    results.append(
                        dict(
                            image_id=sample['img_id'],
                            category_id=ids[CLASSES[label]],
                            bbox=[x1, y1, x2 - x1, y2 - y1],
                            score=score,
                        )
                    )
        evaluation = COCOeval(truth, truth.loadRes(results), 'bbox')
        evaluation.params.catIds = sorted(ids[name] for name in CLASSES if name in ids)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    precision = evaluation.eval['precision'][:, :, :, 0, -1]
    names = {id: name for name, id in ids.items()}
    ordered = [names[id] for id in evaluation.params.catIds]
    return evaluation.stats[0], {n: precision[:, :, i].mean() for i, n in enumerate(ordered)}


@pytest.mark.parametrize('split', FILES)
def test_the_metric_is_pycocotools_mapped_by_name(root, split, tmp_path, monkeypatch):
    kept = []

    class Kept(COCOeval):  # the metric rounds to three digits what it returns
        def __init__(self, *args):
            super().__init__(*args)
            kept.append(self)

    monkeypatch.setattr(coco_metric, 'COCOeval', Kept)
    samples = predictions(root, split)
    with contextlib.redirect_stdout(io.StringIO()):
        metric = CocoMetric(
            ann_file=str(root / f'{split}.json'),
            metric=['bbox', 'proposal', 'proposal_fast'],
            classwise=True,
            proposal_nums=(100, 1, 10),
            outfile_prefix=str(tmp_path / 'results'),
        )
        metric.dataset_meta = dict(classes=CLASSES)
        metric.process({}, samples)
        metric.compute_metrics(metric.results)  # as after an earlier epoch
        numbers = metric.compute_metrics(metric.results)
    mean, of_classes = by_pycocotools(root, split, samples)
    assert len(kept) == 4  # box, proposal; box, proposal
    assert 0.1 < mean < 0.9 and abs(kept[-2].stats[0] - mean) < 1e-6
    for name in CLASSES:
        if name in of_classes:
            assert numbers[f'{name}_precision'] == pytest.approx(of_classes[name], abs=5.1e-4)
        else:
            assert np.isnan(numbers[f'{name}_precision'])
    ids = {name: id for id, name in FILES[split]}
    written = json.loads((tmp_path / 'results.bbox.json').read_text())
    told = [label for sample in samples for label in sample['pred_instances']['labels'].tolist()]
    for box, label in zip(written, told):
        assert box['category_id'] == ids.get(CLASSES[label], max(ids.values()) + 1)
    assert len(written) == len(told)


def test_format_only_and_truth_of_the_dataset(root, tmp_path):
    samples = predictions(root, 'val')
    with contextlib.redirect_stdout(io.StringIO()):
        metric = CocoMetric(
            ann_file=str(root / 'val.json'), format_only=True, outfile_prefix=str(tmp_path / 'out')
        )
        metric.dataset_meta = dict(classes=CLASSES)
        metric.process({}, samples)
        assert metric.compute_metrics(metric.results) == {}
    assert {box['category_id'] for box in json.loads((tmp_path / 'out.bbox.json').read_text())} == {
        7, 3, 8,
    }  # fmt: skip


def test_two_categories_of_one_name_are_refused(root, tmp_path):
    file = json.loads((root / 'train.json').read_text())
    file['categories'].append(dict(id=30, name='mug'))
    (tmp_path / 'twice.json').write_text(json.dumps(file))
    with pytest.raises(ValueError, match=r"categories \[5, 30\] .* the same name 'mug'"):
        dataset(tmp_path, 'twice')


def test_ids_that_are_words_and_a_name_twice():
    """As upstream takes them; the class that the file lacks gets a number."""
    coco = api_wrappers.COCO()
    coco.cats = {'a': dict(id='a', name='cat')}
    assert coco.get_cat_ids(cat_names=['dog', 'cat', 'dog']) == [1, 'a', 1]
    assert coco.get_cat_ids(cat_names=['dog']) == [1]


def test_the_masks_of_a_class_are_labelled_by_name(root):
    """Panoptic files, whose annotations are segments."""
    from mmdet.datasets import CocoPanopticDataset

    segments = [
        dict(id=1, category_id=9, area=100, bbox=[0, 0, 10, 10], iscrowd=0),
        dict(id=2, category_id=2, area=100, bbox=[20, 0, 10, 10], iscrowd=0),
    ]
    file = dict(
        images=[dict(id=1, file_name='1.jpg', width=SIDE, height=SIDE)],
        annotations=[dict(image_id=1, file_name='1.png', segments_info=segments)],
        categories=[dict(id=2, name='ball', isthing=1), dict(id=9, name='zebra', isthing=0)],
    )
    (root / 'panoptic.json').write_text(json.dumps(file))
    with contextlib.redirect_stdout(io.StringIO()):
        found = CocoPanopticDataset(
            ann_file=str(root / 'panoptic.json'),
            data_prefix=dict(img=str(root)),
            metainfo=dict(classes=CLASSES, thing_classes=CLASSES[1:], stuff_classes=CLASSES[:1]),
        )
        info = found.get_data_info(0)
    assert [segment['category'] for segment in info['segments_info']] == [0, 1]
    assert [instance['bbox_label'] for instance in info['instances']] == [1]
