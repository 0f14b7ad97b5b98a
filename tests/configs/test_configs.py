"""Every config loads, builds, and agrees with its data on classes, paths and schedule."""

import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import mmcompat  # noqa: F401

import pytest
from conftest import ROOT
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.registry import MODELS
from recipes import differences, flatten

from mmballoon.train.rules import config_variables

BASE = 'mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py'
RECIPES = json.loads((Path(__file__).parent / 'recipes.json').read_text())
CONFIGS = sorted((ROOT / 'configs').glob('my_*.py'))


@pytest.fixture(autouse=True)
def _no_root(monkeypatch):
    monkeypatch.delenv('BALLOON_ROOT', raising=False)
    register_all_modules()


@pytest.mark.parametrize('path', CONFIGS, ids=lambda p: p.name)
def test_config(path):
    cfg = Config.fromfile(path)
    classes = tuple(cfg.metainfo['classes'])
    assert cfg.model.bbox_head.num_classes == len(classes) <= len(cfg.metainfo['palette'])
    for part, split in (('train', 'train'), ('val', 'val'), ('test', 'val')):
        dataset = cfg[f'{part}_dataloader'].dataset
        assert tuple(dataset.metainfo['classes']) == classes
        assert dataset.data_root == cfg.data_root and not Path(cfg.data_root).is_absolute()
        assert (dataset.ann_file, dataset.data_prefix.img) == (f'coco_{split}.json', f'{split}/')
    assert (
        cfg.val_evaluator.ann_file == cfg.test_evaluator.ann_file == f'{cfg.data_root}coco_val.json'
    )
    other, _ = config_variables.load(
        str(path), dict(data_root='other')
    )  # without a slash at its end
    assert other.val_evaluator.ann_file == other.test_evaluator.ann_file == 'other/coco_val.json'
    if 'num_workers' in cfg:  # 0: torch refuses to keep workers that it does not have
        other, _ = config_variables.load(str(path), dict(num_workers=0))
        for loader in (other.train_dataloader, other.val_dataloader, other.test_dataloader):
            assert not loader.num_workers and not loader.persistent_workers
    # --auto-scale-lr multiplies a learning rate that is already right for this batch.
    assert cfg.auto_scale_lr.base_batch_size == cfg.train_dataloader.batch_size
    MODELS.build(cfg.model)

    max_epochs = cfg.train_cfg.max_epochs
    cosine = cfg.param_scheduler[-1]
    assert cosine.end == max_epochs and cosine.begin + cosine.T_max == max_epochs
    hooks = {hook.type: hook for hook in cfg.custom_hooks}
    assert (
        'NumClassCheckHook' in hooks and cfg.default_hooks.checkpoint.save_best == 'coco/bbox_mAP'
    )
    if 'PipelineSwitchHook' in hooks:  # stage 2 is reached, and each of its epochs validated
        assert 0 < hooks['PipelineSwitchHook'].switch_epoch < max_epochs
        assert cfg.train_cfg.dynamic_intervals == [(hooks['PipelineSwitchHook'].switch_epoch, 1)]


@pytest.mark.parametrize('name', sorted(RECIPES))
def test_the_recipe_is_the_recorded_one(name):
    """recipes.json holds what each config changes in upstream's; a recipe changes only on purpose."""
    config = json.loads(json.dumps(Config.fromfile(ROOT / 'configs' / name).to_dict()))
    base = json.loads(json.dumps(get_config(BASE).to_dict()))
    found = differences(config, base)
    changed = {
        key: (RECIPES[name].get(key, 'missing'), found.get(key, 'missing'))
        for key in {*found, *RECIPES[name]}
        if RECIPES[name].get(key, 'missing') != found.get(key, 'missing')
    }
    assert not changed, f'(recorded, now): {changed}'


