"""The way from a config and detections to the two files of the report."""

import contextlib
import hashlib
import io
import json
import os
import platform
import shlex
import sys
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

import hotcoco
import numpy as np
from mmengine.config import Config

from mmballoon.data import coco
from mmballoon.errors import UserError
from mmballoon.report import numbers, page, predictions

CONFIDENT = 0.5  # a false alarm from this score may be an object that was not annotated


def build(args):
    """Write report.html and report.json for tools/report.py's arguments; returns their paths."""
    import mmballoon.patches  # noqa: F401

    for path in (args.checkpoint, args.predictions, args.compare):
        if path is not None and not path.is_file():
            raise UserError(f'{path}: no such file; next: check the path')
    cfg = Config.fromfile(args.config)
    part, truth = read_truth(cfg)

    def detections_of(path):
        categories = list(part.names)
        if path.suffix in ('.pkl', '.pickle', '.json'):
            found = predictions.read(path, categories)
        else:
            found = predictions.detect(cfg, path, categories)
        foreign = [d for d in found if d['image_id'] not in part.images]
        if foreign:
            raise UserError(
                f'{path}: detections in image {foreign[0]["image_id"]}, which the annotations '
                'do not have; next: detect with this config'
            )
        return [d for d in found if d['category_id'] in part.names]

    source = args.predictions or args.checkpoint
    detections = detections_of(source)
    other = detections_of(args.compare) if args.compare else None
    result = measure(truth, detections, other)
    result['made'] = provenance(args, cfg, part, result, len(detections))
    args.out.mkdir(parents=True, exist_ok=True)
    html = page.render(result, part, args.lang)
    return [
        write(args.out / 'report.html', html),
        write(args.out / 'report.json', json.dumps(result, indent=1, ensure_ascii=False)),
    ]


def read_truth(cfg):
    """(Part, hotcoco.COCO) of the config's test split, with the config's classes only."""
    dataset = cfg.test_dataloader.dataset
    root = Path(dataset.get('data_root') or '')
    part = coco.load(root / dataset.ann_file, root / dataset.data_prefix.img)
    classes = dataset.get('metainfo', {}).get('classes') or part.names.values()
    part.names = {key: name for key, name in part.names.items() if name in classes}
    if not part.names:
        raise UserError(
            f'{root / dataset.ann_file}: no category named {", ".join(classes)}; next: make '
            "metainfo['classes'] in the config name categories of this file"
        )
    part.boxes = {
        key: [a for a in boxes if a['category_id'] in part.names]
        for key, boxes in part.boxes.items()
    }
    annotations = [
        dict(a, area=a.get('area', a['bbox'][2] * a['bbox'][3]), iscrowd=a.get('iscrowd', 0))
        for boxes in part.boxes.values()
        for a in boxes
    ]
    images = [dict(image) for image in part.images.values()]
    categories = [dict(id=key, name=name) for key, name in part.names.items()]
    return part, hotcoco.COCO(dict(images=images, annotations=annotations, categories=categories))


def measure(truth, detections, other=None):
    """All numbers of the report (dict that JSON can hold, but for the integer keys of images).

    ``other`` are the detections of the checkpoint that it is compared with.
    """
    objects = sum(not a['iscrowd'] for a in truth.dataset['annotations'])
    evaluation, nothing = numbers.evaluate(truth, detections), numbers.evaluate(truth, [])
    result = dict(metrics=numbers.intervals(evaluation, nothing), difference=None)
    if other is not None:
        result['difference'] = numbers.intervals(evaluation, numbers.evaluate(truth, other))
    result['disagreement'] = disagree(truth, detections, evaluation, result['metrics'])
    result['threshold'] = curve = numbers.threshold_curve(evaluation, detections, objects)
    result['shown'] = shown = [d for d in detections if d['score'] >= curve['threshold']]
    at_limit = numbers.evaluate(truth, shown)
    result['failures'] = found = numbers.failures(at_limit, truth, shown)
    result['kinds'] = {kind: sum(f['kind'] == kind for f in found) for kind in numbers.KINDS}
    result['per_image'] = at_limit.image_diagnostics(numbers.IOU)['img_summary']
    tide = evaluation.tide_errors(numbers.IOU, numbers.BACKGROUND)['delta_ap'] if objects else {}
    result['tide'] = {key: value for key, value in tide.items() if key not in ('FP', 'FN')}
    result['calibration'] = evaluation.calibration()
    curves = evaluation.report()['curves']
    result['curves'] = {key: np.asarray(value).tolist() for key, value in curves.items()}
    result['confusion'] = None
    if len(truth.dataset['categories']) > 1:
        confusion = at_limit.confusion_matrix(numbers.IOU)
        matrix = confusion['matrix'].tolist()
        result['confusion'] = dict(names=confusion['cat_names'], matrix=matrix)
    never = numbers.failures(evaluation, truth, detections)
    result['label_errors'] = [
        f
        for f in never
        if f['kind'] == 'missed'
        or (f['kind'] in ('false_alarm', 'empty_image') and f['score'] >= CONFIDENT)
    ]
    return result


def disagree(truth, detections, evaluation, metrics):
    """Whether pycocotools' twelve numbers differ from hotcoco's; if so, its values replace
    those in ``metrics``.
    """
    if not detections:
        return False
    reference = pycocotools_stats(truth.dataset, detections)
    if np.allclose(reference, evaluation.stats, rtol=0, atol=1e-9):
        return False
    for name, value in zip(numbers.METRICS, reference):
        if metrics[name]:
            metrics[name]['value'] = float(value)
    return True


def pycocotools_stats(dataset, detections):
    """(12,) the numbers of pycocotools for a COCO dict and a list of COCO result dicts."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = dict(dataset, info={})
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes([dict(d) for d in detections]), 'bbox')
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats


def provenance(args, cfg, part, result, detections):
    """{name: value}: what the report was made from, with what, and when."""
    limit = result['threshold']['threshold']
    scales = [step.scale for step in cfg.test_pipeline if 'scale' in step]
    use = ['python', 'tools/image_demo.py', str(part.folder), args.config]
    use += ['--weights', str(args.checkpoint or 'CHECKPOINT'), '--pred-score-thr', f'{limit:.3f}']
    return dict(
        config=args.config,
        config_sha256=hashlib.sha256(cfg.pretty_text.encode()).hexdigest(),
        checkpoint=args.checkpoint and str(args.checkpoint),
        checkpoint_sha256=args.checkpoint
        and hashlib.sha256(args.checkpoint.read_bytes()).hexdigest(),
        predictions=args.predictions and str(args.predictions),
        compare=args.compare and str(args.compare),
        annotations=str(cfg.test_dataloader.dataset.ann_file),
        images=len(part.images),
        objects=sum(map(len, part.boxes.values())),
        detections=detections,
        img_size=max(scales[0]) if scales else 640,
        threshold=limit,
        use=shlex.join(use),
        command=shlex.join(['python', *sys.argv]),
        date=datetime.now().astimezone().isoformat(timespec='seconds'),
        training_seed=cfg.get('randomness', {}).get('seed'),
        bootstrap=f'{numbers.RESAMPLES} resamples, seed {numbers.SEED}',
        versions=', '.join(
            f'{name} {version(name)}'
            for name in ('hotcoco', 'pycocotools', 'numpy', 'torch', 'mmengine', 'mmdet')
        ),
        machine=f'{platform.platform()}, {os.cpu_count()} CPU cores',
    )


def write(path, text):
    """Write a file whole or not at all; returns its path."""
    temporary = path.with_name(f'.{path.name}.tmp')
    try:
        with open(temporary, 'w', encoding='utf-8') as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path
