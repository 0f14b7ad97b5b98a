"""Masks of boxes beside the image, on the CPU.

Symptom:  RuntimeError: upper bound and lower bound inconsistent with step sign
Cause:    _do_paste_mask limits its work to the part of the image that the box covers, which is less than nothing
Versions: mmdet <= 3.3.0, in detectors that do not clip their boxes (QueryInst)
Upstream: https://github.com/hustvl/QueryInst/issues/41
Delete:   when _do_paste_mask clamps both ends

On a GPU it works on the whole image, as it does here for such a box.
"""

import functools

from mmdet.models.roi_heads.mask_heads import fcn_mask_head


def _whole_image_for_boxes_outside(original):
    @functools.wraps(original)
    def wrapped(masks, boxes, img_h, img_w, skip_empty=True):
        """As _do_paste_mask; boxes: (N, 4) of [x1, y1, x2, y2] in pixels."""
        size = boxes.new_tensor([img_w, img_h])
        outside = (boxes[:, :2] > size).any() or (boxes[:, 2:] < 0).any()
        return original(masks, boxes, img_h, img_w, skip_empty and not outside)

    return wrapped


def apply():
    if not hasattr(fcn_mask_head._do_paste_mask, '__wrapped__'):
        fcn_mask_head._do_paste_mask = _whole_image_for_boxes_outside(fcn_mask_head._do_paste_mask)


apply()
