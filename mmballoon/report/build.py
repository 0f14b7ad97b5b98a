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
from importlib import metadata, resources
from pathlib import Path
from tempfile import TemporaryDirectory

from jinja2 import Environment
from markupsafe import Markup
from mmengine.config import Config

from mmballoon.data import checks, coco
from mmballoon.data.results import read_results
from mmballoon.errors import UserError
from mmballoon.files import atomic_write
from mmballoon.report import numbers

PACKAGES = ('hotcoco', 'pycocotools', 'numpy', 'torch', 'mmengine', 'mmdet')


def build(args):
    """Write report.html and report.json for tools/report.py's arguments; returns their paths."""
    import mmballoon.patches  # noqa: F401

    cfg = Config.fromfile(args.config)
    part = coco.load_dataset(cfg.test_dataloader.dataset)
    inputs = dict(checkpoint=args.checkpoint, predictions=args.predictions, compare=args.compare)
    inputs = {name: path for name, path in inputs.items() if path}
    for path in inputs.values():
        if not path.is_file():
            raise UserError(f'{path}: no such file; next: check the path')
    found = detections(cfg, part, args.predictions or args.checkpoint)
    other = detections(cfg, part, args.compare) if args.compare else None
    sizes = [max(step.scale) for step in cfg.test_pipeline if 'scale' in step]
    result = numbers.measure(coco.to_dict(part), found, other, sizes[0] if sizes else 640)
    result['made'] = provenance(cfg, inputs)
    use = ['python', 'tools/image_demo.py', str(part.folder), args.config, '--weights']
    use += [str(args.checkpoint or 'CHECKPOINT'), '--pred-score-thr']
    result['use'] = shlex.join([*use, f'{result["threshold"]["threshold"]:.3f}'])
    parts = [part]
    with contextlib.suppress(UserError, AttributeError):  # no COCO file for training here
        parts.insert(0, coco.load_dataset(cfg.train_dataloader.dataset))
    result['findings'] = '\n'.join(checks.findings(parts, result['img_size']))
    curves = args.checkpoint and data_url(args.checkpoint.with_name('curves.png'), 1400)
    html = render(result, part, args.lang, curves)
    args.out.mkdir(parents=True, exist_ok=True)
    texts = {'report.html': html, 'report.json': json.dumps(result, indent=1, ensure_ascii=False)}
    for name, text in texts.items():
        with atomic_write(args.out / name, 'w', encoding='utf-8') as file:
            file.write(text)
    return [args.out / name for name in texts]


def detections(cfg, part, path):
    """COCO result dicts: read from a file of them, or found with the checkpoint ``path``."""
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        is_file = path.suffix in ('.pkl', '.pickle', '.json')
        file = path if is_file else run_test(cfg, path, Path(folder))
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

    cfg = cfg.copy()
    cfg.load_from, cfg.work_dir = str(checkpoint), str(folder)
    # MMEngine keeps one visualizer per process: its files would outlive this folder.
    cfg.visualizer.vis_backends = []
    runner = Runner.from_cfg(cfg)
    runner.test_evaluator.metrics.append(DumpDetResults(str(folder / 'results.pkl')))
    runner.test()
    return folder / 'results.pkl'


def provenance(cfg, inputs):
    """{name: value}: what the report was made from, with what, and when; inputs: {name: path}."""
    hashes = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in inputs.items()}
    return dict(
        config=cfg.filename,
        config_sha256=hashlib.sha256(cfg.pretty_text.encode()).hexdigest(),
        **{name: str(path) for name, path in inputs.items()},
        **{f'{name}_sha256': digest for name, digest in hashes.items()},
        annotations=str(cfg.test_dataloader.dataset.ann_file),
        command=shlex.join(['python', *sys.argv]),
        date=datetime.now().astimezone().isoformat(timespec='seconds'),
        training_seed=cfg.get('randomness', {}).get('seed'),
        bootstrap=f'{numbers.RESAMPLES} resamples, seed {numbers.SEED}',
        versions=', '.join(f'{name} {metadata.version(name)}' for name in PACKAGES),
        machine=f'{platform.platform()}, {os.cpu_count()} CPU cores',
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
    side = 960 if len(part.images) <= 60 else 360
    cards = {}
    for key, image in part.images.items():
        card = dict(image, url=data_url(part.folder / image['file_name'], side))
        card['truth'] = [a['bbox'] for a in part.boxes.get(key, ())]
        card['found'] = [d['bbox'] for d in result['shown'] if d['image_id'] == key]
        counts = result['per_image'].get(key, dict(tp=0, fp=0, fn=0))
        empty = not any(counts[name] for name in ('tp', 'fp', 'fn'))
        cards[key] = card | counts | (dict(f1=1.0) if empty else {})  # nothing to find, and found
    files = resources.files(__package__)
    read = {p.name: p.read_text(encoding='utf-8') for p in files.iterdir() if p.suffix != '.py'}
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters['zip'] = zip
    return environment.from_string(read['template.html']).render(
        r=result,
        t=json.loads(read[f'{lang}.json']),
        lang=lang,
        cards=cards,
        names=part.names,
        curves=curves,
        style=Markup(read['style.css']),
        script=Markup(read['script.js']),
    )
