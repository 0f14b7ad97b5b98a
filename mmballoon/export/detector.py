"""A trained detector in one file of tools/export_onnx.py, without PyTorch and MMDetection.

This module needs numpy, OpenCV and either OpenVINO or ONNX Runtime, and nothing of this project. You
may copy it into your own program:

    detector = Detector('model.onnx')
    boxes, scores, labels = detector(cv2.imread('image.jpg'))
    names = [detector.metadata['classes'][label] for label in labels]
    *_, masks = detector(cv2.imread('image.jpg'), masks=True)               (of an RTMDet-Ins)
"""

import importlib.util
import json
import math

import cv2
import numpy as np

RUNTIMES = {
    'openvino-bfloat16': 'OpenVINO in bfloat16',
    'openvino-float32': 'OpenVINO in float32',
    'onnxruntime': 'ONNX Runtime',
}


class Detector:
    """A file of tools/export_onnx.py. ``metadata`` holds its class names, colours and settings.

    threads: 0 for one per CPU core. runtime: a key of RUNTIMES. None takes OpenVINO where it is
    installed, in bfloat16 if the CPU has it and the export found the same boxes in it; and ONNX
    Runtime elsewhere, and where it has CUDA. ``name`` says what runs.

    Raises:
        ValueError: any other file, or bfloat16 on a CPU without it.
        ModuleNotFoundError: the runtime is not installed.
    """

    def __init__(self, path, threads=0, runtime=None):
        self.runtime, self.threads = runtime, threads
        if runtime is None and (_has_cuda() or not importlib.util.find_spec('openvino')):
            self.runtime = 'onnxruntime'
        start = self._start_onnxruntime if self.runtime == 'onnxruntime' else self._start_openvino
        try:
            start(path)
            if not {'size', 'pad_value', 'classes', 'palette'} <= set(self.metadata):
                raise ValueError('its metadata holds no settings')
        except ModuleNotFoundError:
            raise
        except Exception as error:  # the errors of the two runtimes have no common class
            reason = str(error).strip().splitlines()[-1]
            raise ValueError(f'{path}: not an exported detector ({reason})') from error
        self.name = RUNTIMES[self.runtime]

    def _start_onnxruntime(self, path):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        wanted = ('CUDAExecutionProvider', 'CPUExecutionProvider')
        providers = [name for name in wanted if name in onnxruntime.get_available_providers()]
        session = onnxruntime.InferenceSession(path, options, providers=providers)
        self.metadata = json.loads(session.get_modelmeta().custom_metadata_map['detector'])
        self.run = lambda images: session.run(None, {'images': images})

    def _start_openvino(self, path):
        import openvino

        core = openvino.Core()
        model = core.read_model(path)
        self.metadata = json.loads(model.get_rt_info(['framework', 'detector']).value)
        has_bfloat16 = 'BF16' in core.get_property('CPU', 'OPTIMIZATION_CAPABILITIES')
        if self.runtime is None:
            agrees = has_bfloat16 and self.metadata.get('bfloat16')
            self.runtime = 'openvino-bfloat16' if agrees else 'openvino-float32'
        if self.runtime == 'openvino-bfloat16' and not has_bfloat16:
            raise ValueError('this CPU has no instructions for bfloat16')
        precision = 'bf16' if self.runtime == 'openvino-bfloat16' else 'f32'
        options = {'PERFORMANCE_HINT': 'LATENCY', 'INFERENCE_PRECISION_HINT': precision}
        if self.threads:
            options['INFERENCE_NUM_THREADS'] = self.threads
        compiled = core.compile_model(model, 'CPU', options)
        self.run = lambda images: [*compiled(images).values()]

    def __call__(self, image, masks=False):
        """Detect on one image, (height, width, 3) uint8, BGR, of any size.

        Returns boxes (K, 4) float32, x1 y1 x2 y2 in pixels of the image; scores (K) float32, in
        descending order; labels (K) int64, indices of ``metadata['classes']``; and with ``masks``, for
        which the file must have a ``metadata['mask_thr']``, masks (K, height, width) bool.
        """
        canvas, scale = self.letterbox(image)
        boxes, scores, labels, *logits = self.run(canvas[None])
        used = labels[0] >= 0
        boxes = (boxes[0, used] / scale).astype(np.float32)
        detections = boxes, scores[0, used], labels[0, used]
        if not masks:
            return detections
        return *detections, self._enlarge(logits[0][0, used], scale, *image.shape[:2])

    def _enlarge(self, logits, scale, height, width):
        """Masks (K, height, width) bool of an image, from logits (K, h, w) of the padded square."""
        size, threshold = self.metadata['size'], self.metadata['mask_thr']
        whole = [math.ceil(size * (1 / factor)) for factor in scale[:2]]  # as MMDetection rounds
        masks = np.zeros((len(logits), height, width), bool)
        for mask, values in zip(masks, logits):
            values = cv2.resize(cv2.resize(values, (size, size)), whole)[:height, :width]
            mask[:] = values > math.log(threshold / (1 - threshold))
        return masks

    def letterbox(self, image):
        """The image at the top left of a padded square, as in training.

        Returns the square, (size, size, 3) uint8, and the scales of its x1 y1 x2 y2, (4) float64.
        """
        size, (height, width) = self.metadata['size'], image.shape[:2]
        scale = size / max(height, width)
        new_width, new_height = (max(1, int(side * scale + 0.5)) for side in (width, height))
        canvas = np.empty((size, size, 3), np.uint8)
        canvas[:] = self.metadata['pad_value']
        canvas[:new_height, :new_width] = cv2.resize(image, (new_width, new_height))
        scales = np.array([new_width / width, new_height / height] * 2)
        return canvas, scales


def _has_cuda():
    """Whether ONNX Runtime is installed, and can use a GPU."""
    if not importlib.util.find_spec('onnxruntime'):
        return False
    import onnxruntime

    return 'CUDAExecutionProvider' in onnxruntime.get_available_providers()
