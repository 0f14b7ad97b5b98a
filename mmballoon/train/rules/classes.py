"""The class names of a config against those of its annotation files and of a checkpoint, before work begins.

MMDetection takes the categories whose names it knows, and says nothing about the others, so a class that the
config spells in another way is never learned (https://github.com/open-mmlab/mmdetection/issues/9611).
Images that are left out of training, or train without an object, are counted as well, and the sizes of
--tta are compared with that of the config.
"""

import difflib
import sys
from collections import Counter, namedtuple
from pathlib import Path

import mmdet.apis
from mmdet.apis import DetInferencer, inference
from mmdet.registry import DATASETS
from mmengine.runner import BaseLoop, Runner

from mmballoon.cli import UserError, plain
from mmballoon.data.coco import datasets, read_json
from mmballoon.train.rules import instead
from mmballoon.train.rules.weights import require_match

# The annotation file of a dataset in a config. classes: those of the config. names: those of the file's
# categories. sides: {image id: shorter side in pixels}. boxes: [(image id, name)]. filter_cfg: which images
# the dataset leaves out of training.
CocoFile = namedtuple('CocoFile', 'path classes names sides boxes filter_cfg')


def class_names(dataset):
    """The classes of a plain dataset (config): its own, or those of its type, such as COCO's; or None."""
    kind = DATASETS.get(dataset.get('type') or 'none')
    if hasattr(kind, '_load_metainfo'):
        return kind._load_metainfo(dataset.get('metainfo')).get('classes')
    return None


def coco_file(dataset):
    """CocoFile of a plain dataset, or None where it has no COCO file that can be read."""
    path = Path(dataset.get('data_root') or '', dataset.get('ann_file') or '')
    classes = class_names(dataset)
    if path.suffix != '.json' or not path.is_file() or not isinstance(classes, (list, tuple)):
        return None  # building the dataset says what is wrong, if anything is
    try:
        data = read_json(path)
        sides = {image['id']: min(image['width'], image['height']) for image in data['images']}
    except (UserError, LookupError, TypeError):
        return None
    names = {category['id']: category['name'] for category in data['categories']}
    for name, count in Counter(category['name'] for category in data['categories']).items():
        if count > 1:
            found = f"{count} categories are named '{name}'"
            raise UserError(path, found, 'give each a name of its own, or one id')
    for step in dataset.get('pipeline') or ():
        if step.get('with_mask'):
            taken = [a for a in data['annotations'] if names[a['category_id']] in classes]
            check_outlines(path, taken, step.get('poly2mask', True))
    boxes = [(a['image_id'], names[a['category_id']]) for a in data['annotations']]
    filter_cfg = dataset.get('filter_cfg') or {}
    return CocoFile(path, tuple(classes), {*names.values()}, sides, boxes, filter_cfg)


def check_outlines(path, annotations, masks):
    """Refuse a file for a recipe that reads outlines where one is missing: loading ends in a KeyError.

    masks: whether the recipe reads run lengths as well; else loading ignores such objects, also their
    boxes, without a word.
    """
    wrong = [a for a in annotations if not a.get('segmentation')]
    what, advice = 'have no outline, which this recipe needs', 'draw them'
    if not wrong and not masks:
        wrong = [a for a in annotations if isinstance(a['segmentation'], dict)]
        what, advice = 'are masks, but this recipe reads polygons', 'export them as polygons'
    if wrong:
        first = f'annotation {wrong[0].get("id")} of image {wrong[0]["image_id"]}'
        found = f'{len(wrong)} annotations {what} (first: {first})'
        raise UserError(path, found, f'{advice}, or take a recipe without masks')


def coco_files(cfg, split):
    """[CocoFile] of the data loader of a split of a Config."""
    loader = cfg.get(f'{split}_dataloader')
    return [*filter(None, map(coco_file, datasets(loader['dataset']) if loader else ()))]


def check(cfg, *splits):
    """Lines (list of str) about classes and images of these splits that a person would want to know.

    Raises:
        UserError: two categories of one name, or a split with none of the config's classes.
    """
    files = {split: coco_files(cfg, split) for split in splits}
    for group in files.values():
        names, classes = category_names(group), {name for file in group for name in file.classes}
        if names and not names & classes:
            found = f'its categories are {_list(names)}, the classes of the config {_list(classes)}'
            advice = "name them in metainfo['classes'] of the config, or correct the file"
            raise UserError(group[0].path, found, advice)
    everything = list({file.path: file for group in files.values() for file in group}.values())
    classes = dict.fromkeys(name for file in everything for name in file.classes)
    names, lines = category_names(everything), []
    if not names >= set(classes):  # the others may be in a split that was not asked for
        for split in ('train', 'val', 'test'):
            names |= category_names(coco_files(cfg, split))
    for name in classes:
        if name not in names:
            near = difflib.get_close_matches(str(name), map(str, names - set(classes)), 1)
            asked = f"; is it '{near[0]}'?" if near else ''
            lines.append(f"class '{name}' of the config is in no annotation file{asked}")
    boxes = Counter(name for file in everything for _, name in file.boxes if name not in classes)
    if boxes:
        counts = _list(f"{count} of '{name}'" for name, count in boxes.most_common())
        lines.append(f'boxes of categories that the config does not name are left out: {counts}')
    lines += [line for file in files.get('train', ()) for line in left_out(file)]
    for split, group in files.items():
        boxed = any(name in file.classes for file in group for _, name in file.boxes)
        if group and split != 'train' and not boxed:
            found = 'no box has a class of the config: every mAP is -1, so none is the best'
            lines.append(f'{group[0].path}: {found}')
    return lines


