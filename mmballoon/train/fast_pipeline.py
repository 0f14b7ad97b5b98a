"""Three of upstream's transforms, made faster, and a crop that keeps images without objects.

- ``LoadCachedImage`` decodes an image once in each worker, and upstream's deep copies of it
  (CachedMosaic makes five per sample) copy nothing.
- ``LazyResize`` in ``RandomResize(resize_type='LazyResize')`` leaves the pixels to the RandomCrop
  after it, which takes 640 x 640 of up to 2560 x 2560: only those are computed.
- ``HSVRandomAug`` is YOLOXHSVRandomAug by look-up tables, equal to the last bit.

Random numbers are drawn as upstream draws them: same seed, same boxes. benchmarks/pipeline.py
measures it.
"""

import cv2
import numpy as np
from mmcv.image import rescale_size
from mmcv.transforms import LoadImageFromFile
from mmdet.datasets.transforms import RandomCrop, Resize, YOLOXHSVRandomAug
from mmdet.registry import TRANSFORMS
from torch.utils.data import get_worker_info


class SharedImage(np.ndarray):
    """A read-only image, (H, W, 3) uint8 as a rule: a deep copy of it is itself, since nobody can change it."""

    def __deepcopy__(self, memo):
        return self


@TRANSFORMS.register_module()
class LoadCachedImage(LoadImageFromFile):
    """LoadImageFromFile that keeps the images that it has decoded, up to a limit.

    Args:
        budget_gb: what the decoded images of all workers may take together, in GB (10^9 bytes) of
            memory, for each training process. Images beyond it are decoded each time.
    """

    def __init__(self, budget_gb=2.0, **kwargs):
        super().__init__(**kwargs)
        self.budget = budget_gb * 1e9
        self.images, self.size = {}, 0  # path -> SharedImage; bytes of all

    def transform(self, results):
        image = self.images.get(results['img_path'])
        if image is None:
            results = super().transform(results)
            if results is None:  # with ignore_empty, for an image that cannot be read
                return None
            image = results['img'].view(SharedImage)
            image.flags.writeable = False
            worker = get_worker_info()
            if self.size + image.nbytes <= self.budget / (worker.num_workers if worker else 1):
                self.images[results['img_path']] = image
                self.size += image.nbytes
        results['img'] = image
        results['img_shape'] = results['ori_shape'] = image.shape[:2]
        return results


class ResizedView:
    """An image resized to ``shape``, bilinearly as by cv2.resize; slicing it computes the slice."""

    def __init__(self, image, height, width):
        self.image, self.shape = image, (height, width, *image.shape[2:])

    def __getitem__(self, key):
        (top, bottom, _), (left, right, _) = (s.indices(n) for s, n in zip(key[:2], self.shape))
        x, y = self.image.shape[1] / self.shape[1], self.image.shape[0] / self.shape[0]
        back = np.float64([[x, 0, (left + 0.5) * x - 0.5], [0, y, (top + 0.5) * y - 0.5]])
        return cv2.warpAffine(
            np.asarray(self.image),
            back,
            (right - left, bottom - top),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )


@TRANSFORMS.register_module()
class LazyResize(Resize):
    """mmdet's Resize before a RandomCrop: only the pixels that are cropped are computed."""

    def _resize_img(self, results):
        height, width = results['img'].shape[:2]
        new_width, new_height = results['scale']
        if self.keep_ratio:
            new_width, new_height = rescale_size((width, height), results['scale'])
        results['img'] = ResizedView(results['img'], new_height, new_width)
        results['img_shape'] = (new_height, new_width)
        results['scale_factor'] = (new_width / width, new_height / height)
        results['keep_ratio'] = self.keep_ratio


@TRANSFORMS.register_module()
class HSVRandomAug(YOLOXHSVRandomAug):
    """YOLOXHSVRandomAug by three look-up tables instead of 16-bit arithmetic on every pixel."""

    def transform(self, results):
        table = np.arange(256, dtype=np.int16)[:, None] + self._get_hsv_gains()  # (256, 3)
        table[:, 0] %= 180
        table = np.uint8(np.clip(table, 0, 255))[None]
        hsv = cv2.LUT(cv2.cvtColor(results['img'], cv2.COLOR_BGR2HSV), table)
        results['img'] = cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)
        return results


@TRANSFORMS.register_module()
class CropWithNegatives(RandomCrop):
    """RandomCrop that keeps an image which has no object.

    RandomCrop drops every crop without an object, and so every image without one; MMDetection then
    takes another image in its place. Where there is an object, a crop still has to show one.
    """

    def transform(self, results):
        self.allow_negative_crop = len(results['gt_bboxes']) == 0
        return super().transform(results)
