"""What is said about classes before work begins."""

import functools
import json
from types import SimpleNamespace

import pytest
from conftest import ROOT
from mmengine.config import Config

from mmballoon.cli import UserError
from mmballoon.train import rules
from mmballoon.train.rules import classes


def write(path, names, boxes, side=100):
    """A COCO file with one image for each item of boxes, [[category name, ...], ...]."""
    ids = {name: 7 * i + 3 for i, name in enumerate(dict.fromkeys(names))}
    flat = [(image, name) for image, found in enumerate(boxes, 1) for name in found]
    data = dict(
        images=[
            dict(id=i, file_name=f'{i}.jpg', width=2 * side, height=side)
            for i in range(1, len(boxes) + 1)
        ],
        categories=[dict(id=7 * i + 3, name=name) for i, name in enumerate(names)],
        annotations=[
            dict(id=i, image_id=image, category_id=ids[name], bbox=[0, 0, 9, 9])
            for i, (image, name) in enumerate(flat, 1)
        ],
    )
    path.write_text(json.dumps(data))


@pytest.fixture
def config(tmp_path):
    """A function from classes to a Config whose train and val files are those of tmp_path."""

    def make(*names, wrap=lambda dataset: dataset, **filter_cfg):
        def loader(split):
            dataset = dict(type='CocoDataset', data_root=str(tmp_path), filter_cfg=filter_cfg)
            dataset.update(ann_file=f'{split}.json', metainfo=dict(classes=names))
            return dict(dataset=wrap(dataset))

        loaders = {f'{split}_dataloader': loader(split) for split in ('train', 'val')}
        return Config(dict(loaders, test_dataloader=loader('val')))

    return make


def test_nothing_to_say(tmp_path, config):
    write(tmp_path / 'train.json', ['ball', 'mug'], [['ball'], ['mug']])
    write(tmp_path / 'val.json', ['mug', 'ball'], [['mug']])
    for splits in (('train', 'val'), ('test',), ('val',)):
        assert classes.check(config('ball', 'mug'), *splits) == []
    (tmp_path / 'val.json').unlink()  # the dataset says that
    assert classes.check(config('ball', 'mug'), 'train', 'val') == []


def test_a_class_in_no_file_and_boxes_that_are_left_out(tmp_path, config):
    write(tmp_path / 'train.json', ['ball', 'zebra'], [['ball', 'zebra'], ['zebra']])
    write(tmp_path / 'val.json', ['ball', 'zebra', 'cat'], [['zebra', 'cat']])
    expected = [
        "class 'zerba' of the config is in no annotation file; is it 'zebra'?",
        "class 'quite else' of the config is in no annotation file",
        "boxes of categories that the config does not name are left out: 3 of 'zebra', 1 of 'cat'",
    ]

    def concat(dataset):
        return dict(
            type='ConcatDataset', datasets=[dict(type='RepeatDataset', times=2, dataset=dataset)]
        )

    for wrap in (dict, concat):
        cfg = config('ball', 'zerba', 'quite else', wrap=wrap)
        lines = classes.check(cfg, 'train', 'val')
        assert lines[:3] == expected and 'train as background' in lines[3] and len(lines) == 5
        assert lines[4].startswith(f'{tmp_path / "val.json"}: no box has a class of the config')


def test_a_class_that_only_another_split_has_is_no_mistake(tmp_path, config):
    write(tmp_path / 'train.json', ['ball', 'mug'], [['ball', 'mug']])
    write(tmp_path / 'val.json', ['ball'], [['ball']])
    assert classes.check(config('ball', 'mug'), 'test') == []


