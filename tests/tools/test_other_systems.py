"""``make demo``, as on a Mac (torch has mps, workers are spawned) and as on Windows (text files need an
encoding, no hard links).
"""

import os
import subprocess

import forked
import pytest
from conftest import ROOT, run, write_small_config

from mmballoon.data import files

MAC = """
import torch
torch.backends.mps.is_available = lambda: True
"""
SMALL = """
_base_ = './my_rtmdet_tiny_toy.py'
train_cfg = dict(max_epochs=1, val_interval=1)
env_cfg = dict(mp_cfg=dict(mp_start_method='spawn'))
train_dataloader = test_dataloader = dict(num_workers=1)
val_dataloader = dict(num_workers=0, persistent_workers=False)
"""


@pytest.mark.slow
def test_make_demo(tmp_path, monkeypatch):
    """The Makefile's own commands, in another folder with the repository's files, on a few images."""
    (tmp_path / 'sitecustomize.py').write_text(MAC)  # Python imports it first, in workers as well
    env = dict(PYTHONPATH=f'{tmp_path}{os.pathsep}{ROOT}', CUDA_VISIBLE_DEVICES='')
    env |= dict(PYTHONWARNDEFAULTENCODING='1', PYTHONWARNINGS='always::EncodingWarning')
    # All commands, and what they import, start in this environment.
    env = {**os.environ, **env}
    with forked.server(env) as python:
        monkeypatch.setenv('FORKING_PYTHON', python)
        make_demo(tmp_path, env)


def make_demo(tmp_path, env):
    printed = run('-c', 'from mmengine.device import get_device; print(get_device())', env=env)
    assert printed.stdout.strip() == 'mps'  # MMEngine believes it

    names = 'Makefile', 'configs', 'tools', 'data_tools', 'constraints.txt', 'pyproject.toml'
    for path in [*(ROOT / name for name in names), *ROOT.glob('requirements*.txt')]:
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / '.venv/bin').mkdir(parents=True)
    (tmp_path / '.venv/bin/python').symlink_to(os.environ['FORKING_PYTHON'])
    (tmp_path / '.venv/.installed').touch()
    write_small_config(tmp_path / 'my_rtmdet_tiny_toy.py', 160)
    (tmp_path / 'small.py').write_text(SMALL)
    data = 'data/toy_balloon'
    for command in (
        ['data_tools/make_toy_balloons.py', '--out', tmp_path / data, '--train', '8', '--val', '4'],
        ['data_tools/balloon2coco.py', '--data-root', tmp_path / data],
    ):
        run(*command)
    for name in ('MAKEFLAGS', 'MAKELEVEL', 'MFLAGS'):  # of the make that runs the tests
        env.pop(name, None)
    command = ['make', 'demo', 'TOY_CONFIG=small.py', f'IMG={data}/val/toy_val_00001.jpg']
    options = dict(capture_output=True, text=True, env=env)
    done = subprocess.run(command, cwd=tmp_path, **options)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    warned = [line for line in done.stderr.splitlines() if 'EncodingWarning' in line]
    assert not [line for line in warned if f'{ROOT}{os.sep}' in line and '.venv' not in line]
    mean_ap, *lines = done.stdout.strip().splitlines()[-5:]
    assert mean_ap.startswith('mAP         0.') and 'work_dirs/demo/test' in mean_ap
    for line in lines:
        for name in line.split(maxsplit=1)[1].replace('its detections ', '').split(', '):
            assert (tmp_path / name).exists(), name
    for folder in ('outputs/vis', 'outputs/onnx/vis'):
        assert len(list((tmp_path / folder).glob('*.jpg'))) == 4


def test_without_hard_links_images_are_copied(tmp_path, monkeypatch):
    def refuse(*paths):
        raise OSError('hard links are not supported')

    monkeypatch.setattr(os, 'link', refuse)
    (tmp_path / 'a.jpg').write_bytes(b'image')
    with files.linked_images({tmp_path / 'data/train': (tmp_path, ['a.jpg'])}):
        pass
    assert (tmp_path / 'data/train/a.jpg').read_bytes() == b'image'
