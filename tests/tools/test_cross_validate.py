"""tools/cross_validate.py, typed as a person would."""

import hashlib
import json
import os
import pickle
import re
import shutil
import signal
import subprocess
import time

import numpy as np
import pytest
import torch
from conftest import ROOT, Tiny, run

from mmballoon.report import trainings

TOOL = 'tools/cross_validate.py'
SHORT = ['--folds', 2, '--jobs', 2, '--cfg-options', 'train_cfg.max_epochs=3']


def user_files(root):
    return {
        path: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in root.rglob('*')
        if path.is_file()
    }


@pytest.fixture
def data(tiny_data, tmp_path):
    """A copy of the tiny set, and a function that keeps some of its objects."""
    shutil.copytree(tiny_data.root, tmp_path / 'data')

    def keep(objects, images=99):
        for split in ('train', 'val'):
            file = tmp_path / 'data' / f'coco_{split}.json'
            coco = json.loads(file.read_text())
            kept = min(images, len(coco['images']))
            coco['images'] = coco['images'][:kept]
            annotations = [a for a in coco['annotations'] if a['image_id'] <= kept]
            coco['annotations'] = annotations[: objects if split == 'train' else 0]
            file.write_text(json.dumps(coco))

    copy = Tiny(tmp_path / 'data', tiny_data.config)
    copy.keep = keep
    return copy


@pytest.mark.parametrize(
    'objects, images, found',
    [
        (
            9,
            2,
            '4 images in 4 groups that stay together, expected at least one for each of 5 folds',
        ),
        (2, 99, "class 'balloon' is in "),
        (0, 99, 'no image has an object'),
    ],
)
def test_too_few(mistake, data, tmp_path, objects, images, found):
    data.keep(objects, images)
    line = mistake(TOOL, data.config, '--work-dir', tmp_path / 'work', env=data.env)
    assert f'{data.root}/coco_train.json, {data.root}/coco_val.json: {found}' in line
    assert not (tmp_path / 'work').exists()


def test_a_comparison_with_nothing_is_known_before_the_trainings(mistake, tiny_data, tmp_path):
    work, other = tmp_path / 'work', tmp_path / 'other'
    args = [tiny_data.config, *SHORT, '--work-dir', work, '--compare', other]
    found = f'{other}: no finished cross-validation; next: '
    assert found in mistake(TOOL, *args, env=tiny_data.env) and not work.exists()


def test_a_comparison_with_other_images_or_folds_is_known_before_the_trainings(
    mistake, data, tmp_path, monkeypatch
):
    monkeypatch.setattr(trainings, 'train_and_test', lambda *_: pytest.fail('a training began'))
    work, other, config = tmp_path / 'work', tmp_path / 'other', tmp_path / 'other_images.py'
    args = [data.config, *SHORT, '--work-dir', work, '--compare']
    other.mkdir()
    (other / 'predictions.json').write_text('[]')
    for text, found in (
        ('{"data": 1, "folds": []}', f'{other}: has other data than {work}; next: choose the same'),
        ('[1]', 'folds.json: is of no cross-validation; next: '),
    ):
        (other / 'folds.json').write_text(text)
        assert found in mistake(TOOL, *args, other, env=data.env)
        assert not work.exists()  # so that the same command with other folds can take it
    alone = 'val_dataloader = val_cfg = val_evaluator = None'
    config.write_text(f'_base_ = {str(data.config)!r}\n{alone}\n')
    found = f'{work}: has other data than work_dirs/other_images_folds; next: '
    assert found in mistake(TOOL, *args, config, env=data.env)
    assert not (ROOT / 'work_dirs/other_images_folds').exists()
    args[args.index(work)] = both = ROOT / 'work_dirs/other_images_folds'  # that of --compare
    found = (
        f'{both}: {config} would use this folder, too; next: choose another folder with --work-dir'
    )
    assert found in mistake(TOOL, *args, config, env=data.env) and not both.exists()


def test_a_folder_of_something_else(mistake, tiny_data, tmp_path):
    """By what it holds, not by its name: files without folds.json, and a folds.json of another config."""
    (tmp_path / 'my_rtmdet_tiny_toy_folds').mkdir()
    file = tmp_path / 'my_rtmdet_tiny_toy_folds' / 'fold_1'
    file.write_text('my own')
    args = [tiny_data.config, '--folds', 2, '--work-dir', file.parent]
    line = mistake(TOOL, *args, env=tiny_data.env)
    assert f'{file.parent}: holds files that are of no cross-validation; next: ' in line
    assert user_files(tmp_path).keys() == {file} and file.read_text() == 'my own'
    marker = dict(config='another', data='another', folds=[])
    (file.parent / 'folds.json').write_text(json.dumps(marker))
    line = mistake(TOOL, *args, env=tiny_data.env)
    assert 'folds.json: is of a cross-validation with another config, data, folds; next: ' in line
    assert json.loads((file.parent / 'folds.json').read_text()) == marker


