"""Report on a checkpoint: how good it is, how sure that is, and where it fails.

    python tools/report.py CONFIG CHECKPOINT                  writes outputs/report/report.html
    python tools/report.py CONFIG CHECKPOINT --compare OTHER_CHECKPOINT
    python tools/report.py CONFIG --predictions results.pkl   of tools/test.py --out; detects nothing
    python tools/report.py CONFIG CHECKPOINT --lang zh

One HTML file that opens without a network, and report.json beside it with the same numbers.
"""

import argparse
from pathlib import Path

from mmballoon.errors import report_errors


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', nargs='?', type=Path, help='checkpoint file')
    parser.add_argument(
        '--predictions',
        type=Path,
        help='COCO results JSON, or your own results.pkl of tools/test.py --out (a pickle can run code)',
    )
    parser.add_argument('--compare', type=Path, help='another checkpoint, results.pkl or JSON')
    parser.add_argument('--lang', choices=('en', 'zh'), default='en', help='(%(default)s)')
    parser.add_argument(
        '--out', type=Path, default=Path('outputs/report'), help='folder (%(default)s)'
    )
    args = parser.parse_args(argv)
    if not (args.checkpoint or args.predictions):
        parser.error('pass a CHECKPOINT, or --predictions')
    return args


def main(argv=None):
    args = parse_args(argv)
    with report_errors():
        from mmballoon.report.build import build

        for path in build(args):
            print(f'saved: {path}')


if __name__ == '__main__':
    main()
