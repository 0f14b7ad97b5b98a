"""Checks of a COCO dataset before training: counts, sizes, leakage between splits, broken files."""

import hashlib
import math
from collections import Counter
from itertools import combinations

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo
from tqdm import tqdm

from mmballoon.cli import UserError, atomic_write, check_ours
from mmballoon.data.coco import STRIDES, THUMBNAIL, network_sizes, thumbnail
from mmballoon.data.images import image_size

AREAS = dict(small=(0, 32**2), medium=(32**2, 96**2), large=(96**2, math.inf))  # COCO's, pixels
SIZE_EDGES = (0, 8, 16, 32, 64, 128, 256, math.inf)
HASH_SIDE = 16  # a difference hash has 16 x 16 bits
NEAR = 26  # near-duplicates differ in at most this many bits; unrelated photographs in about 128
SHARE = 0.3  # and in a smaller share of the bits that tell something: see look_alike
BITS = np.array([bin(i).count('1') for i in range(256)], np.uint8)  # set in a byte
MARK = 'mmballoon contact sheet'  # in the file: only a picture of ours is replaced
COLUMNS, MAX_TILES, LABEL, GAP = 8, 96, 16, 4
COLORS = '#ff3c5a', '#28beff', '#5adc5a', '#ffb428', '#c86ef0', '#00d2be'
MENDS = 'python data_tools/import_annotations.py writes a file without this fault'
SCALES = 'python data_tools/import_annotations.py scales the boxes'


def read_images(split):
    """Read every image once: compare its size, and keep a digest, a perceptual hash and, of a contact
    sheet's images, a thumbnail. Of many images, the contact sheet shows an even choice.
    """
    keys = list(split.images)
    shown = np.linspace(0, len(keys) - 1, min(len(keys), MAX_TILES)).astype(int)
    shown = {keys[i] for i in shown}
    for key, image in tqdm(split.images.items(), split.name, leave=False, disable=None):
        path = split.folder / image['file_name']
        try:
            size = image_size(path)
            small = thumbnail(path)
            digest = hashlib.sha256(path.read_bytes()).digest()
        except (UserError, OSError, ValueError) as error:
            missing = f'{path}: missing' if not path.is_file() else None
            split.problems.append(missing or str(error).partition('; next')[0])
            continue
        stated = image['width'], image['height']
        if size != stated:
            sides, wanted = (f'{width} x {height}' for width, height in (size, stated))
            found = f'{sides} pixels, the COCO file says {wanted}'
            split.problems.append(f'{path}: {found}: {SCALES}')
        split.hashes[key] = digest, difference_hash(small)
        if key in shown:
            split.thumbnails[key] = small


def difference_hash(image):
    """32 bytes: whether each cell of a 17 x 16 grid is darker than its right neighbour (dHash)."""
    small = image.convert('L').resize((HASH_SIDE + 1, HASH_SIDE), Image.Resampling.BOX)
    gray = np.asarray(small, np.int16)
    return np.packbits(gray[:, 1:] > gray[:, :-1]).tobytes()


def look_alike(hashes, hash):
    """Indices of the difference hashes, (N, 32) uint8, of near-duplicates of one, (32,) uint8.

    Where the ground is plain, or becomes brighter or darker to the right, its bits are equal in all images.
    What an image shows is in the others: those that are set in one of two hashes, or those that are
    not, whichever are fewer. A hash without them says nothing. Measured on such images with one to three
    drawn discs: of 9,120 unrelated pairs, 5,883 differ in at most NEAR bits, and 7 are found here; of
    2,880 copies (JPEG of quality 40, half as large, or darker), 2,873 and 2,680. Of photographs, where
    at least NEAR / SHARE of these bits are set, NEAR alone decides.
    """
    differ = BITS[hashes ^ hash].sum(1, dtype=int)
    close = np.flatnonzero(differ <= NEAR)
    either, both = (BITS[b].sum(1, dtype=int) for b in (hashes[close] | hash, hashes[close] & hash))
    return close[differ[close] < SHARE * np.minimum(either, HASH_SIDE**2 - both)]


