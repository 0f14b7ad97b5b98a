"""mmballoon/train/fast_pipeline.py against upstream's transforms: the same augmentations, and memory
within bounds.
"""

import copy
import random
from types import SimpleNamespace

import mmcompat  # noqa: F401

import cv2
import mmcv
import numpy as np
import pytest
from conftest import ROOT
from mmcv.transforms import LoadImageFromFile
from mmdet.registry import DATASETS
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.hub import get_config

register_all_modules()

from mmballoon.cli import NO_IMAGE, explain  # noqa: E402
from mmballoon.train import fast_pipeline  # noqa: E402
from mmballoon.train.fast_pipeline import HSVRandomAug, LoadCachedImage, ResizedView, SharedImage  # noqa: E402


def stages():
    """{stage: (upstream's training pipeline, that of our config)}, each a list of dict."""
    theirs = get_config('mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py')
    ours = Config.fromfile(ROOT / 'configs/my_rtmdet_tiny.py')
    names = {'stage 1': 'train_pipeline', 'stage 2': 'train_pipeline_stage2'}
    return {stage: (theirs[name], ours[name]) for stage, name in names.items()}


def build(data_root, pipeline):
    """The training split of ``data_root``, with a pipeline."""
    dataset = Config.fromfile(ROOT / 'configs/my_rtmdet_tiny.py').train_dataloader.dataset
    return DATASETS.build(dict(dataset, data_root=str(data_root), pipeline=pipeline))


def seed(number):
    random.seed(number)
    np.random.seed(number)


@pytest.mark.parametrize('stage', ['stage 1', 'stage 2'])
def test_same_seed_same_boxes_and_pixels_alike(tiny_data, stage):
    """60 samples of each side: boxes equal, labels equal, means and variances of the pixels within
    noise.
    """
    sides = [build(tiny_data.root, p) for p in stages()[stage]]
    means, variances, differences = [], [], []
    for number in range(60):
        results = []
        for dataset in sides:
            seed(number)
            results.append(dataset[number % len(dataset)])
        theirs, ours = results
        boxes = [r['data_samples'].gt_instances.bboxes.tensor.numpy() for r in results]
        assert (
            boxes[0].shape == boxes[1].shape and np.abs(boxes[0] - boxes[1]).max(initial=0) < 1e-3
        )
        assert (
            theirs['data_samples'].gt_instances.labels.tolist()
            == ours['data_samples'].gt_instances.labels.tolist()
        )
        pixels = [r['inputs'].numpy().astype(np.float32) for r in results]
        assert pixels[0].shape == pixels[1].shape
        means.append([p.mean() for p in pixels])
        variances.append([p.var() for p in pixels])
        differences.append(np.abs(pixels[0] - pixels[1]).mean())
    (m1, m2), (v1, v2) = np.mean(means, 0), np.mean(variances, 0)
    noise = np.std(means, 0)[0] / np.sqrt(60)  # the standard error of the mean over samples
    assert abs(m1 - m2) < noise and abs(v1 - v2) < 0.02 * v1
    assert np.mean(differences) < 2  # grey levels of 255, pixel by pixel


def test_resized_view_is_cv2_resize():
    rng = np.random.default_rng(0)
    image = cv2.GaussianBlur(rng.integers(0, 255, (90, 130, 3), dtype=np.uint8), (0, 0), 2)
    for width, height in ((260, 180), (65, 45), (130, 90), (197, 61)):
        whole = cv2.resize(image, (width, height)).astype(int)
        view = ResizedView(image, height, width)
        assert view.shape == (height, width, 3)
        part = view[10:40, 20:60, ...].astype(int)
        assert part.shape == (30, 40, 3) and np.abs(part - whole[10:40, 20:60]).max() <= 3


def test_hsv_equals_upstreams_to_the_last_bit():
    from mmdet.datasets.transforms import YOLOXHSVRandomAug

    image = np.random.default_rng(0).integers(0, 255, (50, 60, 3), dtype=np.uint8)
    for number in range(30):
        results = []
        for cls in (YOLOXHSVRandomAug, HSVRandomAug):
            seed(number)
            results.append(cls()(dict(img=image.copy()))['img'])
        assert np.array_equal(*results)


