"""Folds of small made-up image sets."""

import numpy as np
import pytest
from PIL import Image

from mmballoon.cli import UserError
from mmballoon.data import folds
from mmballoon.data.coco import Split


def make_part(folder, counts, pictures=None):
    """A Split with an image for each list of class ids in ``counts``, in files of random noise."""
    images, boxes = {}, {}
    for key, classes in enumerate(counts, start=1):
        images[key] = dict(id=key, file_name=f'{key:02}.png', width=32, height=32)
        boxes[key] = [dict(image_id=key, category_id=c, bbox=[1, 1, 9, 9]) for c in classes]
        if folder:
            seed = (pictures or {}).get(key, key)
            pixels = np.random.default_rng(seed).integers(0, 256, (32, 32, 3), np.uint8)
            Image.fromarray(pixels).save(folder / f'{key:02}.png')
    return Split('all', folder, images, boxes, {1: 'red', 2: 'blue'})


@pytest.mark.parametrize('seed', range(5))
def test_the_same_share_in_each_fold(seed):
    """30 images with 0 to 5 red objects, every sixth with two blue ones: 6 images a fold."""
    part = make_part(None, [[1] * (i % 6) + [2, 2] * (i % 6 == 3) for i in range(30)])
    dealt = folds.deal(part, [[key] for key in part.images], 5, seed)
    assert sorted(sum(dealt, [])) == list(range(1, 31))
    for fold in dealt:
        boxes = [a['category_id'] for key in fold for a in part.boxes[key]]
        assert len(fold) == 6 and abs(boxes.count(1) - 15) <= 2 and boxes.count(2) == 2


def test_the_seed_decides():
    part = make_part(None, [[1]] * 20)
    groups = [[key] for key in part.images]
    assert folds.deal(part, groups, 4, 1) == folds.deal(part, groups, 4, 1)
    assert folds.deal(part, groups, 4, 1) != folds.deal(part, groups, 4, 2)


def test_the_same_image_under_two_names_stays_in_one_fold(tmp_path):
    part = make_part(tmp_path, [[1]] * 12, pictures={9: 2})
    groups = folds.together(part)
    assert [2, 9] in groups and len(groups) == 11
    for seed in range(5):
        (fold,) = [f for f in folds.deal(part, groups, 4, seed) if 2 in f]
        assert 9 in fold


def test_a_group_stays_in_one_fold(tmp_path):
    """By the first digit of the name: 01 to 09, and 10 to 12."""
    part = make_part(tmp_path, [[1]] * 12)
    assert sorted(folds.together(part, r'^(\d)')) == [list(range(1, 10)), [10, 11, 12]]
    with pytest.raises(UserError, match='--group .*: missing .*; next: give a regular expression'):
        folds.together(part, '(')


def test_an_image_that_is_not_there(tmp_path):
    part = make_part(tmp_path, [[1]] * 3)
    (tmp_path / '02.png').unlink()
    with pytest.raises(UserError, match='02.png: missing; next: '):
        folds.together(part)


@pytest.mark.parametrize(
    'counts, found',
    [
        ([[1]] * 3, '3 images in 3 groups that stay together, expected at least one for each of 5'),
        ([[1]] * 8 + [[2, 1]] * 2, "class 'blue' is in 2 images that do not belong together"),
        ([[]] * 8, 'no image has an object'),
    ],
)
def test_too_few(counts, found):
    part = make_part(None, counts)
    with pytest.raises(UserError, match=f'^coco.json: {found}.*; next: '):
        folds.check(part, [[key] for key in part.images], 5, 'coco.json')


def test_objects_to_be_ignored_are_none():
    part = make_part(None, [[1]] * 8)
    for boxes in part.boxes.values():
        boxes[0]['iscrowd'] = 1
    with pytest.raises(UserError, match='no image has an object'):
        folds.check(part, [[key] for key in part.images], 5, 'coco.json')
