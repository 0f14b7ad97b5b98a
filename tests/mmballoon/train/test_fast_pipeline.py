"""mmballoon/train/fast_pipeline.py against upstream's transforms: the same augmentations, and memory
within bounds.
"""

import copy
import os
import random
import subprocess
import sys

import mmcompat  # noqa: F401

import cv2
import mmcv
import numpy as np
import pytest
from conftest import ROOT
from mmdet.utils import register_all_modules
from mmengine.config import Config

register_all_modules()
import pipeline as benchmark  # noqa: E402

from mmballoon.train.fast_pipeline import HSVRandomAug, LoadCachedImage, ResizedView, SharedImage  # noqa: E402


def seed(number):
    random.seed(number)
    np.random.seed(number)


@pytest.mark.parametrize('stage', ['stage 1', 'stage 2'])
def test_same_seed_same_boxes_and_pixels_alike(tiny_data, stage):
    """500 samples of each side: boxes equal, labels equal, means and variances of the pixels within
    noise.
    """
    sides = [benchmark.build(tiny_data.root, p) for p in benchmark.stages()[stage]]
    means, variances, differences = [], [], []
    for number in range(500):
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
    noise = np.std(means, 0)[0] / np.sqrt(500)  # the standard error of the mean over samples
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
    os.utime(tmp_path / 'a.png', (1, 1))  # another file of that name is another picture
    load(dict(img_path=str(tmp_path / 'a.png')))
    assert len(decoded) == 2


def test_memory_budget(tmp_path):
    load = LoadCachedImage(budget_gb=70000e-9)  # two pictures of 30,000 bytes, not three
    load.folder = tmp_path / 'cache'  # other processes may use the user's folder meanwhile
    load.folder.mkdir()
    for name in 'abc':
        assert (load(photo(tmp_path / f'{name}.png', ord(name)))['img'] == ord(name)).all()
    assert len(list(load.folder.iterdir())) == 2


USE = """
import os, signal, sys
import mmcompat
from mmdet.utils import register_all_modules
register_all_modules()
from mmballoon.train import image_cache
from mmballoon.train.fast_pipeline import LoadCachedImage
load, stored, store = LoadCachedImage(), [], image_cache.store
image_cache.store = lambda *args: (stored.append(1), store(*args))
load(dict(img_path=sys.argv[1]))
print(load.folder, len(stored), len(os.listdir(load.folder)))
"""


def use_cache(folder, code, check=True):
    """Run the code above and more in a process whose temporary folder is ``folder``; what it printed."""
    if not (folder / 'a.png').exists():
        photo(folder / 'a.png', 9)
    env = {**os.environ, 'TMPDIR': str(folder), 'OMP_NUM_THREADS': '1'}
    command = [sys.executable, '-c', USE + code, folder / 'a.png']
    done = subprocess.run(command, capture_output=True, text=True, check=check, env=env)
    return done.stdout.strip().splitlines()[-1].split()


def caches(folder):
    return [path for path in folder.iterdir() if path.name.startswith('decoded_images_')]


def test_workers_share_the_files_and_the_last_process_removes_them(tmp_path):
    code = """
import multiprocessing
process = multiprocessing.get_context('fork').Process(target=load, args=(dict(img_path=sys.argv[1]),))
process.start(); process.join()
assert process.exitcode == 0 and len(os.listdir(load.folder)) == 2 and load.folder.is_dir()
"""
    assert use_cache(tmp_path, code)[1:] == ['1', '2']  # stored once: the image and the lock
    assert not caches(tmp_path)


def test_after_a_kill_the_next_process_goes_on_with_the_same_cache(tmp_path):
    killed = use_cache(tmp_path, 'sys.stdout.flush(); os.kill(os.getpid(), signal.SIGKILL)', False)
    (left,) = caches(tmp_path)
    assert left.stat().st_mode & 0o777 == 0o700
    next_one = use_cache(tmp_path, '')
    assert killed[0] == next_one[0] == str(left)
    assert (killed[1], next_one[1]) == ('1', '0')  # what was decoded before the kill is used
    assert not caches(tmp_path)


@pytest.mark.parametrize('prepared', ['open to others', 'of another user', 'a link'])
def test_a_cache_that_somebody_else_prepared_is_not_used(tmp_path, prepared):
    folder = tmp_path / f'decoded_images_{os.getuid()}'
    if prepared == 'a link':
        (tmp_path / 'elsewhere').mkdir(mode=0o700)
        folder.symlink_to(tmp_path / 'elsewhere')
    else:
        folder.mkdir(mode=0o700)
        folder.chmod(0o777 if prepared == 'open to others' else 0o700)
    if prepared == 'of another user':
        if os.getuid():
            pytest.skip('needs root, to give a folder away')
        os.chown(folder, 12345, 12345)
    used = use_cache(tmp_path, '')[0]
    assert used != str(folder) and not list(folder.iterdir())
    assert caches(tmp_path) == [folder]  # its own is gone


REPLACED = {'LoadCachedImage': 'LoadImageFromFile', 'HSVRandomAug': 'YOLOXHSVRandomAug'}


def test_the_config_is_upstreams_with_the_three_replaced():
    config = Config.fromfile(ROOT / 'configs/my_rtmdet_tiny.py')
    switch = next(hook for hook in config.custom_hooks if hook.type == 'PipelineSwitchHook')
    used = config.train_dataloader.dataset.pipeline, switch.switch_pipeline
    for pipeline, (theirs, ours) in zip(used, benchmark.stages().values()):
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
    dataset = benchmark.build(
        tiny_data.root, Config.fromfile(ROOT / 'configs/my_rtmdet_tiny.py').train_pipeline
    )
    for i in range(8):
        assert dataset[i]['inputs'].shape == (3, 640, 640)
