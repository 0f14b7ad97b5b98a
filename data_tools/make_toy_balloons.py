"""Render a synthetic balloon dataset in the original's layout and VIA format, without a network.

    python data_tools/make_toy_balloons.py                          (96 + 16 images in data/toy_balloon)
    python data_tools/make_toy_balloons.py --train 2000 --val 200 --out data/toy_large --seed 1
    python data_tools/make_toy_balloons.py --photos data/balloon --out data/toy_mixed

The same seed and versions give the same bytes. An outline follows what a person could see: a
balloon in front takes its part from the one behind, the image's border cuts it, and one that is
almost hidden is not annotated. With --photos, half of the images are parts of photographs, whose
annotated objects stay annotated.
"""

import json
import os
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path

import cv2
import numpy as np

from mmballoon.cli import UserError, added_files, report_errors
from mmballoon.data import coco
from mmballoon.render.balloons import draw_balloon, place_anywhere, place_balloons, visible_outline
from mmballoon.render.scene import background, photograph

SIZES = ((640, 480), (640, 427), (480, 640), (512, 512))  # width, height, as photographs come
MIN_VISIBLE = 0.3  # a balloon of which less is seen is not annotated


def render(rng, photos=()):
    """One image, (H, W, 3) uint8 BGR, and the closed outlines of its balloons, [(xs, ys)] in pixels.

    photos: as in ``photograph``; half of the images are painted on one of them.
    """
    width, height = SIZES[rng.integers(len(SIZES))]
    if photos and rng.random() < 0.5:
        image, objects = photograph(rng, photos, width, height)
        masks = [(mask, int(mask.sum())) for mask in objects]
        spots = place_anywhere(rng, width, height)
        angle = rng.uniform(-2.4, -0.7)
    else:
        image, masks = background(rng, width, height), []
        angle = rng.uniform(-2.4, -0.7)
        spots = place_balloons(rng, width, height)
    for x, y, radius in spots:
        mask = draw_balloon(rng, image, np.array([x, y]), radius, (np.cos(angle), np.sin(angle)))
        masks = [(behind & ~mask, area) for behind, area in masks] + [(mask, int(mask.sum()))]
    if rng.random() < 0.25:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.2))
    grain = rng.normal(0, rng.uniform(1, 7), image.shape) + rng.uniform(-18, 18)
    image = np.uint8(np.clip(image + grain, 0, 255))
    seen = [mask for mask, area in masks if area and mask.sum() >= MIN_VISIBLE * area]
    outlines = [visible_outline(mask) for mask in seen]
    return image, [points for points in outlines if points]


def via_entry(filename, size, outlines):
    """A VIA 1 entry as the original set has it: regions as a mapping, closed polygons."""
    regions = {}
    for i, (xs, ys) in enumerate(outlines):
        shape = dict(name='polygon', all_points_x=xs, all_points_y=ys)
        regions[str(i)] = dict(shape_attributes=shape, region_attributes={})
    empty = dict(base64_img_data='', file_attributes={})
    return dict(fileref='', size=size, filename=filename, **empty, regions=regions)


def read_photos(root):
    """[(path, outlines)] of the training images of a data root, as ``photograph`` takes them."""
    part, photos = coco.load(root / 'coco_train.json'), []
    for key, image in part.images.items():
        path = part.folder / image['file_name']
        polygons = [box.get('segmentation') for box in part.boxes.get(key, ())]
        if not all(polygons) or not all(isinstance(polygon, list) for polygon in polygons):
            raise UserError(f'{path}: an annotation has no outline; next: leave --photos out')
        if not cv2.haveImageReader(str(path)):
            raise UserError(f'{path}: not a readable image; next: python data_tools/check_coco.py')
        photos.append((path, [np.reshape(points, (-1, 2)) for box in polygons for points in box]))
    return photos


def make_split(folder, count, seed, photos, add):
    """Render ``count`` images and their annotations into ``folder``; return the number of balloons.

    add: from added_files.
    """
    via = {}
    for i in range(count):
        rng = np.random.default_rng([*seed, i])  # each image has its own stream
        image, outlines = render(rng, photos)
        name = f'toy_{folder.name}_{i:05d}.jpg'
        data = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()
        add(folder / name, data)
        via[f'{name}{len(data)}'] = via_entry(name, len(data), outlines)
        if (i + 1) % 100 == 0:
            print(f'  {i + 1}/{count}', flush=True)
    add(folder / 'via_region_data.json', json.dumps(via).encode())
    return sum(len(entry['regions']) for entry in via.values())


def parse_args(argv=None):
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    add, out = parser.add_argument, Path(os.environ.get('BALLOON_ROOT') or 'data/toy_balloon')
    add('--out', type=Path, default=out, help='data root to make (%(default)s)')
    add('--train', type=int, default=96, help='training images (%(default)s)')
    add('--val', type=int, default=16, help='validation images (%(default)s)')
    add('--photos', type=Path, metavar='ROOT', help='a converted data root, to paint on its images')
    add('--seed', type=int, default=0, help='random seed (%(default)s)')
    args = parser.parse_args(argv)
    if min(args.train, args.val) < 1 or args.seed < 0:
        parser.error('--train and --val take 1 or more, --seed 0 or more')
    return args


def main(argv=None):
    args = parse_args(argv)
    with report_errors():
        counts = dict(train=args.train, val=args.val)
        check_data_root(args.out, counts)
        photos = read_photos(args.photos) if args.photos else ()
        with added_files() as add:
            for number, (split, count) in enumerate(counts.items()):
                folder = args.out / split
                balloons = make_split(folder, count, (args.seed, number), photos, add)
                print(f'{folder}: {count} images, {balloons} balloons')


def check_data_root(root, counts):
    """Refuse a folder (Path) with files that this command would not write.

    What it would write may be there, after a kill or a run before: nothing is replaced.
    """
    own = {Path(f'coco_{split}.json') for split in counts}  # the converter's
    for split, count in counts.items():
        names = [f'toy_{split}_{i:05d}.jpg' for i in range(count)]
        own.update(Path(split, name) for name in [*names, 'via_region_data.json'])
    for path in sorted(root.rglob('*')):
        file = path.relative_to(root)
        if not path.is_dir() and file not in own and not file.name.startswith('.'):
            advice = 'choose a new folder with --out'
            raise UserError(f'{path}: not a file of this command; next: {advice}')


if __name__ == '__main__':
    main()
