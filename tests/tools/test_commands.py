"""Every command of the README that trains, tests or detects, typed as a person would, on a tiny
rendered set.
"""

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from functools import partial

import mmcompat  # noqa: F401  (torch.load below reads MMEngine's checkpoints)

import pytest
import torch
from conftest import ROOT, one_line_error, run

from mmballoon.train.rules.weights import RTMDET_TINY, SHA256

TOY = 'configs/my_rtmdet_tiny_toy.py'


def test_train_and_resume(tiny):
    assert 'resumed epoch: 1' in tiny.train_log and 'Epoch(val) [2]' in tiny.train_log
    assert tiny.checkpoint.is_file() and list(tiny.work_dir.glob('best_coco_bbox_mAP_epoch_*.pth'))


def test_settings_are_in_the_log_file_and_not_on_the_screen(tiny):
    settings = 'param_scheduler = ['
    assert settings not in tiny.train_log and 'eta: ' in tiny.train_log
    assert all(settings in path.read_text() for path in tiny.work_dir.glob('*/*.log'))
    assert len(tiny.train_log.splitlines()) < 100


@pytest.mark.slow
def test_ctrl_c_keeps_finished_epochs_and_says_how_to_go_on(tiny_data, tmp_path):
    command = [sys.executable, 'tools/train.py', tiny_data.config, '--work-dir', tmp_path / 'w']
    command += ['--cfg-options', 'train_cfg.max_epochs=99', 'train_dataloader.num_workers=0']
    command += ['train_dataloader.persistent_workers=False']
    env = {**os.environ, **tiny_data.env, 'CUDA_VISIBLE_DEVICES': ''}
    terminal = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    settings = dict(cwd=ROOT, env=env, text=True, start_new_session=True, preexec_fn=terminal)
    streams = dict(stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    process = subprocess.Popen(command, **settings, **streams)
    saved = tmp_path / 'w/last_checkpoint'  # written once the epoch's checkpoint is whole
    while not saved.exists() and process.poll() is None:
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    err = process.communicate()[1]
    assert process.returncode == 130 and 'Traceback' not in err, err
    assert 'stopped; every finished epoch is saved, and --resume continues from there' in err
    torch.load(saved.read_text().strip())


def test_test_prints_the_coco_table_and_writes_what_is_asked(tiny, tmp_path):
    args = [tiny.config, tiny.checkpoint, '--work-dir', tmp_path / 'w', '--show-dir', 'vis']
    done = run('tools/test.py', *args, '--out', tmp_path / 'results.pkl', env=tiny.env)
    assert 'Average Precision  (AP) @[ IoU=0.50:0.95 | area=   all | maxDets=100 ]' in done.stdout
    with open(tmp_path / 'results.pkl', 'rb') as file:
        assert len(pickle.load(file)) == 4
    assert len(list((tmp_path / 'w').glob('*/vis/*.jpg'))) == 4
    (metrics,) = (tmp_path / 'w').glob('*/*.json')
    assert 0 <= json.loads(metrics.read_text())['coco/bbox_mAP'] <= 1


@pytest.mark.slow
def test_test_time_augmentation(tiny, tmp_path):
    """Six views of each image give other boxes than one view, merged by upstream's DetTTAModel."""
    scores = []
    for options in ([], ['--tta']):
        out = tmp_path / f'{len(options)}.pkl'
        work_dir = tmp_path / f'{len(options)}'
        args = [tiny.config, tiny.checkpoint, '--work-dir', work_dir, '--out', out, *options]
        done = run('tools/test.py', *args, env=tiny.env)
        assert 'maxDets=100' in done.stdout
        (log,) = work_dir.glob('*/*.log')
        uses = log.read_text().count("type='DetTTAModel'")
        assert uses == 1 + bool(options)  # tta_model, and with --tta the model as well
        with open(out, 'rb') as file:
            scores.append([image['pred_instances']['scores'] for image in pickle.load(file)])
    assert len(scores[0]) == len(scores[1]) == 4
    assert not any(torch.equal(one, six) for one, six in zip(*scores))


def test_image_demo(tiny, tmp_path):
    args = [tiny.images[0], tiny.root / 'train', tiny.config, '--weights', tiny.checkpoint]
    args += ['--out-dir', tmp_path, '--pred-score-thr', 0.05]
    done = run('tools/image_demo.py', *args, env=tiny.env)
    assert len(list((tmp_path / 'vis').iterdir())) == 9
    predictions = json.loads((tmp_path / f'preds/{tiny.images[0].stem}.json').read_text())
    assert set(predictions) == {'labels', 'scores', 'bboxes'} and len(predictions['bboxes'][0]) == 4
    assert f'{tiny.images[0]}: ' in done.stdout and f'saved: {tmp_path / "vis"}' in done.stdout
    assert 'Warning' not in done.stderr, done.stderr


@pytest.mark.slow
def test_upstream_tool_and_script_of_a_clone(tiny, tmp_path):
    browse = ['mmdet', 'tools/analysis_tools/browse_dataset.py', tiny.config, '--not-show']
    run('tools/upstream.py', *browse, '--output-dir', tmp_path / 'out', env=tiny.env)
    assert len(list((tmp_path / 'out').iterdir())) == 8
    (tmp_path / 'clone').mkdir()
    (tmp_path / 'clone/sibling.py').write_text('GREETING = "hello"')
    (tmp_path / 'clone/script.py').write_text(
        'import sys, mmcv.ops, sibling\ndef main():\n    print(sibling.GREETING, sys.argv[1:])\n'
    )
    done = run('tools/upstream.py', tmp_path / 'clone/script.py', '--flag', 'x')
    assert "hello ['--flag', 'x']" in done.stdout
    assert 'tools/analysis_tools/analyze_logs.py' in run('tools/upstream.py', 'mmdet').stdout


# ---- a person's mistakes: one line that says what to do next


def test_no_converted_data(mistake, tmp_path):
    line = mistake(
        'tools/train.py', TOY, '--work-dir', tmp_path, env=dict(BALLOON_ROOT=str(tmp_path))
    )
    assert 'coco_train.json' in line and 'python data_tools/balloon2coco.py' in line


def test_no_network_for_the_coco_weights(mistake, tiny_data, tmp_path):
    env = dict(tiny_data.env, https_proxy='http://127.0.0.1:9', TORCH_HOME=str(tmp_path))
    line = mistake('tools/train.py', 'configs/my_rtmdet_tiny.py', '--work-dir', tmp_path, env=env)
    assert 'rtmdet_tiny_8xb32-300e_coco_20220902_112414-78e30dcc.pth' in line
    for help_text in (f'sha256 {SHA256[RTMDET_TINY]}', f'{tmp_path}/hub/checkpoints', 'BALLOON_WEIGHTS',
                      'a mirror', '--cfg-options load_from=PATH', 'load_from=None'):  # fmt: skip
        assert help_text in line


@pytest.mark.parametrize(
    'options, message',
    [
        (['model.bbox_head.num_classes=3'], "set num_classes=len(metainfo['classes'])"),
        (
            ['train_dataloader.dataset.metainfo.classes=("cat",)'],
            'its categories are balloon, the classes of the config cat',
        ),
    ],
    ids=['num_classes', 'class names'],
)
def test_classes_that_do_not_fit(mistake, tiny_data, tmp_path, options, message):
    assert message in mistake(
        'tools/train.py', TOY, '--work-dir', tmp_path, '--cfg-options', *options, env=tiny_data.env
    )


def test_missing_config_and_checkpoint(mistake, tiny_data, tmp_path):
    assert 'configs/none.py' in mistake('tools/train.py', 'configs/none.py')
    line = mistake('tools/test.py', TOY, 'none.pth', '--work-dir', tmp_path, env=tiny_data.env)
    assert 'none.pth' in line and 'check the path' in line


def test_broken_image_in_training(tmp_path):
    """In a process of its own: its data-loader workers still live when the error arrives."""
    root = tmp_path / 'data'
    run('data_tools/make_toy_balloons.py', '--out', root, '--train', 4, '--val', 1)
    run('data_tools/balloon2coco.py', '--data-root', root)
    (root / 'train/toy_train_00001.jpg').write_bytes(b'no image')
    command = 'tools/train.py', TOY, '--work-dir', tmp_path
    line = one_line_error(*command, env=dict(BALLOON_ROOT=str(root)))
    assert 'toy_train_00001.jpg' in line and 'not a readable image' in line


class Evil:
    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.system, (f'touch {self.mark}',)


def test_malicious_checkpoint_is_refused_by_test_and_demo(tiny, tmp_path):
    mark, path = tmp_path / 'pwned', tmp_path / 'evil.pth'
    torch.save(dict(state_dict={}, meta=Evil(mark)), path)
    test = ['tools/test.py', TOY, path, '--work-dir', tmp_path]
    demo = ['tools/image_demo.py', tiny.images[0], TOY, '--weights', path]
    for command in (test, [*demo, '--out-dir', tmp_path / 'o']):
        line = one_line_error(*command, env=tiny.env)
        assert str(path) in line and 'holds posix.system' in line
        assert 'it was refused and none of it has run' in line
        assert 'weights_only' not in line  # no advice to switch the safety off
    assert not mark.exists() and not (tmp_path / 'o').exists()


def test_damaged_checkpoint(mistake, tiny, tmp_path):
    path = tmp_path / 'half.pth'
    path.write_bytes(tiny.checkpoint.read_bytes()[:100000])
    line = mistake('tools/test.py', TOY, path, '--work-dir', tmp_path, env=tiny.env)
    assert str(path) in line and 'damaged or incomplete' in line


@pytest.mark.parametrize(
    'args, message',
    [
        (['none.jpg', TOY, '--weights', 'x.pth'], 'none.jpg: no such image'),
        (['Makefile', TOY], 'Makefile: not a readable image'),
        (['docs', TOY, '--weights', 'x.pth'], 'docs: no such image, or no image in it'),
    ],
)
def test_image_demo_inputs(mistake, args, message):
    assert message in mistake('tools/image_demo.py', *args)


def test_image_demo_runs_no_config_out_of_a_checkpoint(tiny):
    done = run('tools/image_demo.py', tiny.images[0], tiny.checkpoint, check=False)
    assert done.returncode == 2 and 'is a checkpoint, expected a config' in done.stderr
