"""A COCO file with its images, as check_coco.py and its contact sheets look at them."""

import json
import math
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image, ImageOps

from mmballoon.cli import UserError

STRIDES = (8, 16, 32)  # RTMDet's
THUMBNAIL = 240  # pixels


@dataclass
class Part:
    """One COCO file with its images: what was found out about them."""

    name: str
    folder: Path
    images: dict
    boxes: dict  # image id -> its annotations
    names: dict  # category id -> name
    problems: list = field(default_factory=list)
    thumbnails: dict = field(default_factory=dict)  # image id -> PIL image of THUMBNAIL pixels
    hashes: dict = field(default_factory=dict)  # image id -> (digest of the bytes, 256 bits)


def load(path, folder=None):
    """Part of a COCO file."""
    try:
        data = json.loads(path.read_text(encoding='utf-8-sig'))
        images = {image['id']: image for image in data['images']}
        names = {category['id']: str(category['name']) for category in data['categories']}
        boxes = defaultdict(list)
        for a in data['annotations']:
            if a['image_id'] not in images or a['category_id'] not in names or len(a['bbox']) != 4:
                found = f'image {a["image_id"]} or category {a["category_id"]}, which is not there'
                raise UserError(f'{path}: annotation {a["id"]} names {found}; next: convert again')
            if 'area' in a:
                a['area'] = float(a['area'])
            boxes[a['image_id']].append(dict(a, bbox=[float(v) for v in a['bbox']]))
            _check_outline(a)
        for image in images.values():
            image['width'], image['height'] = int(image['width']), int(image['height'])
            if min(image['width'], image['height']) < 1 or not isinstance(image['file_name'], str):
                raise ValueError(f'image {image["id"]} has no size or no name')
        if not images:
            raise ValueError('no image in it')
    except FileNotFoundError:
        raise UserError(f'{path}: no such file; next: python data_tools/balloon2coco.py') from None
    except PermissionError:
        raise
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        found = f'not COCO JSON ({type(error).__name__}: {error})'
        raise UserError(f'{path}: {found}; next: python data_tools/balloon2coco.py') from None
    name = path.stem.removeprefix('coco_')
    return Part(name, folder or path.parent / name, images, boxes, names)


def _check_outline(annotation):
    rings = annotation.get('segmentation') or []
    numbers = [float(value) for ring in rings for value in ring] if isinstance(rings, list) else []
    odd = isinstance(rings, list) and any(len(ring) % 2 or len(ring) < 6 for ring in rings)
    if odd or isinstance(rings, str) or not all(map(math.isfinite, numbers)):
        raise ValueError(
            f'annotation {annotation["id"]} has a segmentation that is no list of polygons'
        )


def annotation_file(dataset):
    return Path(dataset.get('data_root') or '') / dataset.ann_file


def load_dataset(dataset):
    """Part of a dataset in a config, with the config's classes only."""
    path = annotation_file(dataset)
    part = load(path, Path(dataset.get('data_root') or '') / dataset.data_prefix.img)
    classes = dataset.get('metainfo', {}).get('classes') or part.names.values()
    part.names = {key: name for key, name in part.names.items() if name in classes}
    if not part.names:
        found = f'no category named {", ".join(classes)}'
        advice = "make metainfo['classes'] in the config name categories of this file"
        raise UserError(f'{path}: {found}; next: {advice}')
    for key, boxes in part.boxes.items():
        part.boxes[key] = [a for a in boxes if a['category_id'] in part.names]
    return part


def to_dict(part):
    """COCO (dict) of a Part; every annotation has an area and iscrowd."""
    annotations = [a for boxes in part.boxes.values() for a in boxes]
    annotations = [dict(area=a['bbox'][2] * a['bbox'][3], iscrowd=0) | a for a in annotations]
    categories = [dict(id=key, name=name) for key, name in part.names.items()]
    return dict(images=list(part.images.values()), annotations=annotations, categories=categories)


def thumbnail(path, side=THUMBNAIL):
    """RGB image of at most ``side`` pixels, upright; a JPEG is decoded at a fraction of its size."""
    with Image.open(path) as image:
        image.draft('RGB', (2 * side, 2 * side))
        small = ImageOps.exif_transpose(image).convert('RGB')
    small.thumbnail((side, side))
    return small


def network_sizes(part, img_size):
    """Square root of each box's area in pixels once its image's long side is ``img_size``."""
    sizes = []
    for key, image in part.images.items():
        scale = img_size / max(image['width'], image['height'])
        sizes += [
            max(0, a['bbox'][2] * a['bbox'][3]) ** 0.5 * scale for a in part.boxes.get(key, ())
        ]
    return sizes
