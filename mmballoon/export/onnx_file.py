"""From a config and a checkpoint to the bytes of one ONNX file."""

import copy
import json
import platform
import warnings
from importlib.metadata import version

import onnx
import torch
from mmdet.apis import init_detector
from mmdet.models import RTMDetHead
from mmdet.utils import get_test_pipeline_cfg
from onnx_ir.passes.common import ClearMetadataAndDocStringPass
from onnxscript import opset18 as op

from mmballoon.cli import UserError
from mmballoon.colors import palette
from mmballoon.export.network import Network

OPSET = 18
STRIDE = 32  # of the network's coarsest level


def load(cfg, checkpoint, size=None, score_thr=None):
    """The detector of a config and a checkpoint, on the CPU, with the size and score threshold asked for.

    Its ``cfg`` says how it is tested, so that MMDetection's own inference uses the same settings.

    Raises:
        UserError: a model or a test pipeline that this export does not know.
    """
    cfg = cfg.copy()
    set_size(cfg, size)
    if score_thr is not None:
        cfg.model.test_cfg.score_thr = score_thr
    model = init_detector(cfg, str(checkpoint), device='cpu')
    head = getattr(model, 'bbox_head', None)
    if not isinstance(head, RTMDetHead):
        advice = 'use a config that inherits from configs/my_rtmdet_tiny.py'
        raise UserError(type(head or model).__name__, 'only RTMDet can be exported', advice)
    classes = model.dataset_meta['classes']
    if len(classes) != head.num_classes:
        reason = f'{len(classes)} class names, but the head has {head.num_classes} classes'
        raise UserError(checkpoint, reason, 'use the config that it was trained with')
    nms = model.test_cfg.nms
    if nms.get('type', 'nms') != 'nms' or nms.get('class_agnostic'):
        advice = "set test_cfg.nms=dict(type='nms', iou_threshold=0.65) in the config"
        reason = 'only the plain one per class can be exported'
        raise UserError(f'test_cfg.nms is {dict(nms)}', reason, advice)
    return model


def set_size(cfg, size):
    """Set the image size of the test pipeline (None: leave it), and check that it is a letterbox."""
    steps = {step.type: step for step in get_test_pipeline_cfg(cfg)}
    resize, pad = steps.get('Resize', {}), steps.get('Pad', {})
    if size is not None and resize and pad:
        resize.scale = pad.size = (size, size)
    sides = {*resize.get('scale', ()), *pad.get('size', ())}
    if len(sides) != 1 or not resize.get('keep_ratio'):
        reason = 'it does not resize with keep_ratio and pad to the same square'
        advice = 'use the pipeline of configs/my_rtmdet_tiny.py'
        raise UserError('the test pipeline of the config', reason, advice)
    side = sides.pop()
    if side % STRIDE or side < STRIDE:
        raise UserError(f'image size {side}', f'expected a multiple of {STRIDE}', '--img-size 640')


def build(model, half=False):
    """The ONNX file (bytes) of a detector that ``load`` returned.

    half: the network computes in float16; the boxes are decoded in float32.
    """
    metadata = describe(model, half)
    if half:
        model = copy.deepcopy(model).half()
    network = Network(model, metadata['size'], model.test_cfg).eval()
    example = torch.zeros(2, metadata['size'], metadata['size'], 3, dtype=torch.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        program = torch.onnx.export(
            network,
            (example,),
            dynamo=True,
            opset_version=OPSET,
            input_names=['images'],
            output_names=['boxes', 'scores', 'labels', *['masks'] * ('mask_thr' in metadata)],
            dynamic_shapes=({0: torch.export.Dim('batch')},),
            custom_translation_table={torch.ops.mmballoon.suppress.default: suppress_in_onnx},
            verbose=False,
        )
    # The exporter's notes hold paths of this machine.
    ClearMetadataAndDocStringPass()(program.model)
    return finish(program.model_proto, metadata)


def suppress_in_onnx(boxes, scores, iou_threshold: float, score_threshold: float):
    """``suppress`` of network.py in ONNX's operators."""
    kept = op.NonMaxSuppression(
        boxes,
        scores,
        op.Constant(value_int=2**31 - 1),  # no limit per class; max_per_img comes later
        op.Constant(value_float=iou_threshold),
        op.Constant(value_float=score_threshold),
    )  # (number of boxes, 3): image, class, prior
    nothing = op.Mul(scores, op.Constant(value_float=0.0))
    return op.ScatterND(nothing, kept, op.GatherND(scores, kept))


def add_metadata(content, **entries):
    """The file (bytes) with more entries in its metadata."""
    proto = onnx.load_from_string(content)
    (metadata,) = (json.loads(p.value) for p in proto.metadata_props if p.key == 'detector')
    return finish(proto, metadata | entries)


def finish(proto, metadata):
    """The bytes of a file with this metadata (dict), checked."""
    onnx.helper.set_model_props(proto, {'detector': json.dumps(metadata, ensure_ascii=False)})
    onnx.checker.check_model(proto, full_check=True)  # with shape inference
    return proto.SerializeToString()


def describe(model, half):
    """The metadata: what a program needs to know about the file, as in docs/deployment.md."""
    meta, test = model.dataset_meta, model.test_cfg
    pad = {step.type: step for step in get_test_pipeline_cfg(model.cfg)}['Pad']
    preprocessor = model.data_preprocessor
    return dict(
        classes=list(meta['classes']),
        palette=palette(len(meta['classes']), meta.get('palette')),
        size=pad.size[0],
        pad_value=list(pad.pad_val['img']),
        channel_order='BGR',
        mean=preprocessor.mean.flatten().tolist(),
        std=preprocessor.std.flatten().tolist(),
        score_thr=test.score_thr,
        iou_threshold=test.nms.iou_threshold,
        nms_pre=test.get('nms_pre', -1),
        max_per_img=test.max_per_img,
        **(dict(mask_thr=test.mask_thr_binary) if 'mask_thr_binary' in test else {}),
        dtype='float16' if half else 'float32',
        versions={name: version(name) for name in ('torch', 'mmdet', 'onnx', 'onnxscript')}
        | dict(python=platform.python_version(), opset=OPSET),
    )
