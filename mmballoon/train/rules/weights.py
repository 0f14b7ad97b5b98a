"""Downloaded weights are verified before they are used, and may come from a copy or a mirror.

Symptom:  a training that starts from weights of somebody else, or "certificate verify failed" or "timed out" with no
          way around it
Cause:    load_from_http asks one host, and never compares the sha256 that the file's name promises
Upstream: https://github.com/open-mmlab/mmdetection/issues/12396

BALLOON_WEIGHTS names a copy (a file, or its folder) or a mirror (the address of its folder). Downloads stay
in torch's cache. Weights whose whole sha256 is in this file are refused where it differs. The end of any
other name is compared, and a difference is a line in the log: a name proves nothing.

``mmballoon://cat,dog`` names the weights in the package, with these classes (mmballoon/weights/README.md).
A comma in the name of a class is written %2C.
"""

import hashlib
import os
import re
from http.client import HTTPException
from pathlib import Path

import torch
from mmengine.logging import print_log
from mmengine.runner import checkpoint

from mmballoon import weights
from mmballoon.cli import FILE_SYSTEM, UserError

# The whole sha256 where we know it.
RTMDET_TINY = 'rtmdet_tiny_8xb32-300e_coco_20220902_112414-78e30dcc.pth'
PACKAGED = Path(weights.__file__).parent / 'rtmdet_tiny_objects.pth'
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
        found = (
            f'the weights in the package know no {", ".join(map(repr, unknown)) or "class of COCO"}'
        )
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
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    expected = SHA256.get(name)
    if expected and found != expected:
        raise UserError(path, f'its sha256 is {found}, expected {expected}', advice)
    # OpenMMLab and torch put the first digits into the name; others put a date there.
    promised = re.search(r'-(?!20\d{6}\.)([0-9a-f]{8,64})\.\w+$', name)
    if promised and not found.startswith(promised[1]):
        print_log(
            f'{path}: the name ends with {promised[1]}, but the sha256 begins with {found[:8]}',
            'current',
        )


def apply():
    """Let MMEngine's loaders of http and mmballoon addresses use the functions above."""
    checkpoint.load_url = load_url
    checkpoint.CheckpointLoader.register_scheme('mmballoon://', load_from_package, force=True)
