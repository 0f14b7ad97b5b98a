"""A COCO file with its images, as the checks, the contact sheets and the report look at them."""

import json
import math
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image, ImageOps

from mmballoon.cli import UserError, read_image
from mmballoon.data.images import EXIF_ORIENTATION, orientation

STRIDES = (8, 16, 32)  # RTMDet's
THUMBNAIL = 240  # pixels
JOINS = 'python data_tools/import_annotations.py makes them one'
IMPORT = 'convert it with python data_tools/import_annotations.py'
ID, NUMBER = (int, str), {int, float}
# Table of a COCO file -> what each of its rows must have -> the types that it may have.
TABLES = dict(
    images=dict(id=ID, file_name=(str,)),
    categories=dict(id=ID, name=(str, int, float, bool)),
    annotations=dict(id=(*ID, type(None)), image_id=ID, category_id=ID, bbox=(list,)),
)

BEGINNING = b'{"annotations":[\n'  # of the files that we write: no other program breaks the lines in this way


def is_own(path):
    """Whether a COCO file was written by the converter of this project."""
    with open(path, 'rb') as file:
        return file.read(len(BEGINNING)) == BEGINNING


@dataclass
class Split:
    """One COCO file with its images, as a rule a split of a dataset.

    images: {id: image}. boxes: {image id: its annotations}. names: {category id: name}. problems: what
    is wrong with them. left_out: ids of categories that are no classes of the config. hashes: {image id:
    (digest of the file, 256 bits)}. thumbnails: {image id: what a contact sheet shows}.
    """

    name: str
    folder: Path
    images: dict
    boxes: dict
    names: dict
    problems: list = field(default_factory=list)
    left_out: set = field(default_factory=set)
    hashes: dict = field(default_factory=dict)
    thumbnails: dict = field(default_factory=dict)

    @property
    def annotations(self):
        """The annotations of all images (list of dicts)."""
        return [a for annotations in self.boxes.values() for a in annotations]


def read_json(path, advice=IMPORT):
    """A COCO file (dict) whose tables have what they must have.

    Raises:
        UserError: the first thing that is missing, or a row that names what is not there.
    """
    try:
        data = json.loads(path.read_bytes())
        _check_rows(data)
    except FileNotFoundError:
        raise UserError(path, 'no such file', 'python data_tools/balloon2coco.py') from None
    except (ValueError, RecursionError) as error:
        raise UserError(path, f'not COCO JSON ({error})', advice) from None
    return data


def _check_rows(data):
    for table, keys in TABLES.items():
        rows = data.get(table) if isinstance(data, dict) else None
        if not isinstance(rows, list):
            raise ValueError(f"no list '{table}' in it")
        for number, row in enumerate(rows):
            for key, types in keys.items():
                value = row.get(key) if isinstance(row, dict) else None
                if type(value) not in types:
                    what = 'no' if value is None else 'a wrong'
                    raise ValueError(f"number {number} of {table} has {what} '{key}'")
    images, categories = ({row['id'] for row in data[name]} for name in ('images', 'categories'))
    for number, a in enumerate(data['annotations']):
        if a['image_id'] not in images or a['category_id'] not in categories:
            found = f'annotation {a.get("id", number)} names image {a["image_id"]} or category '
            raise ValueError(f'{found}{a["category_id"]}, which is not there')


def ids_twice(data):
    """Texts about ids and images that occur twice in a COCO file: one row would hide the other."""
    for table, column in [*((table, 'id') for table in TABLES), ('images', 'file_name')]:
        counts = Counter(row.get(column) for row in data[table])
        for key in [key for key, count in counts.items() if count > 1 and key is not None]:
            yield f'{column} {key} occurs {counts[key]} times in {table}'


