"""A checkpoint of another model, or of other classes, is refused when a test, a demo or --resume loads it.

Symptom:  mAP 0, boxes at random places, or "list has no attribute items", and no word about the checkpoint
Cause:    MMEngine loads whatever fits and logs the rest; it does not look what the file holds
Versions: mmengine <= 0.10.7
Upstream: https://github.com/open-mmlab/mmengine/blob/v0.10.7/mmengine/runner/checkpoint.py
Delete:   when MMEngine refuses to test a model whose weights were not all loaded

``load_from`` and ``init_cfg`` in a training may load a part: what is missing there is learned.
"""

import functools
import zipfile

from mmballoon.patches.resume import is_whole

from mmengine.model import is_model_wrapper
from mmengine.runner import BaseLoop, Runner, checkpoint

from mmballoon.errors import DAMAGED, UserError


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
    state = model.state_dict()
    names, shapes = misfits(state, weights)
    if names:
        raise UserError(
            f'the checkpoint does not fit the model: {len(names)} of {len(state)} tensors are missing or '
            f'of another shape, such as {names[0]}{f" ({shapes})" if shapes else ""}; next: use the '
            'config that it was trained with'
        )


def _load(load):
    @functools.wraps(load)
    def wrapped(filename, *args, **kwargs):
        if zipfile.is_zipfile(filename) and not is_whole(
            filename
        ):  # torch does not compare checksums
            raise UserError(f'{filename}: its content does not have its checksum; next: {DAMAGED}')
        loaded = load(filename, *args, **kwargs)
        weights = loaded.get('state_dict', loaded) if isinstance(loaded, dict) else None
        if not isinstance(weights, dict):
            raise UserError(
                f'{filename}: holds no weights; next: pass a checkpoint of tools/train.py'
            )
        return loaded

    return wrapped


def _to_model(load):
    @functools.wraps(load)
    def wrapped(model, loaded, strict=False, logger=None, *args, **kwargs):
        load(model, loaded, strict, logger, *args, **kwargs)
        if logger is None:  # init_cfg=dict(type='Pretrained') passes one
            _check(model, loaded)
        return loaded

    return wrapped


def _in_runner(load):
    @functools.wraps(load)
    def wrapped(self, *args, **kwargs):
        loaded = load(self, *args, **kwargs)
        if self._resume or not isinstance(self._train_loop, BaseLoop):
            _check(self.model.module if is_model_wrapper(self.model) else self.model, loaded)
        return loaded

    return wrapped


def apply():
    """Check after each of the three functions that load."""
    if hasattr(Runner.load_checkpoint, '__wrapped__'):
        return
    loader = checkpoint.CheckpointLoader
    loader.load_checkpoint = staticmethod(_load(loader.load_checkpoint))
    checkpoint._load_checkpoint_to_model = _to_model(checkpoint._load_checkpoint_to_model)
    Runner.load_checkpoint = _in_runner(Runner.load_checkpoint)


apply()
