"""Each repair works, and what it repairs fails without it (checked in a process of its own)."""

import importlib.util
import pickle
import subprocess
import sys
from pathlib import Path

import mmcompat  # noqa: F401

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer

ROOT = Path(__file__).parents[2]


def python(code, *disabled):
    """Run code with tools/ on the path and the named patches switched off; returns (exit status,
    output).
    """
    off = ''.join(
        f'sys.modules["mmcompat.{name}"] = types.ModuleType("{name}")\n' for name in disabled
    )
    done = subprocess.run(
        [sys.executable, '-c', f'import sys, types\n{off}{code}'],
        capture_output=True,
        text=True,
        env=dict(PATH='', CUDA_VISIBLE_DEVICES=''),
        timeout=120,
    )
    return done.returncode, done.stdout + done.stderr


def with_and_without(patch, code, symptom):
    """Assert that the code runs here, where all patches are applied, and fails with the symptom
    without one.
    """
    exec(code, {})
    status, output = python(code, patch)
    assert status != 0 and symptom in output, output


def test_mmcv_ext():
    status, output = python('import mmdet.apis')
    assert status != 0 and "No module named 'mmcv._ext'" in output
    status, output = python('import mmcompat, mmdet.apis, mmyolo')
    assert status == 0, output


def test_mmcv_ext_nms_is_exact_for_both_offsets():
    from mmcv.ops import nms

    boxes = torch.tensor(
        [[0.0, 0, 10, 10], [1, 1, 11, 11], [20, 20, 30, 30]]
    )  # the first two: IoU 81 / 119 = 0.681
    scores = torch.tensor([0.8, 0.9, 0.7])
    assert nms(boxes, scores, 0.68)[1].tolist() == [1, 2]
    assert nms(boxes, scores, 0.69)[1].tolist() == [1, 0, 2]
    assert nms(boxes, scores, 0.69, offset=1)[1].tolist() == [
        1,
        2,
    ]  # inclusive pixels: 100 / 142 = 0.704
    assert nms(boxes, scores, 0.71, offset=1)[1].tolist() == [1, 0, 2]


COMPILED = """
from pathlib import Path
import mmcv
folder = Path(FOLDER)
(folder / '_ext.py').write_text(
    'called = []\\n'
    'def __getattr__(name):\\n'
    '    if name.startswith("__"):\\n'
    '        raise AttributeError(name)\\n'
    '    return lambda *args, **kwargs: called.append(name)\\n'
)
mmcv.__path__.append(str(folder))
import mmcompat
import mmcv._ext, mmcv.ops, mmdet.apis, torch
assert mmcv._ext.__file__ == str(folder / '_ext.py'), mmcv._ext
mmcv.ops.roi_align(torch.zeros(1, 1, 4, 4), torch.tensor([[0.0, 0, 0, 2, 2]]), (1, 1), 1.0, 0, 'avg', True)
assert mmcv._ext.called == ['roi_align_forward'], mmcv._ext.called
"""


def test_compiled_mmcv_is_left_alone(tmp_path):
    """Where mmcv has its _ext (here one that notes what is called), none of ours is used."""
    status, output = python(COMPILED.replace('FOLDER', repr(str(tmp_path))))
    assert status == 0, output


# Python 3.14 and setuptools 82, pretended before anything is imported.
NEW_PYTHON = """
import pkgutil
if hasattr(pkgutil, 'find_loader'):
    del pkgutil.find_loader
import mmcompat
from mmcv.utils import ext_loader
from mmengine.utils.dl_utils.misc import mmcv_full_available
assert not ext_loader.check_ops_exist() and not mmcv_full_available()
assert pkgutil.find_loader('json') and pkgutil.find_loader('no_such_module') is None
"""
NEW_SETUPTOOLS = f"""
sys.modules['pkg_resources'] = None  # importing it fails
import mmcompat
import mmdet, os
from mmengine.config import Config
from mmengine.utils import get_installed_path, is_installed
assert is_installed('mmdet') and not is_installed('no_such_package')
assert get_installed_path('mmdet') == os.path.dirname(mmdet.__file__)
config = Config.fromfile({str(ROOT / 'configs/my_rtmdet_tiny_toy.py')!r})
assert config.model.bbox_head.num_classes == 1
"""