@pytest.mark.slow
def test_killed_twice_gives_the_same_detections(tiny_data, tmp_path, in_process):
    """A kill in the first training, and one in the third epoch. The user's files stay as they are."""
    before = user_files(tiny_data.root)
    whole, killed = tmp_path / 'whole', tmp_path / 'killed'
    printed = run(TOOL, tiny_data.config, *SHORT, '--work-dir', whole, env=tiny_data.env)
    assert re.search(r'\d+ % done, about [\d:]+ left', printed.stderr)
    command = [os.environ['FORKING_PYTHON'], TOOL, tiny_data.config, *SHORT, '--work-dir', killed]
    env = {**os.environ, **tiny_data.env, 'CUDA_VISIBLE_DEVICES': ''}
    for epoch in (1, 2):
        process = subprocess.Popen(list(map(str, command)), cwd=ROOT, env=env)
        while not (killed / f'fold_1/epoch_{epoch}.pth').exists():
            assert process.poll() is None
            time.sleep(0.02)  # an epoch takes half a second
        process.send_signal(signal.SIGKILL)
        process.wait()
    run(*command[1:], env=tiny_data.env)
    for name in ('folds.json', 'predictions.json'):
        assert (whole / name).read_bytes() == (killed / name).read_bytes(), name
    assert 'resumed epoch: 2' in (killed / 'fold_1/output.txt').read_text()
    predictions = json.loads((whole / 'predictions.json').read_text())
    assert predictions and {d['image_id'] for d in predictions} <= set(range(1, 99))
    assert user_files(tiny_data.root) == before

    # Finished folds are kept; --compare takes a finished work directory, and this page compares equals.
    logs = [(whole / f'fold_{i}/output.txt').read_bytes() for i in (1, 2)]
    args = [tiny_data.config, *SHORT, '--work-dir', whole, '--compare', killed, '--lang', 'zh']
    done = in_process(TOOL, *args, env=tiny_data.env)
    assert logs == [(whole / f'fold_{i}/output.txt').read_bytes() for i in (1, 2)]
    assert f'{killed / "predictions.json"}: mAP +0.000' in done.out
    report = json.loads((whole / 'report/report.json').read_text())
    assert report['images'] == 12 and len(report['cross']['rows']) == 2
    assert '交叉验证' in (whole / 'report/report.html').read_text()


def test_review_has_both_splits(tiny_data, tmp_path, in_process, monkeypatch):
    """Without a training: each detection is an annotation, but in one image nothing is found."""

    def find(runs, at_once):
        for folder in (one.folder for one in runs):
            data, samples = json.loads((folder / 'test.json').read_text()), []
            for image in data['images']:
                boxes = [a['bbox'] for a in data['annotations'] if a['image_id'] == image['id']]
                boxes = [] if 'val_00002' in image['file_name'] else boxes
                corners = torch.tensor([[x, y, x + w, y + h] for x, y, w, h in boxes]).reshape(
                    -1, 4
                )
                found = dict(bboxes=corners, scores=torch.full((len(boxes),), 0.9))
                found['labels'] = torch.zeros(len(boxes), dtype=int)
                samples.append(dict(img_id=image['id'], pred_instances=found))
            (folder / 'results.pkl').write_bytes(pickle.dumps(samples))

    monkeypatch.setattr(trainings, 'train_and_test', find)
    review = tmp_path / 'review.json'
    args = [tiny_data.config, '--folds', 2, '--work-dir', tmp_path / 'work', '--review', review]
    done = in_process(TOOL, *args, env=tiny_data.env)
    assert f'saved: {review}' in done.out and 'in 1 of 12 images, which come first' in done.out
    project = json.loads(review.read_text(encoding='utf-8'))
    assert project['_via_image_id_list'][0].startswith('val/toy_val_00002.jpg')
    for split in ('train', 'val'):  # each is converted from it: nobody has corrected anything
        out = tmp_path / f'{split}.json'
        in_process('data_tools/balloon2coco.py', review, tiny_data.root / split, '--out', out)
        files = (tiny_data.root / f'coco_{split}.json', out)
        before, after = (json.loads(file.read_text(encoding='utf-8')) for file in files)
        assert len(before['images']) == len(after['images'])
        boxes = [sorted(a['bbox'] for a in coco['annotations']) for coco in (before, after)]
        np.testing.assert_allclose(*boxes, atol=0.001)
