"""Images without objects train: they pass each pipeline and give a loss."""

import json

import cv2
import numpy as np
import pytest
import torch
from conftest import ROOT
from mmdet.registry import DATASETS, MODELS
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.dataset import pseudo_collate

NEGATIVES = (2, 4)  # image ids, of 4
LOSS = ('my_rtmdet_tiny_toy.py', 'my_rtmdet_ins_tiny_scratch.py')  # the others have the same models


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    """A data root of four images, two of them without objects."""
    folder, rng = tmp_path_factory.mktemp('negatives'), np.random.default_rng(0)
    (folder / 'train').mkdir()
    images, annotations = [], []
    for key in range(1, 5):
        image = rng.integers(0, 255, (150, 200, 3), np.uint8)
        images.append(dict(id=key, file_name=f'{key}.png', width=200, height=150))
        if key not in NEGATIVES:
            x, y, w, h = 60, 40, 60, 70
            cv2.rectangle(image, (x, y), (x + w, y + h), (20, 20, 200), -1)
            outline = [x, y, x + w, y, x + w, y + h, x, y + h]
            box = dict(bbox=[x, y, w, h], area=w * h, segmentation=[outline], iscrowd=0)
            annotations.append(dict(box, id=key, image_id=key, category_id=1))
        cv2.imwrite(str(folder / 'train' / f'{key}.png'), image)
    data = dict(images=images, annotations=annotations, categories=[dict(id=1, name='balloon')])
    (folder / 'coco_train.json').write_text(json.dumps(data))
    return folder


def train_dataset(root, monkeypatch, name, stage2=False):
    monkeypatch.setenv('BALLOON_ROOT', str(root))
    register_all_modules()
    cfg = Config.fromfile(ROOT / 'configs' / name)
    dataset = cfg.train_dataloader.dataset
    if stage2:
        (hook,) = [hook for hook in cfg.custom_hooks if hook.type == 'PipelineSwitchHook']
        dataset.pipeline = hook.switch_pipeline
    return cfg, DATASETS.build(dataset)


@pytest.mark.parametrize(
    ('name', 'stage2'),
    [
        ('my_rtmdet_tiny.py', False),
        ('my_rtmdet_tiny.py', True),
        ('my_rtmdet_tiny_scratch.py', False),
        ('my_rtmdet_tiny_toy.py', False),
        ('my_rtmdet_ins_tiny.py', False),
        ('my_rtmdet_ins_tiny.py', True),
        ('my_rtmdet_ins_tiny_scratch.py', False),
    ],
)
def test_negatives_pass_the_pipeline_and_the_loss(root, monkeypatch, name, stage2):
    cfg, dataset = train_dataset(root, monkeypatch, name, stage2)
    assert len(dataset) == 4
    torch.manual_seed(0)
    np.random.seed(0)
    negatives, others = [], []
    for _ in range(6):
        for index in range(4):
            sample = dataset.prepare_data(index)
            if sample is None:  # a crop without the objects of its image: the dataset takes another
                continue
            boxes = len(sample['data_samples'].gt_instances)
            if dataset.get_data_info(index)['img_id'] in NEGATIVES:
                negatives.append((boxes, sample))
            else:
                others.append((boxes, sample))
    without = [sample for boxes, sample in negatives if boxes == 0]
    assert len(negatives) >= 6 and len(without) >= 2
    assert 'ins' in name or all(boxes for boxes, _ in others)
    if name not in LOSS:
        return
    model = MODELS.build(cfg.model).train()
    for batch in (without[:2], [without[0], others[0][1]]):
        data = model.data_preprocessor(pseudo_collate(batch), True)
        losses = model(**data, mode='loss')
        total = sum(sum(loss) if isinstance(loss, list) else loss for loss in losses.values())
        total.backward()
        assert torch.isfinite(total)
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert gradients and all(torch.isfinite(gradient).all() for gradient in gradients)


def test_upstreams_crop_drops_them(root, monkeypatch):
    """Why CropWithNegatives is there: with RandomCrop no negative passes."""
    monkeypatch.setenv('BALLOON_ROOT', str(root))
    register_all_modules()
    dataset = Config.fromfile(ROOT / 'configs/my_rtmdet_tiny_toy.py').train_dataloader.dataset
    for step in dataset.pipeline:
        if step.type == 'CropWithNegatives':
            step.type = 'RandomCrop'
    dataset = DATASETS.build(dataset)
    assert all(dataset.prepare_data(key - 1) is None for key in NEGATIVES for _ in range(5))
