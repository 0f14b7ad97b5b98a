"""Static quantisation of an exported file to 8-bit integers, by ONNX Runtime."""

import json
import tempfile
from pathlib import Path

import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from mmballoon.cli import read_image
from mmballoon.export.detector import Detector
from mmballoon.report.split import image_files, load_split

IMAGES = 64  # for calibration, at most


def training_images(cfg):
    """Images of a config's training split, spread evenly over it: (H, W, 3) uint8 BGR, as an iterator."""
    files = list(image_files(load_split(cfg.train_dataloader.dataset)))
    return (read_image(file) for file in files[:: -(-len(files) // IMAGES)])


class Calibration(CalibrationDataReader):
    """The letterboxed images, one per call, then None."""

    def __init__(self, images, detector):
        self.images = iter(images)
        self.detector = detector

    def get_next(self):
        image = next(self.images, None)
        return None if image is None else {'images': self.detector.letterbox(image)[0][None]}


def quantize(content, images):
    """Quantise the convolutions of an exported file (bytes), calibrated on images.

    Weights get one scale per channel. The rest of the network stays in float32: the decoding of boxes
    and the non-maximum suppression do not gain by it.

    Returns the bytes of the new file.
    """
    with tempfile.TemporaryDirectory() as folder:
        whole, prepared, small = (Path(folder) / name for name in ('a.onnx', 'b.onnx', 'c.onnx'))
        whole.write_bytes(content)
        detector = Detector(str(whole))
        quant_pre_process(whole, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            small,
            Calibration(images, detector),
            op_types_to_quantize=['Conv'],
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        proto = onnx.load(small)
    metadata = dict(detector.metadata, dtype='int8')
    onnx.helper.set_model_props(proto, {'detector': json.dumps(metadata, ensure_ascii=False)})
    onnx.checker.check_model(proto, full_check=True)
    return proto.SerializeToString()
