"""tools/cross_validate.py, typed as a person would."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest
from conftest import ROOT, Tiny, run

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

    copy = Tiny(tmp_path / 'data')
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
    command = [sys.executable, TOOL, tiny_data.config, *SHORT, '--work-dir', killed]
    env = {**os.environ, **tiny_data.env, 'CUDA_VISIBLE_DEVICES': ''}
    for epoch in (1, 2):
        process = subprocess.Popen(list(map(str, command)), cwd=ROOT, env=env)
        while not (killed / f'fold_1/epoch_{epoch}.pth').exists():
            assert process.poll() is None
            time.sleep(0.1)
        process.send_signal(signal.SIGKILL)
        process.wait()
    run(*command[1:], env=tiny_data.env)
    for name in ('folds.json', 'predictions.json'):
        assert (whole / name).read_bytes() == (killed / name).read_bytes(), name
    assert 'resumed epoch: 2' in (killed / 'fold_1/train.txt').read_text()
    predictions = json.loads((whole / 'predictions.json').read_text())
    assert predictions and {d['image_id'] for d in predictions} <= set(range(1, 99))
    assert user_files(tiny_data.root) == before

    # Finished folds are kept; --compare takes a finished work directory, and this page compares equals.
    logs = [(whole / f'fold_{i}/train.txt').read_bytes() for i in (1, 2)]
    args = [tiny_data.config, *SHORT, '--work-dir', whole, '--compare', killed, '--lang', 'zh']
    args += ['--review', tmp_path / 'review.json']
    done = in_process(TOOL, *args, env=tiny_data.env)
    assert logs == [(whole / f'fold_{i}/train.txt').read_bytes() for i in (1, 2)]
    assert f'{killed / "predictions.json"}: mAP +0.000' in done.out
    report = json.loads((whole / 'report/report.json').read_text())
    assert report['images'] == 12 and len(report['cross']['rows']) == 2
    assert '交叉验证' in (whole / 'report/report.html').read_text()

    # The review has both splits, and each is converted from it: as it was, where nobody corrects.
    assert f'saved: {tmp_path / "review.json"}' in done.out
    for split, count in (('train', 8), ('val', 4)):
        args = [tmp_path / 'review.json', tiny_data.root / split, '--accept-suggestions']
        out = tmp_path / f'{split}.json'
        in_process('data_tools/balloon2coco.py', *args, '--out', out)
        coco = json.loads((tiny_data.root / f'coco_{split}.json').read_text())
        after = json.loads(out.read_text())
        assert len(after['images']) == count
        boxes = [{tuple(a['bbox']) for a in c['annotations']} for c in (coco, after)]
        assert boxes[0] <= boxes[1]
