"""Each rule does what it says, and upstream does otherwise without it."""

import subprocess
import sys

import pytest
import torch

from mmballoon.cli import fast_bfloat16


def python(code, apply=True):
    """Run code in a new process, with the rules or without; returns (exit status, output)."""
    rules = 'from mmballoon.train import rules\nrules.apply()\n' if apply else ''
    done = subprocess.run(
        [sys.executable, '-c', code.replace('APPLY', rules)],
        capture_output=True,
        text=True,
        env=dict(PATH='', CUDA_VISIBLE_DEVICES=''),
    )
    return done.returncode, done.stdout + done.stderr


AMP = """
import torch
SUPPORTED
APPLY
from mmengine.optim import AmpOptimWrapper
model = torch.nn.Linear(4, 4)
wrapper = AmpOptimWrapper(loss_scale="dynamic", optimizer=torch.optim.SGD(model.parameters(), 0.1))
with wrapper.optim_context(model):
    out = model(torch.rand(2, 4))
wrapper.update_params(out.float().sum())
print(out.dtype)
"""


@pytest.mark.parametrize('supported', [True, False])
def test_amp_is_float32_where_bfloat16_is_slow(supported):
    pretend = (
        f'torch.cpu._is_avx512_bf16_supported = lambda: {supported}\n'
        'torch.cpu._is_amx_tile_supported = lambda: False'
    )
    status, output = python(AMP.replace('SUPPORTED', pretend))
    assert status == 0 and f'torch.{"bfloat16" if supported else "float32"}' in output, output
    assert ('no instructions for bfloat16' in output) is not supported


@pytest.mark.parametrize('instructions', ['AVX2', 'AVX512_CORE', 'AVX512_CORE_BF16', None])
def test_the_switch_of_onednn_is_read(monkeypatch, instructions):
    monkeypatch.setattr(torch.cpu, '_is_avx512_bf16_supported', lambda: True)
    monkeypatch.delenv('ONEDNN_MAX_CPU_ISA', raising=False)
    if instructions:
        monkeypatch.setenv('ONEDNN_MAX_CPU_ISA', instructions)
    expected = instructions in ('AVX512_CORE_BF16', None)
    assert fast_bfloat16() is expected


def test_the_text_of_a_config_is_formatted_once():
    from mmballoon.train.rules import config_text

    calls = []

    def once(text, **options):
        return config_text._once(
            lambda *args, **kw: calls.append((args, kw)) or args, text, **options
        )

    for text, options in (('a', dict(x=1)), ('a', dict(x=1)), ('b', dict(x=1)), ('b', dict(x=2))):
        assert once(text, style_config=options)[0] == text
    assert [text for (text,), _ in calls] == ['a', 'b', 'b']


LOADS_A_PART = """
import torch
APPLY
from mmengine.runner import Runner
from mmengine.runner.checkpoint import _load_checkpoint_to_model
_load_checkpoint_to_model(torch.nn.Linear(4, 4), dict(weight=torch.ones(4, 4)))
"""


def test_weights_that_do_not_fit_are_named_on_the_screen():
    """TransferHook counts them in one line while a training loads; nowhere else is the list hidden."""
    status, output = python(LOADS_A_PART)
    assert status == 0 and 'missing keys in source state_dict: bias' in output, output


MAC = """
import torch
torch.backends.mps.is_available = lambda: True  # a Mac, pretended before anything imports mmengine
APPLY
from mmengine.device import get_device
print('device', get_device())
"""


def test_on_a_mac_the_cpu_is_used_unless_mps_is_asked_for():
    status, output = python(MAC)
    assert status == 0 and 'device cpu' in output, output
    status, output = python(MAC, apply=False)
    assert 'device mps' in output, output  # what MMEngine does
    status, output = python(f'import os\nos.environ["BALLOON_DEVICE"] = "mps"\n{MAC}')
    assert status == 0 and 'device mps' in output, output


def test_on_a_mac_workers_are_spawned(monkeypatch):
    from mmengine.runner import runner

    from mmballoon.train.rules import mac

    started = []
    monkeypatch.setattr(runner, 'set_multi_processing', lambda **kwargs: started.append(kwargs))
    for system in ('linux', 'darwin'):
        monkeypatch.setattr(sys, 'platform', system)
        mac.apply.__wrapped__()
        runner.set_multi_processing(mp_start_method='fork', opencv_num_threads=0)
    methods = [kwargs['mp_start_method'] for kwargs in started]
    assert methods == ['fork', 'spawn'] and started[1]['opencv_num_threads'] == 0


@pytest.mark.parametrize(
    'available, capability, dtype',
    [(True, (7, 5), 'float16'), (True, (8, 0), 'bfloat16'), (False, None, 'bfloat16')],
    ids=['T4', 'Ampere', 'CPU'],
)
def test_the_number_type_follows_the_device(monkeypatch, available, capability, dtype):
    from mmballoon.train.rules import number_type

    monkeypatch.setattr(torch.cuda, 'is_available', lambda: available)
    monkeypatch.setattr(torch.cuda, 'get_device_capability', lambda *args: capability)
    assert number_type.best_dtype() == dtype
