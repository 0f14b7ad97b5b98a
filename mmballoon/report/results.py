"""Detections as files: results.pkl of MMDetection's tools/test.py --out, and COCO results JSON."""

import io
import json
import math
import pickle
from pathlib import Path

from mmballoon.cli import UserError
from mmballoon.report.split import image_files, to_results

ANOTHER = 'pass the config that tools/test.py detected with'
# What reading something else ends in
BROKEN = (AttributeError, EOFError, LookupError, TypeError, ValueError, pickle.PickleError)
# What MMDetection's files hold besides plain values: tensors, and numbers of numpy.
ALLOWED = (
    'torch._utils._rebuild_tensor_v2', 'collections.OrderedDict', 'numpy.dtype', '_codecs.encode',
    'numpy._core.multiarray.scalar', 'numpy._core.multiarray._reconstruct',
    'numpy.core.multiarray.scalar', 'numpy.core.multiarray._reconstruct',
)  # fmt: skip


class Restricted(pickle.Unpickler):
    """Loads plain values, tensors and numbers, and refuses anything else that a pickle may call."""

    def find_class(self, module, name):
        if (module, name) == ('torch.storage', '_load_from_bytes'):
            import torch

            return lambda data: torch.load(io.BytesIO(data), weights_only=True)
        if f'{module}.{name}' in ALLOWED:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f'it holds {module}.{name}, which is no tensor or number')


def read_results(path, split):
    """Detections of a results.pkl or of a COCO results JSON, as a list of COCO result dicts.

    A bbox is [x, y, width, height] in pixels of the image. results.pkl has labels, which are the
    classes of ``split`` in its order; JSON has category ids, which are those of the COCO file.
    """
    try:
        if path.suffix == '.json':
            return [_row(**row) for row in json.loads(path.read_text(encoding='utf-8'))]
        with open(path, 'rb') as file:
            samples = Restricted(file).load()
        files, detected = {f.resolve(): key for f, key in image_files(split).items()}, {}
        for sample in samples:
            instances = sample['pred_instances']
            columns = [instances[name] for name in ('bboxes', 'scores', 'labels')]
            detected[_image_of(sample, split, files)] = columns
        missing = split.images.keys() - detected.keys()
        if missing:
            reason = f'nothing about {len(missing)} of the {len(split.images)} images of the config'
            raise UserError(path, reason, ANOTHER)
        return to_results(split, detected, list(split.names.values()))
    except BROKEN as error:
        found = f'not a file of detections ({type(error).__name__}: {error})'
        advice = 'pass results.pkl of tools/test.py --out, or a COCO results JSON'
        raise UserError(path, found, advice) from None


def _image_of(sample, split, files):
    """The image id of one sample of results.pkl: by its id and the file's name, or by its path."""
    key, path = sample['img_id'], Path(sample.get('img_path') or '')
    if key in split.images and path.name in ('', Path(split.images[key]['file_name']).name):
        return key
    if path.resolve() not in files:
        raise UserError(path, 'has detections, and is no image of the config', ANOTHER)
    return files[path.resolve()]


def _row(image_id, category_id, bbox, score, **others):
    x, y, width, height = map(float, bbox)
    row = dict(image_id=int(image_id), category_id=int(category_id), bbox=[x, y, width, height])
    if not math.isfinite(x + y + width + height + float(score)):
        raise ValueError(f'not a number in {row}')
    return dict(row, score=float(score))