@pytest.mark.parametrize(
    'patch, code, symptom',
    [
        ('find_loader', NEW_PYTHON, "module 'pkgutil' has no attribute 'find_loader'"),
        ('pkg_resources', NEW_SETUPTOOLS, 'import of pkg_resources halted'),
    ],
    ids=['find_loader', 'pkg_resources'],
)
def test_what_newer_releases_removed(patch, code, symptom):
    status, output = python(code)
    assert status == 0, output
    status, output = python(code, patch)
    assert status != 0 and symptom in output, output


def test_pkg_resources_steps_aside():
    from mmengine.utils import package_utils

    function = package_utils.get_installed_path
    assert (function.__module__ == 'mmengine.utils.package_utils') == (
        importlib.util.find_spec('pkg_resources') is not None
    )


CHECKPOINT = """
import mmcompat, torch, tempfile, numpy as np
from mmengine.logging import HistoryBuffer
path = tempfile.mkdtemp() + "/a.pth"
buffer = HistoryBuffer([1.0, 2.0], [1, 1])
torch.save(dict(message_hub=dict(log_scalars=dict(loss=buffer)), meta=dict(x=np.float64(3), y=np.arange(3))), path)
found = torch.load(path)
assert found["message_hub"]["log_scalars"]["loss"].mean(2) == 1.5 and found["meta"]["x"] == 3
"""


def test_checkpoint():
    with_and_without('checkpoint', CHECKPOINT, 'UnpicklingError')


class Payload:
    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    'payload',
    [
        lambda mark: Payload(__import__('os').system, f'touch {mark}'),
        lambda mark: Payload(getattr, HistoryBuffer, '__init__'),
        lambda mark: Payload(getattr, np.ndarray, 'tofile'),
        lambda mark: Payload(eval, f'open({str(mark)!r}, "w")'),
        lambda mark: Payload(Path(mark).touch),
    ],
    ids=['os.system', 'getattr __init__', 'getattr ndarray', 'eval', 'bound method'],
)
def test_malicious_checkpoint_is_refused_unexecuted(tmp_path, payload):
    mark, path = tmp_path / 'pwned', tmp_path / 'evil.pth'
    torch.save(dict(state_dict=dict(weight=torch.zeros(1)), meta=payload(mark)), path)
    with pytest.raises((pickle.UnpicklingError, ValueError)):
        torch.load(path)
    assert not mark.exists()


HEAD = """
import mmcompat
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
register_all_modules()
head = MODELS.build(dict(type="RTMDetSepBNHead", num_classes=1, in_channels=8, feat_channels=8, stacked_convs=1,
    anchor_generator=dict(type="MlvlPointGenerator", strides=[8, 16, 32]),
    bbox_coder=dict(type="DistancePointBBoxCoder"),
    loss_cls=dict(type="QualityFocalLoss"), loss_bbox=dict(type="GIoULoss"), norm_cfg=dict(type="BN")))
head.head_module.training = False  # the line of mmyolo 0.5.0's boxam_utils
assert head.training is False
"""


def test_head_module():
    with_and_without('head_module', HEAD, "has no attribute 'head_module'")


def test_head_module_of_mmyolos_own_heads_stays_theirs():
    from mmdet.models.dense_heads.base_dense_head import BaseDenseHead

    class Head(BaseDenseHead):
        def loss_by_feat(self):
            pass

    head, inner = Head(), torch.nn.Linear(1, 1)
    assert head.head_module is head
    head.head_module = inner
    assert head.head_module is inner


