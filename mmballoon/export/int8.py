"""Static quantisation of an exported file to 8-bit integers, by ONNX Runtime."""

import statistics
import tempfile
from functools import partial
from pathlib import Path
from timeit import timeit
from types import SimpleNamespace

import numpy as np
import onnx
from onnxruntime.quantization import QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from mmballoon.cli import read_image
from mmballoon.export.detector import Detector
from mmballoon.export.onnx_file import finish
from mmballoon.report.split import image_files, load_split

IMAGES = 64  # for calibration, at most


def training_images(cfg):
    """Images of a config's training split, spread evenly over it: (H, W, 3) uint8 BGR, as an iterator."""
    files = list(image_files(load_split(cfg.train_dataloader.dataset)))
    return (read_image(file) for file in files[:: -(-len(files) // IMAGES)])


def quantize(content, images):
    """The bytes of an exported file (bytes) whose convolutions are quantised, calibrated on images.

    Weights get one scale per channel. The rest of the network stays in float32: the decoding of boxes
    and the non-maximum suppression do not gain by it.
    """
    with tempfile.TemporaryDirectory() as folder:
        whole, prepared, small = (Path(folder) / name for name in ('a.onnx', 'b.onnx', 'c.onnx'))
        whole.write_bytes(content)
        detector = Detector(str(whole))
        quant_pre_process(whole, prepared, skip_symbolic_shape=True)
        inputs = ({'images': detector.letterbox(image)[0][None]} for image in images)
        quantize_static(
            prepared,
            small,
            SimpleNamespace(get_next=lambda: next(inputs, None)),
            op_types_to_quantize=['Conv'],
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        proto = onnx.load(small)
    return finish(proto, dict(detector.metadata, dtype='int8'))


def compare_speed(floats, integers, repeats=15):
    """A line: which of two files (bytes) is faster here, each in the fastest runtime it can have."""
    sides = []
    with tempfile.TemporaryDirectory() as folder:
        for content, runtime in ((floats, 'openvino-bfloat16'), (integers, None)):
            path = Path(folder, f'{len(sides)}.onnx')
            path.write_bytes(content)
            try:
                sides.append(Detector(str(path), runtime=runtime))
            except (ModuleNotFoundError, ValueError):  # no OpenVINO, or no bfloat16
                sides.append(Detector(str(path)))
        size = sides[0].metadata['size']
        image = np.random.default_rng(0).integers(0, 256, (size, size, 3), np.uint8)
        times = [[timeit(partial(s, image), number=1) for s in sides] for _ in range(repeats)]
    before, after = (1000 * statistics.median(column) for column in zip(*times))
    line = f'8-bit integers take {after:.0f} ms per image on this machine ({sides[1].name}), '
    line += f'the file without --int8 {before:.0f} ms ({sides[0].name})'
    return line if after < before else f'{line}; next: export without --int8, which is faster here'
