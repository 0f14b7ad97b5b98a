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

from mmballoon.cli import UserError, atomic_write
from mmballoon.data import checks, coco
from mmballoon.report import numbers
from mmballoon.report.results import read_results

PACKAGES = ('hotcoco', 'pycocotools', 'numpy', 'torch', 'mmengine', 'mmdet')


def build(args):
    """Write report.html and report.json for tools/report.py's arguments; yields their paths."""
    from mmballoon.train import rules

    rules.apply()

    cfg = Config.fromfile(args.config)
    part = coco.load_dataset(cfg.test_dataloader.dataset)
    inputs = {key: getattr(args, key) for key in ('checkpoint', 'predictions', 'compare')}
    inputs['annotations'] = coco.annotation_file(cfg.test_dataloader.dataset)
    inputs = {name: path for name, path in inputs.items() if path}
    for path in inputs.values():
        if not path.is_file():
            raise UserError(f'{path}: no such file; next: check the path')
    found = detections(cfg, part, args.predictions or args.checkpoint)
    other = detections(cfg, part, args.compare) if args.compare else None
    size = next((int(np.max(step.scale)) for step in cfg.test_pipeline if 'scale' in step), 640)
    result = numbers.measure(coco.to_dict(part), found, other, size)
    result['made'] = provenance(cfg, inputs)
    demo = ['python', 'tools/image_demo.py', str(part.folder), args.config]
    options = ['--weights', str(args.checkpoint or 'CHECKPOINT'), '--pred-score-thr']
    options.append(f'{result["threshold"]["threshold"]:.3f}')
    result['use'] = f'{shlex.join(demo)} \\\n    {shlex.join(options)}'
    parts = [part]
    with contextlib.suppress(UserError, AttributeError):  # no COCO file for training here
        parts.insert(0, coco.load_dataset(cfg.train_dataloader.dataset))
    result['findings'] = list(checks.findings(parts, size))
    result['findings'] += [f'wrong: {problem}' for part in parts for problem in part.problems]
    curves = args.checkpoint and data_url(args.checkpoint.with_name('curves.png'), 1400)
    html = render(result, part, args.lang, curves)
    args.out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(result, indent=1, ensure_ascii=False)
    for name, content in (('report.html', html), ('report.json', text)):
        with atomic_write(args.out / name, 'w') as file:
            file.write(content)
        yield args.out / name


def detections(cfg, part, path):
    """COCO result dicts: read from a file of them, or found with the checkpoint ``path``."""
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        file = path if path.suffix in ('.pkl', '.pickle', '.json') else run_test(cfg, path, folder)
        found = read_results(file, list(part.names))
    foreign = {d['image_id'] for d in found} - part.images.keys()
    if foreign:
        raise UserError(
            f'{path}: detections in image {min(foreign)}, which the annotations do not have; next: '
            'detect with this config'
        )
    return [d for d in found if d['category_id'] in part.names]


def run_test(cfg, checkpoint, folder):
    """Run MMDetection's test loop, as tools/test.py does; returns the path of its results.pkl."""
    from mmdet.evaluation import DumpDetResults
    from mmengine.runner import Runner

    cfg, results = cfg.copy(), Path(folder, 'results.pkl')
    cfg.load_from, cfg.work_dir = str(checkpoint), folder
    # MMEngine keeps one visualizer per process: its files would outlive this folder.
    cfg.visualizer.vis_backends = []
    runner = Runner.from_cfg(cfg)
    runner.test_evaluator.metrics.append(DumpDetResults(str(results)))
    runner.test()
    return results


def provenance(cfg, inputs):
    """{name: value}: what the report was made from, with what, and when; inputs: {name: path}."""
    hashes = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in inputs.items()}
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else 'no GPU'
    return dict(
        config=cfg.filename,
        config_sha256=hashlib.sha256(cfg.pretty_text.encode()).hexdigest(),
        **{name: str(path) for name, path in inputs.items()},
        **{f'{name}_sha256': digest for name, digest in hashes.items()},
        command=shlex.join(['python', *sys.argv]),
        date=datetime.now().astimezone().isoformat(timespec='seconds'),
        training_seed=cfg.get('randomness', {}).get('seed'),
        bootstrap=f'{numbers.RESAMPLES} resamples, seed {numbers.SEED}',
        versions=', '.join(f'{name} {metadata.version(name)}' for name in PACKAGES),
        machine=f'{platform.platform()}, {os.cpu_count()} CPU cores, {gpu}',
    )


def data_url(path, side):
    """A JPEG of at most ``side`` pixels as a data URL (str), or None for an unreadable image."""
    data = io.BytesIO()
    try:
        coco.thumbnail(path, side).save(data, 'JPEG', quality=75)
    except (OSError, ValueError):
        return None
    return 'data:image/jpeg;base64,' + base64.b64encode(data.getvalue()).decode()


def render(result, part, lang, curves=None):
    """The page (str) in ``lang``, 'en' or 'zh'. Names of files and classes are escaped as text."""
    side = min(960, round(8000 / max(1, len(part.images)) ** 0.5))  # keeps 500 images below 30 MB
    images = {}
    for key, image in part.images.items():
        counts = result['per_image'].get(key, dict(tp=0, fp=0, fn=0))
        if not any(map(counts.get, ('tp', 'fp', 'fn'))):  # nothing to find, and nothing found
            counts['f1'] = 1.0
        images[key] = dict(
            image,
            url=data_url(part.folder / image['file_name'], side),
            truth=[a['bbox'] for a in part.boxes.get(key, ())],
            found=[d['bbox'] for d in result['shown'] if d['image_id'] == key],
            **counts,
        )
    files = PackageLoader('mmballoon', 'report')
    pages = Environment(loader=files, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return pages.get_template('template.html').render(
        r=result,
        t=json.loads(files.get_source(pages, f'{lang}.json')[0]),
        lang=lang,
        images=images,
        names=part.names,
        strides=coco.STRIDES,
        curves=curves,
        zip=zip,
    )
