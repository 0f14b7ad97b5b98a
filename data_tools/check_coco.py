"""Check a COCO dataset before training: counts, box sizes, leakage between splits, broken files.

    python data_tools/check_coco.py                                  data/balloon/coco_{train,val}.json
    python data_tools/check_coco.py mine.json --images photos --out outputs/check
    python data_tools/check_coco.py --img-size 416                   box sizes as the network sees them at 416 pixels

It prints plain text, and writes contact sheets (PNG) of the images with their boxes and polygons into
OUT. The exit status is 2 if something is wrong with the data: an id or a box that occurs twice, a box
outside its image, an annotation without area or iscrowd (or, with --masks, without an outline), images
that are broken or of another size, images in two splits, classes of one split only. Files of other
programs are taken as they are; where import_annotations.py would mend them, a line says so.
"""

import os
import sys
from collections import Counter
from pathlib import Path

from mmballoon.cli import UserError, make_parser, plain, report_errors
from mmballoon.data.checks import contact_sheet, findings
from mmballoon.data.coco import load


def parse_args(argv=None):
    parser = make_parser(__doc__)
    root = Path(os.environ.get('BALLOON_ROOT') or 'data/balloon')
    files, out = [root / 'coco_train.json', root / 'coco_val.json'], Path('outputs/check')
    about = 'COCO files ($BALLOON_ROOT/coco_{train,val}.json)'
    add = parser.add_argument
    add('annotations', nargs='*', type=Path, default=files, help=about)
    about = "each file's images (default: NAME/ of coco_NAME.json)"
    add('--images', nargs='+', type=Path, help=about)
    add('--masks', action='store_true', help='for a recipe that needs an outline of each object')
    add('--img-size', type=int, default=640, help="the network's input in pixels (%(default)s)")
    add('--out', type=Path, default=out, help='where the PNGs go (%(default)s)')
    args = parser.parse_intermixed_args(argv)
    if args.images and len(args.images) != len(args.annotations):
        parser.error(f'--images takes {len(args.annotations)} folders, one for each COCO file')
    if args.img_size < 1:
        parser.error('--img-size takes a number of pixels')
    return args


def name_splits(splits, paths):
    """Give each split a name of its own: files of one name have that of their folder in front."""
    counts = Counter(split.name for split in splits)
    for i, (split, path) in enumerate(zip(splits, paths), 1):
        if counts[split.name] > 1:
            split.name = f'{path.resolve().parent.name}_{split.name}'
        if split.name in [other.name for other in splits[: i - 1]]:
            split.name += f'_{i}'


def main(argv=None):
    args = parse_args(argv)
    with report_errors():
        folders = args.images or [None] * len(args.annotations)
        splits = [load(path, folder) for path, folder in zip(args.annotations, folders)]
        name_splits(splits, args.annotations)
        for line in findings(splits, args.img_size, args.masks):
            print(plain(line))
        for split in splits:
            print(f'saved: {contact_sheet(split, args.out)}')
        problems = [problem for split in splits for problem in split.problems]
        for problem in problems[:20]:
            print(f'wrong: {plain(problem)}', file=sys.stderr)
        if problems:
            files = ', '.join(map(str, args.annotations))
            advice = 'correct the files or annotations and convert again'
            raise UserError(f'{len(problems)} problems in {files}; next: {advice}')


if __name__ == '__main__':
    main()
