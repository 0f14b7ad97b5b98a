"""Convert annotations of other programs to the COCO JSON used here.

    python data_tools/import_annotations.py labels images --split 0.8        YOLO: .txt files
    python data_tools/import_annotations.py Annotations JPEGImages           Pascal VOC: .xml files
    python data_tools/import_annotations.py labelme --split 0.8              LabelMe: .json files
    python data_tools/import_annotations.py instances.json images            COCO with other ids

The format follows from the files; --format names it. Classes get their ids in alphabetical order, or in
that of --classes. Everything else is as in balloon2coco.py. mmballoon/data/formats.py says what each
format cannot carry.
"""

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path

from mmballoon.cli import report_errors
from mmballoon.data.convert import Source, add_arguments, check_arguments, convert
from mmballoon.data.formats import READERS, detect_format


def parse_args(argv=None):
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument('annotation', type=Path, help='folder of the annotations, or a COCO file')
    parser.add_argument('images', nargs='?', type=Path, help='folder of the images, if another one')
    parser.add_argument('--format', choices=READERS, help='(default: from the files)')
    add_arguments(parser)
    args = parser.parse_intermixed_args(argv)
    check_arguments(parser, args)
    args.class_attribute = 'class'
    return args


def main(argv=None):
    with report_errors():
        args = parse_args(argv)
        read = READERS[args.format or detect_format(args.annotation)]

        def load(annotation, images):
            folder = images or (annotation if annotation.is_dir() else annotation.parent)
            return Source(annotation, folder, lambda path: (read(path, folder), {}))

        convert(args, load)


if __name__ == '__main__':
    main()