def load(path, folder=None):
    """Split of a COCO file. Its images are in ``folder``, by default in NAME/ of coco_NAME.json or beside."""
    data, boxes = read_json(path), defaultdict(list)
    names = {category['id']: str(category['name']) for category in data['categories']}
    counts = Counter(str(category['name']) for category in data['categories']).items()
    problems = [f"{n} categories have the name '{name}': {JOINS}" for name, n in counts if n > 1]
    try:
        for a in data['annotations']:
            if len(a['bbox']) != 4 or {*map(type, a['bbox'])} - NUMBER:
                raise ValueError(f'annotation {a.get("id")} has a box without 4 numbers')
            a = {key: value for key, value in a.items() if value is not None}
            _check_numbers(a, f'annotation {a.get("id")}', 'id', 'area', 'iscrowd')
            boxes[a['image_id']].append(dict(a, bbox=[float(v) for v in a['bbox']]))
            _check_outline(a)
        for image in data['images']:
            _check_numbers(image, f'image {image["id"]}', 'width', 'height')
            image['width'], image['height'] = (int(image.get(k) or 0) for k in ('width', 'height'))
            if min(image['width'], image['height']) < 0:
                raise ValueError(f'image {image["id"]} has no size')
        if not data['images']:
            raise ValueError('no image in it')
    except (ValueError, TypeError, OverflowError) as error:
        raise UserError(path, f'not COCO JSON ({error})', IMPORT) from None
    name, images = path.stem.removeprefix('coco_'), {image['id']: image for image in data['images']}
    if folder is None:
        folder = path.parent / name if (path.parent / name).is_dir() else path.parent
    problems = [f'{path}: {text}' for text in (*ids_twice(data), *problems)]
    return Split(name, folder, images, boxes, names, problems)


def _check_numbers(row, what, *keys):
    for key in keys:
        if not isinstance(row.get(key, 0), (int, float, type(None))):
            raise ValueError(f"{what} has the '{key}' {row[key]!r}, which is no number")


def _check_outline(annotation):
    rings = annotation.get('segmentation') or []
    rings = [] if isinstance(rings, dict) else rings  # run lengths
    numbers = [value for ring in rings for value in ring]
    odd = {*map(type, numbers)} - NUMBER or any(len(ring) % 2 or len(ring) < 6 for ring in rings)
    if odd or not all(map(math.isfinite, numbers)):
        what = 'has a segmentation that is no list of polygons'
        raise ValueError(f'annotation {annotation.get("id")} {what}')


def thumbnail(path, side=THUMBNAIL):
    """RGB image of at most ``side`` pixels as MMDetection sees it; a JPEG is decoded at a fraction.

    Raises:
        UserError: OpenCV cannot read it.
        OSError: Pillow finds it damaged.
    """
    with Image.open(path) as image:
        image.draft('RGB', (2 * side, 2 * side))
        image.load()  # finds damage that OpenCV passes over
        if image.format in ('JPEG', 'MPO'):
            small = image.convert('RGB')
            small.info.clear()  # Pillow would turn by XMP data, too, and fail on broken EXIF data
            small.getexif()[EXIF_ORIENTATION] = orientation(image)
            small = ImageOps.exif_transpose(small)
        else:
            small = Image.fromarray(read_image(path)[..., ::-1])
    small.thumbnail((side, side))
    return small


def network_sizes(split, img_size):
    """Square root of each box's area in pixels once its image's long side is ``img_size``."""
    sizes = []
    for key, image in split.images.items():
        scale = img_size / max(1, image['width'], image['height'])
        areas = [max(0, a['bbox'][2] * a['bbox'][3]) for a in split.boxes.get(key, ())]
        sizes += [area**0.5 * scale for area in areas]
    return sizes


def datasets(dataset):
    """The plain datasets (list of dicts) in a dataset of a config: those of a ConcatDataset, or that
    inside a RepeatDataset and the like.
    """
    inside = dataset.get('datasets') or [dataset.get('dataset')]
    return [plain for one in filter(None, inside) for plain in datasets(one)] or [dataset]
