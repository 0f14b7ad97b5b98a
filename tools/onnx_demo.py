"""Detect on images with an exported ONNX file. It needs numpy, OpenCV and OpenVINO or ONNX Runtime.

    python tools/onnx_demo.py image.jpg model.onnx
    python tools/onnx_demo.py folder model.onnx --pred-score-thr 0.5 --out-dir outputs
    python tools/onnx_demo.py folder model.onnx --runtime onnxruntime
    python tools/onnx_demo.py clip.mp4 model.onnx                        (writes outputs/vis/clip.mp4)

Images with boxes go to OUT_DIR/vis, and predictions to OUT_DIR/preds, one JSON per image: labels,
scores and bboxes [x1, y1, x2, y2] in pixels, as tools/image_demo.py writes them. For your own program,
copy mmballoon/export/detector.py.
"""

import json
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))  # where mmballoon is not installed

from mmballoon.cli import UserError, atomic_write, list_images, read_image, report_errors

VIDEOS = '.mp4', '.avi', '.mov', '.mkv', '.webm', '.m4v'


def parse_args(argv=None):
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument('inputs', nargs='+', help='image files, folders, or a video')
    parser.add_argument('model', help='file of tools/export_onnx.py')
    parser.add_argument('--out-dir', type=Path, default='outputs', help='(%(default)s)')
    parser.add_argument('--pred-score-thr', type=float, default=0.3, help='(%(default)s)')
    choices = ('openvino-bfloat16', 'openvino-float32', 'onnxruntime')
    parser.add_argument('--runtime', choices=choices, help='(default: the fastest)')
    parser.add_argument('--no-save-vis', action='store_true', help='save no images')
    parser.add_argument('--no-save-pred', action='store_true', help='save no predictions')
    return parser.parse_args(argv)


def detect_on_video(detector, args):
    """Write OUT_DIR/vis/NAME.mp4 with the boxes of every frame."""
    from mmballoon.video import Source, Writer, annotate

    source = Source(args.inputs[0])
    out = args.out_dir / 'vis' / f'{Path(args.inputs[0]).stem}.mp4'
    if out.exists():
        raise UserError(out, 'exists', 'choose another --out-dir, or move it away')
    writer = Writer(out, source.fps)
    annotate(source, lambda frames: map(detector, frames), drawer(detector, args), writer)
    print(f'saved: {out} (codec {writer.codec})')


def drawer(detector, args):
    """A function (image, detections) that draws boxes into the image."""
    from mmballoon.video import draw_boxes

    settings = detector.metadata['classes'], detector.metadata['palette'], args.pred_score_thr
    return lambda image, detections: draw_boxes(image, detections, *settings)


def save(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        file.write(content)


def main(argv=None):
    args = parse_args(argv)
    with report_errors():
        import cv2

        from mmballoon.export.detector import Detector

        is_video = Path(args.inputs[0]).suffix.lower() in VIDEOS
        files = [] if is_video else list_images(args.inputs, decode=False)
        try:
            detector = Detector(args.model, runtime=args.runtime)
        except ValueError as error:
            raise UserError(args.model, error, 'pass a file of tools/export_onnx.py') from None
        print(f'{args.model}: runs in {detector.name}')
        if is_video:
            return detect_on_video(detector, args)
        draw = drawer(detector, args)
        for file in map(Path, files):
            image = read_image(file)
            boxes, scores, labels = detections = detector(image)
            if not args.no_save_pred:
                columns = dict(labels=labels, scores=scores, bboxes=boxes)
                text = json.dumps({key: value.tolist() for key, value in columns.items()})
                save(args.out_dir / 'preds' / f'{file.stem}.json', text.encode())
            if not args.no_save_vis:
                draw(image, detections)
                suffix = (
                    file.suffix if cv2.haveImageWriter(f'image{file.suffix}') else '.jpg'
                )  # .jfif
                drawn = cv2.imencode(suffix, image)[1].tobytes()
                save(args.out_dir / 'vis' / f'{file.stem}{suffix}', drawn)
            kept, threshold = (scores >= args.pred_score_thr).sum(), f'{args.pred_score_thr:g}'
            highest = f'highest {scores.max(initial=0):.2f}'
            print(f'{file}: {kept} boxes with a score of {threshold} or more ({highest})')
    for part, skipped in (('vis', args.no_save_vis), ('preds', args.no_save_pred)):
        if not skipped:
            print(f'saved: {args.out_dir / part}')


if __name__ == '__main__':
    main()
