"""Images of rendered balloons with their annotations."""

import json

import cv2
import numpy as np

from mmballoon.render.balloons import draw_balloon, place_balloons, visible_outline
from mmballoon.render.scene import background

SIZES = ((640, 480), (640, 427), (480, 640), (512, 512))  # width, height, as photographs come
MIN_VISIBLE = 0.3  # a balloon of which less is seen is not annotated


def render(rng):
    """One image, (H, W, 3) uint8 BGR, and its balloons, [closed outline (xs, ys) in pixels]."""
    width, height = SIZES[rng.integers(len(SIZES))]
    image, angle, masks = background(rng, width, height), rng.uniform(-2.4, -0.7), []
    for x, y, radius in place_balloons(rng, width, height):
        mask = draw_balloon(rng, image, np.array([x, y]), radius, (np.cos(angle), np.sin(angle)))
        masks = [(behind & ~mask, area) for behind, area in masks] + [(mask, int(mask.sum()))]
    if rng.random() < 0.25:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.2))
    grain = rng.normal(0, rng.uniform(1, 7), image.shape) + rng.uniform(-18, 18)
    image = np.uint8(np.clip(image + grain, 0, 255))
    seen = [mask for mask, area in masks if area and mask.sum() >= MIN_VISIBLE * area]
    return image, [points for points in map(visible_outline, seen) if points]


def via_entry(filename, size, balloons):
    """A VIA 1 entry as the original set has it: regions as a mapping, closed polygons."""
    regions = {}
    for i, (xs, ys) in enumerate(balloons):
        shape = dict(name='polygon', all_points_x=xs, all_points_y=ys)
        regions[str(i)] = dict(shape_attributes=shape, region_attributes={})
    empty = dict(base64_img_data='', file_attributes={})
    return dict(fileref='', size=size, filename=filename, **empty, regions=regions)


def make_split(folder, count, seed, add):
    """Render ``count`` images and their annotations into ``folder``; return the number of balloons.

    add: from added_files.
    """
    via = {}
    for i in range(count):
        rng = np.random.default_rng([*seed, i])  # each image has its own stream
        image, balloons = render(rng)
        name = f'toy_{folder.name}_{i:05d}.jpg'
        data = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()
        add(folder / name, data)
        via[f'{name}{len(data)}'] = via_entry(name, len(data), balloons)
        if (i + 1) % 100 == 0:
            print(f'  {i + 1}/{count}', flush=True)
    add(folder / 'via_region_data.json', json.dumps(via).encode())
    return sum(len(entry['regions']) for entry in via.values())
