"""``head_module`` on MMDetection's heads, which MMYOLO's Box AM wrapper asks for.

Symptom:  AttributeError: 'RTMDetSepBNHead' object has no attribute 'head_module'
Cause:    mmyolo.utils.boxam_utils sets ``bbox_head.head_module.training``. MMYOLO's heads wrap their layers in a
          head_module; MMDetection's heads hold the layers themselves.
Versions: mmyolo <= 0.5.0 (0.6.0 asks first)
Upstream: https://github.com/open-mmlab/mmyolo/issues/815, fixed by pull 779
Delete:   when mmyolo 0.5.0 need not be supported
"""

from mmdet.models.dense_heads.base_dense_head import BaseDenseHead


def apply():
    """Make ``head.head_module`` the head itself, unless it holds a module of that name, as MMYOLO's
    own heads do.
    """
    if not hasattr(BaseDenseHead, 'head_module'):
        BaseDenseHead.head_module = property(lambda head: head._modules.get('head_module', head))


apply()
