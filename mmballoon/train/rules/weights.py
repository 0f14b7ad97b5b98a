"""Downloaded weights are verified, and may come from a copy or a mirror; a checkpoint has to fit its model.

Symptom:  a training that starts from weights of somebody else; "certificate verify failed" or "timed out"
          with no way around it; mAP 0, boxes at random places, or "list has no attribute items"
Cause:    load_from_http asks one host, and does not compare the sha256 that a file's name promises;
          MMEngine loads whatever fits and logs the rest
Upstream: https://github.com/open-mmlab/mmengine/blob/v0.10.7/mmengine/runner/checkpoint.py
          https://github.com/open-mmlab/mmdetection/issues/12396

BALLOON_WEIGHTS names a copy (a file, or its folder) or a mirror (the address of its folder). Downloads stay
in torch's cache. Weights whose whole sha256 is in this file are refused where it differs. The end of any
other name is compared, and a difference is a line in the log: a name proves nothing.

``mmballoon://cat,dog`` names the weights in the package, with these classes (mmballoon/weights/README.md).
A comma in the name of a class is written %2C.

A test, a demo and --resume refuse a checkpoint of another model or of other classes. Training (load_from,
init_cfg), and load_checkpoint in one's own code, may load a part.
"""

import hashlib
import os
import re
import zipfile
from http.client import HTTPException
from pathlib import Path

import torch
from mmdet.apis import det_inferencer, inference
from mmengine.infer import infer
from mmengine.logging import print_log
from mmengine.runner import checkpoint

from mmballoon.cli import DAMAGED, FILE_SYSTEM, UserError, is_whole
from mmballoon.train.rules import instead

# The whole sha256 where we know it.
RTMDET_TINY = 'rtmdet_tiny_8xb32-300e_coco_20220902_112414-78e30dcc.pth'
PACKAGED = Path(__file__).parents[2] / 'weights/rtmdet_tiny_objects.pth'
SHA256 = {
    RTMDET_TINY: '78e30dcce0c6f594eaff0d6977b84b4103688b4aff0ad1aa16008a8cc854a7fb',
    PACKAGED.name: '798bab03c01f9368e618cb0af7e9d8a161856f3d16c03f4e7aa82dee9401725f',
}


def address(config, name):
    """The address of the weights in the package for a config (its ``name`` is for messages)."""
    classes = config.test_dataloader.dataset.get('metainfo', {}).get('classes', ())
    known = torch.load(PACKAGED, weights_only=True)['meta']['dataset_meta']['classes']
    unknown = [label for label in classes if label not in known]
    if unknown or not classes:
        names = ', '.join(map(repr, unknown)) or 'class of COCO'
        found = f'the weights in the package know no {names}'
        raise UserError(name, found, 'train, and add --weights CHECKPOINT')
    return 'mmballoon://' + ','.join(name.replace(',', '%2C') for name in classes)


def load_from_package(address, map_location=None):
    """The weights in the package, in float32, for the classes that ``address`` names.

    The layer for classes gets its rows by name. The row of a class that the weights do not know is the mean of
    all rows: something, rather than nothing.
    """
    _verify(PACKAGED, PACKAGED.name, 'install mmballoon again')
    loaded = torch.load(PACKAGED, map_location=map_location, weights_only=True)
    names = address.partition('://')[2].split(',')
    meta, classes = loaded['meta']['dataset_meta'], [name.replace('%2C', ',') for name in names]
    rows = [meta['classes'].index(name) if name in meta['classes'] else -1 for name in classes]
    for name, value in loaded['state_dict'].items():
        value = value.float() if value.is_floating_point() else value
        if '.rtm_cls.' in name:
            value = torch.cat([value, value.mean(0, keepdim=True)])[rows]
        loaded['state_dict'][name] = value
    meta['classes'] = tuple(classes)
    return loaded


def load_url(url, model_dir=None, map_location=None, progress=True):
    """In the place of torch's: the content of the weights at ``url``, or of their copy."""
    name = url.partition('?')[0].rpartition('/')[2]
    source = os.environ.get('BALLOON_WEIGHTS', '')
    if source and not source.startswith(('http://', 'https://')):
        path, advice = Path(source).expanduser(), f'copy {name} again'
        path = path / name if path.is_dir() else path
        if not path.is_file():
            raise UserError(f'BALLOON_WEIGHTS={source}', f'{path} is not there', 'check the path')
    else:
        path = Path(model_dir or Path(torch.hub.get_dir()) / 'checkpoints') / name
        advice = 'delete this file, and it is downloaded again'
        if not path.is_file():
            address = f'{source.rstrip("/")}/{name}' if source else url
            _download(address, path, SHA256.get(name), progress)
    _verify(path, name, advice)
    return torch.load(path, map_location=map_location)


def _download(address, cached, expected, progress):
    cached.parent.mkdir(parents=True, exist_ok=True)
    print(f'downloading {address} to {cached}')
    try:
        torch.hub.download_url_to_file(address, str(cached), expected, progress)
    except (OSError, HTTPException, RuntimeError) as error:  # RuntimeError: another sha256
        if getattr(error, 'errno', None) in FILE_SYSTEM:  # a full disk, or no permission to write
            error.filename = error.filename or str(cached)
            raise
        checksum = f' (sha256 {expected})' if expected else ''
        raise UserError(
            f'{address}: {getattr(error, "reason", error)}; next: put this file{checksum} into '
            f'{cached.parent}, or set BALLOON_WEIGHTS to a copy or the address of a mirror, or train with '
            '--cfg-options load_from=PATH (of a copy) or load_from=None (without these weights)'
        ) from error


def _verify(path, name, advice):
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    expected = SHA256.get(name)
    if expected and digest != expected:
        raise UserError(path, f'its sha256 is {digest}, expected {expected}', advice)
    # OpenMMLab and torch put the first digits into the name; others put a date there.
    promised = re.search(r'-(?!20\d{6}\.)([0-9a-f]{8,64})\.\w+$', name)
    if promised and not digest.startswith(promised[1]):
        differs = f'the name ends with {promised[1]}, but the sha256 begins with {digest[:8]}'
        print_log(f'{path}: {differs}', 'current')


def mismatches(model, weights):
    """Names of the tensors of a state dict that ``weights`` does not fill; a text about a shape, or ''."""
    names, shapes = [], ''
    for name, value in model.items():
        shape = getattr(weights.get(name), 'shape', None)
        if shape != value.shape and not name.endswith('num_batches_tracked'):
            names.append(name)
            if shape and not shapes:
                shapes = f'{tuple(shape)} in the checkpoint, {tuple(value.shape)} in the model'
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


def apply():
    """Let MMEngine's loaders of http and mmballoon addresses use the functions above."""
    checkpoint.load_url = load_url
    checkpoint.CheckpointLoader.register_scheme('mmballoon://', load_from_package, force=True)
