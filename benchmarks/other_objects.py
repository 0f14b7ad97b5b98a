"""Render a small data set of things that the weights in the package never saw: QR codes, or dominoes.

    python benchmarks/other_objects.py domino BACKGROUNDS data/domino      (60 + 30 images, COCO files)

BACKGROUNDS is a folder of photographs (JPEG); training and validation have different ones. The things are
drawn, seen at an angle, lit, blurred, and partly behind each other.
"""

import json
from pathlib import Path

import cv2
import numpy as np

from mmballoon.cli import make_parser, report_errors

IMAGES = dict(train=60, val=30)
WIDTH, HEIGHT = 800, 600
PIPS = '', '4', '08', '048', '0268', '02468', '023568'  # their places, row by row


def qr(rng):
    """A QR code of a random text on white paper, (300, 300, 3) uint8."""
    text = ''.join(rng.choice(list('abcdefghijklmnopqrstuvwxyz/.'), rng.integers(8, 60)))
    code = cv2.QRCodeEncoder.create().encode(text)
    code = cv2.copyMakeBorder(code, *[3] * 4, cv2.BORDER_CONSTANT, value=255)
    code = cv2.resize(code, (300, 300), interpolation=cv2.INTER_NEAREST)
    return cv2.cvtColor(code, cv2.COLOR_GRAY2BGR)


def domino(rng):
    """A domino, white or black, with up to six pips in each half, (300, 150, 3) uint8."""
    light, dark = int(rng.integers(200, 256)), int(rng.integers(0, 60))
    if rng.random() < 0.3:
        light, dark = dark, light
    tile = np.full((300, 150, 3), light, np.uint8)
    cv2.rectangle(tile, (0, 0), (149, 299), (dark,) * 3, 4)
    cv2.line(tile, (15, 150), (135, 150), (dark,) * 3, 4)
    for half in range(2):
        for place in map(int, PIPS[rng.integers(7)]):
            centre = 37 + 37 * (place % 3), 37 + 150 * half + 37 * (place // 3)
            cv2.circle(tile, centre, 13, (dark,) * 3, -1, cv2.LINE_AA)
    return tile


def draw(image, thing, rng):
    """Draw the thing into the image, (H, W, 3) uint8, and return its mask, (H, W) bool."""
    height, width = thing.shape[:2]
    size = np.exp(rng.uniform(np.log(30), np.log(260)))  # of the longer side, in pixels
    corners = np.float32([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * (width / 2, height / 2)
    tilted = corners * (size / max(width, height)) * (1, rng.uniform(0.55, 1))
    tilted *= 1 + rng.uniform(-0.15, 0.15, (4, 1))
    angle = rng.uniform(0, 2 * np.pi)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = rng.uniform((0.05 * WIDTH, 0.05 * HEIGHT), (0.95 * WIDTH, 0.95 * HEIGHT))
    seen = np.float32(tilted @ turn + middle)
    matrix = cv2.getPerspectiveTransform(np.float32(corners + (width / 2, height / 2)), seen)
    lit = thing * rng.uniform(0.45, 1.05) + rng.uniform(-15, 25, 3)
    lit = np.clip(lit, 0, 255).astype(np.uint8)
    drawn = cv2.warpPerspective(lit, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_AREA)
    mask = cv2.warpPerspective(np.ones((height, width), np.float32), matrix, (WIDTH, HEIGHT))
    blur = rng.uniform(0.3, 1.2)
    drawn, mask = cv2.GaussianBlur(drawn, (0, 0), blur), cv2.GaussianBlur(mask, (0, 0), blur) > 0.5
    image[mask] = drawn[mask]
    return mask


def make_split(folder, thing, photographs, count, rng):
    """Write ``count`` images into the new folder, and return them as COCO (dict)."""
    folder.mkdir()
    images, annotations = [], []
    for key in range(1, count + 1):
        image = cv2.imread(photographs[key % len(photographs)])
        scale = max(WIDTH / image.shape[1], HEIGHT / image.shape[0]) * rng.uniform(1, 2)
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        x, y = rng.integers(image.shape[1] - WIDTH + 1), rng.integers(image.shape[0] - HEIGHT + 1)
        image = image[y : y + HEIGHT, x : x + WIDTH].copy()
        masks = [draw(image, thing(rng), rng) for _ in range(rng.integers(1, 7))]
        noisy = np.clip(image + rng.normal(0, 4, image.shape), 0, 255).astype(np.uint8)
        name = f'{key:03}.jpg'
        cv2.imwrite(str(folder / name), noisy)
        images.append(dict(id=key, file_name=name, width=WIDTH, height=HEIGHT))
        for i, mask in enumerate(masks):
            visible = mask & ~np.any([np.zeros_like(mask), *masks[i + 1 :]], axis=0)
            if visible.sum() <= max(0.3 * mask.sum(), 100):
                continue  # hidden
            visible = visible.astype(np.uint8)
            outlines, _ = cv2.findContours(visible, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
            outlines = [outline.ravel().tolist() for outline in outlines if len(outline) >= 3]
            annotation = dict(id=len(annotations) + 1, image_id=key, category_id=1, iscrowd=0)
            annotation.update(bbox=cv2.boundingRect(visible), area=int(visible.sum()))
            annotations.append(dict(annotation, segmentation=outlines))
    categories = [dict(id=1, name=thing.__name__)]
    return dict(images=images, annotations=annotations, categories=categories)


def main(argv=None):
    parser = make_parser(__doc__)
    parser.add_argument('thing', choices=['qr', 'domino'])
    parser.add_argument('backgrounds', type=Path, help='folder of photographs')
    parser.add_argument('out', type=Path, help='data root to make')
    args = parser.parse_args(argv)
    thing, rng = dict(qr=qr, domino=domino)[args.thing], np.random.default_rng(0)
    photographs = sorted(map(str, args.backgrounds.rglob('*.jpg')))
    if len(photographs) < 2:
        parser.error(f'{args.backgrounds}: fewer than 2 photographs (*.jpg)')
    photographs = rng.permutation(photographs)
    with report_errors():
        args.out.mkdir(parents=True)
        for i, (split, count) in enumerate(IMAGES.items()):
            own = photographs[i::2]
            coco = make_split(args.out / split, thing, own, count, rng)
            (args.out / f'coco_{split}.json').write_text(json.dumps(coco))
            boxes = len(coco['annotations'])
            print(f'{split}: {count} images, {boxes} boxes, {len(own)} backgrounds')


if __name__ == '__main__':
    main()
