"""Each repair works, and what it repairs fails without it (checked in a process of its own)."""

import importlib.util
import io
import json
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


def python(code, without=(), **options):
    """Run code in a new process, without the named modules of mmcompat; returns (exit status, output)."""
    off = ''.join(
        f'sys.modules["mmcompat.{name}"] = types.ModuleType("{name}")\n' for name in without
    )
    done = subprocess.run(
        [sys.executable, '-c', f'import sys, types\n{off}{code}'],
        capture_output=True,
        text=True,
        env=dict(PATH='', CUDA_VISIBLE_DEVICES='', PYTHONPATH=str(ROOT)),
        timeout=300,
        **options,
    )
    return done.returncode, done.stdout + done.stderr


CHECKPOINT = """
import torch, tempfile, numpy as np
from mmengine.logging import HistoryBuffer
path = tempfile.mkdtemp() + "/a.pth"
buffer = HistoryBuffer([1.0, 2.0], [1, 1])
from mmengine.config import Config
from mmengine.optim import OneCycleLR
optimizer = torch.optim.SGD([torch.zeros(1)], 0.1)
curves = [OneCycleLR(optimizer, 0.1, 9, anneal_strategy=name).state_dict() for name in ("cos", "linear")]
inside = Config(dict(metainfo=dict(info=dict(a=1)))).metainfo.info
meta = dict(x=np.float64(3), y=np.arange(3), dataset_meta=dict(info=inside))
torch.save(dict(message_hub=dict(log_scalars=dict(loss=buffer)), meta=meta, param_schedulers=curves), path)
found = torch.load(path)
assert found["meta"]["dataset_meta"]["info"].a == 1 and found["param_schedulers"] == curves
assert found["message_hub"]["log_scalars"]["loss"].mean(2) == 1.5 and found["meta"]["x"] == 3
"""

HEAD = """
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

AMP = """
import torch
from mmengine.optim import AmpOptimWrapper
model = torch.nn.Linear(4, 4)
wrapper = AmpOptimWrapper(loss_scale="dynamic", optimizer=torch.optim.SGD(model.parameters(), 0.1))
before = model.weight.detach().clone()
with wrapper.optim_context(model):
    out = model(torch.rand(2, 4))
wrapper.update_params(out.float().sum())
assert not torch.equal(before, model.weight)
wrapper.load_state_dict(wrapper.state_dict())
torch.amp.GradScaler("cpu").load_state_dict(wrapper.state_dict()["loss_scaler"])  # as a GPU that goes on
"""

VISUALIZER = """
import numpy as np
from mmengine.visualization import Visualizer
visualizer = Visualizer(image=np.zeros((60, 80, 3), np.uint8))
visualizer.draw_bboxes(np.array([[10., 10, 120, 90]]))
drawn = visualizer.get_image()
assert drawn.shape == (60, 80, 3) and not (drawn == 255).all(2).any(), 'white margins'
"""

SSD = """
import torch
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
import torch
from mmdet.models.roi_heads.mask_heads.fcn_mask_head import _do_paste_mask
for beside in ([9.0, 1, 12, 3], [-9.0, 1, -6, 3], [1.0, -9, 3, -6], [1.0, 9, 3, 12]):
    mask, place = _do_paste_mask(torch.ones(1, 1, 4, 4), torch.tensor([beside]), 6, 6)
    assert mask.shape == (1, 6, 6) and not mask.any() and place == ()
mask, place = _do_paste_mask(torch.ones(1, 1, 4, 4), torch.tensor([[1.0, 1, 3, 3]]), 6, 6)
assert mask.shape == (1, 4, 4) and place == (slice(0, 4), slice(0, 4))
"""

INS = """
import torch
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
import torch
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
import torch
from mmcv.cnn import build_norm_layer
from mmcv.cnn.bricks import ConvModule
name, layer = build_norm_layer(dict(type='BN', eps=0, requires_grad=False), 1)
layer.running_var.fill_(4)
assert name == 'bn' and layer.eval()(torch.full((1, 1, 1, 1), 6.0)).item() == 3
ConvModule(1, 1, 1, norm_cfg=dict(type='BN', eps=0)).eval()(torch.zeros(1, 1, 1, 1))
assert build_norm_layer(dict(type='BN', eps=0.5), 1)[1].eps == 0.5
"""

PROGRESS = """
import io, mmengine
from mmengine.utils import track_progress

