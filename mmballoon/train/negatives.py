"""Images without objects in training: what upstream's pipelines drop on the way."""

from mmdet.datasets.transforms import RandomCrop
from mmdet.registry import TRANSFORMS


@TRANSFORMS.register_module()
class CropWithNegatives(RandomCrop):
    """RandomCrop that keeps an image which has no object.

    RandomCrop drops every crop without an object, and so every image without one; MMDetection then
    takes another image in its place. Where there is an object, a crop still has to show one.
    """

    def transform(self, results):
        self.allow_negative_crop = len(results['gt_bboxes']) == 0
        return super().transform(results)
