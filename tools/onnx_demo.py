"""Detect on images with an exported ONNX file. It needs numpy, OpenCV and ONNX Runtime, nothing else.

    python tools/onnx_demo.py image.jpg model.onnx
    python tools/onnx_demo.py folder model.onnx --pred-score-thr 0.5 --out-dir outputs

Images with boxes go to OUT_DIR/vis, and predictions to OUT_DIR/preds, one JSON per image: labels,
scores and bboxes [x1, y1, x2, y2] in pixels, as tools/image_demo.py writes them. You may copy this
file into your own program, and use the class Detector:

    boxes, scores, labels = Detector('model.onnx')(cv2.imread('image.jpg'))
"""

import glob
import json
import os
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path

import cv2
import numpy as np
import onnxruntime

SUFFIXES = ('.jpg', '.jpeg', '.png', '.ppm', '.bmp', '.pgm', '.tif', '.tiff', '.webp')


class Detector:
    """A file of tools/export_onnx.py. ``metadata`` holds its class names, colours and settings."""

    def __init__(self, path, threads=0):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads  # 0: one per CPU core
        wanted = ('CUDAExecutionProvider', 'CPUExecutionProvider')
        providers = [name for name in wanted if name in onnxruntime.get_available_providers()]
        self.session = onnxruntime.InferenceSession(path, options, providers=providers)
        entries = self.session.get_modelmeta().custom_metadata_map
        self.metadata = json.loads(entries['detector'])
        if not {'size', 'pad_value', 'classes', 'palette'} <= set(self.metadata):
            raise ValueError('no settings in it')

    def __call__(self, image):
        """Detect on one image, (height, width, 3) uint8, BGR, of any size.

        Returns boxes (K, 4) float32, x1 y1 x2 y2 in pixels of the image; scores (K) float32, in
        descending order; labels (K) int64, indices of ``metadata['classes']``.
        """
        canvas, scale = self.letterbox(image)
        boxes, scores, labels = self.session.run(None, {'images': canvas[None]})
        found = labels[0] >= 0
        return boxes[0, found] / scale, scores[0, found], labels[0, found]

    def letterbox(self, image):
        """The image at the top left of a padded square, as in training.

        Returns the square, (size, size, 3) uint8, and the scales of its x1 y1 x2 y2, (4) float32.
        """
        size, (height, width) = self.metadata['size'], image.shape[:2]
        scale = size / max(height, width)
        new_width, new_height = (max(1, int(side * scale + 0.5)) for side in (width, height))
        canvas = np.empty((size, size, 3), np.uint8)
        canvas[:] = self.metadata['pad_value']
        canvas[:new_height, :new_width] = cv2.resize(image, (new_width, new_height))
        scales = np.array([new_width / width, new_height / height] * 2, np.float32)
        return canvas, scales


def list_images(inputs):
    """Paths of all images among files, folders (not their subfolders) and glob patterns."""
    found = []
    for item in inputs:
        path = Path(item)
        if path.is_dir():
            images = [p for p in path.iterdir() if p.suffix.lower() in SUFFIXES]
        else:
            images = [p for p in {path, *map(Path, glob.glob(item))} if p.is_file()]
        if not images:
            fail(f'{item}: no such image, or no image in it; next: check the path')
        found += [path for path in sorted(images) if path not in found]
    for path in found:
        if [other.stem for other in found].count(path.stem) > 1:
            fail(f'{path}: another image has this name, too; next: give each an --out-dir')
    return found


def draw(image, detections, metadata, threshold):
    """Draw boxes, class names and scores into an image, in place."""
    width = max(1, round(max(image.shape) / 400))
    for box, score, label in zip(*detections):
        if score >= threshold:
            color = metadata['palette'][label][::-1]  # RGB to BGR
            x1, y1, x2, y2 = (round(float(value)) for value in box)
            cv2.rectangle(image, (x1, y1), (x2, y2), color, width)
            text = f'{metadata["classes"][label]}: {100 * score:.1f}'
            place = (x1 + width, y1 + 12 * width)
            cv2.putText(image, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.4 * width, color, width)


def write(path, content):
    """Write bytes to a file that appears whole under its name, or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f'.{path.name}.part')
    part.write_bytes(content)
    os.replace(part, path)


def fail(message):
    print(f'error: {message}', file=sys.stderr)
    sys.exit(2)


def main(argv=None):
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument('inputs', nargs='+', help='image files or folders')
    parser.add_argument('model', help='file of tools/export_onnx.py')
    parser.add_argument('--out-dir', type=Path, default='outputs', help='(%(default)s)')
    parser.add_argument('--pred-score-thr', type=float, default=0.3, help='(%(default)s)')
    parser.add_argument('--no-save-vis', action='store_true', help='save no images')
    parser.add_argument('--no-save-pred', action='store_true', help='save no predictions')
    args = parser.parse_args(argv)
    files = list_images(args.inputs)
    try:
        detector = Detector(args.model)
    except Exception as error:  # ONNX Runtime's errors have no common class
        found = str(error).splitlines()[0]
        fail(f'{args.model}: {found}; next: pass a file of tools/export_onnx.py')
    for file in files:
        image = cv2.imread(str(file))
        if image is None:
            fail(f'{file}: not a readable image; next: replace it or leave it out')
        boxes, scores, labels = detections = detector(image)
        if not args.no_save_pred:
            columns = dict(labels=labels, scores=scores, bboxes=boxes)
            text = json.dumps({key: value.tolist() for key, value in columns.items()})
            write(args.out_dir / 'preds' / f'{file.stem}.json', text.encode())
        if not args.no_save_vis:
            draw(image, detections, detector.metadata, args.pred_score_thr)
            write(args.out_dir / 'vis' / file.name, cv2.imencode(file.suffix, image)[1].tobytes())
        kept, threshold = (scores >= args.pred_score_thr).sum(), f'{args.pred_score_thr:g}'
        highest = f'highest {scores.max(initial=0):.2f}'
        print(f'{file}: {kept} boxes with a score of {threshold} or more ({highest})')
    for part, skipped in (('vis', args.no_save_vis), ('preds', args.no_save_pred)):
        if not skipped:
            print(f'saved: {args.out_dir / part}')


if __name__ == '__main__':
    main()