class Frames:
    def __len__(self):
        return 3

    def __getitem__(self, i):
        if i > 2:
            raise IndexError
        return 10 * i

for tasks in (Frames(), {'a': 0, 'b': 10, 'c': 20}.values(), [0, 10, 20]):
    out = io.StringIO()
    assert list(mmengine.track_iter_progress(tasks, file=out)) == [0, 10, 20]
    assert '3/3' in out.getvalue()
    assert track_progress(str, tasks, file=out) == ['0', '10', '20']
    assert mmengine.track_parallel_progress(str, tasks, 1, file=out) == ['0', '10', '20']
assert list(mmengine.track_iter_progress((iter('ab'), 2), file=io.StringIO())) == ['a', 'b']
for bad in (5, iter('ab')):
    try:
        list(mmengine.track_iter_progress(bad))
        raise AssertionError(f'{bad} has no length')
    except TypeError as error:
        assert 'must be a tuple object or a sequence object' in str(error)
"""

NAMES = """
import contextlib, io, json, tempfile
from mmdet.datasets.api_wrappers import COCO
categories = [dict(id=3, name='b'), dict(id=7, name='a')]
box = dict(id=1, image_id=1, category_id=9, bbox=[0, 0, 9, 9], area=81, iscrowd=0)
with tempfile.NamedTemporaryFile('w', suffix='.json') as file, contextlib.redirect_stdout(io.StringIO()):
    json.dump(dict(images=[dict(id=1)], categories=categories, annotations=[box]), file)
    file.flush()
    coco = COCO(file.name)
ids = coco.get_cat_ids(cat_names=('a', 'gone', 'b', 'lost'))
assert ids[0] == 7 and ids[2] == 3, 'ids in the order of the file'
assert ids[1:4:2] == [10, 11]  # 9 is the id of a category that is not listed, but used
assert ids == coco.get_cat_ids(cat_names=['a', 'gone', 'b', 'lost'])
assert coco.getCatIds(catNms=['b', 'a']) == [3, 7] and coco.get_cat_ids(cat_ids=[3]) == [3]
coco.cats[8] = dict(id=8, name='a')
try:
    coco.get_cat_ids(cat_names=['a'])
    raise AssertionError('two categories of one name')
except ValueError as error:
    assert "[7, 8]" in str(error) and "'a'" in str(error)
"""

CASES = {
    'checkpoint': (CHECKPOINT, 'UnpicklingError'),
    'box_am.head_module': (HEAD, "has no attribute 'head_module'"),
    'cpu_training.mixed_precision': (AMP, 'only available training on gpu'),
    'pictures': (VISUALIZER, 'white margins'),
    'models.ssd_head': (SSD, "'SSDHead' object has no attribute 'loss_cls'"),
    'models.paste_mask': (PASTE, 'upper bound and lower bound inconsistent'),
    'models.rtmdet_ins_layers': (INS, 'other scores from the same weights'),
    'models.rtmdet_ins_mask_size': (MASK_SIZE, 'masks of another size'),
    'models.batch_norm_eps': (EPS, 'batch_norm eps must be positive, but got 0'),
    'progress': (PROGRESS, 'must be a tuple object or a sequence object'),
    'class_names': (NAMES, 'ids in the order of the file'),
}
UNREPAIRED = """
import json, traceback
import mmcompat
import mmdet.models
answers = {}
for name, code in json.load(sys.stdin).items():
    try:
        exec(code, {})
    except BaseException as error:
        answers[name] = f'{type(error).__name__}: {error}'
