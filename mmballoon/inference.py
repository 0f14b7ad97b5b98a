"""Detection as fast as the machine allows, with the same results."""

import torch
from mmcv.cnn import fuse_conv_bn


def prepare(model, fuse=True):
    """Make a detector in evaluation mode faster, in place, and return it.

    Convolutions store their weights in channels-last order. Those of backbone and neck also take in
    the batch normalisation that follows them (``fuse``: not for maps of single layers). The head of
    RTMDet cannot be fused: its levels share convolutions, but not their normalisation. Boxes change
    by rounding errors only.
    """
    if fuse:
        fuse_conv_bn(model.backbone)
        fuse_conv_bn(model.neck)
    return model.to(memory_format=torch.channels_last)
