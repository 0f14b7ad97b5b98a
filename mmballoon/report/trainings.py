"""The work directory of a cross-validation, and the trainings in it."""

import copy
import ctypes
import hashlib
import json
import math
import os
import pprint
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import mmengine
import torch
from tqdm import tqdm

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

from mmballoon import upstream
from mmballoon.cli import UserError, atomic_write
from mmballoon.data import folds
from mmballoon.data.coco import datasets
from mmballoon.report.split import annotation_file, load_split, to_coco

SHARES = (25, 50)  # per cent of a fold's training images, for the learning curve


def load_images(cfg):
    """Part of the train and val images of a config; file names are below the folder that holds all."""
    joined = copy.deepcopy(cfg.train_dataloader)
    joined.dataset = dict(datasets=sources(cfg))
    part, paths = load_split(joined.dataset), {}
    for key, image in list(part.images.items()):
        path = (part.folder / image['file_name']).resolve()
        same = paths.setdefault(path, key)
        if same != key:  # one file in both lists: it would be trained on and tested on
            both = (part.boxes.get(i, ()) for i in (key, same))
            one, other = (sorted((a['category_id'], *a['bbox']) for a in some) for some in both)
            if one != other:
                found = 'is listed twice, with other boxes'
                raise UserError(path, found, 'keep one of its entries')
            part.images.pop(key)
            part.boxes.pop(key, None)
    part.folder = Path(os.path.commonpath([path.parent for path in paths]))
    for path, key in paths.items():
        part.images[key]['file_name'] = path.relative_to(part.folder).as_posix()
    return part, ', '.join(str(annotation_file(plain)) for plain in sources(cfg))


def sources(cfg):
    """The plain datasets (configs) of the train and val images of a config."""
    loaders = [cfg[name] for name in ('train_dataloader', 'val_dataloader') if cfg.get(name)]
    return [plain for loader in loaders for plain in datasets(loader.dataset)]


