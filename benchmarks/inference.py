"""Time per image of detection with RTMDet-tiny, from the decoded image to boxes, on this machine.

    python benchmarks/inference.py                        (640 px)
    python benchmarks/inference.py --checkpoint CHECKPOINT --image image.jpg
    ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 python benchmarks/inference.py

upstream: mmdet.apis.inference_detector on the model as it is loaded. ours: the same on the model as
tools/image_demo.py prepares it (mmballoon/inference.py), and with its --amp. The next rows run the
files of tools/export_onnx.py as tools/onnx_demo.py does, in ONNX Runtime or in OpenVINO. Rows whose
package is not installed (onnxruntime, openvino) are left out. All sides run in this process, in turn,
with as many threads as torch. The two variables make torch and OpenVINO compute as on a CPU with AVX2
alone; ONNX Runtime does not read them.

Without a checkpoint the weights are random and the image is noise. The biases of the head are then set
so that 3700 of the 8400 boxes go through NMS: trained weights gave 3200 to 5400 on the validation images.
"""

import functools
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from train_step import ROOT, compare, make_parser, reduced_type


def load(args):
    """A detector, as mmdet.apis.init_detector gives it, for images of ``args.size`` pixels."""
    from mmballoon.train import rules

    rules.apply()

    from mmdet.apis import init_detector
    from mmengine.config import Config
    from mmengine.device import get_device
    from mmengine.model import bias_init_with_prob

    cfg = Config.fromfile(ROOT / 'configs/my_rtmdet_tiny.py')
    pipeline = cfg.test_dataloader.dataset.pipeline
    pipeline[1].scale = pipeline[2].size = (args.size, args.size)
    torch.manual_seed(0)
    model = init_detector(cfg, args.checkpoint, device=get_device())
    if not args.checkpoint:
        model.dataset_meta = dict(cfg.metainfo)  # without a checkpoint MMDetection takes COCO's
        for scores, distances in zip(model.bbox_head.rtm_cls, model.bbox_head.rtm_reg):
            torch.nn.init.constant_(scores.bias, bias_init_with_prob(0.001))  # the score threshold
            torch.nn.init.constant_(distances.bias, 2.5)  # boxes of five strides, which overlap
    return model


# Each function below returns {name: (a function of the image, number type)}.


def in_torch(args, folder):
    from mmballoon.train import rules

    rules.apply()

    from mmdet.apis import inference_detector
    from mmdet.models.dense_heads.base_dense_head import BaseDenseHead

    from mmballoon.inference import prepare

    upstream = load(args)
    post_process = BaseDenseHead._bbox_post_process.__wrapped__  # without our patch
    upstream.bbox_head._bbox_post_process = functools.partial(post_process, upstream.bbox_head)
    models = {'upstream': (upstream, torch.float32), 'ours': (prepare(load(args)), torch.float32)}
    if reduced_type() == torch.bfloat16:
        models['ours, --amp'] = prepare(load(args), amp=True), torch.bfloat16
    return {
        name: (functools.partial(inference_detector, model), dtype)
        for name, (model, dtype) in models.items()
    }


def in_onnx_runtime(args, folder):
    from mmballoon.export import int8, onnx_file
    from mmballoon.export.detector import Detector

    content = onnx_file.build(load(args).cpu())
    sides = {}
    for name, dtype in (('float32', torch.float32), ('int8', None)):
        path = folder / f'{name}.onnx'
        path.write_bytes(int8.quantize(content, [read(args)]) if name == 'int8' else content)
        detector = Detector(str(path), threads=torch.get_num_threads())
        sides[f'ONNX Runtime, {name}'] = detector, dtype
    return sides


def in_openvino(args, folder):
    """The files of ``in_onnx_runtime``."""
    import openvino

    from mmballoon.export.detector import Detector

    options = {'PERFORMANCE_HINT': 'LATENCY', 'INFERENCE_NUM_THREADS': torch.get_num_threads()}
    rows = [('float32', 'f32', torch.float32), ('int8', 'f32', None)]
    if reduced_type() == torch.bfloat16:
        rows.insert(1, ('bfloat16', 'bf16', torch.bfloat16))
    sides = {}
    for name, precision, dtype in rows:
        path = folder / ('int8.onnx' if name == 'int8' else 'float32.onnx')
        options['INFERENCE_PRECISION_HINT'] = precision
        model = openvino.Core().compile_model(path, 'CPU', options)
        detector = Detector(str(path))
        detector.session = SimpleNamespace(
            run=lambda _, inputs, model=model: [*model(inputs).values()]
        )
        sides[f'OpenVINO, {name}'] = detector, dtype
    return sides


def read(args):
    """The image of --image, or noise."""
    if args.image:
        import cv2

        return cv2.imread(str(args.image))
    shape = (args.size * 3 // 4, args.size, 3)
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def main(argv=None):
    parser = make_parser(__doc__, batch_size=1, repeats=30)
    parser.add_argument('--checkpoint', help='of configs/my_rtmdet_tiny.py or a recipe on it')
    parser.add_argument('--image', help='image file')
    args = parser.parse_args(argv)
    sides, image = {}, read(args)
    with tempfile.TemporaryDirectory() as folder:
        for rows in (in_torch, in_onnx_runtime, in_openvino):
            try:
                found = rows(args, Path(folder))
            except ModuleNotFoundError as error:
                print(f'without the rows of {rows.__name__[3:]}: {error}')
                continue
            sides |= {
                name: (functools.partial(f, image), dtype) for name, (f, dtype) in found.items()
            }
    compare('detection', sides, args)


if __name__ == '__main__':
    main()
