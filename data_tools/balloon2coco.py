"""Convert VIA annotations to COCO JSON.

    python data_tools/balloon2coco.py                                      data/balloon/{train,val} -> coco_*.json
    python data_tools/balloon2coco.py --data-root data/mine --class-attribute type
    python data_tools/balloon2coco.py data/mine/photos --split 0.8         one folder -> train/, val/ and coco_*.json
    python data_tools/balloon2coco.py photos/via.csv --out photos.json     one file

Source: VIA 1 and 2 JSON, a VIA 2 project file, or VIA's CSV export (data_tools/via.py). Every shape
with an area becomes a polygon (data_tools/geometry.py, which also states the one coordinate
convention).

COCO: image and annotation ids count from 1 (pycocotools takes annotation id 0 for "unmatched"),
category ids from 1 in the order of --classes, else alphabetically; bbox is [x, y, width, height] in
pixels, float; area is the polygon's, not the box's (COCO's small / medium / large split reads it);
an image without regions is kept, as a negative. The files are written once everything has been
converted, atomically: same input, same bytes.
"""

import argparse
import json
import os
from collections import Counter
from pathlib import Path

from mmballoon.data.images import SUFFIXES, image_size
from mmballoon.data.shapes import clip_polygon, polygon_area, polygon_box
from mmballoon.data.split import link_images, split_entries
from mmballoon.data.via import find_annotation, read_via
from mmballoon.errors import UserError, report_errors

PALETTE = (
    (220, 20, 60),
    (0, 125, 190),
    (60, 160, 60),
    (250, 170, 30),
    (140, 70, 180),
    (0, 170, 170),
    (230, 100, 180),
    (120, 120, 120),
)  # RGB, for the metainfo to paste


def region_class(attributes, key, options):
    """Class name (str) that a region's attributes give under ``key``, or None without exactly one.

    Text is trimmed; the option id of a radio button or dropdown becomes the option's name ({id:
    name}); of a checkbox group ({id: true, ...}) the one that is ticked counts.
    """
    value = attributes.get(key)
    if isinstance(value, dict):
        ticked = [option for option, on in value.items() if on]
        value = ticked[0] if len(ticked) == 1 else None
    if value is None or isinstance(value, (bool, list, dict)):
        return None
    name = str(value).strip()
    return options.get(name, name).strip() or None


def via_to_coco(entries, image_sizes, classes, class_of=None, drop_empty=False):
    """COCO (dict) of VIA entries, and a Counter of what became of each region. Pure: reads and
    writes no file.

    entries: iterable of via.Entry. image_sizes: {file name: (width, height)} in pixels; an entry
    without one is left out. classes: category names in id order. class_of: function from a region's
    attributes to a name or None; None gives every region the first class.

    The Counter's keys: 'images', 'empty', 'regions', 'shape <name>', 'converted', 'clipped',
    'skipped: <reason>'.
    """
    report, images, annotations = Counter(), [], []
    for image, found in convert_entries(
        entries, image_sizes, classes, class_of, drop_empty, report
    ):
        images.append(image)
        annotations += found
    return dict(images=images, annotations=annotations, categories=categories(classes)), report


def categories(classes):
    return [dict(id=i, name=name, supercategory='') for i, name in enumerate(classes, start=1)]


def convert_entries(entries, image_sizes, classes, class_of, drop_empty, report):
    """Yield (COCO image, [its COCO annotations]) of each entry, ids counted from 1; arguments as
    via_to_coco's.
    """
    category = {name: i for i, name in enumerate(classes, start=1)}
    image_id = annotation_id = 0
    for entry in entries:
        found, size = [], image_sizes.get(entry.filename)
        for region in entry.regions:
            name = class_of(region.attributes) if class_of else classes[0]
            reason, inside, area = _fit(region.polygon, size)
            if not reason and name not in category:
                reason = (
                    'no single class in its attributes'
                    if name is None
                    else f"class '{name}' not in --classes"
                )
            report.update(
                (
                    'regions',
                    f'shape {region.shape:.20}',
                    f'skipped: {reason}' if reason else 'converted',
                )
            )
            if not reason:
                report['clipped'] += inside is not region.polygon
                box = polygon_box(inside)
                found.append(
                    dict(
                        id=annotation_id + len(found) + 1,
                        image_id=image_id + 1,
                        category_id=category[name],
                        bbox=box,
                        area=min(area, box[2] * box[3]),  # one that winds over itself counts twice
                        iscrowd=0,
                        segmentation=[inside.tolist()],
                    )
                )
        if size is None or (drop_empty and not found):
            continue
        report.update(('images', 'empty') if not found else ('images',))
        image_id, annotation_id = image_id + 1, annotation_id + len(found)
        yield dict(id=image_id, file_name=entry.filename, width=size[0], height=size[1]), found


