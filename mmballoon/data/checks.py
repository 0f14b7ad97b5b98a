"""Checks of a COCO dataset before training: counts, sizes, leakage between splits, broken files."""

import hashlib
import math
from collections import Counter
from itertools import combinations

import numpy as np
from PIL import Image
from tqdm import tqdm

from mmballoon.cli import UserError
from mmballoon.data.coco import STRIDES, network_sizes, thumbnail
from mmballoon.data.images import image_size

AREAS = dict(small=(0, 32**2), medium=(32**2, 96**2), large=(96**2, math.inf))  # COCO's, pixels
SIZE_EDGES = (0, 8, 16, 32, 64, 128, 256, math.inf)
HASH_SIDE = 16  # a difference hash has 16 x 16 bits
NEAR = 26  # near-duplicates differ in at most this many bits; unrelated photographs in about 128


def read_images(part):
    """Read every image once: compare its size, keep a thumbnail, a digest and a perceptual hash."""
    for key, image in tqdm(part.images.items(), part.name, leave=False, disable=None):
        path = part.folder / image['file_name']
        if not path.is_file():
            part.problems.append(f'{path}: missing')
            continue
        try:
            size = image_size(path)
            stated = image['width'], image['height']
            if size != stated:
                found, wanted = (f'{width} x {height}' for width, height in (size, stated))
                part.problems.append(f'{path}: {found} pixels, the COCO file says {wanted}')
            part.thumbnails[key] = thumbnail(path)
            digest = hashlib.sha256(path.read_bytes()).digest()
            part.hashes[key] = digest, difference_hash(part.thumbnails[key])
        except (UserError, OSError, ValueError) as error:
            part.problems.append(str(error).split('; next')[0])


def difference_hash(image):
    """(256,) bool: whether each cell of a 17 x 16 grid is darker than its right neighbour (dHash)."""
    small = image.convert('L').resize((HASH_SIDE + 1, HASH_SIDE), Image.Resampling.BOX)
    gray = np.asarray(small, np.int16)
    return (gray[:, 1:] > gray[:, :-1]).ravel()


def check_boxes(part):
    """Note boxes out of bounds, without size, or twice in an image."""
    for key, annotations in part.boxes.items():
        image, seen = part.images[key], set()
        for a in annotations:
            x, y, w, h = a['bbox']
            label = f'{part.name}: {image["file_name"]}: annotation {a["id"]}: box '
            label += str([round(value, 1) for value in a['bbox']])
            if not np.isfinite(a['bbox']).all() or w <= 0 or h <= 0:
                part.problems.append(f'{label} has no size')
            elif x < 0 or y < 0 or x + w > image['width'] + 1e-6 or y + h > image['height'] + 1e-6:
                size = f'{image["width"]} x {image["height"]}'
                part.problems.append(f'{label} leaves the image ({size})')
            if (a['category_id'], *a['bbox']) in seen:
                part.problems.append(f'{label} occurs twice')
            seen.add((a['category_id'], *a['bbox']))


def pairs(parts):
    """(identical, near, closest) pairs over all parts: (image, image, number of differing bits).

    An image here is (name of its part, file name, digest, hash).
    """
    items = []
    for part in parts:
        for key, hashes in part.hashes.items():
            items.append((part.name, part.images[key]['file_name'], *hashes))
    if len(items) < 2:
        return [], [], None
    bits = np.array([item[3] for item in items], np.float32)
    distance = bits @ (1 - bits.T) + (1 - bits) @ bits.T
    np.fill_diagonal(distance, np.inf)
    close = np.argwhere(np.triu(distance <= NEAR))
    near = [(items[i], items[j], int(distance[i, j])) for i, j in close]
    same = [pair for pair in near if pair[0][2] == pair[1][2]]
    part_of = np.array([item[0] for item in items])
    distance[part_of[:, None] == part_of] = np.inf
    i, j = np.unravel_index(distance.argmin(), distance.shape)
    closest = (items[i], items[j], int(distance[i, j])) if np.isfinite(distance[i, j]) else None
    return same, [pair for pair in near if pair not in same], closest


