"""Convert annotations of VIA (VGG Image Annotator) to COCO JSON.

    python data_tools/balloon2coco.py                                   train/ and val/ of data/balloon
    python data_tools/balloon2coco.py --data-root data/mine --class-attribute type
    python data_tools/balloon2coco.py data/mine/photos --split 0.8      one folder, split into train/ and val/
    python data_tools/balloon2coco.py photos/via.csv --out photos.json  one file

It reads JSON of VIA 1 and 2, projects of VIA 2, and CSV (mmballoon/data/via.py). Every shape with an
area becomes a polygon (mmballoon/data/shapes.py).

In the COCO files, image, annotation and category ids count from 1 (pycocotools takes annotation id 0
for "not matched"); bbox is [x, y, width, height] in pixels; area is the area of the polygon, not of
the box; an image without regions is kept as a negative. The same input gives the same bytes. Nothing
is written before everything has been converted.
"""

from pathlib import Path

from mmballoon.cli import make_parser, report_errors
from mmballoon.data.convert import SPLITS, Source, convert, data_root, parse_arguments
from mmballoon.data.via import find_annotation, read_via


def source_of(annotation, images=None):
    """Source of a VIA file, or of a folder that holds one. images: folder of its images, if elsewhere."""
    is_folder = annotation.is_dir() or not annotation.suffix
    file = find_annotation(annotation) if is_folder else annotation
    entries, options = read_via(file)
    return Source(file, entries, images or file.parent, options=options)


def parse_args(argv=None):
    parser = make_parser(__doc__)
    add = parser.add_argument
    add('annotation', nargs='?', type=Path, help='VIA file or folder (default: train/ and val/)')
    add('images', nargs='?', type=Path, help='folder of its images, if elsewhere')
    group = parser.add_mutually_exclusive_group()
    group.add_argument('--class-name', help='one class for all regions (balloon)')
    group.add_argument('--class-attribute', metavar='KEY', help='region attribute with the class')
    args = parse_arguments(parser, argv)
    if args.classes and not args.class_attribute:
        parser.error('--classes needs --class-attribute')
    return args


def main(argv=None):
    with report_errors():
        args = parse_args(argv)
        if args.annotation:
            source = source_of(args.annotation, args.images)
            folder = source.base.resolve()
            out = args.out or data_root(args, folder.parent) / f'coco_{folder.name}.json'
            sources = {out: source}
        else:
            root = data_root(args)
            sources = {root / f'coco_{split}.json': source_of(root / split) for split in SPLITS}
        convert(args, sources)


if __name__ == '__main__':
    main()
