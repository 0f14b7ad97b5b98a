"""mmballoon/train/copy_paste.py: what is pasted is annotated, looks whole, and hides nothing."""

import mmcompat  # noqa: F401

import cv2
import numpy as np
import pytest

from mmdet.datasets.transforms import CopyPaste  # isort: skip
from mmdet.structures.bbox import HorizontalBoxes  # isort: skip
from mmdet.structures.mask import PolygonMasks  # isort: skip
from mmballoon.train.copy_paste import MAX_SIDE, CachedCopyPaste, cut_out  # isort: skip

GREEN = (0, 200, 0)


def circle(x, y, r):
    t = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    return np.stack([x + r * np.cos(t), y + r * np.sin(t)], 1).ravel()


def picture(name, discs, ignore=False, size=(300, 400)):
    """Results as LoadAnnotations leaves them: a gray picture (300, 400) with green discs [(x, y,
    r)].
    """
    image = np.full((*size, 3), 128, np.uint8)
    for x, y, r in discs:
        cv2.circle(image, (x, y), r, GREEN, -1)
    boxes = np.float32([(x - r, y - r, x + r, y + r) for x, y, r in discs]).reshape(-1, 4)
    masks = PolygonMasks([[circle(*disc)] for disc in discs], *size)
    return dict(
        img=image,
        img_path=name,
        gt_bboxes=HorizontalBoxes(boxes),
        gt_masks=masks,
        gt_bboxes_labels=np.zeros(len(discs), int),
        gt_ignore_flags=np.full(len(discs), ignore),
    )


def overlap(a, b):
    """Shares of the boxes a, (n, 4), that the box b hides."""
    inside = np.clip(np.minimum(a[:, 2:], b[2:]) - np.maximum(a[:, :2], b[:2]), 0, None).prod(1)
    return inside / (a[:, 2:] - a[:, :2]).prod(1)


def test_every_box_holds_its_object_and_nothing_is_hidden():
    np.random.seed(0)
    paste, pasted, sides = CachedCopyPaste(prob=1.0, max_num_pasted=6), 0, []
    for _ in range(200):
        before = picture('a.jpg', [(200, 150, 60)])
        original = before['img'].copy()
        results = paste(before)
        boxes = results['gt_bboxes'].numpy()
        assert len(boxes) == len(results['gt_bboxes_labels']) == len(results['gt_ignore_flags'])
        assert 'gt_masks' not in results and results['gt_bboxes_labels'].dtype == np.int64
        assert (
            (boxes[0] == (140, 90, 260, 210)).all()
            and (boxes >= 0).all()
            and (boxes <= (400, 300, 400, 300)).all()
        )
        changed = (results['img'] != original).any(2)
        for i, (x1, y1, x2, y2) in enumerate(boxes[1:].astype(int), 1):
            assert (overlap(boxes[:i], boxes[i]) <= 0.3 + 1e-6).all()
            assert (
                changed[(y1 + y2) // 2, (x1 + x2) // 2]
                or (overlap(boxes[i + 1 :], boxes[i]) > 0).any()
            )
            changed_inside = changed[y1:y2, x1:x2].mean()
            assert changed_inside > 0.4  # a disc is pi / 4 of its box; another may hide 0.3 of it
            sides.append(max(x2 - x1, y2 - y1))
        for x1, y1, x2, y2 in boxes[1:].astype(int):
            changed[y1:y2, x1:x2] = False
        assert not changed.any()  # outside the new boxes the picture is as it was
        pasted += len(boxes) - 1
    assert pasted > 300 and min(sides) < 0.05 * 300 and max(sides) > 0.3 * 300


def test_prob_zero_only_learns():
    paste = CachedCopyPaste(prob=0.0)
    results = picture('a.jpg', [(200, 150, 60)])
    image = results['img']
    assert paste(results)['img'] is image and len(paste.cut_outs['a.jpg']) == 1


def test_objects_of_other_pictures_are_pasted_and_ignored_ones_never():
    np.random.seed(1)
    paste = CachedCopyPaste(prob=1.0)
    assert len(paste(picture('crowd.jpg', [(200, 150, 60)], ignore=True))['gt_bboxes']) == 1
    assert len(paste(picture('empty.jpg', []))['gt_bboxes']) == 0  # nothing was cut out yet
    paste(picture('disc.jpg', [(100, 100, 50)]))
    results = [paste(picture('empty.jpg', [])) for _ in range(10)]
    assert sum(len(r['gt_bboxes']) for r in results) >= 10 and not any(
        r['gt_ignore_flags'].any() for r in results
    )


@pytest.mark.parametrize(
    'disc, whole', [((200, 150, 60), True), ((30, 150, 60), False), ((200, 150, 10), False)]
)
def test_what_would_not_look_whole_is_not_cut_out(disc, whole):
    image = picture('a.jpg', [disc])['img']
    assert (cut_out(image, [np.clip(circle(*disc), 0, None)]) is not None) is whole


def test_bitten_outlines_parts_and_large_objects():
    image = np.zeros((1200, 1200, 3), np.uint8)
    bitten = np.float64([100, 100, 300, 100, 200, 200, 300, 300, 100, 300])
    assert cut_out(image, [bitten]) is None
    assert cut_out(image, [circle(300, 300, 100), circle(600, 600, 100)]) is None
    cut = cut_out(image, [circle(600, 600, 500)])
    assert cut.dtype == np.uint8 and cut.shape[2] == 4 and max(cut.shape) == MAX_SIDE


@pytest.mark.parametrize('by_box', [False, True])
def test_mmdetections_own_copy_paste_runs_with_this_numpy(by_box):
    """It takes masks as bitmaps, or the boxes in their place."""
    pair = [picture(name, [(80, 80, 30), (300, 200, 40)]) for name in 'ab']
    for results in pair:
        masks = results.pop('gt_masks')
        if not by_box:
            results['gt_masks'] = masks.to_bitmap()
    pair[1]['gt_bboxes_labels'][:] = 0, 1
    pair[0]['mix_results'] = [pair[1]]
    np.random.seed(5)  # pastes both
    found = CopyPaste(paste_by_box=by_box)(pair[0])
    assert len(found['gt_bboxes']) == len(found['gt_masks']) == 2  # the others are hidden
    assert found['gt_bboxes_labels'].tolist() == [0, 1]