def test_no_class_in_common_and_two_of_one_name_are_errors(tmp_path, config):
    write(tmp_path / 'train.json', ['ball', 'mug'], [['ball']])
    write(tmp_path / 'val.json', ['cat'], [['cat']])
    found = r'val.json: its categories are cat, the classes of the config ball; next: name them'
    with pytest.raises(UserError, match=found):
        classes.check(config('ball'), 'train', 'val')
    write(tmp_path / 'val.json', ['ball', 'ball'], [['ball']])
    with pytest.raises(UserError, match="val.json: 2 categories are named 'ball'; next: "):
        classes.check(config('ball'), 'train', 'val')


def test_a_split_without_a_box_has_no_map(tmp_path, config):
    write(tmp_path / 'train.json', ['ball'], [['ball']])
    said = f'{tmp_path / "val.json"}: no box has a class of the config: every mAP is -1, so none is the best'
    for names, boxes in (([], [[]]), (['ball', 'cat'], [['cat'], []])):
        write(tmp_path / 'val.json', names, boxes)
        for splits in (('train', 'val'), ('val',), ('test',)):
            lines = classes.check(config('ball'), *splits)
            assert [line for line in lines if 'left out' not in line] == [lines[-1]]
            assert lines[-1].startswith(said)
    cfg = config('ball', wrap=lambda dataset: dict(type='ConcatDataset', datasets=[dataset] * 2))
    cfg.val_dataloader.dataset.datasets[1].ann_file = 'train.json'
    assert not any('mAP' in line for line in classes.check(cfg, 'val'))  # one of two has a box
    cfg.val_dataloader = None
    assert classes.check(cfg, 'train', 'val') == []


def test_images_that_do_not_train(tmp_path, config):
    write(tmp_path / 'train.json', ['ball'], [['ball'], [], ['ball'], []], side=20)
    write(tmp_path / 'val.json', ['ball'], [['ball']])
    path = tmp_path / 'train.json'
    assert classes.check(config('ball'), 'train', 'val') == [
        f'{path}: 2 of 4 images have no box of these classes and train as background'
    ]
    assert classes.check(config('ball', filter_empty_gt=True), 'train') == [
        f'{path}: 2 of 4 images are left out of training: 2 without a box of these classes '
        '(filter_empty_gt)'
    ]
    assert classes.check(config('ball', filter_empty_gt=True, min_size=32), 'train') == [
        f'{path}: 4 of 4 images are left out of training: 4 with a side under 32 pixels (min_size) '
        'and 2 without a box of these classes (filter_empty_gt)'
    ]


@pytest.mark.parametrize('content', ['no JSON', '[1]', '{"images": 3}', '{"categories": [{}]}'])
def test_what_is_not_coco_is_left_to_the_dataset(tmp_path, config, content):
    for name in ('train.json', 'val.json'):
        (tmp_path / name).write_text(content)
    assert classes.check(config('ball'), 'train', 'val') == []
    other = dict(dataset=dict(type='XMLDataset', ann_file='a.txt'))
    assert classes.check(Config(dict(train_dataloader=other)), 'train', 'val') == []


def test_a_checkpoint_of_other_classes(config):
    cfg = config('ball', 'mug')
    assert classes.check_checkpoint(cfg, dict(classes=['ball', 'mug'])) == []
    assert classes.check_checkpoint(cfg, {}) == classes.check_checkpoint(Config(), {}) == []
    for key in ('classes', 'CLASSES'):
        (line,) = classes.check_checkpoint(cfg, {key: ('mug', 'ball')})
        assert 'mug, ball, in this order; the config names ball, mug' in line


def test_the_sizes_of_tta_and_of_the_test():
    for name in ('my_rtmdet_tiny', 'my_rtmdet_tiny_toy', 'my_rtmdet_tiny_scratch'):
        cfg = Config.fromfile(ROOT / f'configs/{name}.py')
        assert classes.tta_line(cfg) == ''
    cfg.val_dataloader.dataset.pipeline[1].scale = (416, 416)
    line = classes.tta_line(cfg)
    assert (
        'tests at (320, 320), (640, 640), (960, 960), and this config at (416, 416); next' in line
    )
    said = []
    runner = SimpleNamespace(cfg=cfg, logger=SimpleNamespace(warning=said.append))
    classes._logged(lambda self: None, runner)
    assert said == []  # without --tta
    cfg.model = dict(cfg.tta_model, module=cfg.model)  # as tools/test.py does
    classes._logged(lambda self: None, runner)
    assert said == [line]
    cfg.val_dataloader = None
    assert classes.tta_line(cfg) == ''


