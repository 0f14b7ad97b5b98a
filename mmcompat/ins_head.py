"""RTMDet-Ins has convolutions of its own for the boxes, as RTMDet has.

Symptom:  from the weights of an RTMDet, RTMDet-Ins loses what they know about classes: the layers for
          boxes are loaded over those for classes
Cause:    RTMDetInsSepBNHead puts cls_convs into reg_convs, so both are the same layers
Versions: mmdet <= 3.3.0
Upstream: https://github.com/open-mmlab/mmdetection/issues/9835; pull 12436
Delete:   when the head has two sets of layers. Published RTMDet-Ins weights hold the layers twice, so they
          give the same detections with this patch and without
"""

import copy
import functools

from mmdet.models.dense_heads import RTMDetInsSepBNHead


def apply():
    """Copy the layers where both names mean the same ones."""
    init_layers = RTMDetInsSepBNHead._init_layers
    if hasattr(init_layers, '__wrapped__'):
        return

    @functools.wraps(init_layers)
    def wrapped(self):
        init_layers(self)
        if self.reg_convs[0] is self.cls_convs[0]:
            self.reg_convs = copy.deepcopy(self.cls_convs)

    RTMDetInsSepBNHead._init_layers = wrapped


apply()
