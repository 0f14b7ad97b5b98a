"""Depthwise convolutions in float32 while training in bfloat16 on the CPU: they take less than half the time.

Symptom:  ``--amp`` on the CPU spends a tenth of a training step in the backward of 5 x 5 depthwise convolutions
Cause:    torch's bfloat16 kernel takes 1.9 to 2.4 times as long as float32's (58 ms and 25 at 8 x 24 x 160 x 160)
Versions: torch 2.11 (its oneDNN)
Upstream: none found; seen with torch alone
Delete:   when benchmarks/train_step.py is no slower without it

More precise, too: what is around them stays in bfloat16.
"""
from functools import wraps

import torch
from torch.nn import Conv2d


def apply():
    """Wrap Conv2d's forward, once; it changes nothing but depthwise training under the CPU's autocast."""
    if hasattr(Conv2d._conv_forward, '__wrapped__') or not hasattr(torch, 'get_autocast_dtype'):
        return  # applied already, or a torch before 2.4
    upstream = Conv2d._conv_forward

    @wraps(upstream)
    def conv_forward(self, input, weight, bias):
        if (self.groups < 2 or self.groups != self.in_channels or input.device.type != 'cpu'
                or not torch.is_grad_enabled() or not torch.is_autocast_enabled('cpu')):
            return upstream(self, input, weight, bias)
        with torch.autocast('cpu', enabled=False):
            out = upstream(self, input.float(), weight.float(), bias if bias is None else bias.float())
        return out.to(torch.get_autocast_dtype('cpu'))

    Conv2d._conv_forward = conv_forward


apply()