def test_masks_are_upstreams_model():
    upstream = get_config('mmdet::rtmdet/rtmdet-ins_tiny_8xb32-300e_coco.py').model
    ours = Config.fromfile(ROOT / 'configs/my_rtmdet_ins_tiny.py').model
    unlike = {
        key
        for key, value in flatten(upstream.bbox_head.to_dict()).items()
        if flatten(ours.bbox_head.to_dict()).get(key, value) != value
    }
    assert unlike == {'num_classes', 'act_cfg.inplace'}
    assert flatten(ours.test_cfg.to_dict()) == flatten(upstream.test_cfg.to_dict())


def test_knobs_reach_everything_that_follows_from_them(tmp_path):
    """Own data means: another root, another tuple of names. Own schedule: max_epochs and
    batch_size.
    """
    text = (ROOT / 'configs/my_rtmdet_tiny.py').read_text()
    for old, new in (
        ("classes=('balloon', )", "classes=('cat', 'dog')"),
        ('max_epochs = 200', 'max_epochs = 40'),
        ('batch_size = 12', 'batch_size = 4'),
        ('data/balloon', 'data/pets'),
    ):
        assert text.count(old) == 1
        text = text.replace(old, new)
    (tmp_path / 'pets.py').write_text(text)
    cfg = Config.fromfile(tmp_path / 'pets.py')
    assert (
        cfg.model.bbox_head.num_classes == 2
        and cfg.val_evaluator.ann_file == 'data/pets/coco_val.json'
    )
    assert cfg.optim_wrapper.optimizer.lr == pytest.approx(4 * 0.004 / 256)
    assert cfg.train_cfg.dynamic_intervals == [(39, 1)] and cfg.custom_hooks[3].switch_epoch == 39
    assert cfg.custom_hooks[2].momentum == pytest.approx(0.1) and cfg.param_scheduler[1].begin == 20


def test_own_classes_are_one_edit_and_rendered_data_shows_balloons(tmp_path, monkeypatch):
    shutil.copytree(ROOT / 'configs', tmp_path / 'configs')
    main = tmp_path / 'configs/my_rtmdet_tiny.py'
    text = main.read_text()
    assert text.count("classes=('balloon', )") == 1
    main.write_text(text.replace("classes=('balloon', )", "classes=('cat', 'dog')"))

    def classes(name):
        cfg = Config.fromfile(tmp_path / 'configs' / name)
        loaders = (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader)
        (names,) = {tuple(loader.dataset.metainfo.classes) for loader in loaders}
        assert cfg.model.bbox_head.num_classes == len(names)
        if 'mmballoon://' in cfg.load_from:
            assert cfg.load_from == f'mmballoon://{",".join(names)}'
        return names

    def told_apart(name):
        cfg = Config.fromfile(tmp_path / 'configs' / name)
        return cfg.optim_wrapper.paramwise_cfg.get('custom_keys', {}).get('rtm_cls')

    assert classes('my_rtmdet_tiny_toy.py') == ('balloon',)
    assert told_apart('my_rtmdet_tiny_toy.py') is None
    monkeypatch.setenv('BALLOON_ROOT', 'data/mine')
    for name in ('my_rtmdet_tiny', 'my_rtmdet_tiny_toy', 'my_rtmdet_tiny_scratch'):
        assert classes(f'{name}.py') == ('cat', 'dog')
    assert classes('my_rtmdet_ins_tiny_scratch.py') == ('cat', 'dog')
    # Several rows of the weights in the package start alike, those of other weights do not.
    for name in ('my_rtmdet_tiny_toy.py', 'my_rtmdet_tiny_scratch.py'):
        assert told_apart(name) == {'lr_mult': 30}
    for name in ('my_rtmdet_tiny.py', 'my_rtmdet_ins_tiny_scratch.py'):
        assert told_apart(name) is None


