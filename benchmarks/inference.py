"""Time per image of detection with RTMDet-tiny, from the decoded image to boxes, on this machine.

    python benchmarks/inference.py                        (640 px)
    python benchmarks/inference.py --checkpoint CHECKPOINT --images data/balloon/val --repeats 2
    ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 python benchmarks/inference.py

upstream: mmdet.apis.inference_detector on the model as it is loaded. ours: the same on the model as
tools/image_demo.py prepares it (mmballoon/inference.py), and with its --amp. The next rows run the
files of tools/export_onnx.py as tools/onnx_demo.py does. Peers: the YOLO models of Ultralytics, without
weights, in ONNX Runtime. Rows whose package is not installed (onnxruntime, openvino, ultralytics) are
left out. All sides run in this process, in turn, with as many threads as torch. The two variables make
torch and OpenVINO compute as on a CPU with AVX2 alone; ONNX Runtime does not read them.

Without a checkpoint the weights are random and the image is noise. The biases of the head are then set
so that 3700 of the 8400 boxes go through NMS: trained weights gave 3200 to 5400 on the validation images.
"""

import importlib.util
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import torch
from train_step import ROOT, compare, make_parser, reduced_type

PEERS = ('yolo11n', 'yolo26n')


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
    upstream = load(args)
    from mmdet.apis import inference_detector
    from mmdet.models.dense_heads.base_dense_head import BaseDenseHead

    from mmballoon.inference import prepare

    post_process = BaseDenseHead._bbox_post_process.__wrapped__  # without our rule
    upstream.bbox_head._bbox_post_process = partial(post_process, upstream.bbox_head)
    models = {'upstream': (upstream, torch.float32), 'ours': (prepare(load(args)), torch.float32)}
    if reduced_type() == torch.bfloat16:
        models['ours, --amp'] = prepare(load(args), amp=True), torch.bfloat16
    return {name: (partial(inference_detector, m), dtype) for name, (m, dtype) in models.items()}


def in_files(args, folder):
    from mmballoon.export import int8, onnx_file
    from mmballoon.export.detector import Detector

    content = onnx_file.build(load(args).cpu())
    (folder / 'float32.onnx').write_bytes(content)
    (folder / 'int8.onnx').write_bytes(int8.quantize(content, images(args)))
    rows = [('float32', 'onnxruntime', torch.float32), ('int8', 'onnxruntime', None)]
    if importlib.util.find_spec('openvino'):
        rows += [('float32', 'openvino-float32', torch.float32), ('int8', 'openvino-float32', None)]
        if reduced_type() == torch.bfloat16:
            rows.append(('float32', 'openvino-bfloat16', torch.bfloat16))
    sides = {}
    for file, runtime, dtype in rows:
        side = Detector(str(folder / f'{file}.onnx'), torch.get_num_threads(), runtime)
        sides[f'{side.name}, {"8-bit file" if file == "int8" else "file"}'] = side, dtype
    return sides


def peers(args, folder):
    from ultralytics import YOLO

    sides = {}
    for name in PEERS:
        YOLO(f'{name}.yaml').save(folder / f'{name}.pt')
        path = YOLO(folder / f'{name}.pt').export(format='onnx', imgsz=args.size)
        sides[f'{name}, ONNX Runtime'] = partial(YOLO(path), verbose=False), None
    return sides


def images(args):
    """The images of --images, (H, W, 3) uint8 BGR, or one of noise."""
    if args.images:
        import cv2

        from mmballoon.cli import list_images

        return [cv2.imread(file) for file in list_images(args.images)]
    shape = (args.size * 3 // 4, args.size, 3)
    return [np.random.default_rng(0).integers(0, 256, shape, np.uint8)]


def main(argv=None):
    parser = make_parser(__doc__, batch_size=1, repeats=30)
    parser.add_argument('--checkpoint', help='of configs/my_rtmdet_tiny.py or a recipe on it')
    about = 'image files or folders; every repeat takes all'
    parser.add_argument('--images', nargs='+', help=about)
    args = parser.parse_args(argv)
    sides, pictures = {}, images(args)
    args.batch_size = len(pictures)  # one call detects on each of them, one by one
    with tempfile.TemporaryDirectory() as folder:
        for rows in (in_torch, in_files, peers):
            try:
                found = rows(args, Path(folder))
            except ModuleNotFoundError as error:
                print(f'without the rows of {rows.__name__}: {error}')
                continue
            for name, (detect, dtype) in found.items():
                sides[name] = lambda detect=detect: [*map(detect, pictures)], dtype
        compare('detection', sides, args)


if __name__ == '__main__':
    main()
