"""The way from a config and detections to the two files of the report."""

import base64
import contextlib
import hashlib
import io
import json
import os
import platform
import shlex
import sys
from datetime import datetime
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from jinja2 import Environment, PackageLoader
from mmengine.config import Config
from mmengine.runner import CheckpointLoader

from mmballoon.cli import UserError, atomic_write, check_ours
from mmballoon.colors import palette
from mmballoon.data import checks, coco
from mmballoon.data.coco import datasets
from mmballoon.report import numbers, review
from mmballoon.report.results import read_results
from mmballoon.report.split import annotation_file, image_files, load_split, to_coco
from mmballoon.train.rules.classes import check_checkpoint

# What the files of a report hold; other files of these names are not replaced.
MARK, GENERATOR = '"made": {', '<meta name="generator" content="mmballoon">'
PACKAGES = ('hotcoco', 'numpy', 'torch', 'mmengine', 'mmdet')


def build(args, detect_onnx=None, cross=None, sources=None):
    """Write report.html and report.json for tools/report.py's arguments, and --review; yields lines of text.

    detect_onnx: a function of an exported file and a Split that returns COCO result dicts. For the
    detections of a cross-validation, cross: what ``mmballoon.report.cross_validation`` says of them, and
    sources: the person's own datasets (configs), from which the folds were made.
    """
    from mmdet.utils import get_test_pipeline_cfg

    review.check(args)
    check_ours(args.out / 'report.json', MARK)
    if not (args.out / 'report.json').exists():  # the page of an older release has no mark
        check_ours(args.out / 'report.html', GENERATOR)
    cfg = Config.fromfile(args.config)
    files = {name: getattr(args, name) for name in ('checkpoint', 'predictions', 'compare')}
    files = {name: path for name, path in files.items() if path}
    for path in files.values():
        if not path.is_file():
            raise UserError(path, 'no such file', 'check the path')
    split = load_split(cfg.test_dataloader.dataset)
    ours = detections(cfg, split, args.predictions or args.checkpoint, detect_onnx)
    other = detections(cfg, split, args.compare, detect_onnx) if args.compare else None
    pipeline = get_test_pipeline_cfg(cfg)
    size = next((int(np.max(step.scale)) for step in pipeline if 'scale' in step), 640)
    result = numbers.measure(to_coco(split), ours, other, size)
    result['made'] = provenance(cfg, files)
    result['cross'] = cross
    folder, weights = next(iter(image_files(split))).parent, args.checkpoint or Path('CHECKPOINT')
    demo = ['tools/image_demo.py', folder, args.config, '--weights', weights]
    if weights.suffix == '.onnx':
        demo = ['tools/onnx_demo.py', folder, weights]
    threshold = f'{result["threshold"]["threshold"]:.3f}'
    if len(result['thresholds']) > 1:
        threshold = shlex.quote(str(args.out / 'report.json'))
    demo = shlex.join(map(str, demo))
    result['use'] = f'python {demo} \\\n    --pred-score-thr {threshold}'
    splits, wrong = [split], []
    with contextlib.suppress(UserError, AttributeError):  # no COCO file for training here
        splits.insert(0, load_split(cfg.train_dataloader.dataset))
        if splits[0].name == split.name:  # else what is in both splits looks as if in one
            splits[0].name += ' (train)'
    result['findings'] = list(checks.findings(splits, size))
    if args.checkpoint and args.checkpoint.suffix != '.onnx' and not args.predictions:
        meta = CheckpointLoader.load_checkpoint(str(args.checkpoint), 'cpu').get('meta', {})
        wrong = check_checkpoint(cfg, meta.get('dataset_meta') or {})
    wrong += [problem for split in splits for problem in split.problems]
    result['findings'] += [f'wrong: {line}' for line in wrong]
    curves = args.checkpoint and data_url(args.checkpoint.with_name('curves.png'), 1400)
    plain = datasets(cfg.test_dataloader.dataset)
    colors = plain[0].get('metainfo', {}).get('palette')
    texts = {
        args.out / 'report.html': render(result, split, args.lang, colors, curves),
        args.out / 'report.json': json.dumps(result, indent=1, ensure_ascii=False),
    }
    if args.review:
        texts[args.review], lines = review.review(args, result, split, sources or plain)
        yield from lines
    for path, text in texts.items():
        with atomic_write(path, 'w') as file:
            file.write(text)
        yield f'saved: {path}'


