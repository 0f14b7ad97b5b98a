"""RTMDet-Ins: one epoch, then boxes and masks in the metrics and in the predictions."""

import json

from conftest import ROOT, run

CONFIG = f"""
_base_ = {str(ROOT / 'configs/my_rtmdet_ins_tiny_scratch.py')!r}
model = dict(test_cfg=dict(score_thr=0.0))  # one epoch gives no score of 0.05
train_cfg = dict(max_epochs=1)
train_dataloader = dict(num_workers=0, persistent_workers=False)
load_from = None
test_pipeline = _base_.test_dataloader.dataset.pipeline
test_pipeline[1].scale = test_pipeline[2].size = (192, 192)
val_dataloader = test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
"""


def test_an_epoch_with_masks(tiny_data, tmp_path, in_process):
    config = tmp_path / 'config.py'
    config.write_text(CONFIG)
    smaller = ['--cfg-options', 'img_scale=(192,192)']
    run('tools/train.py', config, '--work-dir', tmp_path, *smaller, env=tiny_data.env)
    (log,) = tmp_path.glob('*/vis_data/scalars.json')
    losses, metrics = (json.loads(line) for line in log.read_text().splitlines())
    assert losses['loss_mask'] > 0
    assert {'coco/bbox_mAP', 'coco/segm_mAP'} < set(metrics)

    demo = [
        'tools/image_demo.py',
        tiny_data.images[0],
        config,
        '--weights',
        tmp_path / 'epoch_1.pth',
    ]
    done = in_process(*demo, '--out-dir', tmp_path / 'out', env=tiny_data.env)
    assert done.status == 0
    (path,) = (tmp_path / 'out/preds').glob('*.json')
    predictions = json.loads(path.read_text())
    assert len(predictions['masks']) == len(predictions['scores']) > 0

    args = [*demo[1:3], demo[4], '--score-thr', '0', '--topk', '1', '--out-dir', tmp_path / 'am']
    done = in_process('tools/boxam_vis_demo.py', *args, env=tiny_data.env)
    assert done.status == 2 and 'next: --method eigencam' in done.err
    args += ['--method', 'eigencam']
    assert in_process('tools/boxam_vis_demo.py', *args, env=tiny_data.env).status == 0
    assert len(list((tmp_path / 'am').iterdir())) == 1
