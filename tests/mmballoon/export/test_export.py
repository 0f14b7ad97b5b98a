"""An exported file detects what MMDetection detects: several classes, images of any shape, batches."""

import mmcompat  # noqa: F401

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from conftest import ROOT
from mmdet.apis import inference_detector, init_detector
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.hub import get_config

from mmballoon.cli import UserError
from mmballoon.export import compare, onnx_file
from mmballoon.export.detector import Detector

SHAPES = [(200, 200), (333, 517), (517, 333), (40, 50), (120, 1), (1, 120), (1, 1)]  # height, width


def two_class_config(score_thr=0.001):
    """RTMDet-tiny for two classes at 128 px, with limits that a few boxes exceed."""
    cfg = Config.fromfile(ROOT / 'configs/my_rtmdet_tiny.py')
    cfg.model.bbox_head.num_classes = 2
    cfg.model.test_cfg.update(nms_pre=40, max_per_img=60, score_thr=score_thr)
    cfg.test_dataloader.dataset.metainfo.classes = ('ball', 'mug')
    return cfg


@pytest.fixture(scope='module')
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp('images')
    random = np.random.default_rng(0)
    for i, shape in enumerate(SHAPES):
        coarse = random.integers(0, 256, (4, 4, 3), np.uint8)
        cv2.imwrite(str(folder / f'{i}.png'), cv2.resize(coarse, shape[::-1]))
    return sorted(map(str, folder.glob('*.png')))


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    """Random weights whose boxes overlap, and whose scores spread, as those of a trained head do."""
    torch.manual_seed(0)
    model = init_detector(two_class_config(), None, device='cpu')
    with torch.no_grad():
        for layers in zip(model.bbox_head.rtm_cls, model.bbox_head.rtm_reg):
            for layer, bias in zip(layers, (-1.0, 2.0)):
                layer.weight.normal_(0, 0.3)
                layer.bias.fill_(bias)
    path = tmp_path_factory.mktemp('weights') / 'two.pth'
    meta = dict(dataset_meta=dict(classes=('ball', 'mug'), palette=[(255, 0, 0), (0, 0, 255)]))
    torch.save(dict(state_dict=model.state_dict(), meta=meta), path)
    return path


@pytest.fixture(scope='module')
def model(checkpoint):
    return onnx_file.load(two_class_config(), checkpoint, size=128)


@pytest.fixture(scope='module')
def exported(model, tmp_path_factory):
    path = tmp_path_factory.mktemp('onnx') / 'two.onnx'
    path.write_bytes(onnx_file.build(model))
    return str(path)


def in_torch(model, file):
    found = inference_detector(model, file).pred_instances.numpy()
    return found.bboxes, found.scores, found.labels


def test_two_classes_and_images_of_any_shape(model, exported, images):
    found = [in_torch(model, file) for file in images]
    assert {0, 1} <= {int(label) for _, _, labels in found for label in labels}
    assert max(len(scores) for _, scores, _ in found) == 60  # max_per_img is reached
    figures = compare.check(model, Detector(exported), images)
    assert figures.startswith('7 images: 99.5% of the boxes within ')


def test_every_limit_of_test_cfg_counts(model, exported, images):
    """Looser limits in torch give other detections: the file has those of the config."""
    detector = Detector(exported)
    test_cfg = model.bbox_head.test_cfg

    def furthest():
        pairs = [(in_torch(model, file), detector(cv2.imread(file))) for file in images]
        return max(compare.differences(*pair, 0.001)[:, 0].max() for pair in pairs)

    assert furthest() < 0.5
    for name, value in (('nms_pre', 1000), ('max_per_img', 300), ('nms', dict(iou_threshold=0.9))):
        kept = test_cfg[name]
        test_cfg[name] = value
        assert furthest() > 0.5, name
        test_cfg[name] = kept


class Swapped(Detector):
    def letterbox(self, image):
        canvas, scales = super().letterbox(image)
        return np.ascontiguousarray(canvas[..., ::-1]), scales


class Stretched(Detector):
    def letterbox(self, image):
        size, (height, width) = self.metadata['size'], image.shape[:2]
        scales = np.array([size / width, size / height] * 2, np.float32)
        return cv2.resize(image, (size, size)), scales


@pytest.mark.parametrize('broken', [Swapped, Stretched])
def test_another_preprocessing_is_found(broken, model, exported, images):
    with pytest.raises(UserError, match='the exported file detects something else: 7 images'):
        compare.check(model, broken(exported), images)


def test_a_batch_gives_what_single_images_give(exported, images):
    detector = Detector(exported)
    batch = np.stack([detector.letterbox(cv2.imread(file))[0] for file in images])
    together = detector.run(batch)
    for i in range(len(images)):
        for one, all_of_them in zip(detector.run(batch[i : i + 1]), together):
            assert np.allclose(one[0], all_of_them[i], atol=1e-3)