def category_names(files):
    return {name for file in files for name in file.names}


def left_out(file):
    """Lines about the images of a CocoFile that do not train, or train without an object."""
    empty = {*file.sides} - {image for image, name in file.boxes if name in file.classes}
    side = file.filter_cfg.get('min_size', 0)
    unused = {image for image, shorter in file.sides.items() if shorter < side}
    reasons = [f'{len(unused)} with a side under {side} pixels (min_size)'] if unused else []
    if file.filter_cfg.get('filter_empty_gt') and empty:
        reasons.append(f'{len(empty)} without a box of these classes (filter_empty_gt)')
        unused |= empty
    background, of_all = len(empty - unused), f'of {len(file.sides)} images'
    if reasons:
        found = f'{len(unused)} {of_all} are left out of training'
        yield f'{file.path}: {found}: {" and ".join(reasons)}'
    if background:
        found = f'{background} {of_all} have no box of these classes'
        yield f'{file.path}: {found} and train as background'


def check_checkpoint(cfg, meta):
    """Lines (list of str), at most one: the classes of a checkpoint are not those of the config.

    meta: of the checkpoint, or of a model that was loaded from it: {'classes': ...} or {'CLASSES': ...}.
    """
    trained = meta.get('classes') or meta.get('CLASSES')
    loaders = [cfg[key] for key in cfg if key.endswith('_dataloader') and cfg[key]]
    leaves = [leaf for loader in loaders for leaf in datasets(loader['dataset'])]
    tuples = [leaf.get('metainfo', {}).get('classes') for leaf in leaves]
    named = next(filter(None, tuples), None)
    if not trained or not named or isinstance(named, str) or [*trained] == [*named]:
        return []
    what = f'the checkpoint was trained for the classes {_list(trained)}, in this order'
    return [f'{what}; the config names {_list(named)}']


def note(lines):
    """Print lines for a person."""
    for line in lines:
        print(f'note: {plain(line)}', file=sys.stderr)


def _list(names):
    """Up to ten names as a text."""
    names = [*map(str, names)]
    more = f', and {len(names) - 10} more' if len(names) > 10 else ''
    return (', '.join(names[:10]) or 'none') + more


def tta_line(cfg):
    """The line (str) for a --tta whose sizes leave out the one that the config validates at; or ''."""
    steps = [s for group in cfg.tta_pipeline[-1].get('transforms', ()) for s in group]
    loader = cfg.get('val_dataloader')
    pipeline = datasets(loader.dataset)[0].get('pipeline') or () if loader else ()
    tta, plain = ({str(s.scale) for s in some if 'scale' in s} for some in (steps, pipeline))
    if not plain or not tta or plain & tta:
        return ''
    found = f'--tta tests at {_list(sorted(tta))}, and this config at {_list(plain)}'
    return f'{found}; next: scale the sizes of tta_pipeline to it'


@instead(Runner, 'train', 'val', 'test')
def _logged(method, self, *args, **kwargs):
    """A method of Runner that first logs the lines of ``check``."""
    name = method.__name__
    for line in check(self.cfg, *(('train', 'val') if name == 'train' else (name,))):
        self.logger.warning(line)
    if 'tta_pipeline' in self.cfg and 'module' in self.cfg.model and (line := tta_line(self.cfg)):
        self.logger.warning(line)  # tools/test.py has put the model into one for --tta
    return method(self, *args, **kwargs)


@instead(Runner, 'load_checkpoint')
def _load_checkpoint(load, self, *args, **kwargs):
    """Runner.load_checkpoint, which checks what a test or --resume loads; load_from may load a part."""
    loaded = load(self, *args, **kwargs)
    if self._resume or not isinstance(self._train_loop, BaseLoop):
        meta = (loaded.get('meta') or {}).get('dataset_meta') or {}
        for line in check_checkpoint(self.cfg, meta):
            self.logger.warning(line)
        # module: inside the wrapper of torchrun or --tta
        require_match(getattr(self.model, 'module', self.model), loaded)
    return loaded


@instead(mmdet.apis, 'init_detector')
@instead(inference, 'init_detector')
def _init_detector(init, *args, **kwargs):
    """mmdet.apis.init_detector, which prints the lines of ``check_checkpoint``."""
    model = init(*args, **kwargs)
    note(check_checkpoint(model.cfg, getattr(model, 'dataset_meta', {})))
    return model


@instead(DetInferencer, '_load_weights_to_model')
def _inferencer(load, self, model, checkpoint, cfg):
    """The same where DetInferencer gives the model its weights."""
    load(self, model, checkpoint, cfg)
    if checkpoint is not None:
        note(check_checkpoint(cfg, model.dataset_meta))
