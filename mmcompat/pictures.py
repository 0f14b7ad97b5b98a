"""Pictures keep their frame when a box leaves them.

Symptom:  a drawn image shrinks and gets white margins; UserWarning: The bbox is out of bounds
Cause:    RTMDet clips boxes to its padded input, not to the image, and matplotlib widens the view
Versions: mmengine <= 0.10.7 with mmdet 3.3.0
Upstream: https://github.com/open-mmlab/mmengine/blob/v0.10.7/mmengine/visualization/visualizer.py
Delete:   when Visualizer.draw_bboxes clips what it draws

Only what is drawn is clipped: predictions and scores stay as upstream computes them.
"""

from mmengine.visualization import Visualizer
from mmengine.visualization.utils import tensor2ndarray

from ._replace import repair


@repair(Visualizer, 'draw_bboxes')
def clip_drawn_boxes(draw_bboxes, self, bboxes, *args, **kwargs):
    """bboxes: (N, 4) or (4,) of [x1, y1, x2, y2] in pixels."""
    bboxes = tensor2ndarray(bboxes).reshape(-1, 4).copy()
    bboxes[:, 0::2] = bboxes[:, 0::2].clip(0, self.width - 1)
    bboxes[:, 1::2] = bboxes[:, 1::2].clip(0, self.height - 1)
    return draw_bboxes(self, bboxes, *args, **kwargs)
