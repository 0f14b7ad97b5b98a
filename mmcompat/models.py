"""Faults of single models of MMDetection."""

import copy

import mmcv.cnn
import mmdet
import torch
import torch.nn.functional as F
from mmdet.models.dense_heads import RTMDetInsHead, RTMDetInsSepBNHead, SSDHead
from mmdet.models.roi_heads.mask_heads import fcn_mask_head
from mmdet.structures.bbox import scale_boxes
from mmengine.utils import digit_version

from ._replace import repair

SMALLEST = 1e-30  # changes no variance above 1e-22


def torch_accepts_eps_of_zero():
    try:
        F.batch_norm(torch.zeros(1, 1), torch.zeros(1), torch.ones(1), eps=0)
    except ValueError:
        return False
    return True


def batch_norm_eps(build_norm_layer, cfg, *args, **kwargs):
    """NAS-FCOS: frozen batch normalisation with ``eps=0``.

    Symptom:  ValueError: batch_norm eps must be positive, but got 0
    Cause:    torch refuses 0 in evaluation as well, where the variance is that of the weights
    Versions: torch >= 2.10; configs/nas_fcos of mmdet <= 3.3.0
    Upstream: https://github.com/pytorch/pytorch/issues/173337, pull 175508
    Delete:   when the oldest supported torch accepts 0 in evaluation again
    """
    if isinstance(cfg, dict) and cfg.get('eps') == 0:
        cfg = {**cfg, 'eps': SMALLEST}
    return build_norm_layer(cfg, *args, **kwargs)


if not torch_accepts_eps_of_zero():
    repair(mmcv.cnn, 'build_norm_layer', everywhere=True)(batch_norm_eps)


@repair(SSDHead, '__init__')
def ssd_head(init, self, *args, **kwargs):
    """SSD detects.

    Symptom:  AttributeError: 'SSDHead' object has no attribute 'loss_cls'
    Cause:    BaseDenseHead asks for self.loss_cls in prediction, and SSDHead builds none
    Versions: mmdet 3.2.0 and 3.3.0
    Upstream: https://github.com/open-mmlab/mmdetection/issues/11063, 11305, 11780; pull 11524
    Delete:   when SSDHead has the attribute, or BaseDenseHead asks first
    """
    init(self, *args, **kwargs)
    if not hasattr(self, 'loss_cls'):
        self.loss_cls = None


@repair(fcn_mask_head, '_do_paste_mask')
def paste_mask(do_paste_mask, masks, boxes, img_h, img_w, skip_empty=True):
    """Masks of boxes beside the image, on the CPU: the whole image is worked on, as on a GPU.

    Symptom:  RuntimeError: upper bound and lower bound inconsistent with step sign
    Cause:    the part of the image that such boxes cover is less than nothing
    Versions: mmdet <= 3.3.0, in detectors that do not clip their boxes (QueryInst)
    Upstream: https://github.com/hustvl/QueryInst/issues/41
    Delete:   when _do_paste_mask clamps both ends
    """
    size = boxes.new_tensor([img_w, img_h])  # boxes: (N, 4) of [x1, y1, x2, y2] in pixels
    outside = (boxes[:, :2] > size).any() or (boxes[:, 2:] < 0).any()
    return do_paste_mask(masks, boxes, img_h, img_w, skip_empty and not outside)


@repair(RTMDetInsSepBNHead, '_init_layers')
def rtmdet_ins_layers(init_layers, self):
    """RTMDet-Ins has layers of its own for the boxes, as RTMDet has.

    Symptom:  RTMDet-Ins loses what the weights of an RTMDet know about classes
    Cause:    RTMDetInsSepBNHead puts cls_convs into reg_convs, so both are the same layers
    Versions: mmdet <= 3.3.0
    Upstream: https://github.com/open-mmlab/mmdetection/issues/9835; pull 12436
    Delete:   when the head has two sets of layers

    Published RTMDet-Ins weights hold the layers twice, so they give the same detections. A training
    that began without this repair cannot be resumed with it: its optimizer has fewer tensors.
    """
    init_layers(self)
    if self.reg_convs[0] is self.cls_convs[0]:
        self.reg_convs = copy.deepcopy(self.cls_convs)


def rtmdet_ins_mask_size(
    post_process, self, results, mask_feat, cfg, rescale=False, with_nms=True, img_meta=None
):
    """The masks of RTMDet-Ins have the size of the image.

    Symptom:  AssertionError: `binary_masks` must have the same shape with image; or mask AP far too low
    Cause:    the factors of width and height, which differ by rounding, are exchanged: 2048 x 1365
              becomes 2046 x 1365
    Versions: mmdet <= 3.3.0
    Upstream: https://github.com/open-mmlab/mmdetection/issues/11230, 11840; pull 11231
    Delete:   when the head takes the factors in the right order
    """
    if rescale:  # the factors are exchanged for the masks, and exchanged back for the boxes
        width, height = img_meta['scale_factor']
        img_meta = dict(img_meta, scale_factor=(height, width))
        results.bboxes = scale_boxes(results.bboxes, (height / width, width / height))
    return post_process(self, results, mask_feat, cfg, rescale, with_nms, img_meta)


if digit_version(mmdet.__version__) <= digit_version('3.3.0'):
    repair(RTMDetInsHead, '_bbox_mask_post_process')(rtmdet_ins_mask_size)
