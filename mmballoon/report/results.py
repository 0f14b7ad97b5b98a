"""Detections as files: results.pkl of MMDetection's tools/test.py --out, and COCO results JSON."""

import io
import json
import math
import pickle

from mmballoon.cli import UserError, atomic_write

# What MMDetection's files hold besides plain values: tensors, and numbers of numpy.
ALLOWED = {
    'torch._utils': ('_rebuild_tensor_v2',),
    'collections': ('OrderedDict',),
    'numpy': ('dtype',),
    'numpy._core.multiarray': ('scalar', '_reconstruct'),
    'numpy.core.multiarray': ('scalar', '_reconstruct'),
    '_codecs': ('encode',),
}


class Restricted(pickle.Unpickler):
    """Loads plain values, tensors and numbers, and refuses anything else that a pickle may call."""

    def find_class(self, module, name):
        if (module, name) == ('torch.storage', '_load_from_bytes'):
            import torch

            return lambda data: torch.load(io.BytesIO(data), weights_only=True)
        if name in ALLOWED.get(module, ()):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f'it holds {module}.{name}, which is no tensor or number')


def read_results(path, categories):
    """Detections of a results.pkl or of a COCO results JSON.

    Returns a list of COCO result dicts; a bbox is [x, y, width, height] in pixels of the image.
    ``categories`` are the ids in the order of the network's labels.
    """
    try:
        if path.suffix == '.json':
            return [_row(**row) for row in json.loads(path.read_text(encoding='utf-8'))]
        with open(path, 'rb') as file:
            samples = Restricted(file).load()
        found = []
        for sample in samples:
            found += coco_results(sample['img_id'], sample['pred_instances'], categories)
        return found
    except (ValueError, LookupError, TypeError, EOFError, pickle.PickleError) as error:
        found = f'not a file of detections ({type(error).__name__}: {error})'
        advice = 'pass results.pkl of tools/test.py --out, or a COCO results JSON'
        raise UserError(f'{path}: {found}; next: {advice}') from None


def _row(image_id, category_id, bbox, score, **others):
    x, y, width, height = map(float, bbox)
    row = dict(image_id=int(image_id), category_id=int(category_id), bbox=[x, y, width, height])
    if not math.isfinite(x + y + width + height + float(score)):
        raise ValueError(f'not a number in {row}')
    return dict(row, score=float(score))


def coco_results(image_id, found, categories):
    """COCO result dicts of one image.

    found: mapping of 'bboxes' (K, 4), x1 y1 x2 y2 in pixels, 'scores' (K) and 'labels' (K), arrays.
    """
    columns = (found['bboxes'].tolist(), found['scores'].tolist(), found['labels'].tolist())
    for (x1, y1, x2, y2), score, label in zip(*columns):
        box = [x1, y1, x2 - x1, y2 - y1]
        yield dict(image_id=image_id, category_id=categories[label], bbox=box, score=score)


def write_results(path, results):
    """Write COCO result dicts as JSON."""
    with atomic_write(path, 'w') as file:
        json.dump(results, file)