def check_boxes(split, masks=False):
    """Note what is wrong with annotations. masks: the recipe needs an outline for each of them."""
    missing = {}  # key -> the annotations that lack it
    keys = ['id', 'area', 'iscrowd'] + ['segmentation'] * masks
    for key, annotations in split.boxes.items():
        image, seen = split.images[key], set()
        for a in annotations:
            x, y, w, h = a['bbox']
            where = f'{image["file_name"]}: annotation {a.get("id")}'
            label = f'{split.name}: {where}: box {[round(value, 1) for value in a["bbox"]]}'
            for absent in [k for k in keys if a.get(k) in (None, [], '')]:
                missing.setdefault(absent, []).append(where)
            if w * h > 0 and not a.get('area', 1) > 0:  # MMDetection leaves it out without a word
                missing.setdefault('area', []).append(where)
            if not np.isfinite(a['bbox']).all() or w <= 0 or h <= 0:
                split.problems.append(f'{label} has no size')
            elif min(w, h) < 1:
                split.problems.append(f'{label} is smaller than a pixel: training leaves it out')
            elif x < 0 or y < 0 or x + w > image['width'] + 1e-6 or y + h > image['height'] + 1e-6:
                size = f'{image["width"]} x {image["height"]}'
                split.problems.append(f'{label} leaves the image ({size})')
            if (a['category_id'], *a['bbox']) in seen:
                split.problems.append(f'{label} occurs twice')
            seen.add((a['category_id'], *a['bbox']))
            if a.get('id') == 0:
                zero = 'has the id 0, with which pycocotools marks boxes that were not found'
                split.problems.append(f'{label} {zero}: {MENDS}')
    crowds = [bool(a.get('iscrowd')) for a in split.annotations]
    if crowds and all(crowds):
        what = f'all {len(crowds)} annotations are iscrowd, and training leaves them out'
        split.problems.append(f'{split.name}: {what}: {MENDS}')
    for absent, places in missing.items():
        what = f"{len(places)} annotations without '{absent}', first {places[0]}"
        split.problems.append(f'{split.name}: {what}: {MENDS}')


