"""The work directory of a cross-validation, and the trainings in it."""

import copy
import hashlib
import json
import math
import os
import pprint
import re
import signal
import subprocess
import sys
import threading
import time
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import mmengine
import torch
from tqdm import tqdm

from mmballoon import upstream
from mmballoon.cli import UserError, atomic_write
from mmballoon.data import folds
from mmballoon.data.coco import datasets
from mmballoon.report.results import read_results
from mmballoon.report.split import annotation_file, load_split, to_coco

# In a folder of its own. share: per cent of the images of the other folds. train, test: image ids.
Training = namedtuple('Training', 'folder share train test steps')


def sources(cfg):
    """The plain datasets (configs) of the train and val images of a config."""
    loaders = [cfg[name] for name in ('train_dataloader', 'val_dataloader') if cfg.get(name)]
    return [plain for loader in loaders for plain in datasets(loader.dataset)]


def prepare(cfg, folder, args, other=None):
    """Deal the images, and write what the trainings need; the user's files stay as they are.

    other: a work directory, to which this one is compared. Returns the Split of all images, and a list of
    Training.

    Raises:
        UserError: too few images, a folder that holds something else, or one of other images or folds.
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
    split = load_split(dict(datasets=sources(cfg)))
    groups = folds.together(split, args.group)
    folds.check(split, groups, args.folds, ', '.join(str(annotation_file(d)) for d in sources(cfg)))
    dealt = folds.deal(split, groups, args.folds, args.seed)
    image_digests = [digest.hex() for digest, _ in split.hashes.values()]
    weights = Path(cfg.get('load_from') or '')
    marker = dict(
        config=_digest(cfg.to_dict()),
        data=_digest([to_coco(split), str(split.folder), image_digests]),
        folds=[[split.images[key]['file_name'] for key in fold] for fold in dealt],
        weights=hashlib.sha256(weights.read_bytes()).hexdigest() if weights.is_file() else '',
    )
    for key in _changed(other / 'folds.json', marker) if other else ():
        if key in ('data', 'folds'):
            found = f'has other {key} than {folder}'
            raise UserError(other, found, f'choose the same {key} for both')
    claim(folder, marker)
    cfg = copy.deepcopy(cfg)
    cfg.randomness = dict(dict(seed=args.seed), **cfg.get('randomness', {}))
    trainings, batch = [], cfg.train_dataloader.batch_size
    for share in (25, 50, 100) if args.learning_curve else (100,):
        for i, test in enumerate(dealt, start=1):
            rest = [group for group in groups if group[0] not in test]
            train = sum(folds.deal(split, rest, 4, args.seed)[: share // 25], [])
            run = folder / (f'fold_{i}' if share == 100 else f'fold_{i}_{share}')
            write_config(cfg, split, run, train, test)
            steps = cfg.train_cfg.get('max_epochs', 0) * math.ceil(len(train) / batch)
            steps = cfg.train_cfg.get('max_iters') or steps
            trainings.append(Training(run, share, train, test, steps))
    write_config(cfg, split, folder, [], split.images)
    return split, trainings


def claim(folder, marker):
    """Write folds.json, by which this folder is known; refuse one that holds anything else."""
    file, advice = folder / 'folds.json', 'choose another folder with --work-dir'
    if not file.is_file() and folder.exists() and any(folder.iterdir()):
        raise UserError(folder, 'holds files that are of no cross-validation', advice)
    if changed := _changed(file, marker) if file.is_file() else ():
        found = f'is of a cross-validation with another {", ".join(changed)}'
        raise UserError(file, found, advice)
    mmengine.dump(marker, file)


def _changed(file, marker):
    """The keys of ``marker`` that have another value in a folds.json."""
    try:  # older releases did not write the weights
        old = dict(weights=marker['weights']) | mmengine.load(file)
    except (ValueError, TypeError):
        raise UserError(file, 'is of no cross-validation', 'choose another folder') from None
    return [key for key, value in marker.items() if old.get(key) != value]


def write_config(cfg, split, run, train, test):
    """Write config.py and its COCO files into the folder ``run``. train, test: image ids.

    The weights of the last epoch count, and nothing is validated: no choice sees an image that is left
    out.
    """
    cfg = copy.deepcopy(cfg)
    cfg.update(val_dataloader=None, val_cfg=None, val_evaluator=None)
    for name, keys in (('train', {*train}), ('test', {*test})):
        if not keys:
            cfg[f'{name}_dataloader'] = None
            continue
        loader, file = cfg[f'{name}_dataloader'], run.resolve() / f'{name}.json'
        data = to_coco(split)
        for key, items in (('id', 'images'), ('image_id', 'annotations')):
            data[items] = [item for item in data[items] if item[key] in keys]
        mmengine.dump(data, file)
        if 'datasets' in loader.dataset:
            loader.dataset = datasets(loader.dataset)[0]
        plain = datasets(loader.dataset)[0]
        plain.pop('indices', None)
        plain.update(data_root=str(split.folder), ann_file=str(file), data_prefix=dict(img=''))
        if not torch.cuda.is_available():  # see EpochSeedHook
            loader.update(num_workers=0, persistent_workers=False)
            loader.pop('prefetch_factor', None)
    cfg.test_evaluator = dict(type='CocoMetric', metric='bbox', ann_file=str(file))
    cfg.default_hooks.checkpoint.save_best = None
    cfg.default_hooks.logger.interval = 1  # the time left is worked out from the log
    cfg.custom_hooks = [*cfg.get('custom_hooks', []), dict(type='EpochSeedHook')]
    with atomic_write(run / 'config.py', 'w') as file:
        for key, value in cfg.to_dict().items():  # pretty_text takes seconds
            file.write(f'{key} = {pprint.pformat(value, width=100, sort_dicts=False)}\n')


def detect(folder, split, trainings, at_once):
    """Train, and detect in the images that were left out; split: of all images.

    Returns {share of the training images in per cent: COCO result dicts}, and writes predictions.json.
    """
    train_and_test(trainings, at_once)
    detected = {run.share: [] for run in trainings}
    for run in trainings:
        own = replace(split, images={key: split.images[key] for key in run.test})
        detected[run.share] += read_results(run.folder / 'results.pkl', own)
    mmengine.dump(detected[100], folder / 'predictions.json')
    return detected


def train_and_test(trainings, at_once):
    """Do the trainings without results.pkl, some at once, in processes of their own."""
    waiting = [run for run in trainings if not (run.folder / 'results.pkl').is_file()]
    total, done = sum(run.steps for run in trainings), sum(map(_done, trainings))
    form = '{desc}{percentage:.0f} % done, about {remaining} left, after {elapsed}'
    bar = tqdm(total=total, initial=done, smoothing=0, miniters=1, bar_format=form)
    bar.mininterval = 1 if sys.stderr.isatty() else 20
    running = []
    try:
        while waiting or running:
            for run in waiting[: at_once - len(running)]:
                waiting.remove(run)
                threads = _threads(trainings.index(run), len(trainings), at_once)
                running.append((run, _start(run.folder, threads)))
            time.sleep(0.5)
            bar.set_description(', '.join(run.folder.name for run, _ in running), refresh=False)
            bar.update(sum(map(_done, trainings)) - bar.n)
            for run, process in running:
                if process.poll():
                    output = run.folder / 'output.txt'
                    found = output.read_text(errors='replace').strip().rpartition('\n')[2]
                    raise UserError(output, found or 'no output', 'read this file')
            running = [(run, process) for run, process in running if process.returncode is None]
    finally:
        bar.close()
        for _, process in running:
            process.terminate()
            process.wait()


def _threads(number, count, at_once):
    """Threads of a training: one, and more where fewer are left than ``at_once``; None: torch's choice.

    They depend on nothing else, because the last bits of a result depend on them.
    """
    if at_once == 1:
        return None
    first = number - number % at_once  # of those that run beside it
    return at_once // min(at_once, count - first)


def _start(folder, threads):
    """The process of ``python -m mmballoon.report.trainings FOLDER``."""
    env = dict(os.environ, PYTHONSAFEPATH='1')  # the current folder is no place of modules
    if threads and not torch.cuda.is_available():
        env['OMP_NUM_THREADS'] = str(threads)
    command, pipe = [sys.executable, '-m', __name__, folder], subprocess.PIPE
    with open(folder / 'output.txt', 'a') as output:
        # The system closes the pipe when this process ends, also by a kill: see _end_with_command.
        return subprocess.Popen(command, stdin=pipe, stdout=output, stderr=output, env=env)


def _end_with_command(pipe):
    os.read(pipe, 1)  # returns when the pipe is closed
    os.kill(os.getpid(), signal.SIGTERM)


def _done(run):
    """The last step in the log of a Training, or 0."""
    logs = [path.read_text() for path in run.folder.glob('*/vis_data/scalars.json')]
    return max((int(step) for log in logs for step in re.findall(r'"step": (\d+)', log)), default=0)


def _digest(value):
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def main(run):
    """Train with the config in a folder (str), resuming if it was stopped, and test the last epoch."""
    # Nothing else may use the pipe: a question would wait for its answer forever, and on Windows a library
    # that looks at stdin while it is loaded, as SciPy's does (https://github.com/numpy/numpy/issues/24290).
    pipe = os.dup(0)
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
    threading.Thread(target=_end_with_command, args=[pipe], daemon=True).start()
    sys.argv[1:] = [f'{run}/config.py', '--resume', '--work-dir', run]
    upstream.run('tools/train.py', 'mmdet')
    last = Path(run, 'last_checkpoint').read_text(encoding='utf-8')
    sys.argv[1:] = [f'{run}/config.py', last, '--work-dir', f'{run}/test', '--out']
    sys.argv.append(f'{run}/results.pkl')
    upstream.run('tools/test.py', 'mmdet')


if __name__ in ('__main__', '__mp_main__'):  # __mp_main__: in a data-loader worker of spawn
    upstream.apply_rules()
if __name__ == '__main__':
    main(sys.argv[1])
