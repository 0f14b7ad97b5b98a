"""Render a synthetic balloon dataset in the original's layout and VIA format, without a network.

    python data_tools/make_toy_balloons.py                          (96 + 16 images in data/toy_balloon)
    python data_tools/make_toy_balloons.py --train 2000 --val 200 --out data/toy_large --seed 1

The same seed and versions give the same bytes. An outline follows what a person could see: a
balloon in front takes its part from the one behind, the image's border cuts it, and one that is
almost hidden is not annotated.
"""

import os
from pathlib import Path

from mmballoon.cli import UserError, make_parser, report_errors
from mmballoon.data.files import added_files
from mmballoon.render.balloons import make_split


def parse_args(argv=None):
    parser = make_parser(__doc__)
    add, out = parser.add_argument, Path(os.environ.get('BALLOON_ROOT') or 'data/toy_balloon')
    add('--out', type=Path, default=out, help='data root to make (%(default)s)')
    add('--train', type=int, default=96, help='training images (%(default)s)')
    add('--val', type=int, default=16, help='validation images (%(default)s)')
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
        with added_files() as add:
            for number, (split, count) in enumerate(counts.items()):
                folder = args.out / split
                balloons = make_split(folder, count, (args.seed, number), add)
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
            raise UserError(path, 'not a file of this command', 'choose a new folder with --out')


if __name__ == '__main__':
    main()
