"""Maps lie where the objects are: planted activations, on wide, tall and square images."""

import numpy as np
import pytest
import torch

from mmballoon.cli import UserError
from mmballoon.explain import maps

STRIDE, INPUT = 8, 320


def metainfo(width, height):
    """What the test pipeline (Resize to 320 with the aspect ratio kept, Pad to 320 x 320) notes of
    an image.
    """
    scale = INPUT / max(width, height)
    new = round(width * scale), round(height * scale)
    return dict(
        ori_shape=(height, width),
        scale_factor=(new[0] / width, new[1] / height),
        batch_input_shape=(INPUT, INPUT),
    )


@pytest.mark.parametrize('size', [(1024, 500), (500, 1024), (700, 700), (2048, 1323), (1323, 2048)])
@pytest.mark.parametrize('spot', [(0.5, 0.5), (0.2, 0.8), (0.9, 0.15)])
def test_planted_activation_is_found_within_a_cell(size, spot):
    (width, height), info = size, metainfo(*size)
    x, y = spot[0] * width, spot[1] * height  # a point of the image; in the input, then in cells:
    featmap = np.zeros((INPUT // STRIDE, INPUT // STRIDE), np.float32)
    featmap[
        int(y * info['scale_factor'][1] / STRIDE), int(x * info['scale_factor'][0] / STRIDE)
    ] = 1
    placed = maps.map_to_image(featmap, info)
    assert placed.shape == (height, width)
    ys, xs = np.nonzero(placed >= 0.99 * placed.max())
    cell = STRIDE / info['scale_factor'][0]
    assert abs(xs.mean() + 0.5 - x) <= cell and abs(ys.mean() + 0.5 - y) <= cell


def test_through_the_real_pipeline(tiny_data, tmp_path):
    """The same with mmdet's own Resize, Pad and data preprocessor: a bright square, and a map of
    brightness.
    """
    import mmcompat  # noqa: F401

    from mmcv import imwrite
    from mmdet.apis import inference_detector, init_detector

    for width, height in ((640, 300), (300, 640), (400, 400)):
        image = np.zeros((height, width, 3), np.uint8)
        image[int(0.6 * height) : int(0.7 * height), int(0.7 * width) : int(0.8 * width)] = 255
        imwrite(image, str(tmp_path / 'x.png'))
        model = init_detector(str(tiny_data.config), None, device='cpu')
        seen = []
        model.backbone.register_forward_pre_hook(lambda m, args, seen=seen: seen.append(args[0]))
        sample = inference_detector(model, str(tmp_path / 'x.png'))
        brightness = torch.nn.functional.avg_pool2d(seen[0], STRIDE).mean(1)[0]
        (values,) = maps.reduce_channels(
            brightness[None] - brightness.min(), 'squeeze_mean', 1
        ).values()
        content = maps.map_to_image(values, sample.metainfo)
        content[content < 0.75 * content.max()] = 0
        ys, xs = np.nonzero(content)
        cell = STRIDE * max(width, height) / INPUT
        assert (
            abs(xs.mean() + 0.5 - 0.75 * width) <= cell
            and abs(ys.mean() + 0.5 - 0.65 * height) <= cell
        )


def test_reduce_channels():
    featmap = torch.stack([torch.full((2, 2), float(v)) for v in (1, 5, 3)])
    assert maps.reduce_channels(featmap, 'squeeze_mean', 4)['mean'].tolist() == [[3, 3], [3, 3]]
    for reduction, topk, channels in (
        ('select_max', 4, [1]),
        (None, 2, [1, 2]),
        (None, -1, [1, 2, 0]),
    ):
        found = maps.reduce_channels(featmap, reduction, topk)
        assert list(found) == [f'channel {i}' for i in channels]
        assert [values[0, 0] for values in found.values()] == [[1, 5, 3][i] for i in channels]


def net():
    model = torch.nn.Module()
    model.neck = torch.nn.Module()
    model.neck.out_convs = torch.nn.ModuleList([torch.nn.Identity(), torch.nn.Identity()])
    return model


@pytest.mark.parametrize('name', ['neck.out_convs[1]', 'neck.out_convs.1'])
def test_layers_by_name(name):
    model = net()
    assert maps.find_layer(model, name) is model.neck.out_convs[1]


@pytest.mark.parametrize(
    'name, message',
    [
        ('neck.out_conv[0]', r'no such layer; next: did you mean neck\.out_convs\[0\]'),
        ("__import__('os').system('touch pwned')", 'no such layer; next: --preview-model'),
        (
            'neck.out_convs',
            r'holds layers and computes nothing itself; next: name one of them, as neck\.out_convs\[0\]',
        ),
        ('', 'no such layer'),
        ('neck.__class__', 'no such layer'),
        ('neck.out_convs[7]', 'no such layer'),
    ],
)
def test_wrong_layer_names(name, message):
    with pytest.raises(UserError, match=message):
        maps.find_layer(net(), name)