def test_the_file_is_plain_and_describes_itself(exported):
    proto = onnx.load(exported)
    assert {node.domain for node in proto.graph.node} == {''} and not proto.functions
    assert b'site-packages' not in proto.SerializeToString()
    session = onnxruntime.InferenceSession(exported, providers=['CPUExecutionProvider'])
    (images,), outputs = session.get_inputs(), session.get_outputs()
    assert (images.type, images.shape) == ('tensor(uint8)', ['batch', 128, 128, 3])
    assert [(o.name, o.shape) for o in outputs] == [
        ('boxes', ['batch', 60, 4]),
        ('scores', ['batch', 60]),
        ('labels', ['batch', 60]),
    ]
    metadata = Detector(exported).metadata
    assert metadata['classes'] == ['ball', 'mug'] and metadata['pad_value'] == [114, 114, 114]
    assert metadata['palette'][0] == [220, 20, 60]  # the config's comes before the checkpoint's
    assert (metadata['size'], metadata['nms_pre'], metadata['score_thr']) == (128, 40, 0.001)


@pytest.mark.slow
def test_masks(images, tmp_path):
    """Random kernels whose masks have a border in most images; another threshold moves it."""
    cfg = Config.fromfile(ROOT / 'configs/my_rtmdet_ins_tiny_scratch.py')
    cfg.model.bbox_head.num_classes = 2
    cfg.model.test_cfg.update(nms_pre=40, max_per_img=20, score_thr=0.001)
    cfg.test_dataloader.dataset.metainfo.classes = ('ball', 'mug')
    torch.manual_seed(0)
    net = MODELS.build(cfg.model)
    head = net.bbox_head
    with torch.no_grad():
        for layers in zip(head.rtm_cls, head.rtm_reg, head.rtm_kernel):
            for layer, bias in zip(layers, (-1.0, 2.0, 0.0)):
                layer.weight.normal_(0, 0.3)
                layer.bias.fill_(bias)
            layers[2].bias.normal_()
    weights, path = tmp_path / 'masks.pth', tmp_path / 'masks.onnx'
    meta = dict(dataset_meta=dict(classes=('ball', 'mug')))
    torch.save(dict(state_dict=net.state_dict(), meta=meta), weights)
    model = onnx_file.load(cfg, weights, size=128)
    path.write_bytes(onnx_file.build(model))
    detector = Detector(str(path))
    figures = compare.check(model, detector, images)
    assert 'of the masks with an IoU of 0.99' in figures or 'IoU of 1.000' in figures, figures
    boxes, scores, labels, masks = detector(cv2.imread(images[2]), masks=True)
    assert masks.shape == (len(boxes), *cv2.imread(images[2]).shape[:2])
    assert sum(0.05 < mask.mean() < 0.95 for mask in masks) >= 5
    detector.metadata['mask_thr'] = 0.9
    with pytest.raises(UserError, match='the exported file detects something else'):
        compare.check(model, detector, images)


@pytest.mark.slow
def test_float16_and_an_image_without_detections(checkpoint, images, tmp_path):
    model = onnx_file.load(two_class_config(), checkpoint, size=64, score_thr=0.9999)
    path = tmp_path / 'half.onnx'
    path.write_bytes(onnx_file.build(model, half=True))
    detector = Detector(str(path))
    assert detector.metadata['dtype'] == 'float16' and path.stat().st_size < 12e6
    assert [len(column) for column in detector(cv2.imread(images[0]))] == [0, 0, 0]
    with pytest.raises(UserError, match='no detections to compare; next: --images FOLDER'):
        compare.check(model, detector, images)


def test_differences_worked_out_on_paper():
    left = np.array([[0, 0, 10, 10], [50, 50, 60, 60]]), np.array([0.9, 0.5]), np.array([0, 1])
    right = np.array([[50, 50, 60, 63], [1, 0, 10, 10]]), np.array([0.8, 0.7]), np.array([1, 0])
    rows = compare.differences(left, right, score_thr=0.1)
    assert np.allclose(rows, [[1, 0.2, 0], [3, 0.3, 0]])
    masks = np.zeros((2, 2, 4), bool)
    masks[0, :, :2] = masks[1, 0] = True  # 4 places each, 2 of them the same
    rows = compare.differences((*left, masks), (*right, masks), score_thr=0.1)
    assert np.allclose(rows[:, 2], 1 - 2 / 6)
    rows = compare.differences((*left, masks & False), (*right, masks & False), score_thr=0.1)
    assert not rows[:, 2].any()
    assert len(compare.differences(left, right, score_thr=0.4995)) == 1  # 0.5 is too close to it
    other_class = right[0], right[1], np.array([0, 0])
    assert np.isinf(compare.differences(left, other_class, 0.1)[1]).all()


def test_models_and_pipelines_that_cannot_be_exported(checkpoint, tmp_path):
    other = get_config('mmdet::yolox/yolox_tiny_8xb8-300e_coco.py')
    weights = tmp_path / 'yolox.pth'
    torch.save(dict(state_dict=MODELS.build(other.model).state_dict(), meta={}), weights)
    with pytest.raises(UserError, match='YOLOXHead: only RTMDet can be exported'):
        onnx_file.load(other, weights)
    stretched = two_class_config()
    stretched.test_dataloader.dataset.pipeline[1].keep_ratio = False
    with pytest.raises(UserError, match='does not resize with keep_ratio'):
        onnx_file.load(stretched, checkpoint)
    with pytest.raises(UserError, match='image size 100: expected a multiple of 32'):
        onnx_file.load(two_class_config(), checkpoint, size=100)
    soft = two_class_config()
    soft.model.test_cfg.nms = dict(type='soft_nms', iou_threshold=0.65)
    with pytest.raises(UserError, match='test_cfg.nms is .*soft_nms'):
        onnx_file.load(soft, checkpoint)