def prepare(cfg, folder, args):
    """Deal the images, and write what the trainings need; the user's files stay as they are.

    Returns the Part of all images, the folds (lists of image ids), and {share in per cent: {run folder:
    number of its training steps}}.

    Raises:
        UserError: too few images, or a folder that holds something else.
    """
    train = cfg.train_dataloader.dataset
    test = cfg.test_dataloader.dataset  # in a line of its own, which names a loader that is missing
    for dataset in (train, test):
        plain = datasets(dataset)
        # A fold replaces one plain dataset, or a ConcatDataset of plain ones.
        if plain != list(dataset.get('datasets', plain[:1])):
            found = 'datasets inside another dataset, which the folds cannot replace'
            advice = 'let its loaders name plain datasets, or a ConcatDataset of them'
            raise UserError(cfg.filename, found, advice)
    part, source = load_images(cfg)
    groups = folds.together(part, args.group)
    folds.check(part, groups, args.folds, source)
    dealt = folds.deal(part, groups, args.folds, args.seed)
    image_digests = [digest.hex() for digest, _ in part.hashes.values()]
    weights = Path(cfg.get('load_from') or '')
    marker = dict(
        config=_digest(cfg.to_dict()),
        data=_digest([to_coco(part), str(part.folder), image_digests]),
        folds=[[part.images[key]['file_name'] for key in fold] for fold in dealt],
        weights=hashlib.sha256(weights.read_bytes()).hexdigest() if weights.is_file() else '',
    )
    claim(folder, marker)
    cfg = copy.deepcopy(cfg)
    cfg.randomness = dict(dict(seed=args.seed), **cfg.get('randomness', {}))
    runs = {share: {} for share in (*SHARES, 100) if share == 100 or args.learning_curve}
    batch = cfg.train_dataloader.batch_size
    for i, fold in enumerate(dealt):
        rest = [group for group in groups if group[0] not in fold]
        quarters = folds.deal(part, rest, 4, args.seed)
        for share, run_folders in runs.items():
            run = folder / f'fold_{i + 1}{"" if share == 100 else f"_{share}"}'
            train = sum(quarters[: share // 25], [])
            images = dict(train_dataloader={*train}, test_dataloader={*fold})
            write_config(cfg, part, run, images)
            steps = cfg.train_cfg.get('max_epochs', 0) * math.ceil(len(train) / batch)
            run_folders[run] = cfg.train_cfg.get('max_iters') or steps
    write_config(cfg, part, folder, dict(test_dataloader=part.images))
    return part, dealt, runs


def claim(folder, marker):
    """Write folds.json, by which this folder is known; refuse one that holds anything else."""
    file, advice = folder / 'folds.json', 'choose another folder with --work-dir'
    if not file.is_file() and folder.exists() and any(folder.iterdir()):
        raise UserError(folder, 'holds files that are of no cross-validation', advice)
    try:
        old = mmengine.load(file) if file.is_file() else marker
    except ValueError:
        old = None
    if not isinstance(old, dict):
        raise UserError(file, 'is of no cross-validation', advice)
    old.setdefault('weights', marker['weights'])  # older releases did not write them
    changed = ', '.join(key for key, value in marker.items() if old.get(key) != value)
    if changed:
        raise UserError(file, f'is of a cross-validation with another {changed}', advice)
    folder.mkdir(parents=True, exist_ok=True)
    mmengine.dump(marker, file)


def write_config(cfg, part, run, images):
    """Write config.py and its COCO files into the folder ``run``. images: {data loader: image ids}.

    The weights of the last epoch count, and nothing is validated: no choice sees an image that is left
    out.
    """
    run.mkdir(parents=True, exist_ok=True)
    cfg = copy.deepcopy(cfg)
    cfg.update(val_dataloader=None, val_cfg=None, val_evaluator=None)
    cfg.train_dataloader = cfg.train_dataloader if 'train_dataloader' in images else None
    for name, keys in images.items():
        data, file = to_coco(part), run.resolve() / f'{name.split("_")[0]}.json'
        for key, items in (('id', 'images'), ('image_id', 'annotations')):
            data[items] = [item for item in data[items] if item[key] in keys]
        mmengine.dump(data, file)
        if 'datasets' in cfg[name].dataset:
            cfg[name].dataset = datasets(cfg[name].dataset)[0]
        plain = datasets(cfg[name].dataset)[0]
        plain.pop('indices', None)
        plain.update(data_root=str(part.folder), ann_file=str(file), data_prefix=dict(img=''))
        if not torch.cuda.is_available():  # see EpochSeedHook
            cfg[name].update(num_workers=0, persistent_workers=False)
            cfg[name].pop('prefetch_factor', None)
    # The test images come last in ``images``: ``file`` is theirs.
    cfg.test_evaluator = dict(type='CocoMetric', metric='bbox', ann_file=str(file))
    cfg.default_hooks.checkpoint.save_best = None
    cfg.default_hooks.logger.interval = 1  # the time left is worked out from the log
    cfg.custom_hooks = [*cfg.get('custom_hooks', []), dict(type='EpochSeedHook')]
    imports = cfg.get('custom_imports', {}).get('imports', [])
    imports = [imports] if isinstance(imports, str) else imports
    cfg.custom_imports = dict(imports=[*imports, 'mmballoon.train'])
    with atomic_write(run / 'config.py', 'w') as file:
        for key, value in cfg.to_dict().items():  # pretty_text takes seconds
            file.write(f'{key} = {pprint.pformat(value, width=100, sort_dicts=False)}\n')


def train_and_test(steps, at_once):
    """Train and test each run folder without results.pkl, some at once, in processes of their own.

    steps: {run folder: number of its training steps}.
    """
    waiting = [run for run in steps if not (run / 'results.pkl').is_file()]
    bar = tqdm(total=sum(steps.values()), initial=sum(map(_done, steps)), smoothing=0, miniters=1)
    bar.mininterval = 1 if sys.stderr.isatty() else 20
    bar.bar_format = '{desc}{percentage:.0f} % done, about {remaining} left, after {elapsed}'
    running = {}
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                run = waiting.pop(0)
                running[run] = _start(run, _threads(list(steps).index(run), len(steps), at_once))
            time.sleep(0.5)
            bar.set_description(', '.join(run.name for run in running), refresh=False)
            if bar.n == bar.initial:
                bar.unpause()  # the clock starts with the first step
            bar.update(sum(map(_done, steps)) - bar.n)
            for run, process in list(running.items()):
                if process.poll():
                    lines = (run / 'output.txt').read_text(errors='replace').split('\n')
                    found = next((line for line in reversed(lines) if line.strip()), 'no output')
                    raise UserError(run / 'output.txt', found, 'read this file')
                if process.poll() == 0:
                    del running[run]
    finally:
        bar.close()
        for process in running.values():
            process.terminate()
            process.wait()


def _threads(number, count, at_once):
    """Threads of the training with this number: one each, and more where fewer are left than ``at_once``.

    None leaves the choice to torch. They depend on nothing else: the last bits of a result depend on them.
    """
    if at_once == 1:
        return None
    beside = min(at_once, count - number // at_once * at_once)
    return at_once // beside


def _start(run, threads):
    """The process of ``python -m mmballoon.report.trainings``, below, for a run folder."""
    env = dict(os.environ, PYTHONSAFEPATH='1')  # the current folder is no place of modules
    if threads and not torch.cuda.is_available():
        env['OMP_NUM_THREADS'] = str(threads)
    with open(run / 'output.txt', 'a') as output:
        if fcntl:  # waits for a training that a killed command left behind
            fcntl.flock(output, fcntl.LOCK_EX)
        return subprocess.Popen(
            [sys.executable, '-m', __name__, str(run)],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=env,
            preexec_fn=_end_with_parent if sys.platform == 'linux' else None,
        )


def _end_with_parent():
    """A killed command ends its trainings, too (Linux)."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def _done(run):
    """The last training step in the log of the folder ``run``, or 0."""
    logs = [path.read_text() for path in run.glob('*/vis_data/scalars.json')]
    return max((int(step) for log in logs for step in re.findall(r'"step": (\d+)', log)), default=0)


def _digest(value):
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def main(run):
    """Train with the config in a run folder (str), continuing if it was stopped, and test the last epoch."""
    config, out = Path(run, 'config.py'), Path(run, 'results.pkl')
    sys.argv[1:] = map(str, [config, '--resume', '--work-dir', run])
    upstream.run('tools/train.py', 'mmdet')
    last = Path(run, 'last_checkpoint').read_text(encoding='utf-8')
    sys.argv[1:] = map(str, [config, last, '--work-dir', Path(run, 'test'), '--out', out])
    upstream.run('tools/test.py', 'mmdet')


if __name__ == '__main__':
    main(sys.argv[1])
elif (
    __name__ == '__mp_main__'
):  # a data-loader worker that was started by spawn imports this file again
    from mmballoon.train import rules

    rules.apply()