def test_the_rules_are_applied_once():
    import mmdet.apis
    from mmengine.runner import Runner

    first = Runner.train, Runner.test, Runner.load_checkpoint, mmdet.apis.init_detector
    rules.apply()
    assert first == (Runner.train, Runner.test, Runner.load_checkpoint, mmdet.apis.init_detector)
    assert all(hasattr(function, '__wrapped__') for function in first)


RUNS = dict(size=[100, 200], counts=[0, 20000])


@pytest.mark.parametrize(
    'outline, what',
    [
        (None, 'have no outline, .*; next: draw them'),
        ([], 'have no outline, .*; next: draw them'),
        (RUNS, 'are masks, but this recipe reads polygons .*; next: export them'),
    ],
)
def test_an_outline_that_is_missing_is_named_where_the_recipe_reads_outlines(
    tmp_path, config, outline, what
):
    for split in ('train', 'val'):
        write(tmp_path / f'{split}.json', ['ball', 'mug'], [['ball', 'mug'], ['ball']])
    data = json.loads((tmp_path / 'train.json').read_text())
    for a in data['annotations'][:2]:
        a['segmentation'] = [[0, 0, 9, 0, 9, 9]]
    data['annotations'][2]['segmentation'] = outline
    (tmp_path / 'train.json').write_text(json.dumps(data))

    def with_masks(dataset, masks=False):
        step = dict(type='LoadAnnotations', with_mask=True, poly2mask=masks)
        return dict(dataset, pipeline=[step])

    assert classes.check(config('ball', 'mug'), 'train') == []
    assert classes.check(config('mug', wrap=with_masks), 'train') != []  # of another class
    with pytest.raises(UserError, match=f'1 annotations {what}') as error:
        classes.check(config('ball', 'mug', wrap=with_masks), 'train')
    assert 'annotation 3 of image 2' in str(error.value)
    if outline:
        wrap = functools.partial(with_masks, masks=True)
        assert classes.check(config('ball', 'mug', wrap=wrap), 'train') == []


def test_the_commands_say_it(tiny, tiny_data, in_process, tmp_path):
    """A config that names another class: in test, report, export and the demos."""
    text = f'_base_ = {str(ROOT / "configs/my_rtmdet_tiny_toy.py")!r}\n'
    names = ', '.join(f"{split}_dataloader=dict(dataset=dict(metainfo=dict(classes=('ballon', ))))"
                      for split in ('train', 'val', 'test'))  # fmt: skip
    other = tmp_path / 'other.py'
    other.write_text(text + names.replace('), ', ')\n') + '\n')
    done = in_process('tools/test.py', other, tiny.checkpoint, '--work-dir', tmp_path, env=tiny.env)
    line = 'its categories are balloon, the classes of the config ballon; next: name them in'
    assert done.status == 2 and line in done.err
    image = tiny.images[0]
    said = 'note: the checkpoint was trained for the classes balloon, in this order; the config'
    done = in_process(
        'tools/image_demo.py', image, other, '--weights', tiny.checkpoint, '--out-dir', tmp_path
    )
    assert done.status == 0 and said in done.err
    for tool in ('featmap_vis_demo', 'boxam_vis_demo'):
        arguments = (image, other, tiny.checkpoint, '--out-dir', tmp_path, '--preview-model')
        assert said in in_process(f'tools/{tool}.py', *arguments).err
    done = in_process('tools/export_onnx.py', other, tiny.checkpoint, '--out', tmp_path / 'a.onnx')
    assert done.status == 2 and line in done.err