AMP = """
import mmcompat, torch
from mmengine.optim import AmpOptimWrapper
model = torch.nn.Linear(4, 4)
wrapper = AmpOptimWrapper(loss_scale="dynamic", optimizer=torch.optim.SGD(model.parameters(), 0.1))
before = model.weight.detach().clone()
with wrapper.optim_context(model):
    out = model(torch.rand(2, 4))
assert out.dtype == torch.bfloat16, out.dtype
wrapper.update_params(out.float().sum())
assert not torch.equal(before, model.weight)
wrapper.load_state_dict(wrapper.state_dict())
"""


def test_amp():
    with_and_without('cpu_amp', AMP, 'only available training on gpu')


VISUALIZER = """
import mmcompat, numpy as np
from mmengine.visualization import Visualizer
visualizer = Visualizer(image=np.zeros((60, 80, 3), np.uint8))
visualizer.draw_bboxes(np.array([[10., 10, 120, 90]]))
drawn = visualizer.get_image()
assert drawn.shape == (60, 80, 3) and not (drawn == 255).all(2).any(), 'white margins'
"""


def test_visualizer():
    with_and_without('visualizer', VISUALIZER, 'white margins')


TWICE = """
import warnings
import mmcompat
import mmcompat as patches
import mmcv, mmengine.dist.utils, mmengine.runner.runner, torch
from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
from mmengine.optim.optimizer import amp_optimizer_wrapper
from mmengine.visualization import Visualizer

def state():
    found = dict(
        ext=sys.modules['mmcv._ext'], draw=Visualizer.draw_bboxes, head=BaseDenseHead.head_module,
        assertion=amp_optimizer_wrapper.is_cuda_available,
        context=amp_optimizer_wrapper.AmpOptimWrapper.optim_context,
        dist=mmengine.dist.utils._init_dist_pytorch,
        ddp=mmengine.runner.runner.MMDistributedDataParallel,
        safe=len(torch.serialization.get_safe_globals()), warnings=len(warnings.filters),
    )
    return found

modules = [m for m in vars(patches).values() if hasattr(m, 'apply')]
assert len(modules) >= 7, modules
before = state()
for module in modules:
    module.apply()
after = state()
changed = [key for key in before if before[key] is not after[key] and before[key] != after[key]]
assert not changed, changed
"""


def test_applying_twice_changes_nothing():
    status, output = python(TWICE)
    assert status == 0, output


SSD = """
import mmcompat, torch
from mmengine.config import ConfigDict
from mmdet.models.dense_heads import SSDHead
anchors = dict(type='AnchorGenerator', scales=[1], ratios=[1.0], strides=[8])
head = SSDHead(num_classes=2, in_channels=(4,), anchor_generator=anchors).eval()
cfg = ConfigDict(nms_pre=4, score_thr=0, max_per_img=3, nms=dict(type='nms', iou_threshold=0.5))
maps = head([torch.zeros(1, 4, 2, 2)])
found = head.predict_by_feat(*maps, batch_img_metas=[dict(img_shape=(16, 16))], cfg=cfg)
assert len(found[0]) == 3
"""

PASTE = """
import mmcompat, torch
from mmdet.models.roi_heads.mask_heads.fcn_mask_head import _do_paste_mask
for beside in ([9.0, 1, 12, 3], [-9.0, 1, -6, 3], [1.0, -9, 3, -6], [1.0, 9, 3, 12]):
    mask, place = _do_paste_mask(torch.ones(1, 1, 4, 4), torch.tensor([beside]), 6, 6)
    assert mask.shape == (1, 6, 6) and not mask.any() and place == ()
mask, place = _do_paste_mask(torch.ones(1, 1, 4, 4), torch.tensor([[1.0, 1, 3, 3]]), 6, 6)
assert mask.shape == (1, 4, 4) and place == (slice(0, 4), slice(0, 4))
"""

