"""A model that was prepared for speed computes the same."""

from unittest.mock import Mock

import numpy as np
import pytest
import torch
from mmcv.cnn import ConvModule
from mmdet.apis import init_detector
from mmdet.models import CenterNetHead
from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
from mmdet.structures import DetDataSample
from mmengine.config import Config, ConfigDict
from mmengine.structures import InstanceData

from mmballoon.cli import fast_bfloat16
from mmballoon.inference import prepare, prepare_drawing
from mmballoon.train.rules.nms_best_first import _best_first


def test_same_outputs_of_the_head(tiny):
    cfg = Config.fromfile(tiny.config)
    plain = init_detector(cfg, str(tiny.checkpoint), device='cpu')
    fast = prepare(init_detector(cfg, str(tiny.checkpoint), device='cpu'))
    image = torch.randn(1, 3, 160, 128, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected, found = plain(image), fast(image)
    for expected_levels, found_levels in zip(expected, found):  # scores, boxes
        for left, right in zip(expected_levels, found_levels):
            assert left.abs().max() > 0.01 and torch.allclose(left, right, atol=1e-3, rtol=1e-3)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in fast.modules())


@pytest.mark.skipif(not fast_bfloat16(), reason='this CPU has no instructions for bfloat16')
def test_bfloat16_changes_the_rounding_and_no_types(tiny):
    cfg = Config.fromfile(tiny.config)
    plain = init_detector(cfg, str(tiny.checkpoint), device='cpu')
    half = prepare(init_detector(cfg, str(tiny.checkpoint), device='cpu'), amp=True)
    image = torch.randn(1, 3, 160, 128, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected, found = plain(image), half(image)
    for left, right in zip(expected[0], found[0]):  # the scores before the sigmoid
        assert right.dtype == torch.float32 and not torch.equal(left, right)
        assert torch.allclose(left, right, atol=0.1, rtol=0.05)


@pytest.mark.parametrize('boxes', [5000, 30])
@pytest.mark.parametrize('spread', [3000, 40])
def test_nms_of_the_best_boxes_gives_the_same_boxes(boxes, spread):
    """Spread over 40 pixels, the best 40 boxes leave fewer than 10: then all are needed."""
    random = torch.Generator().manual_seed(0)
    corners = torch.rand(boxes, 2, generator=random) * spread
    sides = torch.rand(boxes, 2, generator=random) * 5 + 60
    scores = torch.rand(boxes, generator=random).mul(50).ceil() / 50  # with many of the same score
    labels = torch.zeros(boxes, dtype=torch.long)
    results = InstanceData(
        bboxes=torch.cat([corners, corners + sides], 1), scores=scores, labels=labels
    )
    cfg = ConfigDict(max_per_img=10, nms=dict(type='nms', iou_threshold=0.65), min_bbox_size=0)
    ours = BaseDenseHead._bbox_post_process
    calls = []

    def upstream(self, part, *args, **kwargs):
        calls.append(len(part))
        return ours.__wrapped__(self, part, *args, **kwargs)

    found = _best_first(upstream, None, results, cfg, img_meta={})
    expected = ours.__wrapped__(None, results, cfg, img_meta={})
    assert len(found) and torch.equal(found.bboxes, expected.bboxes)
    assert torch.equal(found.scores, expected.scores)
    assert calls == {5000: {3000: [40], 40: [40, 5000]}, 30: {3000: [30], 40: [30]}}[boxes][spread]


@pytest.mark.parametrize('order', [('conv', 'norm', 'act'), ('norm', 'act', 'conv')])
def test_the_same_outputs_in_every_order_of_the_layers(order):
    """NAS-FCOS normalises first: its normalisation must not be fused into the convolution that follows."""
    module = ConvModule(4, 4, 1, norm_cfg=dict(type='BN'), order=order).eval()
    module.bn.running_mean.uniform_(1, 2)
    image = torch.rand(1, 4, 3, 3)
    with torch.no_grad():
        expected = module(image)
        found = prepare(torch.nn.Sequential(module))(image)
    assert torch.allclose(found, expected, atol=1e-5)
    assert isinstance(module.bn, torch.nn.Identity) == (order[0] == 'conv')


def test_a_head_that_views_its_outputs_gets_them_in_its_order():
    model = torch.nn.Module()
    model.bbox_head = CenterNetHead(in_channels=8, feat_channels=8, num_classes=2)
    prepare(model, fuse=False)
    heat = model.bbox_head.eval()((torch.rand(1, 8, 6, 6),))[0][0]
    assert heat.view(1, -1).shape == (1, 72)  # as get_topk_from_heatmap does


@pytest.mark.parametrize(
    'name, saved',
    [('a.jfif', 'a.jpg'), ('a.pgm', 'a.jpg'), ('a.png', 'a.png'), ('a', 'a.jpg'), (None, None)],
)
def test_images_of_formats_that_cannot_be_written_are_saved_as_jpeg(tmp_path, name, saved):
    from mmdet.visualization import DetLocalVisualizer
    from mmengine.structures import InstanceData

    visualizer, sample = DetLocalVisualizer(), DetDataSample()
    sample.pred_instances = InstanceData(
        bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=int), scores=torch.zeros(0)
    )
    image = np.zeros((8, 8, 3), np.uint8)
    out = dict(out_file=str(tmp_path / name)) if name else {}
    visualizer.add_datasample('a', image, sample, draw_gt=False, **out)
    assert [path.name for path in tmp_path.iterdir()] == ([saved] if saved else [])


def test_boxes_are_drawn_from_the_minimum_score_of_their_class():
    visualizer = Mock()
    add = visualizer.add_datasample
    prepare_drawing(visualizer, [0.5, 0.2])
    scores, labels = torch.tensor([0.6, 0.4, 0.4, 0.1]), torch.tensor([0, 0, 1, 1])
    sample = DetDataSample(pred_instances=InstanceData(scores=scores, labels=labels))
    visualizer.add_datasample('a', None, sample)
    drawn = add.call_args.args[2].pred_instances
    assert drawn.labels.tolist() == [0, 1] and len(sample.pred_instances) == 4
