"""mmballoon/train/hooks.py: depthwise convolutions."""

import mmcompat  # noqa: F401

import torch

from mmballoon.train.hooks import depthwise_in_float32


def test_depthwise_in_float32():
    """float32 inside, bfloat16 outside, and only in training under autocast; other convolutions are
    left alone.
    """
    torch.manual_seed(0)
    depthwise, other = torch.nn.Conv2d(8, 8, 5, padding=2, groups=8), torch.nn.Conv2d(8, 8, 3)
    depthwise_in_float32(torch.nn.Sequential(depthwise, other))
    picture = torch.randn(2, 8, 16, 16).bfloat16()
    exact = depthwise(picture.float())
    with torch.autocast('cpu', torch.bfloat16):
        trained = depthwise(picture)
        with torch.no_grad():
            tested = depthwise(picture)
        assert other(picture).dtype == torch.bfloat16
    assert torch.equal(trained, exact.bfloat16())  # one rounding, at the end
    assert trained.dtype == tested.dtype == torch.bfloat16 and not torch.equal(tested, trained)
    trained.float().square().mean().backward()
    gradient, depthwise.weight.grad = depthwise.weight.grad, None
    exact.square().mean().backward()
    assert gradient.dtype == torch.float32 and torch.allclose(
        gradient, depthwise.weight.grad, rtol=0.02, atol=1e-3
    )
