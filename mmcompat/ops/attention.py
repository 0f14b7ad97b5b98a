"""Multi-scale deformable attention on CUDA: mmcv's own PyTorch path, which it takes on the CPU alone.

Symptom:  NotImplementedError: mmcv operator 'ms_deform_attn_forward' is compiled code
Cause:    mmcv-lite has no compiled operators.
Versions: mmcv-lite, every release
Upstream: mmcv/ops/multi_scale_deform_attn.py (2.0.1)
Delete:   with mmcv_ext
"""


def apply():
    from mmcv.ops import multi_scale_deform_attn as module

    def attention(value, shapes, level_start, locations, weights, im2col_step):
        """Shapes as in MultiScaleDeformableAttnFunction.forward; types follow ``value``, as there."""
        locations, weights = locations.type_as(value), weights.type_as(value)
        return module.multi_scale_deformable_attn_pytorch(value, shapes, locations, weights)

    module.MultiScaleDeformableAttnFunction.apply = staticmethod(attention)