def photo(path, value):
    cv2.imwrite(str(path), np.full((100, 100, 3), value, np.uint8))
    return dict(img_path=str(path))


def test_decoded_once_read_only_and_copied_for_free(tmp_path, monkeypatch):
    load, decoded, decode = LoadCachedImage(), [], mmcv.imfrombytes
    monkeypatch.setattr(
        mmcv, 'imfrombytes', lambda *args, **kwargs: (decoded.append(1), decode(*args, **kwargs))[1]
    )
    path = photo(tmp_path / 'a.png', 7)
    results = [load(dict(path)) for _ in range(3)]
    image = results[0]['img']
    assert len(decoded) == 1 and image.shape == (100, 100, 3) and (image == 7).all()
    assert isinstance(image, SharedImage) and copy.deepcopy(results[0])['img'] is image
    with pytest.raises(ValueError, match='read-only'):
        image[0] = 0


@pytest.mark.parametrize(
    'options',
    [{}, dict(color_type='grayscale'), dict(to_float32=True), dict(imdecode_backend='pillow')],
    ids=str,
)
def test_the_options_of_the_loader_hold(tmp_path, options):
    """One loader's images are never another's: each equals what upstream loads with its options."""
    path = photo(tmp_path / 'a.png', 7)
    LoadCachedImage()(dict(path))
    for _ in range(2):
        ours = LoadCachedImage(**options)(dict(path))
        theirs = LoadImageFromFile(**options)(dict(path))
        assert ours['img'].dtype == theirs['img'].dtype and np.array_equal(
            ours['img'], theirs['img']
        )
        assert ours['img_shape'] == theirs['img_shape'] and ours['ori_shape'] == theirs['ori_shape']


@pytest.mark.parametrize('workers, kept', [(1, 2), (2, 1)])
def test_the_workers_share_the_budget(tmp_path, monkeypatch, workers, kept):
    monkeypatch.setattr(
        fast_pipeline, 'get_worker_info', lambda: SimpleNamespace(num_workers=workers)
    )
    load = LoadCachedImage(budget_gb=70000e-9)  # two images of 30,000 bytes, not three
    for name in 'abc':
        assert (load(photo(tmp_path / f'{name}.png', ord(name)))['img'] == ord(name)).all()
    assert len(load.images) == kept


def test_a_missing_image(tmp_path):
    path = dict(img_path=str(tmp_path / 'none.png'))
    with pytest.raises(FileNotFoundError) as error:
        LoadCachedImage()(dict(path))
    line = explain(error.value)
    assert path['img_path'] in line and line.endswith(f'; next: {NO_IMAGE}')
    assert LoadCachedImage(ignore_empty=True)(dict(path)) is None


REPLACED = {
    'LoadCachedImage': 'LoadImageFromFile',
    'HSVRandomAug': 'YOLOXHSVRandomAug',
    'CropWithNegatives': 'RandomCrop',  # the same, but for images without objects
}


def test_the_config_is_upstreams_with_the_three_replaced():
    config = Config.fromfile(ROOT / 'configs/my_rtmdet_tiny.py')
    switch = next(hook for hook in config.custom_hooks if hook.type == 'PipelineSwitchHook')
    used = config.train_dataloader.dataset.pipeline, switch.switch_pipeline
    for pipeline, (theirs, ours) in zip(used, stages().values()):
        assert pipeline == ours and plain(ours) == plain(theirs)
        assert {*REPLACED, 'LazyResize'} <= {
            step.get(k) for step in ours for k in ('type', 'resize_type')
        }


def plain(pipeline):
    """The steps under upstream's names, without what does not change their result."""
    unimportant = ('budget_gb', 'backend_args', '_scope_', 'resize_type')
    steps = [{k: v for k, v in step.items() if k not in unimportant} for step in pipeline]
    return [dict(step, type=REPLACED.get(step['type'], step['type'])) for step in steps]


def test_in_a_dataset_with_the_real_pipeline(tiny_data):
    dataset = build(
        tiny_data.root, Config.fromfile(ROOT / 'configs/my_rtmdet_tiny.py').train_pipeline
    )
    for i in range(8):
        assert dataset[i]['inputs'].shape == (3, 640, 640)
