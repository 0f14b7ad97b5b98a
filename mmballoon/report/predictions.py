"""Detections in COCO's form, from a file or from MMDetection's own test loop."""

import json
import pickle
import tempfile
from pathlib import Path

from mmballoon.errors import UserError

NEXT = 'next: pass results.pkl of tools/test.py --out, or a COCO results JSON'


def detect(cfg, checkpoint, categories):
    """``read`` of what MMDetection's test loop finds with a checkpoint, as tools/test.py finds it."""
    from mmengine.runner import Runner

    cfg = cfg.copy()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        results = Path(folder) / 'results.pkl'
        cfg.load_from, cfg.work_dir = str(checkpoint), folder
        # MMEngine keeps one visualizer per process: its files would outlive this folder.
        cfg.visualizer.vis_backends = []
        runner = Runner.from_cfg(cfg)
        from mmdet.evaluation import DumpDetResults

        runner.test_evaluator.metrics.append(DumpDetResults(out_file_path=str(results)))
        runner.test()
        return read(results, categories)


def read(path, categories):
    """Detections (list of COCO result dicts) of ``results.pkl`` or of a COCO results JSON.

    ``categories`` are the ids in the order of the network's labels. A box is [x, y, width, height]
    in pixels of the image.

    Raises:
        UserError: no such file, or a file that is neither.
    """
    try:
        if path.suffix == '.json':
            found = json.loads(path.read_text(encoding='utf-8'))
            keys = ('image_id', 'category_id', 'bbox', 'score')
            return [{key: item[key] for key in keys} for item in found]
        return _read_pickle(path, categories)
    except FileNotFoundError:
        raise UserError(f'{path}: no such file; {NEXT}') from None
    except (ValueError, KeyError, TypeError, IndexError, EOFError, pickle.PickleError) as error:
        found = f'{type(error).__name__}: {error}'
        raise UserError(f'{path}: not a file of detections ({found}); {NEXT}') from None


def _read_pickle(path, categories):
    from mmengine.fileio import load

    detections = []
    for sample in load(path):
        found = sample['pred_instances']
        columns = (found['bboxes'].tolist(), found['scores'].tolist(), found['labels'].tolist())
        for (x1, y1, x2, y2), score, label in zip(*columns):
            detections.append(
                dict(
                    image_id=sample['img_id'],
                    category_id=categories[label],
                    bbox=[x1, y1, x2 - x1, y2 - y1],
                    score=score,
                )
            )
    return detections
