"""Report on a checkpoint: how good it is, how sure that is, and where it fails.

    python tools/report.py CONFIG CHECKPOINT                  writes outputs/report/report.html
    python tools/report.py CONFIG CHECKPOINT --compare OTHER_CHECKPOINT
    python tools/report.py CONFIG --predictions results.pkl   (written by tools/test.py --out results.pkl)
    python tools/report.py CONFIG model.onnx                  (written by tools/export_onnx.py)
    python tools/report.py CONFIG CHECKPOINT --lang zh
    python tools/report.py CONFIG CHECKPOINT --review review.json    (label errors, to correct in VIA)

One HTML file that opens without a network, and report.json beside it with the same numbers.
"""

from pathlib import Path

from mmballoon import upstream
from mmballoon.cli import make_parser, report_errors


def parse_args(argv=None):
    from mmballoon.report.review import add_arguments

    parser = make_parser(__doc__)
    add = parser.add_argument
    add('config', help='config file')
    add('checkpoint', nargs='?', type=Path, help='checkpoint or ONNX file')
    add('--predictions', type=Path, help='results.pkl of tools/test.py --out, or COCO results JSON')
    add('--compare', type=Path, help='another checkpoint, ONNX file, results.pkl or JSON')
    add('--lang', choices=('en', 'zh'), default='en', help='(%(default)s)')
    add('--out', type=Path, default=Path('outputs/report'), help='folder (%(default)s)')
    add_arguments(add)
    args = parser.parse_args(argv)
    if not (args.checkpoint or args.predictions):
        parser.error('pass a CHECKPOINT, or --predictions')
    return args


def main(argv=None):
    args = parse_args(argv)
    with report_errors():
        rules = upstream.apply_rules()
        from mmengine.config import Config

        from mmballoon.export.compare import detect
        from mmballoon.report.build import build

        if args.predictions or args.checkpoint.suffix == '.onnx':  # else the test loop does this
            rules.classes.note(rules.classes.check(Config.fromfile(args.config), 'test'))
        print(*build(args, detect_onnx=detect), sep='\n')


if __name__ == '__main__':
    main()
