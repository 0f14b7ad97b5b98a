"""Three of upstream's transforms, made faster.

- ``LoadCachedImage`` decodes an image once. From then on it is mapped from a file that all workers
  share, and upstream's deep copies of it (CachedMosaic makes five per sample) copy nothing.
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
from mmdet.datasets.transforms import Resize, YOLOXHSVRandomAug
from mmdet.registry import TRANSFORMS

from mmballoon.train import image_cache


class SharedImage(np.ndarray):
    """A read-only image, (H, W, 3) uint8: a deep copy of it is itself, since nobody can change it."""

    def __deepcopy__(self, memo):
        return self


@TRANSFORMS.register_module()
class LoadCachedImage(LoadImageFromFile):
    """LoadImageFromFile that keeps decoded images in files, mapped into memory by every worker.

    Args:
        budget_gb: what the files may take together, in GB (10^9 bytes), for all processes of a
            user on a machine; beyond it images are decoded each time. Mapped pages are the
            system's file cache: shared, and given up when memory runs short.
    """

    def __init__(self, budget_gb=4.0, **kwargs):
        super().__init__(**kwargs)
        self.budget = budget_gb * 1e9
        self.folder = image_cache.folder()

    def transform(self, results):
        path = image_cache.path_of(self.folder, results['img_path'])
        if not path.exists():
            super().transform(results)
            image_cache.store(path, results['img'], self.budget)
        try:
            image = np.load(path, mmap_mode='r').view(SharedImage)
        except FileNotFoundError:  # beyond the budget, or another process has just made room
            return results if 'img' in results else super().transform(results)
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
