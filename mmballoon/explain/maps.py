"""Activation maps of a detector: which layer, where on the image, and how they are drawn.

The test pipeline scales an image with its aspect ratio kept and pads it on the right and at the
bottom to the network's input. A feature map covers that whole input, padding included: stretched
over the image, as MMYOLO's and MMEngine's tools do, it lies beside the objects. ``map_to_image``
undoes the pipeline instead.
"""

import difflib
import re
from functools import partial

import cv2
import numpy as np
import torch
from mmengine.utils import apply_to

from mmballoon.cli import UserError


def find_layer(model, name):
    """The submodule called ``name``: ``neck.out_convs[0]``, as MMYOLO writes it, or ``neck.out_convs.0``.

    Raises:
        UserError: no such layer (the nearest names are given), or only a list of layers.
    """
    known = {bracketed(n): m for n, m in model.named_modules() if n}
    wanted = bracketed(name)
    if wanted not in known:
        near = difflib.get_close_matches(wanted, known, n=3, cutoff=0.5)
        advice = f'did you mean {", ".join(near)}?' if near else '--preview-model lists its layers'
        raise UserError(f'--target-layers {name}', 'the model has no such layer', advice)
    layer = known[wanted]
    if isinstance(layer, (torch.nn.ModuleList, torch.nn.ModuleDict)):
        inside = next((n for n in known if n.startswith(f'{wanted}[')), name)
        found = 'holds layers and computes nothing itself'
        raise UserError(f'--target-layers {name}', found, f'name one of them, as {inside}')
    return layer


def bracketed(name):
    """The name of a layer as MMYOLO writes it: ``neck.out_convs[0]``."""
    return re.sub(r'\.(\d+)(?=\.|\[|$)', r'[\1]', name)


def capture_outputs(layers, forward):
    """What ``forward()`` returns, and what each layer puts out meanwhile: [outputs] per layer.

    An output is the list of its tensors, nested ones flattened; a layer called n times has n outputs.
    """
    captured = [[] for _ in layers]
    hooks = [partial(_keep, outputs) for outputs in captured]
    handles = [layer.register_forward_hook(hook) for layer, hook in zip(layers, hooks)]
    try:
        return forward(), captured
    finally:
        for handle in handles:
            handle.remove()


def _keep(outputs, module, args, output):
    outputs.append([])
    apply_to(output, torch.is_tensor, outputs[-1].append)


def map_to_image(values, metainfo):
    """A map over the network's input, (h, w), cut and scaled to lie on the image: float32, ori_shape.

    metainfo: of the detection's data sample: ori_shape (height, width) of the image, scale_factor
    (width, height) with which the pipeline resized it, batch_input_shape (height, width) of the
    padded input, all in pixels.
    """
    if 'scale_factor' not in metainfo:  # of CenterNet, which pads an image on all sides instead
        found = 'does not resize the images, so maps cannot be laid on them'
        raise UserError('the test pipeline of the config', found, 'use another detector')
    (ori_h, ori_w), (in_h, in_w) = metainfo['ori_shape'], metainfo['batch_input_shape']
    x_scale = metainfo['scale_factor'][0] * values.shape[1] / in_w  # cells per pixel of the image
    y_scale = metainfo['scale_factor'][1] * values.shape[0] / in_h
    # Pixel centres: image pixel x lies at cell (x + 0.5) * x_scale - 0.5.
    back = np.float32([[x_scale, 0, x_scale / 2 - 0.5], [0, y_scale, y_scale / 2 - 0.5]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    size = (ori_w, ori_h)
    return cv2.warpAffine(np.float32(values), back, size, None, flags, cv2.BORDER_REPLICATE)


def reduce_channels(featmap, channel_reduction, topk):
    """{title: (H, W) array to draw} of a (C, H, W) tensor; arguments as in MMEngine's draw_featmap.

    'squeeze_mean': the mean over channels; 'select_max': the channel with the largest sum; None: the
    ``topk`` channels with the largest sums (-1: all), largest first.
    """
    if channel_reduction == 'squeeze_mean':
        return {'mean': featmap.mean(0).cpu().numpy()}
    order = featmap.sum((1, 2)).argsort(descending=True).tolist()
    count = 1 if channel_reduction == 'select_max' else (len(order) if topk == -1 else topk)
    return {f'channel {i}': featmap[i].cpu().numpy() for i in order[:count]}
