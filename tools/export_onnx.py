"""Export a trained detector to one ONNX file, and check that the file detects the same.

    python tools/export_onnx.py configs/my_rtmdet_tiny.py CHECKPOINT
    python tools/export_onnx.py CONFIG CHECKPOINT --out balloon.onnx --score-thr 0.3
    python tools/export_onnx.py CONFIG CHECKPOINT --img-size 512 --images FOLDER

The check compares boxes, scores and mAP in torch and in ONNX Runtime, on the validation images of the
config or on --images (without mAP). The file appears only if both agree, and replaces only a
file of this command. Where OpenVINO is installed and the CPU computes in bfloat16, that is compared as
well, and the file says whether it may be used. docs/deployment.md describes the file; tools/onnx_demo.py
runs it.
"""

from pathlib import Path

from mmballoon import cli, upstream


def parse_args(argv=None):
    parser = cli.make_parser(__doc__)
    add, number_type = parser.add_argument, parser.add_mutually_exclusive_group()
    add('config', help='config file')
    add('checkpoint', help='checkpoint file')
    add('--out', type=Path, default=Path('model.onnx'), help='(%(default)s)')
    add('--img-size', type=int, help="side in pixels (default: the config's)")
    add('--score-thr', type=float, help="minimum score (default: the config's)")
    number_type.add_argument('--half', action='store_true', help='compute in float16, for GPUs')
    about = '8-bit convolutions, calibrated on the training images: a third of the size'
    number_type.add_argument('--int8', action='store_true', help=about)
    add('--images', nargs='+', help='images or folders to check with')
    args = parser.parse_args(argv)
    if args.int8 and args.images:
        parser.error('--int8 is checked by its mAP, and --images have no annotations')
    return args


def main(argv=None):
    args = parse_args(argv)
    with cli.report_errors():
        cli.check_ours(args.out, '"pad_value": [')  # of onnx_file.describe
        files = cli.list_images(args.images) if args.images else None
        rules = upstream.apply_rules()
        import onnxruntime  # noqa: F401  (needed after the long work)
        from mmengine.config import Config

        from mmballoon.export import compare, onnx_file
        from mmballoon.export.detector import Detector

        cfg = Config.fromfile(args.config)
        if not files:  # the check detects on the images of the validation split
            rules.classes.note(rules.classes.check(cfg, 'val'))
        model = onnx_file.load(cfg, args.checkpoint, args.img_size, args.score_thr)
        content = onnx_file.build(model, args.half)
        lines = []
        if args.int8:
            from mmballoon.export import int8

            floats, content = content, int8.quantize(content, int8.training_images(model.cfg))
            lines.append(int8.compare_speed(floats, content))
        with cli.atomic_write(args.out) as file:
            file.write(content)
            file.flush()
            try:
                detector = Detector(file.name, runtime='onnxruntime')
            except ValueError as error:  # no mistake of a person: this file is new
                where, advice = 'the new file cannot be opened', compare.UNEXPECTED
                raise cli.UserError(where, error, advice) from None
            figures = compare.check(model, detector, files)
            if not args.int8 and not args.half:
                agrees, line = compare.check_bfloat16(model, file.name, files)
                lines.append(line)
                if agrees:
                    file.seek(0)
                    file.write(onnx_file.add_metadata(content, bfloat16=True))
    for line in filter(None, lines):
        print(line)
    print(f'torch and ONNX Runtime agree on {figures}')
    print(f'saved: {args.out} ({args.out.stat().st_size / 1e6:.1f} MB)')


if __name__ == '__main__':
    main()
