"""SSD detects.

Symptom:  AttributeError: 'SSDHead' object has no attribute 'loss_cls'
Cause:    BaseDenseHead._predict_by_feat_single asks for self.loss_cls, and SSDHead builds none
Versions: mmdet 3.2.0 and 3.3.0
Upstream: https://github.com/open-mmlab/mmdetection/issues/11063 and /11780, /11305; pull 11524
Delete:   when SSDHead has the attribute, or BaseDenseHead asks first
"""

from mmdet.models.dense_heads import SSDHead


def apply():
    """Give the class the attribute."""
    SSDHead.loss_cls = None


apply()