print(json.dumps(answers))
"""


@pytest.fixture(scope='module')
def symptoms():
    """{name of a case: its error without the repairs}; operators are needed to import MMDetection."""
    modules = {name.split('.')[0] for name in CASES}
    codes = json.dumps({name: code for name, (code, _) in CASES.items()})
    status, output = python(UNREPAIRED, modules, input=codes)
    assert status == 0, output
    return json.loads([line for line in output.splitlines() if line.startswith('{')][-1])


@pytest.mark.parametrize('name', CASES)
def test_a_repair_works_and_is_needed(name, symptoms):
    code, symptom = CASES[name]
    exec(code, {})
    assert symptom in symptoms.get(name, 'no error'), symptoms


def test_operators():
    status, output = python('import mmdet.apis')
    assert status != 0 and "No module named 'mmcv._ext'" in output
    status, output = python('import mmcompat, mmdet.apis, mmyolo')
    assert status == 0, output


def test_nms_is_exact_for_both_offsets():
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
from mmcv.utils import ext_loader
from mmengine.utils.dl_utils.misc import mmcv_full_available
assert not ext_loader.check_ops_exist() and not mmcv_full_available()
assert pkgutil.find_loader('json') and pkgutil.find_loader('no_such_module') is None
"""
NEW_SETUPTOOLS = f"""
import mmdet, os
from mmengine.config import Config
from mmengine.utils import get_installed_path, is_installed
assert is_installed('mmdet') and not is_installed('no_such_package')
assert get_installed_path('mmdet') == os.path.dirname(mmdet.__file__)
config = Config.fromfile({str(ROOT / 'configs/my_rtmdet_tiny_toy.py')!r})
assert config.model.bbox_head.num_classes == 1
"""


@pytest.mark.parametrize('repaired', [True, False])
def test_what_newer_releases_removed(repaired):
    code = """
import json, pkgutil
if hasattr(pkgutil, 'find_loader'):
    del pkgutil.find_loader
sys.modules['pkg_resources'] = None  # importing it fails
import mmcompat
for code in json.load(sys.stdin):
    try:
        exec(code)
    except Exception as error:
        print(f'{type(error).__name__}: {error}')
"""
    codes = json.dumps([NEW_PYTHON, NEW_SETUPTOOLS])
    status, output = python(code, () if repaired else ('removed',), input=codes)
    assert status == 0, output
    for symptom in ("'pkgutil' has no attribute 'find_loader'", 'import of pkg_resources halted'):
        assert (symptom in output) is not repaired, output
    assert not repaired or 'Error' not in output, output


def test_the_frames_of_a_video_have_a_progress_bar(tmp_path):
    """As MMDetection's video_demo.py loops over them."""
    import cv2
    import mmcv
    from mmengine.utils import track_iter_progress

    path, size = str(tmp_path / 'clip.avi'), (32, 24)
    writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*'MJPG'), 5, size)
    for value in (0, 120, 240):
        writer.write(np.full((*size[::-1], 3), value, np.uint8))
    writer.release()
    screen = io.StringIO()
    frames = list(track_iter_progress(mmcv.VideoReader(path), file=screen))
    assert [round(frame.mean() / 120) for frame in frames] == [0, 1, 2]
    assert '3/3' in screen.getvalue()


def test_pkg_resources_steps_aside():
    from mmengine.utils import package_utils

    function = package_utils.get_installed_path
    assert (function.__module__ == 'mmengine.utils.package_utils') == (
        importlib.util.find_spec('pkg_resources') is not None
    )


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
        lambda mark: Payload(getattr, [], 'mean'),
        lambda mark: Payload(eval, f'open({str(mark)!r}, "w")'),
        lambda mark: Payload(Path(mark).touch),
    ],
    ids=[
        'os.system',
        'getattr __init__',
        'getattr ndarray',
        'getattr list',
        'eval',
        'bound method',
    ],
)
def test_malicious_checkpoint_is_refused_unexecuted(tmp_path, payload):
    mark, path = tmp_path / 'pwned', tmp_path / 'evil.pth'
    torch.save(dict(state_dict=dict(weight=torch.zeros(1)), meta=payload(mark)), path)
    with pytest.raises((pickle.UnpicklingError, ValueError)):
        torch.load(path)
    assert not mark.exists()


