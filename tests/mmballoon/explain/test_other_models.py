"""Maps of other detectors, with random weights: a picture, or one line that says what works instead."""

import cv2
import numpy as np
import pytest

MODELS = {
    'Faster R-CNN': 'faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py',
    'Mask R-CNN': 'mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py',
    'FCOS': 'fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py',
    'DETR': 'detr/detr_r18_8xb2-500e_coco.py',
    'CenterNet': 'centernet/centernet_r18_8xb16-crop512-140e_coco.py',
    'YOLOv3': 'yolo/yolov3_mobilenetv2_8xb24-320-300e_coco.py',
    'SOLO': 'solo/decoupled-solo-light_r50_fpn_3x_coco.py',
    'YOLOX': 'yolox/yolox_tiny_8xb8-300e_coco.py',
}
# Their heads have no loss of the boxes alone that Box AM knows.
LINES = {
    ('gradcam', 'Faster R-CNN'): 'FasterRCNN: gradcam knows the heads of ',
    ('gradcam', 'Mask R-CNN'): 'MaskRCNN: gradcam knows the heads of ',
    ('gradcam', 'FCOS'): 'FCOSHead: gradcam knows the heads of ',
    ('gradcam', 'DETR'): 'DETRHead: gradcam knows the heads of ',
    ('featmap', 'CenterNet'): 'the test pipeline of the config: does not resize the images',
    ('eigencam', 'CenterNet'): 'the test pipeline of the config: does not resize the images',
    ('gradcam', 'CenterNet'): 'CenterNetHead: gradcam knows the heads of ',
    ('gradcam', 'YOLOv3'): 'YOLOV3Head: gradcam knows the heads of ',
    ('gradcam', 'SOLO'): 'SOLO: gradcam knows the heads of ',
    ('layercam', 'CenterNet'): 'its scores are not those of the classes alone',
    ('layercam', 'YOLOv3'): 'its scores are not those of the classes alone',
    ('layercam', 'SOLO'): 'SOLO: layercam needs a head that scores each place',
    ('layercam', 'Faster R-CNN'): 'layercam needs a head that scores each place',
    ('layercam', 'Mask R-CNN'): 'layercam needs a head that scores each place',
    ('layercam', 'FCOS'): 'its scores are not those of the classes alone',
    ('layercam', 'DETR'): 'layercam needs a head that scores each place',
    ('layercam', 'YOLOX'): 'its scores are not those of the classes alone',
}


@pytest.fixture(scope='module')
def image(tmp_path_factory):
    path = tmp_path_factory.mktemp('image') / 'image.png'
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 255, (96, 160, 3), np.uint8))
    return path


@pytest.fixture(scope='module', params=MODELS)
def model(request, tmp_path_factory):
    """(name, config, checkpoint) of a detector with random weights, for small images."""
    import torch
    from mmdet.registry import MODELS as REGISTRY
    from mmengine.config import Config
    from mmengine.registry import init_default_scope

    folder = tmp_path_factory.mktemp('model')
    config = folder / 'config.py'
    config.write_text(
        f"_base_ = 'mmdet::{MODELS[request.param]}'\nmodel = dict(backbone=dict(init_cfg=None))\n"
    )
    cfg = Config.fromfile(config)
    for step in cfg.test_dataloader.dataset.pipeline:
        if step.type == 'Resize':
            step.scale = (160, 96)
        if step.type == 'Pad' and 'size' in step:
            step.size = (160, 160)
    threshold = cfg.model.test_cfg.get('rcnn', cfg.model.test_cfg)
    threshold.score_thr = 0.0
    cfg.dump(config)  # building a model may put tensors into its config
    init_default_scope('mmdet')
    torch.manual_seed(0)
    net = REGISTRY.build(cfg.model)
    meta = dict(dataset_meta=dict(classes=[str(i) for i in range(80)]))
    torch.save(dict(state_dict=net.state_dict(), meta=meta), folder / 'random.pth')
    return request.param, config, folder / 'random.pth'


@pytest.mark.slow
@pytest.mark.parametrize('method', ['featmap', 'gradcam', 'eigencam', 'layercam'])
def test_a_picture_or_one_line(model, method, image, tmp_path, in_process, capsys):
    name, config, checkpoint = model
    args = [image, config, checkpoint, '--out-dir', tmp_path / 'out', '--score-thr', 0]
    if method == 'featmap':
        done = in_process('tools/featmap_vis_demo.py', *args)
    else:
        done = in_process('tools/boxam_vis_demo.py', *args, '--method', method, '--topk', 2)
    lines = [line for line in done.err.splitlines() if line.startswith('error: ')]
    expected = LINES.get((method, name))
    with capsys.disabled():
        print(f'\n| {name} | {method} | {lines[0] if lines else "picture"} |')
    if expected:
        assert done.status == 2 and len(lines) == 1 and expected in lines[0], done.err
        assert ('--method eigencam' in lines[0]) == (method in ('gradcam', 'layercam'))
        assert not (tmp_path / 'out').exists()
    else:
        assert done.status == 0, done.err
        assert cv2.imread(str(tmp_path / 'out/image.jpg')).std() > 5
