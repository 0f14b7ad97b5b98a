"""Copy-paste of annotated objects: a few hundred of them become new scenes in every sample.

After Ghiasi et al., "Simple Copy-Paste is a Strong Data Augmentation Method for Instance
Segmentation", CVPR 2021. MMDetection's own CopyPaste pastes all objects of one image at their size
and position; here each object gets another size, position and colour.
"""

import cv2
import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS

MIN_SIDE = 24  # pixels: smaller objects are not cut out
MAX_SIDE = 400  # pixels: larger objects are stored at this size
MAX_HIDDEN = 0.3  # share of a box: an object is not pasted where it would hide more


@TRANSFORMS.register_module()
class CachedCopyPaste(BaseTransform):
    """Paste objects from images that were loaded before: resized, mirrored and recoloured.

    Required keys: img, gt_bboxes, gt_bboxes_labels, gt_ignore_flags, and gt_masks as polygons. So it
    follows ``LoadAnnotations(with_bbox=True, with_mask=True, poly2mask=False)``. It adds to all of
    them but gt_masks, which it removes.

    Args:
        prob: share of the images that objects are pasted on.
        max_num_pasted: the number of objects per image is uniform from 1 to this.
        size_range: longer side of a pasted object over the shorter side of the image; log-uniform.
            No object is enlarged.
    """

    def __init__(self, prob=0.5, max_num_pasted=5, size_range=(0.03, 0.4)):
        self.prob, self.max_num_pasted = prob, max_num_pasted
        self.log_range = np.log(size_range)
        self.cut_outs = {}  # img_path -> [(label, (h, w, 4) uint8: BGR and alpha)]

    def transform(self, results):
        path, masks = results['img_path'], results.pop('gt_masks').masks
        if path not in self.cut_outs:
            self.cut_outs[path] = cuts = []
            labels, ignored = results['gt_bboxes_labels'], results['gt_ignore_flags']
            for label, polygons, ignore in zip(labels, masks, ignored):
                cut = None if ignore else cut_out(results['img'], polygons)
                if cut is not None:
                    cuts.append((label, cut))
        if np.random.rand() >= self.prob:
            return results
        pool = [item for items in self.cut_outs.values() for item in items]
        if not pool:
            return results
        image, boxes = np.array(results['img']), results['gt_bboxes'].numpy()
        labels = list(results['gt_bboxes_labels'])
        for _ in range(np.random.randint(1, self.max_num_pasted + 1)):
            label, cut = pool[np.random.randint(len(pool))]
            box = self._paste(image, recolor(cut), boxes)
            if box is not None:
                boxes = np.concatenate([boxes, [box]]).astype(np.float32)
                labels.append(label)
        new = len(boxes) - len(results['gt_ignore_flags'])
        results['img'] = image.view(type(results['img']))
        results['gt_ignore_flags'] = np.append(results['gt_ignore_flags'], np.zeros(new, bool))
        results['gt_bboxes'] = type(results['gt_bboxes'])(torch.from_numpy(boxes))
        results['gt_bboxes_labels'] = np.array(labels, dtype=np.int64)
        return results

    def _paste(self, image, cut, boxes):
        """Blend a cut-out into the image in place; its box [x1, y1, x2, y2] in pixels, or None.

        None: it would be too small or too large, or hide another object.
        """
        height, width = image.shape[:2]
        side = np.exp(np.random.uniform(*self.log_range)) * min(height, width)
        cut = shrink(cut, side)
        h, w = cut.shape[:2]
        if min(h, w) < 4 or h >= height or w >= width:
            return None
        x, y = np.random.randint(width - w), np.random.randint(height - h)
        top_left = np.maximum(boxes[:, :2], (x, y))
        bottom_right = np.minimum(boxes[:, 2:], (x + w, y + h))
        hidden = np.clip(bottom_right - top_left, 0, None).prod(1)
        if (hidden > MAX_HIDDEN * (boxes[:, 2:] - boxes[:, :2]).prod(1)).any():
            return None
        window = image[y : y + h, x : x + w]
        alpha = np.float32(cut[..., 3:]) / 255
        window[:] = np.rint(window * (1 - alpha) + cut[..., :3] * alpha)
        return x, y, x + w, y + h


def cut_out(image, polygons):
    """One object with its surroundings transparent: (h, w, 4) uint8, BGR and alpha; or None.

    None for what would not look whole in another image: an object in several parts, a tiny one, and
    one that another object or the border cuts off (its outline is then not convex, or touches it).

    polygons: [(2 n,) array of x, y, x, y, ... in pixels] of one object.
    """
    if len(polygons) != 1:
        return None
    points = np.float32(polygons[0]).reshape(-1, 2)
    left, top = np.floor(points.min(0)).astype(int)
    right, bottom = np.ceil(points.max(0)).astype(int)
    height, width = image.shape[:2]
    if min(right - left, bottom - top) < MIN_SIDE:
        return None
    if left < 2 or top < 2 or right > width - 2 or bottom > height - 2:
        return None
    if cv2.contourArea(points) < 0.93 * cv2.contourArea(cv2.convexHull(points)):
        return None
    alpha = np.zeros((bottom - top, right - left), np.uint8)
    cv2.fillPoly(alpha, [np.int32((points - (left, top)) * 16)], 255, cv2.LINE_AA, shift=4)
    alpha = cv2.GaussianBlur(alpha, (0, 0), max(0.5, 0.01 * max(alpha.shape)))  # a soft edge
    return shrink(np.dstack([image[top:bottom, left:right], alpha]), MAX_SIDE)


def shrink(cut, side):
    """The cut-out with its longer side at most ``side`` pixels."""
    scale = side / max(cut.shape[:2])
    if scale >= 1:
        return cut
    return cv2.resize(cut, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def recolor(cut):
    """The cut-out with another brightness and, each in half of the cases, mirrored and in another hue."""
    if np.random.rand() < 0.5:
        cut = cut[:, ::-1]
    hsv = cv2.cvtColor(np.ascontiguousarray(cut[..., :3]), cv2.COLOR_BGR2HSV).astype(np.int16)
    if np.random.rand() < 0.5:
        hsv[..., 0] = (hsv[..., 0] + np.random.randint(180)) % 180
    hsv[..., 2] = np.clip(hsv[..., 2] * np.random.uniform(0.75, 1.2), 0, 255)
    return np.dstack([cv2.cvtColor(np.uint8(hsv), cv2.COLOR_HSV2BGR), cut[..., 3]])
