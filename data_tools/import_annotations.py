"""Convert annotations of other programs to the COCO JSON used here.

    python data_tools/import_annotations.py DATASET                       of Roboflow, Ultralytics, CVAT, VOC
    python data_tools/import_annotations.py labels images --split 0.8     YOLO: .txt files
    python data_tools/import_annotations.py Annotations JPEGImages        Pascal VOC: .xml files
    python data_tools/import_annotations.py labelme --split 0.8           LabelMe: .json files
    python data_tools/import_annotations.py instances.json images         COCO with other ids

A dataset that is divided into train, val and test (folders of these names, a YAML file of YOLO, or
lists of images) is converted in one run: coco_train.json, coco_val.json and links to the images, in the
dataset's folder unless --data-root names another. The files tell the format, unless --format
names it. Classes get their ids in the order in which the source lists them, else in alphabetical order.
Everything else is as in balloon2coco.py. mmballoon/data/formats.py says what each format cannot carry.
"""

import os
from pathlib import Path

from mmballoon.cli import UserError, make_parser, report_errors
from mmballoon.data.convert import Source, convert, data_root, parse_arguments
from mmballoon.data.detect import SplitFiles, detect, find_splits
from mmballoon.data.formats import READERS


def parse_args(argv=None):
    parser = make_parser(__doc__)
    add = parser.add_argument
    add('annotation', type=Path, help='dataset, folder of annotations, or COCO file')
    add('images', nargs='?', type=Path, help='folder of the images, if elsewhere')
    add('--format', choices=READERS, help='(default: from the files)')
    args = parse_arguments(parser, argv)
    args.class_attribute = 'class'
    return args


def source_of(args, split, base):
    """Source of the files of a split. base: the folder to which the names of its images are relative."""
    if not split.files:
        raise UserError(args.annotation, 'no annotations for its images', 'name their folder')
    names = (args.classes, split.names) if split.format == 'yolo' else ()
    entries, classes, notes = READERS[split.format](split.files, *names)
    place = split.files[0] if len(split.files) == 1 else split.files[0].parent
    if not classes and not args.classes:
        notes += ['no list of classes: pass the same --classes for a split that is converted apart']
    return Source(place, entries, base, split.folders, classes=classes, notes=notes)


def main(argv=None):
    with report_errors():
        args = parse_args(argv)
        chosen = top = args.annotation
        if top.suffix.lower() in ('.yaml', '.yml') and top.is_file():
            top = top.parent
        whole = top.is_dir() and not args.images and not args.split and not args.format
        splits = find_splits(chosen) if whole else {}
        if len(splits) > 1 and args.out:
            found = f'it has {" and ".join(splits)}'
            raise UserError(top, found, 'drop --out, or name one of them')
        if not splits or args.out:
            folder = args.images or (top if top.is_dir() else top.parent)
            (split,) = splits.values() or [SplitFiles(*detect(top, args.format), [folder])]
            base = split.folders[0]
            folder = base.resolve()
            out = args.out or data_root(args, folder.parent) / f'coco_{folder.name}.json'
            convert(args, {out: source_of(args, split, base)})
            return
        root, sources = data_root(args, top), {}
        for name, split in splits.items():
            base, folders = root / name, [folder.resolve() for folder in split.folders]
            if not all(folder.is_relative_to(base.resolve()) for folder in folders):
                base = Path(os.path.commonpath(split.folders))
            sources[root / f'coco_{name}.json'] = source_of(args, split, base)
        convert(args, sources, link=True)
        if 'val' not in splits:
            print('note: no validation split: --split makes one of a folder that is not divided')


if __name__ == '__main__':
    main()
