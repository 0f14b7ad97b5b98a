"""Time per image of detection with RTMDet-tiny, from the decoded image to boxes, on this machine.

    python benchmarks/inference.py                        (640 px)
    python benchmarks/inference.py --checkpoint CHECKPOINT --image image.jpg
    ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 python benchmarks/inference.py

upstream: mmdet.apis.inference_detector on the model as it is loaded. ours: the same on the model as
tools/image_demo.py prepares it (mmballoon/inference.py), and with its --amp. The next rows run the
files of tools/export_onnx.py as tools/onnx_demo.py does, in ONNX Runtime or in OpenVINO; the last are
other detectors of this size. Each needs its package. All sides run in this process, in turn, with as
many threads as torch. The two variables make torch and OpenVINO compute as on a CPU with AVX2 alone;
ONNX Runtime does not read them.

Without a checkpoint the weights are random and the image is noise. The biases of the head are then set
so that 3700 of the 8400 boxes go through NMS: trained weights gave 3200 to 5400 on the validation images.
"""

import functools
import tempfile
from pathlib import Path

import numpy as np
import torch
from train_step import ROOT, compare, make_parser, reduced_type


def load(args):
    """A detector, as mmdet.apis.init_detector gives it, for images of ``args.size`` pixels."""
    import mmballoon.patches  # noqa: F401

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


def torch_sides(args, image):
    """{name: (function, number type)} of upstream and ours."""
    import mmballoon.patches  # noqa: F401

    from mmdet.apis import inference_detector
    from mmdet.models.dense_heads.base_dense_head import BaseDenseHead

    from mmballoon.inference import prepare

    upstream = load(args)
    post_process = BaseDenseHead._bbox_post_process.__wrapped__  # without our patch
    upstream.bbox_head._bbox_post_process = functools.partial(post_process, upstream.bbox_head)
    sides = {
        'upstream': (functools.partial(inference_detector, upstream, image), torch.float32),
        'ours': (functools.partial(inference_detector, prepare(load(args)), image), torch.float32),
    }
    if reduced_type() == torch.bfloat16:
        model = prepare(load(args), amp=True)
        detect = functools.partial(inference_detector, model, image)
        sides['ours, --amp'] = (detect, torch.bfloat16)
    return sides


class Compiled:
    """An OpenVINO model with the ``run`` of an ONNX Runtime session."""

    def __init__(self, path, precision):
        import openvino

        options = {
            'PERFORMANCE_HINT': 'LATENCY',
            'INFERENCE_NUM_THREADS': torch.get_num_threads(),
            'INFERENCE_PRECISION_HINT': precision,
        }
        self.model = openvino.Core().compile_model(path, 'CPU', options)

    def run(self, _, inputs):
        results = self.model(inputs)
        return [results[i] for i in range(3)]


def exported_sides(args, image):
    """{name: (function, number type)} of the exported file, where the packages are installed."""
    try:
        from mmballoon.export import int8, onnx_file, parity

        Detector = parity.runtime()
    except ModuleNotFoundError as error:
        print(f'without the rows of the exported file: {error}')
        return {}
    content = onnx_file.build(load(args).cpu())
    with tempfile.TemporaryDirectory() as folder:
        files = {'float32': Path(folder) / 'float32.onnx', 'int8': Path(folder) / 'int8.onnx'}
        files['float32'].write_bytes(content)
        files['int8'].write_bytes(int8.quantize(content, [image]))
        make = functools.partial(Detector, threads=torch.get_num_threads())
        sides = {
            f'ONNX Runtime, {name}': (functools.partial(make(str(files[name])), image), dtype)
            for name, dtype in (('float32', torch.float32), ('int8', None))
        }
        for name, file, precision, dtype in (
            ('float32', files['float32'], 'f32', torch.float32),
            ('bfloat16', files['float32'], 'bf16', torch.bfloat16),
            ('int8', files['int8'], 'f32', None),
        ):
            if dtype == torch.bfloat16 and reduced_type() != dtype:
                continue
            detector = make(str(file))
            try:
                detector.session = Compiled(file, precision)
            except ModuleNotFoundError as error:
                print(f'without the rows of OpenVINO: {error}')
                break
            sides[f'OpenVINO, {name}'] = (functools.partial(detector, image), dtype)
    return sides


def peer_sides(args, image):
    """{name: (function, number type)} of other detectors of this size, where they are installed.

    Their weights are random, so there is next to nothing for their NMS to do.
    """
    sides = {}
    try:
        from ultralytics import YOLO

        predict = functools.partial(YOLO('yolo11n.yaml').predict, imgsz=args.size, verbose=False)
        sides['Ultralytics yolo11n'] = (functools.partial(predict, image), None)
    except ModuleNotFoundError as error:
        print(f'without the row of Ultralytics: {error}')
    try:
        from libreyolo import LibreRTMDet

        predict = LibreRTMDet(size='t', device='cpu').predict  # 640 px
        sides['LibreYOLO RTMDet-t'] = (functools.partial(predict, image), None)
    except ModuleNotFoundError as error:
        print(f'without the row of LibreYOLO: {error}')
    return sides


def parse_args(argv=None):
    parser = make_parser(__doc__, batch_size=1, repeats=30)
    parser.add_argument('--checkpoint', help='of configs/my_rtmdet_tiny.py or a recipe on it')
    parser.add_argument('--image', type=Path, help='image file')
    return parser.parse_args(argv)


def main(argv=None):
    args = parse_args(argv)
    if args.image:
        import cv2

        image = cv2.imread(str(args.image))
    else:
        shape = (args.size * 3 // 4, args.size, 3)
        image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    sides = {**torch_sides(args, image), **exported_sides(args, image), **peer_sides(args, image)}
    compare('detection', sides, args)


if __name__ == '__main__':
    main()
