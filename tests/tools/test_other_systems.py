"""The commands of make demo as on a Mac (torch has mps, workers are spawned) and as on Windows (text
files need an encoding, no hard links).
"""

import os

import pytest
from conftest import ROOT, run

from mmballoon.data import split

MAC = """
import torch
torch.backends.mps.is_available = lambda: True
"""


@pytest.mark.slow
def test_the_commands_of_the_demo(tmp_path):
    (tmp_path / 'sitecustomize.py').write_text(MAC)  # Python imports it first, in workers as well
    data, images, config = tmp_path / 'data', tmp_path / 'data/val', 'configs/my_rtmdet_tiny_toy.py'
    env = dict(BALLOON_ROOT=str(data), PYTHONPATH=f'{tmp_path}{os.pathsep}{ROOT}')
    env |= dict(PYTHONWARNDEFAULTENCODING='1', PYTHONWARNINGS='always::EncodingWarning')
    printed = run('-c', 'from mmengine.device import get_device; print(get_device())', env=env)
    assert printed.stdout.strip() == 'mps'  # MMEngine believes it

    image, checkpoint = images / 'toy_val_00001.jpg', tmp_path / 'epoch_1.pth'
    model, results, out = tmp_path / 'model.onnx', tmp_path / 'results.pkl', ['--out-dir', tmp_path]
    spawn = ['--cfg-options', 'env_cfg.mp_cfg.mp_start_method=spawn']
    one_epoch = [*spawn, 'train_cfg.max_epochs=1', 'train_cfg.val_interval=1']
    for command in (
        ['data_tools/make_toy_balloons.py', '--out', data, '--train', '8', '--val', '4'],
        ['data_tools/balloon2coco.py', '--data-root', data],
        ['tools/train.py', config, '--amp', '--resume', '--work-dir', tmp_path, *one_epoch],
        ['tools/test.py', config, checkpoint, '--work-dir', tmp_path, '--out', results, *spawn],
        ['tools/report.py', config, checkpoint, '--predictions', results, '--out', tmp_path],
        ['tools/image_demo.py', images, config, '--weights', checkpoint, *out],
        ['tools/featmap_vis_demo.py', image, config, checkpoint, *out],
        ['tools/boxam_vis_demo.py', image, config, checkpoint, '--score-thr', '0.001', *out],
        ['tools/export_onnx.py', config, checkpoint, '--out', model],
        ['tools/onnx_demo.py', images, model, *out],
    ):
        done = run(*command, env=env)
        warned = [line for line in done.stderr.splitlines() if 'EncodingWarning' in line]
        assert not [line for line in warned if f'{ROOT}{os.sep}' in line and '.venv' not in line]
    assert model.is_file() and len(list((tmp_path / 'preds').iterdir())) == 4


def test_without_hard_links_images_are_copied(tmp_path, monkeypatch):
    def refuse(*paths):
        raise OSError('hard links are not supported')

    monkeypatch.setattr(os, 'link', refuse)
    (tmp_path / 'a.jpg').write_bytes(b'image')
    with split.linked_images({tmp_path / 'data/train': (tmp_path, ['a.jpg'])}):
        pass
    assert (tmp_path / 'data/train/a.jpg').read_bytes() == b'image'
