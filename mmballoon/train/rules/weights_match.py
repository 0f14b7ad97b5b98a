"""A checkpoint of another model, or of other classes, is refused when a test, a demo or --resume loads it.

Symptom:  mAP 0, boxes at random places, or "list has no attribute items"
Cause:    MMEngine loads whatever fits and logs the rest
Upstream: https://github.com/open-mmlab/mmengine/blob/v0.10.7/mmengine/runner/checkpoint.py

For the Runner, classes.py calls it. Training (load_from, init_cfg), and load_checkpoint in one's own
code, may load a part.
"""

import zipfile

from mmdet.apis import det_inferencer, inference
from mmengine.infer import infer
from mmengine.runner import checkpoint

from mmballoon.cli import DAMAGED, UserError, is_whole
from mmballoon.train.rules import instead


def mismatches(model, weights):
    """Names of the tensors of a state dict that ``weights`` does not fill; a text about a shape, or ''."""
    names, shapes = [], ''
    for name, value in model.items():
        found = getattr(weights.get(name), 'shape', None)
        if found != value.shape and not name.endswith('num_batches_tracked'):
            names.append(name)
            if found and not shapes:
                shapes = f'{tuple(found)} in the checkpoint, {tuple(value.shape)} in the model'
    return names, shapes


def require_match(model, loaded):
    """Raise a UserError unless the content of a checkpoint fills the whole model."""
    weights = {k.removeprefix('module.'): v for k, v in loaded.get('state_dict', loaded).items()}
    names, shapes = mismatches(model.state_dict(), weights)
    if names and not shapes:
        # Perhaps these are names of an older release, which the model knows, as FCOS does.
        names = model.load_state_dict(weights, strict=False).missing_keys
    if names:
        found = f'{len(names)} tensors are missing or of another shape, such as {names[0]} {shapes}'.strip()
        raise UserError('the checkpoint does not fit the model', found, 'use its own config')


@instead(checkpoint.CheckpointLoader, 'load_checkpoint')
def _load(load, filename, *args, **kwargs):
    if zipfile.is_zipfile(filename) and not is_whole(filename):  # torch compares no checksums
        raise UserError(filename, 'its content does not have its checksum', DAMAGED)
    loaded = load(filename, *args, **kwargs)
    if not isinstance(loaded, dict) or not isinstance(loaded.get('state_dict', loaded), dict):
        raise UserError(filename, 'holds no weights', 'pass a checkpoint of tools/train.py')
    if isinstance(loaded.get('meta'), dict):
        # A text that Runner.resume would run as Python; MMEngine itself writes none.
        loaded['meta'].pop('config', None)
    return loaded


@instead(inference, 'load_checkpoint')
@instead(det_inferencer, '_load_checkpoint_to_model')
@instead(infer, '_load_checkpoint_to_model')
def _checked(load, model, source, *args, **kwargs):
    loaded = load(model, source, *args, **kwargs)
    require_match(model, loaded)
    return loaded