INS = """
import mmcompat, torch
from mmdet.models.dense_heads import RTMDetInsSepBNHead, RTMDetSepBNHead
args = dict(num_classes=1, in_channels=4, feat_channels=4, stacked_convs=1)
args |= dict(anchor_generator=dict(type='MlvlPointGenerator', offset=0, strides=[8, 16]))
args |= dict(bbox_coder=dict(type='DistancePointBBoxCoder'), loss_cls=dict(type='GIoULoss'))
args |= dict(with_objectness=False, norm_cfg=dict(type='BN'))
boxes, masks = RTMDetSepBNHead(**args).eval(), RTMDetInsSepBNHead(**args).eval()
masks.load_state_dict(boxes.state_dict(), strict=False)
image = [torch.randn(1, 4, 8, 8), torch.randn(1, 4, 4, 4)]
for box_maps, mask_maps in zip(boxes(image)[0], masks(image)[0]):
    assert torch.equal(box_maps, mask_maps), 'other scores from the same weights'
assert masks.reg_convs[0][0].conv is masks.reg_convs[1][0].conv  # shared between strides, as before
assert masks.reg_convs[0][0].bn is not masks.reg_convs[1][0].bn
"""

MASK_SIZE = """
import mmcompat, torch
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from mmdet.models.dense_heads import RTMDetInsSepBNHead
head = RTMDetInsSepBNHead(
    num_classes=1, in_channels=4, feat_channels=4, stacked_convs=1,
    anchor_generator=dict(type='MlvlPointGenerator', offset=0, strides=[8]),
    bbox_coder=dict(type='DistancePointBBoxCoder'), loss_cls=dict(type='QualityFocalLoss'))
cfg = ConfigDict(nms=dict(type='nms', iou_threshold=0.6), max_per_img=1, mask_thr_binary=0.5)
for (height, width), scale in (((1365, 2048), (640 / 2048, 427 / 1365)), ((112, 512), (0.5, 2.0))):
    box = torch.tensor([[0.0, 0, 64, 64]])
    found = InstanceData(bboxes=box, scores=torch.ones(1), labels=torch.zeros(1),
        kernels=torch.zeros(1, head.num_gen_params), priors=torch.tensor([[8.0, 8, 8, 8]]))
    meta = dict(ori_shape=(height, width), scale_factor=scale)
    found = head._bbox_mask_post_process(
        results=found, mask_feat=torch.zeros(1, 8, 80, 80), cfg=cfg, rescale=True, img_meta=meta)
    assert torch.allclose(found.bboxes, box / torch.tensor(scale * 2), rtol=1e-6)
    assert found.masks.shape == (1, height, width), f'masks of another size: {found.masks.shape}'
"""

EPS = """
import mmcompat, torch
from mmcv.cnn import build_norm_layer
from mmcv.cnn.bricks import ConvModule
name, layer = build_norm_layer(dict(type='BN', eps=0, requires_grad=False), 1)
layer.running_var.fill_(4)
assert name == 'bn' and layer.eval()(torch.full((1, 1, 1, 1), 6.0)).item() == 3
ConvModule(1, 1, 1, norm_cfg=dict(type='BN', eps=0)).eval()(torch.zeros(1, 1, 1, 1))
assert build_norm_layer(dict(type='BN', eps=0.5), 1)[1].eps == 0.5
"""


def test_ssd_head():
    with_and_without('ssd_head', SSD, "'SSDHead' object has no attribute 'loss_cls'")


def test_paste_mask():
    with_and_without('paste_mask', PASTE, 'upper bound and lower bound inconsistent')


def test_ins_head():
    with_and_without('ins_head', INS, 'other scores from the same weights')


def test_ins_mask_size():
    with_and_without('ins_mask_size', MASK_SIZE, 'masks of another size')


def test_batch_norm_eps():
    with_and_without('batch_norm_eps', EPS, 'batch_norm eps must be positive, but got 0')


PATCHES = sorted(path for path in (ROOT / 'mmcompat').rglob('*.py') if path.name != '__init__.py')


@pytest.mark.parametrize('path', PATCHES, ids=lambda path: path.stem)
def test_a_patch_has_a_card_and_one_screen(path):
    text = path.read_text(encoding='utf-8')
    for name in ('Symptom: ', 'Cause: ', 'Versions: ', 'Upstream: ', 'Delete: '):
        assert f'\n{name}' in text, name
    assert len(text.splitlines()) <= 80
