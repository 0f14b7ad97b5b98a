"""The masks of RTMDet-Ins have the size of the image.

Symptom:  AssertionError: `binary_masks` must have the same shape with image; or mask AP far too low,
          because pycocotools matches no masks of another size
Cause:    RTMDetInsHead enlarges the height by the factor of the width, and the width by that of the height.
          They differ by rounding even where the ratio is kept: 2048 x 1365 becomes 2046 x 1365
Versions: mmdet <= 3.3.0
Upstream: https://github.com/open-mmlab/mmdetection/issues/11230 and /11840; pull 11231
Delete:   when the head takes the factors in the right order
"""

import functools

from mmdet.models.dense_heads import RTMDetInsHead
from mmdet.structures.bbox import scale_boxes


def apply():
    """Exchange the factors for the masks, and undo that for the boxes."""
    post_process = RTMDetInsHead._bbox_mask_post_process
    if hasattr(post_process, '__wrapped__'):
        return

    @functools.wraps(post_process)
    def wrapped(self, results, mask_feat, cfg, rescale=False, with_nms=True, img_meta=None):
        if rescale:
            width, height = img_meta['scale_factor']
            img_meta = dict(img_meta, scale_factor=(height, width))
            results.bboxes = scale_boxes(results.bboxes, (height / width, width / height))
        return post_process(self, results, mask_feat, cfg, rescale, with_nms, img_meta)

    RTMDetInsHead._bbox_mask_post_process = wrapped


apply()
