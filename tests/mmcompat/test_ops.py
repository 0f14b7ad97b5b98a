"""mmcv's operators against their definitions, written out slowly here, and against numeric
gradients.
"""

import mmcompat  # noqa: F401  isort: skip
import math
from itertools import product

from mmcompat.ops import convolution, nms

import mmcv.ops
import pytest
import torch
from torch.autograd import gradcheck

BOTH = pytest.mark.parametrize('dtype', [torch.float32, torch.float64])


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def close(got, want):
    assert got.dtype == want.dtype
    tolerance = 1e-4 if got.dtype == torch.float32 else 1e-10
    torch.testing.assert_close(got, want, rtol=tolerance, atol=tolerance)


def rand(*shape, dtype=torch.float64):
    return torch.randn(*shape, dtype=dtype, requires_grad=True)


def bilinear(plane, y, x):
    """Value of a plane (H, W) at (y, x), which is 0 outside."""
    top, left, value = math.floor(y), math.floor(x), 0.0
    for row, col in product((top, top + 1), (left, left + 1)):
        if 0 <= row < plane.shape[0] and 0 <= col < plane.shape[1]:
            value += float(plane[row, col]) * (1 - abs(y - row)) * (1 - abs(x - col))
    return value


def slow_deform(x, offset, mask, weight, bias, stride, padding, dilation, groups, deform_groups):
    kh, kw = weight.shape[2:]
    out = torch.zeros(len(x), len(weight), *offset.shape[2:], dtype=x.dtype)
    per_group, per_deform = weight.shape[1], x.shape[1] // deform_groups
    for n, o, i, j in product(*map(range, out.shape)):
        total = 0.0 if bias is None else float(bias[o])
        first = o // (len(weight) // groups) * per_group
        for c, ky, kx in product(range(per_group), range(kh), range(kw)):
            tap = (first + c) // per_deform * kh * kw + ky * kw + kx
            y = i * stride - padding + ky * dilation + float(offset[n, 2 * tap, i, j])
            z = j * stride - padding + kx * dilation + float(offset[n, 2 * tap + 1, i, j])
            scale = 1.0 if mask is None else float(mask[n, tap, i, j])
            total += float(weight[o, c, ky, kx]) * scale * bilinear(x[n, first + c], y, z)
        out[n, o, i, j] = total
    return out


