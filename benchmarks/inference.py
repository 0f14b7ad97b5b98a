"""Time per image of detection with RTMDet-tiny, from the decoded image to boxes, on this machine.

    python benchmarks/inference.py                        (640 px, a rendered image)
    python benchmarks/inference.py --checkpoint CHECKPOINT --images data/balloon/val --repeats 2
    ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 python benchmarks/inference.py

upstream: mmdet.apis.inference_detector on the model as it is loaded. ours: the same on the model as
tools/image_demo.py prepares it (mmballoon/inference.py), and with its --amp. The next rows run the
files of tools/export_onnx.py as tools/onnx_demo.py does. Peers: the YOLO models of Ultralytics, without
weights, in ONNX Runtime. Rows whose package is not installed (onnxruntime, openvino, ultralytics) are
left out. All sides run in this process, in turn, with as many threads as torch. The two variables make
torch and OpenVINO compute as on a CPU with AVX2 alone; ONNX Runtime does not read them.
"""

import importlib.util
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import torch
from common import ROOT
from train_step import compare, make_parser, reduced_type

from mmballoon.cli import list_images, read_image
from mmballoon.render.balloons import render


def load(args):
    """A detector, as mmdet.apis.init_detector gives it, for images of ``args.size`` pixels."""
    from mmballoon.train import rules

    rules.apply()

    from mmdet.apis import init_detector
    from mmengine.config import Config
    from mmengine.device import get_device

    cfg = Config.fromfile(ROOT / 'configs/my_rtmdet_tiny.py')
    pipeline = cfg.test_dataloader.dataset.pipeline
    pipeline[1].scale = pipeline[2].size = (args.size, args.size)
    return init_detector(cfg, args.checkpoint, device=get_device())


# Each function below returns {name: (a function of an image, number type)}.


def in_torch(args, folder, images):
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


def in_files(args, folder, images):
    from mmballoon.export import int8, onnx_file
    from mmballoon.export.detector import Detector

    content = onnx_file.build(load(args).cpu())
    (folder / 'float32.onnx').write_bytes(content)
    (folder / 'int8.onnx').write_bytes(int8.quantize(content, images))
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


def peers(args, folder, images):
    from ultralytics import YOLO

    sides = {}
    for name in ('yolo11n', 'yolo26n'):
        YOLO(f'{name}.yaml').save(folder / f'{name}.pt')
        path = YOLO(folder / f'{name}.pt').export(format='onnx', imgsz=args.size)
        sides[f'{name}, ONNX Runtime'] = partial(YOLO(path), verbose=False), None
    return sides


def main(argv=None):
    parser = make_parser(__doc__, batch_size=1, repeats=30)
    about = 'of configs/my_rtmdet_tiny.py or a recipe on it (%(default)s)'
    parser.add_argument('--checkpoint', default='mmballoon://balloon', help=about)
    about = 'image files or folders; every repeat takes all'
    parser.add_argument('--images', nargs='+', help=about)
    args = parser.parse_args(argv)
    sides, images = {}, [*map(read_image, list_images(args.images or [], decode=False))]
    images = images or [render(np.random.default_rng(0))[0]]
    args.batch_size = len(images)  # one call detects on each of them, one by one
    with tempfile.TemporaryDirectory() as folder:
        for rows in (in_torch, in_files, peers):
            try:
                found = rows(args, Path(folder), images)
            except ModuleNotFoundError as error:
                print(f'without the rows of {rows.__name__}: {error}')
                continue
            for name, (detect, dtype) in found.items():
                sides[name] = lambda detect=detect: [*map(detect, images)], dtype
        compare('detection', sides, args)


if __name__ == '__main__':
    main()
