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
from functools import partial
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))  # finds mmballoon where it is not installed

from mmballoon import cli


def parse_args(argv=None):
    parser = cli.make_parser(__doc__)
    add = parser.add_argument
    add('inputs', nargs='+', help='image files, folders, videos')
    add('model', help='file of tools/export_onnx.py')
    add('--out-dir', type=Path, default='outputs', help='(%(default)s)')
    about = 'minimum score to draw, or report.json of tools/report.py (%(default)s)'
    add('--pred-score-thr', type=cli.score_thresholds, default='0.3', help=about)
    choices = ('openvino-bfloat16', 'openvino-float32', 'onnxruntime')
    add('--runtime', choices=choices, help='(default: the fastest)')
    add('--no-save-vis', action='store_true', help='save no images')
    add('--no-save-pred', action='store_true', help='save no predictions')
    return parser.parse_args(argv)


def run_lengths(mask):
    """A mask (H, W) bool as COCO's run lengths, not compressed: pycocotools' frPyObjects reads them."""
    flat = mask.ravel(order='F')
    edges = [0, *((flat[1:] != flat[:-1]).nonzero()[0] + 1).tolist(), flat.size]
    counts = [end - start for start, end in zip(edges, edges[1:])]
    return dict(size=mask.shape, counts=[0] * int(flat[0]) + counts)


def main(argv=None):
    args = parse_args(argv)
    with cli.report_errors():
        import cv2

        from mmballoon.export.detector import Detector
        from mmballoon.video import VIDEOS, Source, Writer, annotate, draw_boxes

        videos = [item for item in args.inputs if Path(item).suffix.lower() in VIDEOS]
        images = [item for item in args.inputs if item not in videos]
        files = cli.list_images(images, decode=False, out=args.out_dir / 'vis')
        detector = Detector(args.model, runtime=args.runtime)
        print(f'{args.model}: runs in {detector.name}')
        classes, masks = detector.metadata['classes'], 'mask_thr' in detector.metadata
        thresholds, palette = args.pred_score_thr(classes), detector.metadata['palette']
        draw = partial(draw_boxes, classes=classes, palette=palette, thresholds=thresholds)
        detect = partial(detector, masks=masks)
        for video in map(Path, videos):
            source, out = Source(video), args.out_dir / 'vis' / f'{video.stem}.mp4'
            if out.exists():
                raise cli.UserError(out, 'exists', 'choose another --out-dir, or move it away')
            writer = Writer(out, source.fps)
            annotate(source, lambda frames: map(detect, frames), draw, writer)
            print(f'saved: {out} (codec {writer.codec})')
        for file in map(Path, files):
            image = cli.read_image(file)
            boxes, scores, labels, *of_masks = detections = detect(image)
            if not args.no_save_pred:
                columns = dict(labels=labels, scores=scores, bboxes=boxes)
                columns = {key: value.tolist() for key, value in columns.items()}
                if masks:
                    columns['masks'] = [*map(run_lengths, of_masks[0])]
                with cli.atomic_write(args.out_dir / 'preds' / f'{file.stem}.json', 'w') as target:
                    json.dump(columns, target)
            if not args.no_save_vis:
                draw(image, detections)
                suffix = cli.picture_suffix(file)
                with cli.atomic_write(args.out_dir / 'vis' / f'{file.stem}{suffix}') as target:
                    target.write(cv2.imencode(suffix, image)[1])
            print(cli.count_boxes(file, scores, labels, thresholds))
    for folder, skipped in (('vis', args.no_save_vis), ('preds', args.no_save_pred)):
        if files and not skipped:
            print(f'saved: {args.out_dir / folder}')


if __name__ == '__main__':
    main()
