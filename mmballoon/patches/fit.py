"""A checkpoint of another model, or of other classes, is refused when a test, a demo or --resume loads it.

Symptom:  mAP 0, boxes at random places, or "list has no attribute items", and no word about the checkpoint
Cause:    MMEngine loads whatever fits and logs the rest; it does not look what the file holds
Versions: mmengine <= 0.10.7
Upstream: https://github.com/open-mmlab/mmengine/blob/v0.10.7/mmengine/runner/checkpoint.py
Delete:   when MMEngine refuses to test a model whose weights were not all loaded

``load_from`` and ``init_cfg`` in a training may load a part: what is missing there is learned.
"""

import zipfile
from functools import partial

from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.runner import BaseLoop, Runner, checkpoint

from mmballoon.errors import DAMAGED, UserError
from mmballoon.files import is_whole


def network(model):
    """The model that torchrun's or --tta's wrapper holds, or the model itself."""
    wrapper = is_model_wrapper(model) or isinstance(model, BaseTTAModel)
    return model.module if wrapper else model


def misfits(model, weights):
    """Names of the tensors of a model's state dict that ``weights``, another one, does not fill, and
    a text about the first of another shape, or ''.
    """
    names, shapes = [], ''
    for name, value in model.items():
        found = getattr(weights.get(name), 'shape', None)
        if found != value.shape and not name.endswith('num_batches_tracked'):
            names.append(name)
            if found is not None and not shapes:
                shapes = f'{tuple(found)} in the checkpoint, {tuple(value.shape)} in the model'
    return names, shapes


def _check(model, loaded):
    weights = {k.removeprefix('module.'): v for k, v in loaded.get('state_dict', loaded).items()}
    names, shapes = misfits(model.state_dict(), weights)
    if names:
        found = f'{len(names)} tensors are missing or of another shape, such as {names[0]} {shapes}'
        advice = 'use the config that it was trained with'
        raise UserError(f'the checkpoint does not fit the model: {found.strip()}; next: {advice}')


def _load(load, filename, *args, **kwargs):
    if zipfile.is_zipfile(filename) and not is_whole(filename):  # torch compares no checksums
        raise UserError(f'{filename}: its content does not have its checksum; next: {DAMAGED}')
    loaded = load(filename, *args, **kwargs)
    if not isinstance(loaded, dict) or not isinstance(loaded.get('state_dict', loaded), dict):
        raise UserError(f'{filename}: holds no weights; next: pass a checkpoint of tools/train.py')
    return loaded


def _to_model(load, model, loaded, strict=False, logger=None, *args, **kwargs):
    load(model, loaded, strict, logger, *args, **kwargs)
    if logger is None:  # init_cfg=dict(type='Pretrained') passes one
        _check(model, loaded)
    return loaded


def _in_runner(load, self, *args, **kwargs):
    loaded = load(self, *args, **kwargs)
    if self._resume or not isinstance(self._train_loop, BaseLoop):
        _check(network(self.model), loaded)
    return loaded


def apply():
    """Check after each of the three functions that load."""
    loader, in_runner = checkpoint.CheckpointLoader, Runner.load_checkpoint
    if not isinstance(loader.load_checkpoint, partial):
        loader.load_checkpoint = partial(_load, loader.load_checkpoint)
        to_model = partial(_to_model, checkpoint._load_checkpoint_to_model)
        checkpoint._load_checkpoint_to_model = to_model
        Runner.load_checkpoint = lambda self, *args, **kw: _in_runner(in_runner, self, *args, **kw)


apply()
