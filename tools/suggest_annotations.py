"""Let a detector suggest annotations for new images, to be corrected in VIA instead of drawn.

    python tools/suggest_annotations.py photos CONFIG --weights CHECKPOINT
    python tools/suggest_annotations.py photos CONFIG --weights CHECKPOINT --extend via_project.json \
        --class-attribute type --out next.json       (the annotated images stay as they are)
    python tools/suggest_annotations.py photos model.onnx --top 20       (without torch)
    python tools/suggest_annotations.py photos CONFIG --weights CHECKPOINT --format labelme --out labels

The project opens in VIA 2 with Project > Load. Correct the boxes and set the status of each region to
ok, or to wrong; then convert it with data_tools/balloon2coco.py, which refuses what is still suggested.
The images where the detector is least sure come first: those with the highest sum of min(score, 1 -
score) over their detections, which is how many of these would be wrong if scores were probabilities.
Images that look like one before them come last. docs/annotating.md has all the steps.
"""

from pathlib import Path

from mmballoon.cli import make_parser, plain, report_errors
from mmballoon.data.via_project import class_attribute


def parse_args(argv=None):
    parser = make_parser(__doc__)
    add = parser.add_argument
    add('images', type=Path, help='folder of the images, with its subfolders')
    add('model', help='config file, or a file of tools/export_onnx.py')
    add('--weights', type=Path, help='checkpoint file')
    add('--format', choices=('via', 'labelme', 'coco'), default='via', help='(%(default)s)')
    add('--out', type=Path, help='file, or folder for labelme (default: outputs/suggestions...)')
    add('--extend', type=Path, metavar='FILE', help='a file of VIA; its images get no suggestions')
    key = dict(type=class_attribute, default='class', metavar='KEY')
    add('--class-attribute', **key, help='(%(default)s)')
    add('--top', type=int, metavar='N', help='write only the first N images')
    about = 'minimum score (default: the threshold of a report about these weights, else 0.3)'
    add('--pred-score-thr', type=float, help=about)
    add('--device', help='cuda:0, cpu, ... (default: CUDA if there is a GPU)')
    args = parser.parse_args(argv)
    if args.model.endswith('.py') and not args.weights:
        parser.error(f'{args.model} needs --weights CHECKPOINT')
    if args.top is not None and args.top < 1:
        parser.error('--top takes a number of images')
    if args.extend and args.format != 'via':
        parser.error('--extend takes a file of VIA, and writes one')
    default = dict(via='suggestions.json', coco='suggestions_coco.json', labelme='labelme')
    args.out = args.out or Path('outputs') / default[args.format]
    return args


def main(argv=None):
    args = parse_args(argv)
    with report_errors():
        from mmballoon.suggest import suggest

        for line in suggest(args):
            print(plain(line))


if __name__ == '__main__':
    main()
