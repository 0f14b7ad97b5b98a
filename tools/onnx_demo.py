"""Detect on images with an exported ONNX file. It needs numpy, OpenCV and ONNX Runtime, nothing else.

    python tools/onnx_demo.py image.jpg model.onnx
    python tools/onnx_demo.py folder model.onnx --pred-score-thr 0.5 --out-dir outputs

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


def parse_args(argv=None):
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument('inputs', nargs='+', help='image files or folders')
    parser.add_argument('model', help='file of tools/export_onnx.py')
    parser.add_argument('--out-dir', type=Path, default='outputs', help='(%(default)s)')
    parser.add_argument('--pred-score-thr', type=float, default=0.3, help='(%(default)s)')
    parser.add_argument('--no-save-vis', action='store_true', help='save no images')
    parser.add_argument('--no-save-pred', action='store_true', help='save no predictions')
    return parser.parse_args(argv)


def draw(image, detections, metadata, threshold):
    """Draw boxes, class names and scores into an image, in place."""
    import cv2

    width = max(1, round(max(image.shape) / 400))
    for box, score, label in zip(*detections):
        if score >= threshold:
            color = metadata['palette'][label][::-1]  # RGB to BGR
            x1, y1, x2, y2 = (round(float(value)) for value in box)
            cv2.rectangle(image, (x1, y1), (x2, y2), color, width)
            text = f'{metadata["classes"][label]}: {100 * score:.1f}'
            place = (x1 + width, y1 + 12 * width)
            cv2.putText(image, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.4 * width, color, width)


def save(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        file.write(content)


def main(argv=None):
    args = parse_args(argv)
    with report_errors():
        import cv2

        from mmballoon.export.detector import Detector

        files = list_images(args.inputs, decode=False)
        try:
            detector = Detector(args.model)
        except ValueError as error:
            raise UserError(args.model, error, 'pass a file of tools/export_onnx.py') from None
        for file in map(Path, files):
            image = read_image(file)
            boxes, scores, labels = detections = detector(image)
            if not args.no_save_pred:
                columns = dict(labels=labels, scores=scores, bboxes=boxes)
                text = json.dumps({key: value.tolist() for key, value in columns.items()})
                save(args.out_dir / 'preds' / f'{file.stem}.json', text.encode())
            if not args.no_save_vis:
                draw(image, detections, detector.metadata, args.pred_score_thr)
                suffix = file.suffix if cv2.haveImageWriter(file.name) else '.jpg'  # .jfif
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