def _fit(polygon, size):
    """(reason to skip or None, polygon clipped to the picture, its area) for a region."""
    if size is None:
        return 'its image is missing', None, 0
    if polygon is None:
        return 'a shape without area', None, 0
    if len(set(zip(polygon[::2], polygon[1::2]))) < 3:
        return 'fewer than 3 distinct points', None, 0
    area = polygon_area(polygon)
    if area == 0:
        return 'zero area', None, 0
    inside = clip_polygon(polygon, *size)
    if inside is not polygon:
        area = polygon_area(inside)
    return (None, inside, area) if area else ('wholly outside the image', None, 0)


class Source:
    """A VIA file with the folder of its images, read and checked."""

    def __init__(self, annotation, folder):
        self.annotation, self.folder = annotation, folder
        self.entries, self.options = read_via(annotation)
        if not self.entries:
            raise UserError(
                f'{annotation}: no image in it; next: add images in VIA and export again'
            )
        self.sizes, self.missing, self.mismatches = {}, [], []
        for entry in self.entries:
            path = folder / self.checked_name(entry.filename)
            if not path.is_file():
                self.missing.append(entry.filename)
                continue
            self.sizes[entry.filename] = image_size(path)
            if entry.size and entry.size != path.stat().st_size:
                self.mismatches.append(entry.filename)
        if not self.sizes:
            raise UserError(
                f'{annotation}: none of its {len(self.entries)} images is in {folder} (the first: '
                f"'{self.entries[0].filename}'); next: name their folder behind the annotation file"
            )
        self.unlisted = sum(
            p.suffix.lower() in SUFFIXES and p.name not in self.sizes for p in folder.iterdir()
        )

    def checked_name(self, name):
        """The name, unless it would lead out of the image folder."""
        parts = Path(name.replace('\\', '/')).parts
        if '..' in parts or Path(name).is_absolute() or (name[1:2] == ':') or '\0' in name:
            raise UserError(
                f"{self.annotation}: image '{name}' leads out of its folder; next: rename it in VIA"
            )
        return name

    def class_names(self, key):
        """All class names that its regions have under an attribute, a set."""
        names = {
            region_class(r.attributes, key, self.options.get(key, {}))
            for entry in self.entries
            for r in entry.regions
        }
        return names - {None}

    def convert(self, entries, classes, key, drop_empty, report):
        """convert_entries of some of its entries, with the class under the attribute ``key``, if
        any.
        """
        options = self.options.get(key, {})
        return convert_entries(
            entries,
            self.sizes,
            classes,
            (lambda a: region_class(a, key, options)) if key else None,
            drop_empty,
            report,
        )


def write_part(path, converted, classes):
    """Write COCO JSON to PATH.part as it is converted, an image or annotation at a time; return
    (path, images, boxes).

    Nothing but annotations of one image is held in memory, next to the text of all images.
    """
    part = path.with_name(path.name + '.part')
    part.parent.mkdir(parents=True, exist_ok=True)
    dumps = json.JSONEncoder(ensure_ascii=False, separators=(',', ':')).encode
    images, count = [], 0
    with open(part, 'w', encoding='utf-8') as file:
        file.write('{"annotations":[')
        for image, annotations in converted:
            images.append(dumps(image))
            for annotation in annotations:
                file.write((',\n' if count else '\n') + dumps(annotation))
                count += 1
        file.write(
            '],\n"images":[\n'
            + ',\n'.join(images)
            + '],\n"categories":'
            + dumps(categories(classes))
            + '}\n'
        )
    return part, len(images), count


