"""Render images of objects of many kinds, balloons among them, as COCO files: what the weights learn from.

    python data_tools/render_objects.py --sources data/sources          (6000 + 200 images in data/objects)
    python data_tools/render_objects.py --sources data/sources --train 60000 --seed 1 --out data/more_objects

SOURCES holds the pictures of things: openclipart/ (clip art), fluent/ (*.webp) and NotoColorEmoji.ttf;
`make weights` collects them. The same seed and versions give the same images.
"""

import json
from multiprocessing import Pool
from pathlib import Path

import cv2
import numpy as np

from mmballoon.cli import UserError, make_parser, report_errors
from mmballoon.data.files import added_files
from mmballoon.data.shapes import polygon_area, polygon_box
from mmballoon.render.objects import NAMES, load_sprites, render


def keep(sprites):
    """Called when a process starts: keeps the sprites that all of its images are made of."""
    keep.sprites = sprites


def make_image(seed):
    """A JPEG file (bytes), its height and width, and its objects, from a random stream of its own."""
    image, objects = render(np.random.default_rng(seed), keep.sprites)
    data = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, 88])[1].tobytes()
    return data, image.shape[:2], objects


def make_split(root, split, count, seed, pool, add):
    """Render ``count`` images into ``root/split``, with ``root/coco_<split>.json``; return the number of objects."""
    images, annotations = [], []
    seeds = ([*seed, i] for i in range(count))
    for i, (data, (height, width), objects) in enumerate(pool.imap(make_image, seeds, 8)):
        name = f'{i:06d}.jpg'
        add(root / split / name, data)
        images.append(dict(id=i + 1, file_name=name, width=width, height=height))
        for kind, (xs, ys) in objects:
            points = [float(value) for point in zip(xs[:-1], ys[:-1]) for value in point]
            shape = dict(bbox=polygon_box(points), area=polygon_area(points), segmentation=[points])
            ids = dict(id=len(annotations) + 1, image_id=i + 1, category_id=NAMES.index(kind) + 1)
            annotations.append(dict(**ids, **shape, iscrowd=0))
        if (i + 1) % 500 == 0:
            print(f'  {i + 1}/{count}', flush=True)
    categories = [dict(id=i, name=name) for i, name in enumerate(NAMES, 1)]
    coco = dict(images=images, annotations=annotations, categories=categories)
    add(root / f'coco_{split}.json', json.dumps(coco).encode())
    return len(annotations)


def parse_args(argv=None):
    parser = make_parser(__doc__)
    add = parser.add_argument
    add('--sources', type=Path, required=True, help='folder of the pictures of things')
    add('--out', type=Path, default=Path('data/objects'), help='new folder to make (%(default)s)')
    add('--train', type=int, default=6000, help='training images (%(default)s)')
    add('--val', type=int, default=200, help='validation images (%(default)s)')
    add('--seed', type=int, default=0, help='random seed (%(default)s)')
    args = parser.parse_args(argv)
    if min(args.train, args.val) < 1 or args.seed < 0:
        parser.error('--train and --val take 1 or more, --seed 0 or more')
    return args


def main(argv=None):
    args = parse_args(argv)
    with report_errors():
        for name in ('openclipart', 'fluent', 'NotoColorEmoji.ttf'):
            if not (args.sources / name).exists():
                raise UserError(args.sources / name, 'no such file or folder', 'make data/sources')
        sprites = load_sprites(args.sources)
        print(f'{sum(map(len, sprites.values()))} pictures, {len(NAMES)} kinds', flush=True)
        with Pool(initializer=keep, initargs=(sprites,)) as pool, added_files() as add:
            for number, (split, count) in enumerate((('train', args.train), ('val', args.val))):
                objects = make_split(args.out, split, count, (args.seed, number), pool, add)
                print(f'{split}: {count} images, {objects} objects')


if __name__ == '__main__':
    main()