@BOTH
@pytest.mark.parametrize(
    'stride, padding, dilation, groups, deform_groups, kernel',
    [
        (1, 1, 1, 1, 1, (3, 3)),
        (2, 1, 1, 2, 1, (3, 2)),
        (1, 2, 2, 1, 2, (3, 3)),
        (2, 0, 1, 2, 4, (1, 3)),
    ],
)
def test_deformable_convolution(dtype, stride, padding, dilation, groups, deform_groups, kernel):
    kh, kw = kernel
    height = (7 + 2 * padding - dilation * (kh - 1) - 1) // stride + 1
    width = (6 + 2 * padding - dilation * (kw - 1) - 1) // stride + 1
    x, taps = rand(2, 4, 7, 6, dtype=dtype), deform_groups * kh * kw
    offset = rand(2, 2 * taps, height, width, dtype=dtype)
    mask = rand(2, taps, height, width, dtype=dtype)
    weight, bias = rand(4, 4 // groups, kh, kw, dtype=dtype), rand(4, dtype=dtype)
    rest = (stride, padding, dilation, groups, deform_groups)
    close(
        mmcv.ops.deform_conv2d(x, offset, weight, *rest),
        slow_deform(x, offset, None, weight, None, *rest),
    )
    close(
        mmcv.ops.modulated_deform_conv2d(x, offset, mask, weight, bias, *rest),
        slow_deform(x, offset, mask, weight, bias, *rest),
    )


def test_an_offset_larger_than_the_output_is_read_in_memory_order():
    x, weight, rest = rand(2, 1, 2, 2), rand(1, 1, 1, 1), (1, 0, 1, 1, 1)
    offset, mask = rand(2, 2, 4, 4), rand(2, 1, 4, 4)
    first = (
        offset.reshape(2, 32)[:, :8].reshape(2, 2, 2, 2),
        mask.reshape(2, 16)[:, :4].reshape(2, 1, 2, 2),
    )
    got = mmcv.ops.modulated_deform_conv2d(x, offset, mask, weight, None, *rest)
    close(got, slow_deform(x, *first, weight, None, *rest))


def test_deformable_convolution_gradients():
    x, weight, bias = rand(1, 2, 4, 4), rand(2, 1, 3, 3), rand(2)
    offset, mask = rand(1, 36, 2, 2), rand(1, 18, 2, 2)
    rest = (2, 1, 1, 2, 2)
    assert gradcheck(lambda *t: mmcv.ops.deform_conv2d(*t, *rest), (x, offset, weight))
    function = mmcv.ops.modulated_deform_conv2d
    assert gradcheck(lambda *t: function(*t, *rest), (x, offset, mask, weight, bias))


ROIS = torch.tensor([[0, 1.3, 2.2, 9.7, 8.1], [1, 0.4, 0.6, 5.9, 11.2], [1, 3.0, 3.0, 4.0, 7.5]])


def slow_roi_align(x, rois, size, scale, samples, aligned):
    out = torch.zeros(len(rois), x.shape[1], *size, dtype=x.dtype)
    for k, c, i, j in product(*map(range, out.shape)):
        shift = 0.5 if aligned else 0
        x1, y1, x2, y2 = (float(v) * scale - shift for v in rois[k, 1:])
        w, h = (x2 - x1, y2 - y1) if aligned else (max(x2 - x1, 1), max(y2 - y1, 1))
        ny, nx = samples or math.ceil(h / size[0]), samples or math.ceil(w / size[1])
        for sy, sx in product(range(ny), range(nx)):
            y = y1 + (i + (sy + 0.5) / ny) * h / size[0]
            z = x1 + (j + (sx + 0.5) / nx) * w / size[1]
            # Samples up to one cell outside count as the nearest edge's.
            if -1 <= y <= x.shape[2] and -1 <= z <= x.shape[3]:
                y, z = min(max(y, 0), x.shape[2] - 1), min(max(z, 0), x.shape[3] - 1)
                out[k, c, i, j] += bilinear(x[int(rois[k, 0]), c], y, z) / (ny * nx)
    return out


@BOTH
@pytest.mark.parametrize('scale, samples, aligned', [(1, 2, True), (0.5, 0, True), (0.7, 0, False)])
def test_roi_align(dtype, scale, samples, aligned):
    x, rois = rand(2, 3, 9, 8, dtype=dtype), ROIS.to(dtype)
    got = mmcv.ops.roi_align(x, rois, (3, 2), scale, samples, 'avg', aligned)
    close(got, slow_roi_align(x, rois, (3, 2), scale, samples, aligned))


def slow_roi_pool(x, rois, size, scale):
    out = torch.zeros(len(rois), x.shape[1], *size, dtype=x.dtype)
    for k, i, j in product(range(len(rois)), range(size[0]), range(size[1])):
        x1, y1 = rois[k, 1] * scale, rois[k, 2] * scale
        w, h = (rois[k, 3] + 1) * scale - x1, (rois[k, 4] + 1) * scale - y1
        rows = [math.floor(i * h / size[0] + y1), math.ceil((i + 1) * h / size[0] + y1)]
        cols = [math.floor(j * w / size[1] + x1), math.ceil((j + 1) * w / size[1] + x1)]
        bin_ = x[int(rois[k, 0]), :, max(rows[0], 0) : rows[1], max(cols[0], 0) : cols[1]]
        if w > 0 and h > 0 and bin_.numel():
            out[k, :, i, j] = bin_.amax((1, 2))
    return out


@BOTH
@pytest.mark.parametrize('scale', [1, 0.6])
def test_roi_pool(dtype, scale):
    rois = torch.cat([ROIS, torch.tensor([[0, 20.0, 1, 25, 3], [0, 5.0, 5, 1, 1]])]).to(dtype)
    x = rand(2, 3, 9, 8, dtype=dtype)
    close(mmcv.ops.roi_pool(x, rois, (3, 2), scale), slow_roi_pool(x, rois, (3, 2), scale))
    assert mmcv.ops.roi_pool(x, rois[:0], (3, 2), scale).shape == (0, 3, 3, 2)


def slow_deform_roi_pool(x, rois, offset, size, scale, samples, gamma):
    out = torch.zeros(len(rois), x.shape[1], *size, dtype=x.dtype)
    for k, c, i, j in product(*map(range, out.shape)):
        x1, y1, x2, y2 = (float(v) * scale - 0.5 for v in rois[k, 1:])
        w, h = x2 - x1, y2 - y1
        ny, nx = samples or math.ceil(h / size[0]), samples or math.ceil(w / size[1])
        dx, dy = (0, 0) if offset is None else (float(v) for v in offset[k, :, i, j])
        for sy, sx in product(range(ny), range(nx)):
            y = y1 + gamma * h * dy + (i + (sy + 0.5) / ny) * h / size[0]
            z = x1 + gamma * w * dx + (j + (sx + 0.5) / nx) * w / size[1]
            if -1 <= y <= x.shape[2] and -1 <= z <= x.shape[3]:
                y, z = min(max(y, 0), x.shape[2] - 1), min(max(z, 0), x.shape[3] - 1)
                out[k, c, i, j] += bilinear(x[int(rois[k, 0]), c], y, z) / (ny * nx)
    return out


@BOTH
@pytest.mark.parametrize('scale, samples, gamma', [(1, 2, 0.1), (0.5, 0, 0.5), (1.1, 0, 1)])
def test_deformable_roi_pool(dtype, scale, samples, gamma):
    rois = torch.cat([ROIS, torch.tensor([[0, 5.0, 5, 5, 9]])]).to(dtype)  # the last one is empty
    x, offset = rand(2, 3, 9, 8, dtype=dtype), rand(4, 2, 3, 2, dtype=dtype)
    rest = ((3, 2), scale, samples, gamma)
    for moved in (offset, None):
        got = mmcv.ops.deform_roi_pool(x, rois, moved, *rest)
        close(got, slow_deform_roi_pool(x, rois, moved, *rest))
    assert mmcv.ops.deform_roi_pool(x, rois[:0], offset[:0], *rest).shape == (0, 3, 3, 2)


def test_roi_gradients():
    x, rois = rand(2, 2, 6, 5), ROIS.double()
    assert gradcheck(lambda t: mmcv.ops.roi_align(t, rois, (2, 3), 0.5, 0, 'avg', True), (x,))
    assert gradcheck(lambda t: mmcv.ops.roi_pool(t, rois, (2, 3), 0.5), (x,))
    function, offset = mmcv.ops.deform_roi_pool, rand(3, 2, 2, 3)
    assert gradcheck(lambda *t: function(t[0], rois, t[1], (2, 3), 0.5, 0, 0.3), (x, offset))


@BOTH
def test_focal_losses(dtype):
    x, gamma, alpha = rand(6, 3, dtype=dtype), 1.5, 0.3
    target, weight = torch.tensor([0, 2, 1, 3, 2, -1]), torch.tensor([0.5, 2, 3], dtype=dtype)
    sigmoid = torch.zeros(6, 3, dtype=dtype)
    softmax = torch.zeros(6, dtype=dtype)
    for n, c in product(range(6), range(3)):
        p = float(x[n, c].sigmoid())
        hit, miss = (
            -alpha * (1 - p) ** gamma * math.log(p),
            -(1 - alpha) * p**gamma * math.log(1 - p),
        )
        sigmoid[n, c] = hit if target[n] == c else miss
        if target[n] == c:
            q = float(x[n].softmax(0)[c])
            softmax[n] = -alpha * (1 - q) ** gamma * math.log(q)
    close(mmcv.ops.sigmoid_focal_loss(x, target, gamma, alpha, None, 'none'), sigmoid)
    close(mmcv.ops.sigmoid_focal_loss(x, target, gamma, alpha, None, 'mean'), sigmoid.sum() / 6)
    weights = torch.tensor([0.5, 3, 2, 1, 3, 1], dtype=dtype)  # of each row; background has 1
    got = mmcv.ops.sigmoid_focal_loss(x, target, gamma, alpha, weight, 'none')
    close(got, sigmoid * weights[:, None])
    known = torch.tensor([0, 1, 2, 4, 5])
    rows, labels = known[[0, 1, 2, 3]], target[[0, 1, 2, 4]]
    got = mmcv.ops.sigmoid_focal_loss(x[rows], labels, gamma, alpha, weight, 'sum')
    close(got, (sigmoid[rows] * weight[labels][:, None]).sum())
    got = mmcv.ops.softmax_focal_loss(x[known], target[known], gamma, alpha, None, 'none')
    close(got, softmax[known])
    got = mmcv.ops.softmax_focal_loss(x[rows], labels, gamma, alpha, weight, 'mean')
    close(got, (softmax[rows] * weight[labels]).mean())


def test_focal_loss_gradients():
    x, target = rand(4, 3), torch.tensor([0, 2, 1, 2])
    for loss in (mmcv.ops.sigmoid_focal_loss, mmcv.ops.softmax_focal_loss):
        assert gradcheck(lambda t, loss=loss: loss(t, target, 2.0, 0.25, None, 'mean'), (x,))


def slow_carafe(x, masks, kernel, groups, scale):
    n, c, h, w = x.shape
    out = torch.zeros(n, c, h * scale, w * scale, dtype=x.dtype)
    for b, k, i, j in product(*map(range, out.shape)):
        group = k // (c // groups)
        for ky, kx in product(range(kernel), range(kernel)):
            y, z = i // scale + ky - kernel // 2, j // scale + kx - kernel // 2
            if 0 <= y < h and 0 <= z < w:
                tap = (group * kernel + ky) * kernel + kx
                out[b, k, i, j] += float(x[b, k, y, z]) * float(masks[b, tap, i, j])
    return out


@BOTH
@pytest.mark.parametrize('kernel, groups, scale', [(3, 1, 2), (5, 2, 2), (3, 2, 3)])
def test_carafe(dtype, kernel, groups, scale):
    x = rand(2, 4, 3, 4, dtype=dtype)
    masks = rand(2, groups * kernel**2, 3 * scale, 4 * scale, dtype=dtype)
    rest = (kernel, groups, scale)
    close(mmcv.ops.carafe(x, masks, *rest), slow_carafe(x, masks, *rest))


def test_carafe_gradients():
    x, masks = rand(1, 2, 2, 3), rand(1, 18, 4, 6)
    assert gradcheck(lambda *t: mmcv.ops.carafe(*t, 3, 2, 2), (x, masks))


@BOTH
def test_attention_takes_the_place_of_the_compiled_one(dtype):
    from mmcv.ops.multi_scale_deform_attn import MultiScaleDeformableAttnFunction

    shapes, starts = torch.tensor([[3, 4], [2, 2]]), torch.tensor([0, 12])
    value, where = rand(2, 16, 2, 3, dtype=dtype), torch.rand(2, 5, 2, 2, 3, 2, dtype=dtype)
    weights, want = torch.rand(2, 5, 2, 2, 3, dtype=dtype), torch.zeros(2, 5, 6, dtype=dtype)
    for b, q, m, level, p, d in product(*map(range, (2, 5, 2, 2, 3, 3))):
        h, w = shapes[level].tolist()
        plane = value[b, starts[level] :, m, d][: h * w].view(h, w)
        x, y = where[b, q, m, level, p].tolist()
        sample = bilinear(plane, y * h - 0.5, x * w - 0.5)
        want[b, q, m * 3 + d] += float(weights[b, q, m, level, p]) * sample
    apply = MultiScaleDeformableAttnFunction.apply
    close(apply(value, shapes, starts, where, weights, 64), want)
    if dtype == torch.float64:
        inputs = (value, where.requires_grad_(), weights.requires_grad_())
        assert gradcheck(lambda v, w, a: apply(v, shapes, starts, w, a, 64), inputs)


@BOTH
def test_masked_convolution(dtype):
    x, weight, bias = (
        rand(1, 2, 5, 6, dtype=dtype),
        rand(3, 2, 3, 3, dtype=dtype),
        rand(3, dtype=dtype),
    )
    mask = torch.rand(1, 5, 6) > 0.5
    want = torch.nn.functional.conv2d(x, weight, bias, padding=1) * mask
    close(mmcv.ops.masked_conv2d(x, mask, weight, bias, 1), want)
    col = torch.zeros(18, 1, dtype=dtype)
    place = torch.tensor([2]), torch.tensor([3])
    convolution.masked_im2col_forward(x, *place, col, 3, 3, 1, 1)
    close(col[:, 0], x[0, :, 1:4, 2:5].reshape(-1))


# IoU of the first two boxes is 1/3 (2 of 6 cells); the third is apart.
BOXES = torch.tensor([[0, 0, 2, 2], [1, 0, 3, 2], [9, 9, 11, 11]], dtype=torch.float32)


@pytest.mark.parametrize(
    'method, scores',
    [
        ('naive', [0.9, 0.7]),
        ('linear', [0.9, 0.7, 0.8 * 2 / 3]),
        ('gaussian', [0.9, 0.7, 0.8 * math.exp(-2 / 9)]),
    ],
)
def test_soft_nms(method, scores):
    start = torch.tensor([0.9, 0.8, 0.7])
    dets, kept = mmcv.ops.soft_nms(BOXES, start, 0.3, sigma=0.5, min_score=0.01, method=method)
    assert kept.tolist() == [0, 2, 1][: len(kept)]
    close(dets[:, 4], torch.tensor(scores))
    close(dets[:, :4], BOXES[kept])


def test_nms_match_and_offset():
    dets = torch.cat([BOXES, torch.tensor([[0.8], [0.9], [0.7]])], 1)
    assert [group.tolist() for group in mmcv.ops.nms_match(dets, 0.3)] == [[1, 0], [2]]
    assert [group.tolist() for group in mmcv.ops.nms_match(dets, 0.4)] == [[1], [0], [2]]
    # One pixel larger, the first two boxes share 6 of 12 cells: IoU 1/2.
    assert nms.nms(BOXES, dets[:, 4], 0.4, offset=1).tolist() == [1, 2]
    assert nms.nms(BOXES, dets[:, 4], 0.4, offset=0).tolist() == [1, 0, 2]


def test_synchronised_batch_norm_is_built_without_a_process_group():
    """Training with one process, MMEngine reverts it."""
    from mmcv.cnn import build_norm_layer
    from mmengine.model import revert_sync_batchnorm

    name, layer = build_norm_layer(dict(type='MMSyncBN'), 2)
    x, layer = torch.randn(4, 2, 3, 3), revert_sync_batchnorm(layer)
    out = (x - x.mean((0, 2, 3), True)) / (x.var((0, 2, 3), False, keepdim=True) + 1e-5).sqrt()
    close(layer(x), out)
    assert name == 'bn' and mmcv.ops.SyncBatchNorm is torch.nn.SyncBatchNorm


def test_what_is_missing_says_what_it_is():
    if not hasattr(__import__('sys').modules['mmcv._ext'], '__getattr__'):
        pytest.skip('mmcv has its compiled operators')
    with pytest.raises(NotImplementedError, match="mmcv operator 'border_align_forward'"):
        mmcv.ops.border_align(torch.zeros(1, 4, 2, 2), torch.zeros(1, 4, 4), 1)
