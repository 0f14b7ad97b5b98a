"""Each rule does what it says, and upstream does otherwise without it."""

import sys

import numpy as np
import pytest
import torch
from conftest import ROOT, run

from mmballoon.cli import fast_bfloat16


def python(code, apply=True, folder=ROOT):
    """Run code in a process of its own, with the rules or without; returns (exit status, output)."""
    rules = 'from mmballoon.train import rules\nrules.apply()\n' if apply else ''
    code = code.replace('APPLY', rules)
    done = run('-c', code, env=dict(PATH=''), cwd=folder, check=False, timeout=300)
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
    from mmballoon.train.rules import config_variables

    calls = []

    def once(text, **options):
        return config_variables._once(
            lambda *args, **kw: calls.append((args, kw)) or args, text, **options
        )

    for text, options in (('a', dict(x=1)), ('a', dict(x=1)), ('b', dict(x=1)), ('b', dict(x=2))):
        assert once(text, style_config=options)[0] == text
    assert [text for (text,), _ in calls] == ['a', 'b', 'b']


TRAINS = """
import torch
APPLY
import mmballoon.train
from mmengine.model import BaseModel
from mmengine.runner import Runner

class Model(BaseModel):
    def __init__(self):
        super().__init__(init_cfg=dict(type='Pretrained', checkpoint='init.pth'))
        self.layer = torch.nn.Linear(1, 1)

    def forward(self, inputs, mode):
        return dict(loss=self.layer(torch.stack(inputs)).sum())

for name in ('init', 'load'):
    torch.save({f'of_{name}': torch.ones(1)}, f'{name}.pth')
loader = dict(batch_size=1, sampler=dict(type='DefaultSampler'), dataset=[dict(inputs=torch.ones(1))])
Runner(
    Model(), 'work', train_dataloader=loader, train_cfg=dict(by_epoch=True, max_epochs=1),
    optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)), load_from='load.pth',
    default_hooks=dict(transfer=dict(type='TransferHook'), checkpoint=None),
).train()
from mmengine.runner.checkpoint import _load_checkpoint_to_model
_load_checkpoint_to_model(Model(), dict(of_own_code=torch.ones(1)))
"""


def test_weights_that_do_not_fit_are_named_on_the_screen(tmp_path):
    """Those of init_cfg as well, about which TransferHook says nothing."""
    status, output = python(TRAINS, folder=tmp_path)
    assert status == 0 and 'load_from: 0 of 2 tensors were loaded' in output, output
    found = [name for name in ('init', 'load', 'own_code') if f'state_dict: of_{name}' in output]
    assert found == ['init', 'load', 'own_code'], output


MAC = """
import importlib, torch
from mmengine.device import utils
torch.backends.mps.is_available = lambda: True
importlib.reload(utils)  # it looks for devices when it is imported: on a Mac, it would find this one
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
    from mmengine.utils.dl_utils import setup_env

    started = []
    monkeypatch.setattr(
        setup_env.mp, 'set_start_method', lambda method, force: started.append(method)
    )
    for system in ('linux', 'darwin'):
        monkeypatch.setattr(sys, 'platform', system)
        runner.set_multi_processing(mp_start_method='fork', opencv_num_threads=0)
    assert started == ['fork', 'spawn']


@pytest.mark.parametrize(
    'available, capability, dtype',
    [(True, (7, 5), 'float16'), (True, (8, 0), 'bfloat16'), (False, None, 'bfloat16')],
    ids=['T4', 'Ampere', 'CPU'],
)
def test_the_number_type_follows_the_device(monkeypatch, available, capability, dtype):
    from mmballoon.train.rules import devices

    monkeypatch.setattr(torch.cuda, 'is_available', lambda: available)
    monkeypatch.setattr(torch.cuda, 'get_device_capability', lambda *args: capability)
    assert devices.best_dtype() == dtype


def test_any_number_of_classes_has_colours():
    from mmdet.visualization import get_palette

    from mmballoon.train.rules import drawing

    for chosen in (None, 'random', 'coco', 'voc', 'citys', [(1, 2, 3)], ((1, 2, 3), (4, 5, 6))):
        found = drawing._any_number(get_palette, chosen, 200)
        assert len({*map(tuple, found)}) > 150 and all(len(color) == 3 for color in found), chosen
    assert found[:2] == [(1, 2, 3), (4, 5, 6)]
    assert drawing._any_number(get_palette, (1, 2, 3), 2) == [(1, 2, 3)] * 2  # one for all
    assert drawing._any_number(get_palette, 'coco', 80) == get_palette('coco', 80)


def test_images_of_one_name_have_a_picture_each(tmp_path):
    """Through MMDetection's hook for --show-dir, which writes them without their folders."""
    from types import SimpleNamespace

    import cv2
    import numpy as np
    from mmdet.engine.hooks import DetVisualizationHook
    from mmdet.structures import DetDataSample
    from mmdet.visualization import DetLocalVisualizer

    from mmballoon.train import rules

    rules.apply()
    DetLocalVisualizer.get_instance('pictures')
    hook = DetVisualizationHook(draw=True, test_out_dir='vis')
    runner = SimpleNamespace(work_dir=str(tmp_path), timestamp='now')
    names = ['a/one.png', 'b/one.png', 'b/one_2.png', 'c/one.png', 'c/two.png']
    for i, name in enumerate(names):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), np.full((20, 30, 3), 40 * i, np.uint8))
        hook.after_test_iter(runner, i, None, [DetDataSample(metainfo=dict(img_path=str(path)))])
    pictures = {p.name: cv2.imread(str(p))[0, 0, 0] for p in (tmp_path / 'now/vis').iterdir()}
    expected = ['one', 'one_2', 'one_2_2', 'one_3', 'two']
    assert pictures == {f'{name}.png': 40 * i for i, name in enumerate(expected)}


def test_names_of_classes_are_drawn_as_they_are_written(monkeypatch):
    from mmengine.visualization import Visualizer

    from mmballoon.train.rules import drawing

    monkeypatch.setattr(drawing, 'CJK', ('cmr10', 'no such font'))  # cmr10 is matplotlib's own
    visualizer = Visualizer(image=np.zeros((60, 200, 3), np.uint8))
    visualizer.draw_texts('a$b_{c$d', np.array([5, 5]))
    visualizer.draw_texts(['a', 'b'], np.array([[5, 20], [5, 40]]))
    assert visualizer.get_image().any()
    families = [text.get_family() for text in visualizer.ax_save.texts]
    assert families == [['sans-serif', 'cmr10']] * 3


def test_weights_with_names_of_an_older_release_fit():
    """As those of FCOS: bbox_head.fcos_cls is conv_cls now, and the head's own loader knows it."""
    from mmballoon.cli import UserError
    from mmballoon.train.rules.weights import require_match

    class Model(torch.nn.Linear):
        def _load_from_state_dict(self, state_dict, *args):
            state_dict['weight'] = state_dict.pop('old_weight', None)
            if state_dict['weight'] is None:
                del state_dict['weight']
            super()._load_from_state_dict(state_dict, *args)

    model, bias = Model(1, 1), torch.zeros(1)
    require_match(model, dict(state_dict=dict(old_weight=torch.ones(1, 1), bias=bias)))
    with pytest.raises(UserError, match='1 tensors are missing'):
        require_match(model, dict(bias=bias))