def pairs(splits):
    """(identical, near) pairs over all splits: (image, image, number of differing bits).

    An image here is (name of its split, file name). Of images that are all alike, each is in one pair
    with one before it, so that there are fewer pairs than images. One image at a time is compared
    with those before it: all at once, 10,000 images would take 3 GB.
    """
    same, near = [], []
    first, unique = {}, {}  # digest -> its first image; hash -> its first image
    for split in splits:
        for key, (digest, hash) in split.hashes.items():
            image = split.name, split.images[key]['file_name']
            row = np.frombuffer(hash, np.uint8)
            if digest in first:
                same.append((first[digest], image, 0))
            elif hash in unique and len(look_alike(row[None], row)):
                near.append((unique[hash], image, 0))
            first.setdefault(digest, image)
            unique.setdefault(hash, image)
    images, hashes = list(unique.values()), np.frombuffer(b''.join(unique), np.uint8)
    hashes = hashes.reshape(-1, HASH_SIDE**2 // 8)
    group = np.arange(len(images))  # images that are alike have the same number
    for i, hash in enumerate(hashes):
        close = look_alike(hashes[:i], hash)
        for j in close[np.unique(group[close], return_index=True)[1]]:  # the first of each group
            group[group == group[j]] = i
            near.append((images[j], images[i], int(BITS[hashes[j] ^ hash].sum())))
    return same, near


def describe(split, img_size):
    """Lines of text about one split: counts, image sizes, box sizes in COCO's groups and at img_size."""
    annotations = split.annotations
    per_class = Counter(split.names[a['category_id']] for a in annotations)
    empty = len(split.images) - len(split.boxes)
    yield f'{split.name}: {len(split.images)} images ({empty} without boxes), {len(annotations)} boxes'
    classes = ', '.join(f'{name} {per_class[name]}' for name in split.names.values())
    yield f'  classes          {classes}'
    yield f'  image long side  {long_sides(split.images.values())}'
    if not annotations:
        return
    counts = sorted(len(split.boxes.get(key, ())) for key in split.images)
    middle, most = counts[len(counts) // 2], counts[-1]
    yield f'  boxes per image  {counts[0]} to {most}, median {middle}'
    yield f'  boxes, COCO      {by_area(annotations)}  (area below 32², 96² px, and above)'
    sizes, strides = network_sizes(split, img_size), ', '.join(map(str, STRIDES))
    yield f'  box size at {img_size} px (square root of the box, network input; strides {strides})'
    bars = np.histogram(sizes, SIZE_EDGES)[0]
    for low, high, count in zip(SIZE_EDGES, SIZE_EDGES[1:], bars):
        yield f'    {low:>4} to {high:<4}{count:>6}  ' + '#' * round(40 * count / max(1, *bars))
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


def findings(splits, img_size, masks=False):
    """Read the images of all splits, and yield lines of text about them; Split.problems lists what is wrong.

    img_size: the longer side of the network's input in pixels. masks: see check_boxes.
    """
    for split in splits:
        read_images(split)
        check_boxes(split, masks)
        yield from describe(split, img_size)
    for a, b in combinations(splits, 2):
        if only := sorted(set(a.names.values()) ^ set(b.names.values())):
            what = f'{a.name} and {b.name} have different categories: {", ".join(only)} in one of them only'
            splits[-1].problems.append(f'{what}: convert both splits in one run')
    if len(splits) > 1:
        images = [image for split in splits for image in split.images.values()]
        boxes = [a for split in splits for a in split.annotations]
        counts = f'{len(boxes)} boxes ({by_area(boxes)})'
        yield f'note: Together {len(images)} images ({long_sides(images)}) and {counts}.'
    for split in splits:
        tiny = sum(size < STRIDES[0] for size in network_sizes(split, img_size))
        outlines = [bool(a.get('segmentation')) for a in split.annotations]
        if any(outlines) and not all(outlines):
            count = f'{len(outlines) - sum(outlines)} of {len(outlines)} annotations'
            yield f'note: {split.name}: {count} have no outline: recipes with masks refuse them (--masks).'
        if tiny:
            cell = f'one cell of the finest stride ({STRIDES[0]} px) at {img_size} px'
            problem = f'{tiny} boxes are smaller than {cell} and can hardly be found'
            yield f'note: {split.name}: {problem}: a larger input would help.'
    same, near = pairs(splits)
    leaks = False
    for title, alike in (('identical files', same), ('near-duplicates', near)):
        for (split_a, a), (split_b, b), bits in alike[:10]:
            differ = f'{bits} of {HASH_SIDE**2} bits differ'
            yield f'note: {title}: {split_a}/{a} and {split_b}/{b} ({differ}).'
        if across := [pair for pair in alike if pair[0][0] != pair[1][0]]:
            leaks, ((_, a), (_, b), _) = True, across[0]
            result = f'data leakage, the evaluation on these images is not valid ({a} and {b})'
            splits[-1].problems.append(f'{len(across)} {title} between splits: {result}')
    hashes = [
        np.frombuffer(hash, np.uint8) for split in splits for _, hash in split.hashes.values()
    ]
    if plain := sum(not len(look_alike(hash[None], hash)) for hash in hashes):
        yield f'note: {plain} images are too plain to be compared: of them, only identical files are found.'
    if len(splits) > 1 and not leaks:
        limit = f'near-duplicates differ in at most {NEAR} of {HASH_SIDE**2} bits'
        names = ' and '.join(split.name for split in splits)
        yield f'note: No duplicates between {names} ({limit}).'


def tile(split, key, small):
    """A thumbnail with boxes (thin) and polygons (bold), the number of boxes and its name below."""
    side = THUMBNAIL
    picture, image = Image.new('RGB', (side, side + LABEL), 'white'), split.images[key]
    scale, draw = small.width / max(1, image['width']), ImageDraw.Draw(picture)
    picture.paste(small, (0, 0))
    for a in split.boxes.get(key, ()):
        color = COLORS[list(split.names).index(a['category_id']) % len(COLORS)]
        x, y, w, h = (v * scale for v in a['bbox'])
        corners = (x, y, max(x, x + w), max(y, y + h))
        # Pillow also draws the rows outside of the picture: two billion for the largest boxes.
        draw.rectangle([min(max(v, -side), 2 * side) for v in corners], outline=color)
        outlines = a.get('segmentation')
        for ring in outlines if isinstance(outlines, list) else ():
            points = [v * scale for v in ring]
            draw.line(points + points[:2], fill=color, width=2)
    text = f'{len(split.boxes.get(key, ()))}  {image["file_name"]}'
    draw.text((2, side + 2), text[:40], fill='black', font=ImageFont.load_default(11))
    return picture


def contact_sheet(split, out):
    """Save a sheet of the thumbnails that checks.read_images kept; returns its path."""
    count, side = max(1, len(split.thumbnails)), THUMBNAIL + GAP
    columns = min(COLUMNS, count)
    rows = -(-count // columns)
    sheet = Image.new('RGB', (columns * side, rows * (side + LABEL)), 'white')
    for i, (key, small) in enumerate(split.thumbnails.items()):
        sheet.paste(tile(split, key, small), (i % columns * side, i // columns * (side + LABEL)))
    path = out / f'contact_sheet_{split.name}.png'
    check_ours(path, MARK)
    mark = PngInfo()
    mark.add_text('Software', MARK)
    with atomic_write(path) as file:
        sheet.save(file, 'PNG', pnginfo=mark)
    return path