def detections(cfg, split, path, detect_onnx):
    """COCO result dicts: read from a file of them, or found with the model in ``path``."""
    if path.suffix == '.onnx':
        return detect_onnx(path, split)
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        file = path if path.suffix in ('.pkl', '.pickle', '.json') else run_test(cfg, path, folder)
        rows = read_results(file, split)
    if foreign := {d['image_id'] for d in rows} - split.images.keys():
        reason = f'detections in image {min(foreign)}, which the annotations do not have'
        raise UserError(path, reason, 'detect with this config')
    if unknown := {d['category_id'] for d in rows} - split.names.keys() - split.left_out:
        reason = f'category id {min(unknown)}, which the annotations do not have ({[*split.names]})'
        raise UserError(path, reason, 'write the category ids of the COCO file')
    return [d for d in rows if d['category_id'] in split.names]


def run_test(cfg, checkpoint, folder):
    """Run MMDetection's test loop, as tools/test.py does; returns the path of its results.pkl."""
    from mmengine.runner import Runner

    cfg, results = cfg.copy(), Path(folder, 'results.pkl')
    cfg.load_from, cfg.work_dir = str(checkpoint), folder
    # With them, the garbage collection would wait 5 seconds for each process of the loader.
    cfg.test_dataloader.persistent_workers = False
    # MMEngine keeps one visualizer per process: its files would outlive this folder.
    cfg.visualizer.vis_backends = []
    cfg.test_evaluator = dict(type='DumpDetResults', out_file_path=str(results))
    Runner.from_cfg(cfg).test()
    return results


def provenance(cfg, files):
    """{name: value}: what the report was made from, with what, and when; files: {name: path}."""
    for i, plain in enumerate(datasets(cfg.test_dataloader.dataset)):
        files[f'annotations{i or ""}'] = annotation_file(plain)
    contents = {name: path.read_bytes() for name, path in files.items()}
    if 'predictions' in files:  # a threshold is found by the hash of what made these detections
        contents.pop('checkpoint', None)
    contents['config'] = cfg.pretty_text.encode()
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else 'no GPU'
    return dict(
        config=cfg.filename,
        **{name: str(path) for name, path in files.items()},
        **{f'{name}_sha256': digest for name, digest in hashes.items()},
        command=shlex.join(['python', *sys.argv]),
        date=datetime.now().astimezone().isoformat(timespec='seconds'),
        training_seed=cfg.get('randomness', {}).get('seed'),
        versions=', '.join(f'{name} {metadata.version(name)}' for name in PACKAGES),
        machine=f'{platform.platform()}, {os.cpu_count()} CPU cores, {gpu}',
    )


def data_url(path, side):
    """A JPEG of at most ``side`` pixels as a data URL (str), or None for an unreadable image."""
    data = io.BytesIO()
    with contextlib.suppress(UserError, OSError, ValueError):
        coco.thumbnail(path, side).save(data, 'JPEG', quality=75)
        return 'data:image/jpeg;base64,' + base64.b64encode(data.getvalue()).decode()


def render(result, split, lang, colors=None, curves=None):
    """The page (str) in ``lang``, 'en' or 'zh'. Names of files and classes are escaped as text.

    colors: RGB of the first classes, as in the config. A single class has no colour of its own: then
    annotations and detections have one each.
    """
    side = min(960, round(8000 / max(1, len(split.images)) ** 0.5))  # keeps 500 images below 30 MB
    images = {}
    for key, image in split.images.items():
        counts = result['per_image'].get(key, dict(tp=0, fp=0, fn=0))
        if not any(map(counts.get, ('tp', 'fp', 'fn'))):  # nothing to find, and nothing found
            counts['f1'] = 1.0
        url, truth = data_url(split.folder / image['file_name'], side), split.boxes.get(key, [])
        images[key] = dict(image, url=url, truth=truth, found=[], **counts)
    for detection in result['shown']:
        images[detection['image_id']]['found'].append(detection)
    colors = map('#%02x%02x%02x'.__mod__, palette(len(split.names), colors))
    files = PackageLoader('mmballoon', 'report')
    pages = Environment(loader=files, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return pages.get_template('template.html').render(
        r=result,
        t=json.loads(files.get_source(pages, f'{lang}.json')[0]),
        lang=lang,
        images=images,
        names=split.names,
        colors=dict(zip(split.names, colors)) if len(split.names) > 1 else {},
        strides=coco.STRIDES,
        curves=curves,
        zip=zip,
    )
