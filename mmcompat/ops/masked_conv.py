"""Masked convolution: a convolution computed at chosen places alone (guided anchors).

Symptom:  NotImplementedError: mmcv operator 'masked_im2col_forward' is compiled code
Cause:    mmcv-lite has no compiled operators.
Versions: mmcv-lite, every release
Upstream: mmcv/ops/masked_conv.py (2.0.1), which calls the two; it has no gradient there either
Delete:   with mmcv_ext
"""

import torch.nn.functional as F


def masked_im2col_forward(im, mask_h, mask_w, col, kernel_h, kernel_w, pad_h, pad_w):
    """Fill col (C * kernel_h * kernel_w, P) with the windows of im (1, C, H, W) at P places.

    mask_h, mask_w: (P,) row and column of each place in the output, which is H by W.
    """
    windows = F.unfold(im, (kernel_h, kernel_w), padding=(pad_h, pad_w))[0]
    width = im.shape[3] + 2 * pad_w - kernel_w + 1
    col.copy_(windows[:, mask_h * width + mask_w])


def masked_col2im_forward(col, mask_h, mask_w, im, height, width, channels):
    """Write col (C, P) into im (1, C, H, W) at P places; the rest of im is left as it is."""
    im[0, :, mask_h, mask_w] = col