def describe(part, img_size):
    """Lines of text about one part: counts, image sizes, box sizes in COCO's groups and at img_size."""
    annotations = [a for found in part.boxes.values() for a in found]
    per_class = Counter(part.names[a['category_id']] for a in annotations)
    empty = len(part.images) - len(part.boxes)
    yield f'{part.name}: {len(part.images)} images ({empty} without boxes), {len(annotations)} boxes'
    counts = ', '.join(f'{name} {per_class[name]}' for name in part.names.values())
    yield f'  classes          {counts}'
    yield f'  image long side  {long_sides(part.images.values())}'
    if not annotations:
        return
    yield f'  boxes, COCO      {by_area(annotations)}  (area below 32², 96² px, and above)'
    sizes, strides = network_sizes(part, img_size), ', '.join(map(str, STRIDES))
    yield f'  box size at {img_size} px (square root of the box, network input; strides {strides})'
    bins = list(zip(SIZE_EDGES, SIZE_EDGES[1:]))
    counts = [sum(low <= size < high for size in sizes) for low, high in bins]
    for (low, high), count in zip(bins, counts):
        yield f'    {low:>4} to {high:<4}{count:>6}  ' + '#' * round(40 * count / max(1, *counts))
    ratios = [a['bbox'][2] / a['bbox'][3] for a in annotations if a['bbox'][3] > 0]
    low, middle, high = np.percentile(ratios or [1], (5, 50, 95))
    yield f'  width / height   {low:.2f} to {high:.2f} (5 % to 95 %), median {middle:.2f}'


def long_sides(images):
    sides = Counter(max(image['width'], image['height']) for image in images)
    return ', '.join(f'{count} at {side} px' for side, count in sides.most_common(6))


def by_area(annotations):
    areas = [a.get('area', a['bbox'][2] * a['bbox'][3]) for a in annotations]
    groups = {name: [low <= area < high for area in areas] for name, (low, high) in AREAS.items()}
    return ', '.join(f'{sum(inside)} {name}' for name, inside in groups.items())


def advise(parts, img_size, same, near, closest):
    """Sentences about what a person should know before training."""
    if len(parts) > 1:
        images = [image for part in parts for image in part.images.values()]
        boxes = [a for part in parts for found in part.boxes.values() for a in found]
        counts = f'{len(boxes)} boxes ({by_area(boxes)})'
        yield f'Together {len(images)} images ({long_sides(images)}) and {counts}.'
    for part in parts:
        tiny = sum(size < STRIDES[0] for size in network_sizes(part, img_size))
        cell = f'one cell of the finest stride ({STRIDES[0]} px) at {img_size} px'
        if tiny:
            problem = f'{tiny} boxes are smaller than {cell} and can hardly be found'
            yield f'{part.name}: {problem}: a larger input would help.'
    names = {part.name: set(part.names.items()) for part in parts}
    for (a, left), (b, right) in combinations(names.items(), 2):
        if left != right:
            yield f'{a} and {b} have different categories: {sorted(left ^ right)}.'
    for title, found in (('identical files', same), ('near-duplicates', near)):
        across = [pair for pair in found if pair[0][0] != pair[1][0]]
        for (part_a, a, *_), (part_b, b, *_), bits in found[:10]:
            yield f'{title}: {part_a}/{a} and {part_b}/{b} ({bits} of {HASH_SIDE**2} bits differ).'
        if across:
            result = 'data leakage, the evaluation on these images is not valid'
            yield f'{len(across)} {title} between splits: {result}.'
    if closest and not any(pair[0][0] != pair[1][0] for pair in same + near):
        pair, bits = f'{closest[0][1]} and {closest[1][1]}', f'{closest[2]} of {HASH_SIDE**2} bits'
        differ = f'differs in {bits} (near-duplicates in at most {NEAR})'
        yield f'No duplicates between {" and ".join(names)}: the closest pair, {pair}, {differ}.'


def findings(parts, img_size):
    """Read the images of all parts, and yield lines of text about them.

    img_size: the longer side of the network's input in pixels. Part.problems lists what is wrong.
    """
    for part in parts:
        read_images(part)
        check_boxes(part)
        yield from describe(part, img_size)
    for line in advise(parts, img_size, *pairs(parts)):
        yield f'note: {line}'
