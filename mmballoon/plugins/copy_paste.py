"""Copy-paste of annotated objects, from a cache, so that a few hundred of them become new scenes in
every sample.

mmdet's own CopyPaste pastes all masks of one image onto another at their size and place, needs
MultiImageMixDataset and fails on numpy 2; what helps here is other sizes, places and colours. After
Ghiasi et al., "Simple Copy-Paste is a Strong Data Augmentation Method for Instance Segmentation",
CVPR 2021 (random scale, no blending by context).
"""

import cv2
import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS

MIN_SIDE, MAX_SIDE = (
    24,
    400,
)  # pixels: nothing to see in a smaller one; a larger one is kept at this


@TRANSFORMS.register_module()
class CachedCopyPaste(BaseTransform):
    """Paste objects of pictures seen earlier, resized, mirrored and recoloured.

    Required keys: img, gt_bboxes, gt_bboxes_labels, gt_ignore_flags and gt_masks, as polygons: it
    follows ``LoadAnnotations(with_bbox=True, with_mask=True, poly2mask=False)``. Masks are dropped,
    the rest is extended.

    Args:
        prob: share of the pictures that something is pasted on. max_num_pasted: at most so many a
        picture; 1 to this, uniformly. size_range: a pasted object's longer side by the picture's
        shorter one, log-uniform. None is enlarged. max_covered: no object is pasted where it would
        hide more than this share of another's box.
    """

    def __init__(self, prob=0.5, max_num_pasted=5, size_range=(0.03, 0.4), max_covered=0.3):
        self.prob, self.max_num_pasted, self.max_covered = prob, max_num_pasted, max_covered
        self.log_range = np.log(size_range)
        self.cut_outs = {}  # img_path -> [(label, BGR and alpha, (h, w, 4) uint8)]

    def transform(self, results):
        masks = results.pop('gt_masks')
        if results['img_path'] not in self.cut_outs:
            objects = zip(masks.masks, results['gt_bboxes_labels'], results['gt_ignore_flags'])
            cut = (
                cut_out(results['img'], polygons, label)
                for polygons, label, ignore in objects
                if not ignore
            )
            self.cut_outs[results['img_path']] = [c for c in cut if c]
        if np.random.rand() >= self.prob:
            return results
        pool = [c for objects in self.cut_outs.values() for c in objects]
        image = np.array(results['img'])
        boxes, labels = results['gt_bboxes'].numpy(), list(results['gt_bboxes_labels'])
        for _ in range(np.random.randint(1, self.max_num_pasted + 1) if pool else 0):
            label, patch = pool[np.random.randint(len(pool))]
            box = self._paste(image, recolored(patch), boxes)
            if box is not None:
                boxes, labels = np.concatenate([boxes, [box]]).astype(np.float32), [*labels, label]
        results['img'] = image.view(type(results['img']))
        results['gt_ignore_flags'] = np.append(
            results['gt_ignore_flags'], np.zeros(len(boxes) - len(results['gt_ignore_flags']), bool)
        )
        results['gt_bboxes'] = type(results['gt_bboxes'])(torch.from_numpy(boxes))
        results['gt_bboxes_labels'] = np.array(labels, dtype=np.int64)
        return results

    def _paste(self, image, patch, boxes):
        """Blend a patch into the image, in place; return its box, x1 y1 x2 y2 in pixels, or None
        without room.
        """
        height, width = image.shape[:2]
        side = np.exp(np.random.uniform(*self.log_range)) * min(height, width)
        scale = side / max(patch.shape[:2])
        if scale < 1:
            patch = cv2.resize(patch, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        h, w = patch.shape[:2]
        if min(h, w) < 4 or h >= height or w >= width:
            return None
        x, y = np.random.randint(width - w), np.random.randint(height - h)
        inside = np.clip(
            np.minimum(boxes[:, 2:], (x + w, y + h)) - np.maximum(boxes[:, :2], (x, y)), 0, None
        ).prod(1)
        if (inside > self.max_covered * (boxes[:, 2:] - boxes[:, :2]).prod(1)).any():
            return None
        window, alpha = image[y : y + h, x : x + w], np.float32(patch[..., 3:]) / 255
        window[:] = np.rint(window * (1 - alpha) + patch[..., :3] * alpha)
        return x, y, x + w, y + h


def cut_out(image, polygons, label):
    """(label, (h, w, 4) uint8: BGR and a soft-edged alpha), or None where it would not look whole
    elsewhere.

    Left out: objects in several parts, tiny ones, and what the picture's border or another object
    cuts into (seen by an outline that is not convex, or nearly).

    polygons: [(2 n,)] x y x y in pixels, of one object.
    """
    if len(polygons) != 1:
        return None
    points = np.float32(polygons[0]).reshape(-1, 2)
    left, top = np.floor(points.min(0)).astype(int)
    right, bottom = np.ceil(points.max(0)).astype(int)
    height, width = image.shape[:2]
    if (
        min(right - left, bottom - top) < MIN_SIDE
        or min(left, top) < 2
        or right > width - 2
        or bottom > height - 2
    ):
        return None
    if cv2.contourArea(points) < 0.93 * cv2.contourArea(cv2.convexHull(points)):
        return None
    alpha = np.zeros((bottom - top, right - left), np.uint8)
    cv2.fillPoly(alpha, [np.int32((points - (left, top)) * 16)], 255, cv2.LINE_AA, shift=4)
    alpha = cv2.GaussianBlur(alpha, (0, 0), max(0.5, 0.01 * max(alpha.shape)))
    patch = np.dstack([image[top:bottom, left:right], alpha])
    scale = MAX_SIDE / max(patch.shape[:2])
    return label, cv2.resize(
        patch, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA
    ) if scale < 1 else patch


def recolored(patch):
    """The patch with another hue in half of the cases, other brightness, mirrored or not."""
    patch = patch[:, ::-1] if np.random.rand() < 0.5 else patch
    hsv = cv2.cvtColor(np.ascontiguousarray(patch[..., :3]), cv2.COLOR_BGR2HSV).astype(np.int16)
    if np.random.rand() < 0.5:
        hsv[..., 0] = (hsv[..., 0] + np.random.randint(180)) % 180
    hsv[..., 2] = np.clip(hsv[..., 2] * np.random.uniform(0.75, 1.2), 0, 255)
    return np.dstack([cv2.cvtColor(np.uint8(hsv), cv2.COLOR_HSV2BGR), patch[..., 3]])
