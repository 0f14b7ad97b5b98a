"""Folds for cross-validation: which images are left out of the training together."""

import re
from collections import Counter

import numpy as np

from mmballoon.cli import UserError
from mmballoon.data import checks


def deal(split, groups, count, seed):
    """Deal the images into ``count`` folds: a list of lists of image ids.

    Each fold gets the same share of images for each number of objects (0, 1, 2 to 3, 4 to 7, ...) and of
    the objects of each class. The groups with most objects are dealt first, each to the fold that lacks
    most of what it holds (a greedy stratification, as Sechidis et al., ECML 2011). groups: see ``together``.
    """
    rows = {}
    for key in split.images:
        classes = Counter(a['category_id'] for a in split.boxes.get(key, ()))
        number = min(5, classes.total().bit_length())
        # 1 for the image, 6 columns for its number of objects, one for the objects of each class
        rows[key] = [1, *np.eye(6)[number], *map(classes.get, split.names, [0] * len(split.names))]
    rng = np.random.default_rng(seed)
    groups = [groups[i] for i in rng.permutation(len(groups))]
    sums = [np.sum([rows[key] for key in group], 0) for group in groups]
    share = np.maximum(1e-9, np.sum(sums, 0) / count)
    folds, filled = [[] for _ in range(count)], np.zeros((count, len(share)))
    for i in sorted(range(len(groups)), key=lambda i: -sums[i][7:].sum()):  # 7: by its objects
        cost = (((filled + sums[i]) ** 2 - filled**2) / share**2).sum(1)
        fold = int(cost.argmin())
        folds[fold] += groups[i]
        filled[fold] += sums[i]
    return [sorted(fold) for fold in folds]


def together(split, pattern=None):
    """Groups (list of lists of image ids) of images that must not be divided.

    These are identical images, near-duplicates, and images in whose file names the regular expression
    ``pattern`` finds the same text (that of its first group, where it has one).

    Raises:
        UserError: an image that cannot be read, or a pattern that is no regular expression.
    """
    checks.read_images(split)
    if split.problems:
        raise UserError(f'{split.problems[0]}; next: python data_tools/check_coco.py')
    ids = {image['file_name']: key for key, image in split.images.items()}
    group = {key: key for key in split.images}
    links = [(ids[a[1]], ids[b[1]]) for a, b, _ in sum(checks.pairs([split]), [])]
    try:
        texts = {name: pattern and re.search(pattern, name) for name in ids}
    except re.error as error:
        raise UserError(f'--group {pattern}', error, 'give a regular expression') from None
    if pattern and not any(texts.values()):
        found = f'it is in no file name, such as {next(iter(ids))}'
        raise UserError(f'--group {pattern}', found, 'give a regular expression that is in them')
    first = {}
    for name, text in texts.items():
        if text:
            text = (text.groups() or (text[0],))[0]
            links.append((first.setdefault(text, ids[name]), ids[name]))
    for a, b in links:
        old, new = group[b], group[a]
        group = {key: new if value == old else value for key, value in group.items()}
    members = {}
    for key, value in group.items():
        members.setdefault(value, []).append(key)
    return list(members.values())


def check(split, groups, count, source):
    """Raise a UserError where ``count`` folds are too many for these images. source: names the data."""
    advice = f'annotate more images, or choose fewer than {count} with --folds'
    held = Counter()  # groups that hold the class
    for group in groups:
        objects = [a for key in group for a in split.boxes.get(key, ()) if not a.get('iscrowd')]
        held.update({a['category_id'] for a in objects})
    if not held:
        raise UserError(source, 'no image has an object', 'annotate objects first')
    if len(groups) < count:
        found = f'{len(split.images)} images in {len(groups)} groups that stay together'
        raise UserError(source, f'{found}, expected at least one for each of {count} folds', advice)
    for key, name in split.names.items():
        if 0 < held[key] < count:
            found = f'class {name!r} is in {held[key]} images that do not belong together'
            raise UserError(source, f'{found}, expected one for each of {count} folds', advice)
