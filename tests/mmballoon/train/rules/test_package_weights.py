"""The weights in the package: whole, safe to load, what the card says, and for any classes."""

import hashlib
import json
import re

import pytest
import render_objects
import torch
from conftest import ROOT
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.runner import load_checkpoint

from mmballoon.cli import UserError
from mmballoon.render.objects import KINDS
from mmballoon.train.rules import weights

CARD = (weights.PACKAGED.parent / 'README.md').read_text(encoding='utf-8')


def test_the_file_is_small_whole_and_safe_to_load():
    content = weights.PACKAGED.read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    assert len(content) < 10.5e6 and sha256 == weights.SHA256[weights.PACKAGED.name]
    assert sha256 in CARD
    loaded = torch.load(weights.PACKAGED, weights_only=True)
    assert loaded['meta']['dataset_meta']['classes'] == tuple(KINDS)
    floats = [v for v in loaded['state_dict'].values() if v.is_floating_point()]
    assert {v.dtype for v in floats} == {torch.float16} and all(v.isfinite().all() for v in floats)


def test_the_card_has_the_counts_of_the_command():
    config = Config.fromfile(ROOT / 'configs/my_rtmdet_tiny_weights.py')
    args = render_objects.parse_args(['--sources', 'x'])
    assert f'{args.train:,} rendered images' in CARD and f'seed {args.seed}' in CARD
    assert f'{config.max_epochs} epochs' in CARD and f'{len(KINDS)} kinds' in CARD
    assert f'batch {config.batch_size}' in CARD and f'{config.img_scale[0]} px' in CARD
    steps = args.train // config.batch_size * config.max_epochs
    assert f'{steps:,} steps' in CARD and 'make weights' in CARD


def test_the_classes_get_their_rows_by_name(monkeypatch):
    """Whatever number and order: balloon's row is balloon's; an unknown class gets the mean."""
    loaded = torch.load(weights.PACKAGED, weights_only=True)['state_dict']
    found = weights.load_from_package('mmballoon://dog,balloon')
    assert found['meta']['dataset_meta']['classes'] == ('dog', 'balloon')
    for name, value in found['state_dict'].items():
        theirs = loaded[name].float()
        if '.rtm_cls.' in name:
            assert torch.equal(value, torch.stack([theirs.mean(0), theirs[0]]))
        else:
            assert torch.equal(value.float(), theirs)
    many = weights.load_from_package(f'mmballoon://{",".join(reversed(KINDS))}')['state_dict']
    name = 'bbox_head.rtm_cls.0.bias'
    assert torch.equal(many[name], loaded[name].float().flip(0))


def test_a_class_name_with_a_comma():
    names = ('crane, bird', 'balloon')
    config = Config.fromfile(ROOT / 'configs/my_rtmdet_tiny.py')
    text = (ROOT / 'configs/my_rtmdet_tiny_scratch.py').read_text()
    line = re.search('^load_from.*', text, re.M)[0]
    config.metainfo.classes = names
    values = dict(_base_=config)
    exec(line, values)
    assert (
        weights.load_from_package(values['load_from'])['meta']['dataset_meta']['classes'] == names
    )


@pytest.mark.parametrize('name', ['my_rtmdet_tiny_scratch', 'my_rtmdet_tiny_toy'])
def test_recipes_start_from_them_and_all_weights_fit(name):
    config = Config.fromfile(ROOT / f'configs/{name}.py')
    assert config.load_from == 'mmballoon://balloon' == weights.address(config, name)
    model = MODELS.build(config.model)
    loaded = load_checkpoint(model, config.load_from, map_location='cpu')
    weights.require_match(model, loaded)


def test_damage_is_noticed(tmp_path, monkeypatch):
    damaged = tmp_path / weights.PACKAGED.name
    damaged.write_bytes(weights.PACKAGED.read_bytes()[:-1] + b'x')
    monkeypatch.setattr(weights, 'PACKAGED', damaged)
    with pytest.raises(UserError, match='its sha256 is .* next: install mmballoon again'):
        weights.load_from_package('mmballoon://balloon')


def test_only_published_weights_are_replaced(mistake, in_process, tmp_path, monkeypatch):
    """Those in the package, and nothing else: a checkpoint without its optimizer cannot be resumed."""
    path, out = tmp_path / 'epoch_1.pth', tmp_path / 'out.pth'
    meta = dict(dataset_meta=dict(classes=('a',)), epoch=1)
    torch.save(dict(meta=meta, state_dict=dict(w=torch.ones(1)), optimizer={}), path)
    before = path.read_bytes()
    assert f'{path}: exists' in mistake('tools/publish_weights.py', path, path)
    assert path.read_bytes() == before
    monkeypatch.setattr(weights, 'PACKAGED', out)
    for _ in range(2):
        assert in_process('tools/publish_weights.py', path, out).status == 0
    assert torch.load(out)['state_dict']['w'].dtype == torch.float16


@pytest.mark.parametrize('classes, found', [(('cat', 'balloon'), "no 'cat'"), ((), 'no class of')])
def test_classes_that_they_do_not_know_are_refused_for_detection(classes, found):
    config = Config(dict(test_dataloader=dict(dataset=dict(metainfo=dict(classes=classes)))))
    with pytest.raises(UserError, match=found) as error:
        weights.address(config, 'mine.py')
    assert re.match(r'mine.py: .*; next: train, and add --weights', str(error.value))


def test_image_demo_detects_with_them(in_process, tiny_data, tmp_path):
    """Without --weights: the balloons of a rendered image are found, by a model that saw no such file."""
    arguments = [tiny_data.images[0], tiny_data.config, '--out-dir', tmp_path, '--no-save-vis']
    done = in_process('tools/image_demo.py', *arguments)
    found = json.loads((tmp_path / f'preds/{tiny_data.images[0].stem}.json').read_text())
    assert done.status == 0 and set(found['labels']) == {0} and found['scores'][0] > 0.3
    truth = json.loads((tiny_data.root / 'coco_val.json').read_text())
    (image,) = [i for i in truth['images'] if i['file_name'] == tiny_data.images[0].name]
    boxes = [a['bbox'] for a in truth['annotations'] if a['image_id'] == image['id']]
    x1, y1, x2, y2 = found['bboxes'][0]
    assert any(
        abs(x1 - x) + abs(y1 - y) + abs(x2 - x - w) + abs(y2 - y - h) < 0.5 * (w + h)
        for x, y, w, h in boxes
    )
