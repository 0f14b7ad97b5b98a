"""Images of rendered balloons with their annotations, on rendered scenes or on photographs."""

import json

import cv2
import numpy as np

from mmballoon.cli import UserError
from mmballoon.data import coco
from mmballoon.render.balloons import draw_balloon, place_anywhere, place_balloons, visible_outline
from mmballoon.render.scene import background, photograph

SIZES = ((640, 480), (640, 427), (480, 640), (512, 512))  # width, height, as photographs come
MIN_VISIBLE = 0.3  # a balloon of which less is seen is not annotated


def render(rng, photos=()):
    """One image, (H, W, 3) uint8 BGR, and its objects, [(class name, closed outline (xs, ys) in pixels)].

    photos: as in ``photograph``; half of the images are painted on one of them.
    """
    width, height = SIZES[rng.integers(len(SIZES))]
    if photos and rng.random() < 0.5:
        image, objects = photograph(rng, photos, width, height)
        masks = [(name, mask, int(mask.sum())) for name, mask in objects]
        spots = place_anywhere(rng, width, height)
        angle = rng.uniform(-2.4, -0.7)
    else:
        image, masks = background(rng, width, height), []
        angle = rng.uniform(-2.4, -0.7)
        spots = place_balloons(rng, width, height)
    for x, y, radius in spots:
        mask = draw_balloon(rng, image, np.array([x, y]), radius, (np.cos(angle), np.sin(angle)))
        masks = [(name, behind & ~mask, area) for name, behind, area in masks]
        masks.append(('balloon', mask, int(mask.sum())))
    if rng.random() < 0.25:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.2))
    grain = rng.normal(0, rng.uniform(1, 7), image.shape) + rng.uniform(-18, 18)
    image = np.uint8(np.clip(image + grain, 0, 255))
    seen = [(name, mask) for name, mask, area in masks if area and mask.sum() >= MIN_VISIBLE * area]
    objects = [(name, visible_outline(mask)) for name, mask in seen]
    return image, [(name, points) for name, points in objects if points]


def via_entry(filename, size, objects, with_class=False):
    """A VIA 1 entry as the original set has it: regions as a mapping, closed polygons.

    with_class: each region has its class as an attribute; the original has none.
    """
    regions = {}
    for i, (name, (xs, ys)) in enumerate(objects):
        shape = dict(name='polygon', all_points_x=xs, all_points_y=ys)
        attributes = dict({'class': name} if with_class else {})
        regions[str(i)] = dict(shape_attributes=shape, region_attributes=attributes)
    empty = dict(base64_img_data='', file_attributes={})
    return dict(fileref='', size=size, filename=filename, **empty, regions=regions)


def read_photos(root):
    """The training images of a data root with their objects, as ``photograph`` takes them."""
    part, photos = coco.load(root / 'coco_train.json'), []
    for key, image in part.images.items():
        path = part.folder / image['file_name']
        boxes = part.boxes.get(key, ())
        if not all(isinstance(box.get('segmentation') or 0, list) for box in boxes):
            raise UserError(path, 'an annotation has no outline', 'leave --photos out')
        if not cv2.haveImageReader(str(path)):
            raise UserError(path, 'not a readable image', 'python data_tools/check_coco.py')
        objects = [
            (part.names[box['category_id']], np.reshape(points, (-1, 2)))
            for box in boxes
            for points in box['segmentation']
        ]
        photos.append((path, objects))
    return photos


def make_split(folder, count, seed, photos, add):
    """Render ``count`` images and their annotations into ``folder``; return the number of objects.

    add: from added_files.
    """
    via = {}
    for i in range(count):
        rng = np.random.default_rng([*seed, i])  # each image has its own stream
        image, objects = render(rng, photos)
        name = f'toy_{folder.name}_{i:05d}.jpg'
        data = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()
        add(folder / name, data)
        via[f'{name}{len(data)}'] = via_entry(name, len(data), objects, bool(photos))
        if (i + 1) % 100 == 0:
            print(f'  {i + 1}/{count}', flush=True)
    add(folder / 'via_region_data.json', json.dumps(via).encode())
    return sum(len(entry['regions']) for entry in via.values())
