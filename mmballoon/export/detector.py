"""A trained detector in one file of tools/export_onnx.py, without PyTorch and MMDetection.

This module needs numpy, OpenCV and ONNX Runtime, and nothing of this project. You may copy it into
your own program:

    detector = Detector('model.onnx')
    boxes, scores, labels = detector(cv2.imread('image.jpg'))
    names = [detector.metadata['classes'][label] for label in labels]
"""

import json

import cv2
import numpy as np
import onnxruntime


class Detector:
    """A file of tools/export_onnx.py. ``metadata`` holds its class names, colours and settings.

    Raises:
        ValueError: any other file.
    """

    def __init__(self, path, threads=0):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads  # 0: one per CPU core
        wanted = ('CUDAExecutionProvider', 'CPUExecutionProvider')
        providers = [name for name in wanted if name in onnxruntime.get_available_providers()]
        try:
            self.session = onnxruntime.InferenceSession(path, options, providers=providers)
            entries = self.session.get_modelmeta().custom_metadata_map
            self.metadata = json.loads(entries['detector'])
            if not {'size', 'pad_value', 'classes', 'palette'} <= set(self.metadata):
                raise ValueError('its metadata holds no settings')
        except Exception as error:  # ONNX Runtime's errors have no common class
            reason = str(error).splitlines()[0]
            raise ValueError(f'not an exported detector ({reason})') from error

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