def summary(reports, sources):
    """The table of what became of everything, a str; one column a converted file."""
    order = ['images', 'empty', 'regions', 'shape', 'converted', 'clipped', 'skipped']
    keys = sorted(
        {key for report in reports.values() for key in report},
        key=lambda key: (order.index(key.split(':')[0].split(' ')[0]), key),
    )
    names = {'empty': '  without regions', 'clipped': '  of these clipped to the image'}
    rows = [
        (names.get(k, f'  {k}' if k.startswith('shape') else k), [r[k] for r in reports.values()])
        for k in keys
    ]
    rows += [
        ('images on disk without an entry', [s.unlisted for s in sources]),
        ('entries without an image', [len(s.missing) for s in sources]),
        ('files of another size than VIA saw', [len(s.mismatches) for s in sources]),
    ]
    head = f'{"":38}' + ''.join(f'{path.stem.removeprefix("coco_")[:9]:>10}' for path in reports)
    return '\n'.join(
        [head, *(f'{label:38.38}' + ''.join(f'{n:>10}' for n in counts) for label, counts in rows)]
    )


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'annotation',
        nargs='?',
        type=Path,
        help='a VIA file, or a folder that holds one, to convert '
        'instead of train/ and val/ of the data root',
    )
    parser.add_argument(
        'images', nargs='?', type=Path, help="its images' folder, if not the one it lies in"
    )
    parser.add_argument(
        '--data-root',
        type=Path,
        help='$BALLOON_ROOT, or data/balloon; with ANNOTATION the folder above its images',
    )
    parser.add_argument(
        '--out', type=Path, help='file to write for ANNOTATION (DATA_ROOT/coco_<image folder>.json)'
    )
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        '--class-name', default='balloon', help='one class for every region (%(default)s)'
    )
    group.add_argument(
        '--class-attribute', metavar='KEY', help='take the class from this region attribute'
    )
    parser.add_argument(
        '--classes',
        nargs='+',
        metavar='NAME',
        help='the classes in id order, with --class-attribute; '
        'regions of others are skipped (default: all, alphabetically)',
    )
    parser.add_argument(
        '--split',
        type=float,
        metavar='SHARE',
        help='share of the images for training, as 0.8; links '
        'them into train/ and val/ of the data root',
    )
    parser.add_argument('--seed', type=int, default=0, help='of the split (%(default)s)')
    parser.add_argument(
        '--drop-empty', action='store_true', help='leave out images without regions'
    )
    parser.add_argument(
        '--strict', action='store_true', help='fail, writing nothing, if anything was skipped'
    )
    args = parser.parse_intermixed_args(argv)  # options may stand between the two paths
    if args.split is not None and (not 0 < args.split < 1 or not args.annotation or args.out):
        parser.error(
            '--split takes a share between 0 and 1, an ANNOTATION, and --data-root instead of --out'
        )
    if args.out and not args.annotation:
        parser.error('--out takes an ANNOTATION')
    if args.classes and (not args.class_attribute or len(set(args.classes)) < len(args.classes)):
        parser.error('--classes takes names that differ, with --class-attribute')
    return args


def load(annotation, images=None):
    """Source of a VIA file, or of a folder that holds one."""
    if annotation.is_dir() or not annotation.suffix:
        return Source(find_annotation(annotation), images or annotation)
    if images and not images.is_dir():
        raise UserError(f'{images}: no such folder; next: name the folder of the images')
    return Source(annotation, images or annotation.parent)


def convert(args):
    if args.annotation:
        source = load(args.annotation, args.images)
        root = args.data_root or source.folder.resolve().parent
        if args.split:
            if len(source.sizes) < 2:
                raise UserError(
                    f'{source.annotation}: {len(source.sizes)} image, a split takes 2; next: add images'
                )
            present = [entry for entry in source.entries if entry.filename in source.sizes]
            parts = dict(zip(('train', 'val'), split_entries(present, args.split, args.seed)))
            jobs = {root / f'coco_{name}.json': (source, part) for name, part in parts.items()}
        else:
            out = args.out or root / f'coco_{source.folder.resolve().name}.json'
            jobs, parts = {out: (source, source.entries)}, {}
    else:
        root, parts = args.data_root or Path(os.environ.get('BALLOON_ROOT') or 'data/balloon'), {}
        sources = {split: load(root / split) for split in ('train', 'val')}
        jobs = {root / f'coco_{split}.json': (s, s.entries) for split, s in sources.items()}

    sources = list(dict.fromkeys(source for source, _ in jobs.values()))
    key, classes = args.class_attribute, args.classes or [args.class_name]
    if key and not args.classes:
        classes = sorted(set().union(*(source.class_names(key) for source in sources)))
        if not classes:
            seen = sorted(
                {
                    name
                    for s in sources
                    for e in s.entries
                    for r in e.regions
                    for name in r.attributes
                }
            )
            raise UserError(
                f"{sources[0].annotation}: no region has a class in its attribute '{key}' (attributes seen: "
                f'{", ".join(seen) or "none"}); next: name one of them, or drop --class-attribute'
            )
    reports = {path: Counter() for path in jobs}
    written = {}
    try:
        for path, (source, entries) in jobs.items():
            written[path] = write_part(
                path, source.convert(entries, classes, key, args.drop_empty, reports[path]), classes
            )
        print(summary(reports, [source for source, _ in jobs.values()]))
        skipped = sum(
            n for report in reports.values() for k, n in report.items() if k.startswith('skipped')
        )
        if args.strict and skipped:
            raise UserError(
                f'{sources[0].annotation}: {skipped} regions skipped (the table says why), and --strict; '
                'next: mend them in VIA; nothing was written'
            )
        for name, part in parts.items():
            link_images(source.folder, [entry.filename for entry in part], root / name)
        for path, (part, images, boxes) in written.items():
            os.replace(part, path)
            print(f'{path}: {images} images, {boxes} boxes')
    finally:
        for path in jobs:
            path.with_name(path.name + '.part').unlink(missing_ok=True)
    palette = [PALETTE[i % len(PALETTE)] for i in range(len(classes))]
    print(f'for the config: metainfo = dict(classes={tuple(classes)!r}, palette={palette!r})')


def main(argv=None):
    with report_errors():
        convert(parse_args(argv))


if __name__ == '__main__':
    main()