def test_options_of_the_command_line_are_as_good_as_an_edit():
    cfg = Config.fromfile(ROOT / 'configs/my_rtmdet_tiny_toy.py')
    options = {'max_epochs': 4, 'batch_size': 8, 'test_scale': (320, 320), 'data_root': 'x/'}
    cfg.merge_from_dict({**options, 'metainfo.classes': ('cat', 'dog')})
    assert cfg.train_cfg.max_epochs == 4 and cfg.param_scheduler[1].T_max == 4
    assert cfg.train_dataloader.batch_size == 8 and cfg.test_dataloader.dataset.data_root == 'x/'
    assert cfg.model.bbox_head.num_classes == 2
    assert cfg.val_dataloader.dataset.metainfo.classes == ('cat', 'dog')
    assert cfg.test_dataloader.dataset.pipeline[1].scale == cfg.test_scale
    assert [step.scale[0] for step in cfg.tta_pipeline[1].transforms[0]] == [320, 160, 480]


def test_every_recipe_can_be_one_epoch_long():
    for path in CONFIGS:
        cfg = Config.fromfile(path)
        cfg.merge_from_dict({'max_epochs': 1})
        assert cfg.train_cfg.max_epochs == 1 <= cfg.train_cfg.val_interval, path.name
        assert cfg.param_scheduler[-1].T_max >= 1


@pytest.mark.parametrize('path', CONFIGS, ids=lambda p: p.name)
def test_time_augmentation_is_around_the_size_of_the_test(path):
    cfg = Config.fromfile(path)
    (size,) = {step.scale for step in cfg.test_pipeline if step.type == 'Resize'}
    views = cfg.tta_pipeline[1].transforms
    assert [step.scale for step in views[0]] == [
        tuple(side * part // 2 for side in size) for part in (2, 1, 3)
    ]
    (pad,) = views[2]
    assert pad.size[0] % 32 == pad.size[1] % 32 == 0 <= min(pad.size) - size[0] * 3 // 2 < 32


def test_environment_names_the_data_root(monkeypatch):
    monkeypatch.setenv('BALLOON_ROOT', 'elsewhere/mine')
    monkeypatch.setenv('RENDERED_ROOT', 'elsewhere/mine')
    for path in CONFIGS:
        cfg = Config.fromfile(path)
        assert cfg.train_dataloader.dataset.data_root == 'elsewhere/mine/'
        assert cfg.val_evaluator.ann_file == 'elsewhere/mine/coco_val.json'


def test_no_class_list_in_two_places_and_no_absolute_path():
    for path in CONFIGS:
        text = path.read_text()
        assert not re.search(r'num_classes\s*=\s*\d', text) and not re.search(r"['\"]/[a-z]", text)


def test_coco_checkpoint_transfers_all_but_the_class_convolution(tmp_path):
    """A file with the official checkpoint's keys and shapes (80 classes) loads; only rtm_cls stays
    as it was.
    """
    import torch
    from mmengine.runner import load_checkpoint

    official = Config.fromfile(ROOT / 'configs/my_rtmdet_tiny.py').model
    official.bbox_head.num_classes = 80
    donor, path = MODELS.build(official), tmp_path / 'coco.pth'
    torch.save(dict(state_dict=donor.state_dict(), meta=dict()), path)
    model = MODELS.build(Config.fromfile(ROOT / 'configs/my_rtmdet_tiny.py').model)
    load_checkpoint(model, str(path), map_location='cpu')
    theirs, kept = donor.state_dict(), []
    for key, value in model.state_dict().items():
        if theirs[key].shape != value.shape:
            kept.append(key)
        else:
            assert torch.equal(value, theirs[key]), key
    assert kept == [
        f'bbox_head.rtm_cls.{level}.{kind}' for level in range(3) for kind in ('weight', 'bias')
    ]
    from mmballoon.train.hooks import TransferHook

    lines, count = [], len(theirs)
    runner = SimpleNamespace(model=model, logger=SimpleNamespace(info=lines.append))
    TransferHook().after_load_checkpoint(runner, dict(state_dict=theirs))
    assert lines == [
        f'load_from: {count - 6} of {count} tensors were loaded; not loaded: {", ".join(kept)} '
        '((80, 96, 1, 1) in the checkpoint, (1, 96, 1, 1) in the model)'
    ]
