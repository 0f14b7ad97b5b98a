"""The commands of make demo on a pretended Mac: torch has mps, and workers start by spawn."""

import os

import pytest
from conftest import ROOT, run

MAC = """
import torch
torch.backends.mps.is_available = lambda: True
"""


@pytest.mark.slow
def test_the_commands_of_the_demo(tiny_data, tmp_path):
    (tmp_path / 'sitecustomize.py').write_text(MAC)  # Python imports it first, in workers as well
    env = dict(tiny_data.env, PYTHONPATH=f'{tmp_path}{os.pathsep}{ROOT}')
    printed = run('-c', 'from mmengine.device import get_device; print(get_device())', env=env)
    assert printed.stdout.strip() == 'mps'  # MMEngine believes it

    config, image, images = tiny_data.config, tiny_data.images[0], tiny_data.root / 'val'
    checkpoint, results = tmp_path / 'epoch_1.pth', tmp_path / 'results.pkl'
    model, out = tmp_path / 'model.onnx', ['--out-dir', tmp_path]
    spawn = ['--cfg-options', 'env_cfg.mp_cfg.mp_start_method=spawn']
    for command in (
        ['train.py', config, '--resume', '--work-dir', tmp_path, *spawn, 'train_cfg.max_epochs=1'],
        ['test.py', config, checkpoint, '--work-dir', tmp_path, '--out', results, *spawn],
        ['report.py', config, checkpoint, '--predictions', results, '--out', tmp_path],
        ['image_demo.py', images, config, '--weights', checkpoint, *out],
        ['featmap_vis_demo.py', image, config, checkpoint, '--target-layers', 'backbone', *out],
        ['boxam_vis_demo.py', image, config, checkpoint, '--score-thr', '0.001', *out],
        ['export_onnx.py', config, checkpoint, '--out', model],
        ['onnx_demo.py', images, model, *out],
    ):
        run(f'tools/{command[0]}', *command[1:], env=env)
    assert model.is_file() and len(list((tmp_path / 'preds').iterdir())) == 4