def test_head_module_of_mmyolos_own_heads_stays_theirs():
    from mmdet.models.dense_heads.base_dense_head import BaseDenseHead

    class Head(BaseDenseHead):
        def loss_by_feat(self):
            pass

    head, inner = Head(), torch.nn.Linear(1, 1)
    assert head.head_module is head
    head.head_module = inner
    assert head.head_module is inner


def test_what_is_for_the_cpu_asks_when_a_training_starts(monkeypatch):
    """In the same process, first with a GPU pretended, then without."""
    from mmengine.device import utils as device
    from mmengine.dist import utils as dist
    from mmengine.model import MMDistributedDataParallel
    from mmengine.optim.optimizer import amp_optimizer_wrapper
    from torch.nn.parallel import DistributedDataParallel

    called = []
    monkeypatch.setattr(torch.cuda, 'set_device', lambda rank: called.append(f'cuda {rank}'))
    monkeypatch.setattr(
        torch.distributed, 'init_process_group', lambda backend, **kwargs: called.append(backend)
    )
    monkeypatch.setattr(
        DistributedDataParallel, '__init__', lambda self, module, **kw: called.append((module, kw))
    )
    monkeypatch.setenv('RANK', '0')
    monkeypatch.setenv('LOCAL_RANK', '3')
    module = torch.nn.SyncBatchNorm(2)
    for name in ('cuda', 'cpu'):
        monkeypatch.setattr(device, 'DEVICE', name)
        dist._init_dist_pytorch('nccl')
        wrapper = MMDistributedDataParallel.__new__(MMDistributedDataParallel)
        wrapper.__init__(module=module, device_ids=[3])
        assert amp_optimizer_wrapper.is_cuda_available() is (
            device.is_cuda_available() or name == 'cpu'
        )
    cuda, nccl, (kept, with_ids), gloo, (reverted, without_ids) = called
    assert [cuda, nccl, gloo] == ['cuda 3', 'nccl', 'gloo']
    assert kept is module and with_ids['device_ids'] == [3]
    assert not isinstance(reverted, torch.nn.SyncBatchNorm) and without_ids['device_ids'] is None


GRAD_CAM = {  # in the shape of 1.5
    '__init__.py': 'from .base_cam import BaseCAM\nfrom .cams import GradCAM, ScoreCAM\n',
    'base_cam.py': """class BaseCAM:
    def __init__(self, model, target_layers, reshape_transform=None):
        self.given = model, target_layers, reshape_transform
""",
    'cams.py': """from .base_cam import BaseCAM
class GradCAM(BaseCAM):
    pass
class ScoreCAM(BaseCAM):
    def __init__(self, model, target_layers, reshape_transform=None):
        super().__init__(model, target_layers, reshape_transform)
""",
}


@pytest.mark.parametrize('first', ['mmcompat', 'pytorch_grad_cam'])
def test_grad_cam_is_repaired_when_it_is_imported(tmp_path, first):
    folder = tmp_path / 'pytorch_grad_cam'
    folder.mkdir()
    for name, text in GRAD_CAM.items():
        (folder / name).write_text(text)
    code = f"""
sys.path.insert(0, {str(tmp_path)!r})
import importlib.util, {first}
import mmcompat
assert importlib.util.find_spec('pytorch_grad_cam').origin == {str(folder / '__init__.py')!r}
from pytorch_grad_cam import BaseCAM, GradCAM, ScoreCAM
for cam in (BaseCAM, GradCAM, ScoreCAM):
    assert cam('model', ['layer'], use_cuda=False, reshape_transform=abs).given == ('model', ['layer'], abs)
    assert cam('model', ['layer']).given == ('model', ['layer'], None)
"""
    status, output = python(code)
    assert status == 0, output
    if first == 'mmcompat':
        status, output = python(code, ['box_am'])
        assert "unexpected keyword argument 'use_cuda'" in output, output
