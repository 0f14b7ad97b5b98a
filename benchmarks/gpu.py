"""The Python parts of benchmarks/gpu.sh: each prints lines that start with 'ok', 'FAILED' or 'figure'.

python benchmarks/gpu.py kernels | detections | fast | models      (sections, or parts of one)
python benchmarks/gpu.py shrink --out FOLDER                       (for gpu_prepare.sh)
python benchmarks/gpu.py note --title TITLE --log LOG              (a section of gpu.md and gpu.json)
"""

import argparse
import contextlib
import functools
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from common import ROOT, run

from mmballoon.cli import report_errors

OURS = os.environ.get('MAIN', ROOT / 'configs/my_rtmdet_tiny.py')  # smaller in a dry run
LONG_SIDE = 1280  # pixels of the photographs that travel
WARM = 3  # iterations that are not measured
say = functools.partial(print, flush=True)


def shrink(args):
    """Copy the data root ``args.data`` with images of at most LONG_SIDE pixels."""
    from mmballoon.data.coco import read_json, thumbnail

    for split in ('train', 'val'):
        file, folder = args.data / f'coco_{split}.json', args.out / split
        folder.mkdir(parents=True, exist_ok=True)
        for image in read_json(file)['images']:
            name = image['file_name']
            thumbnail(args.data / split / name, LONG_SIDE).save(folder / name, quality=85)
        out = ['--out', (args.out / file.name).resolve()]  # import_annotations.py scales the boxes
        run('', 'data_tools/import_annotations.py', file.resolve(), folder.resolve(), *out)


def device():
    import torch

    return torch.device('cuda' if torch.cuda.is_available() else 'cpu')


@contextlib.contextmanager
def check(name):
    """Say whether the block passes its assertions; the next check runs in any case."""
    start = time.perf_counter()
    try:
        yield
    except Exception as error:
        lines = f'{type(error).__name__}: {error}'.split('\n')
        say(f'FAILED {name}: {" ".join(lines)[:300]}')
    else:
        say(f'ok {name} ({time.perf_counter() - start:.1f} s)')


def kernels(args):
    """The stand-ins for mmcv's compiled operators on the device and on the CPU, forward and backward."""
    import torch
    from mmcv import ops
    from mmcv.ops.multi_scale_deform_attn import MultiScaleDeformableAttnFunction as Attention

    torch.manual_seed(0)
    torch.backends.cudnn.allow_tf32 = False
    rand, randn = torch.rand, torch.randn
    x, offset, weight = randn(2, 8, 20, 20), randn(2, 18, 20, 20), randn(8, 8, 3, 3)
    logits, labels = randn(50, 4), torch.arange(50) % 4
    corners, scores = 60 * rand(200, 2), rand(200)
    boxes = torch.cat([corners, corners + 5 + 30 * rand(200, 2)], 1)
    rois = torch.cat([torch.arange(200)[:, None] % 2, boxes], 1)
    values, points, shares = randn(2, 500, 2, 8), rand(2, 30, 2, 2, 4, 2), rand(2, 30, 2, 2, 4)
    shapes, starts = torch.tensor([[20, 20], [10, 10]]), torch.tensor([0, 400])
    cases = dict(
        nms=(lambda b, s: ops.nms(b, s, 0.5)[1], boxes, scores),
        soft_nms=(lambda b, s: ops.soft_nms(b.detach(), s.detach())[0], boxes, scores),
        roi_align=(lambda x, r: ops.roi_align(x, r, 7, 0.25), x, rois),
        roi_pool=(lambda x, r: ops.roi_pool(x, r, 7, 0.25), x, rois),
        deform_conv=(lambda *t: ops.deform_conv2d(*t, 1, 1), x, offset, weight),
        modulated_deform_conv=(
            lambda *t: ops.modulated_deform_conv2d(*t, None, 1, 1), x, offset, rand(2, 9, 20, 20), weight),
        deform_roi_pool=(
            lambda x, r, o: ops.deform_roi_pool(x, r, o, 7, 0.25), x, rois, randn(200, 2, 7, 7)),
        sigmoid_focal_loss=(ops.sigmoid_focal_loss, logits, labels),
        softmax_focal_loss=(ops.softmax_focal_loss, logits, labels),
        carafe=(lambda x, m: ops.carafe(x, m, 5, 1, 2), x, rand(2, 25, 40, 40)),
        attention=(lambda *t: Attention.apply(*t, 64), values, shapes, starts, points, shares),
    )  # fmt: skip
    for name, (function, *inputs) in cases.items():
        with check(f'{name} on {device()} is that on the CPU'):
            sides = [run_on(place, function, inputs) for place in ('cpu', device())]
            torch.testing.assert_close(*sides, rtol=1e-3, atol=1e-4)


def run_on(place, function, inputs):
    """The output of a function and the gradients of its inputs, computed at ``place``: tensors on the CPU."""
    inputs = [tensor.detach().to(place) for tensor in inputs]
    for tensor in inputs:
        tensor.requires_grad = tensor.is_floating_point()
    out = function(*inputs)
    if out.requires_grad:
        out.square().sum().backward()
    return [t.detach().cpu() for t in (out, *(i.grad for i in inputs if i.grad is not None))]


def detections(args):
    """Detections of a checkpoint on the validation photographs, on the device and on the CPU."""
    import torch
    from mmdet.apis import inference_detector, init_detector

    from mmballoon.export.compare import differences

    torch.backends.cudnn.allow_tf32 = False  # 10 bits of mantissa, and torch's default on a GPU
    files = sorted(Path(os.environ['BALLOON_ROOT'], 'val').glob('*.jpg'))[: args.count]
    with check(f'detections on {device()} are those on the CPU'):
        sides = []
        for place in ('cpu', device()):
            model = init_detector(str(OURS), args.checkpoint, device=place)
            found = [inference_detector(model, str(f)).pred_instances.numpy() for f in files]
            sides.append([(f.bboxes, f.scores, f.labels) for f in found])
        for one, other in zip(*sides):
            box, score, _ = differences(one, other, score_thr=0.01).max(0, initial=0)
            assert box <= 0.5 and score <= 0.001, f'{box:.2g} px and {score:.2g} apart'


class Enough(Exception):
    """The time of a measurement is over."""


def throughput(name, cfg, args):
    """Train for ``args.seconds`` by MMEngine's Runner, and say how fast; returns images per second."""
    import torch
    from mmengine.hooks import Hook
    from mmengine.runner import Runner

    class Clock(Hook):
        def after_train_iter(self, runner, **kwargs):
            if runner.iter + 1 == WARM:
                self.start = time.perf_counter()
            if runner.iter + 1 > WARM and time.perf_counter() - self.start >= args.seconds:
                raise Enough

    loader = cfg.train_dataloader
    loader.dataset = dict(type='RepeatDataset', times=1000, dataset=loader.dataset)
    # With them, the garbage collection would wait 5 seconds for each process of the loader.
    loader.persistent_workers = False
    cfg.update(load_from=None, work_dir=str(args.out / 'fast'), experiment_name=name)
    cfg.default_hooks.logger.interval = 10**6
    runner, clock = Runner.from_cfg(cfg), Clock()
    runner.register_hook(clock, 'LOWEST')
    smi = shutil.which('nvidia-smi')
    query = [smi, '--query-gpu=utilization.gpu', '--format=csv,noheader,nounits', '-lms', '500']
    watcher = smi and subprocess.Popen(query, stdout=subprocess.PIPE, text=True)
    with contextlib.suppress(Enough):
        runner.train()
    if device().type == 'cuda':
        torch.cuda.synchronize()
    seconds = time.perf_counter() - clock.start
    count = runner.iter + 1 - WARM
    loading = sum(runner.message_hub.get_scalar('train/data_time').data[0][-count:]) / seconds
    speed = count * loader.batch_size / seconds
    said = f'batch {loader.batch_size}: {speed:.3g} images per second, {loading:.0%} waiting for the loader'
    if watcher:
        watcher.terminate()
        shares = watcher.stdout.read().split()[-max(1, int(2 * seconds)) :]
        shares = [int(value) for value in shares if value.isdigit()]
        said += f', GPU {sum(shares) / max(1, len(shares)):.0f} % busy'
    say(f'figure {name}, {said}')
    return speed


def fast(args):
    """Training speed of upstream's config and of ours, and what the loader alone delivers."""
    from mmengine.config import Config
    from mmengine.hub import get_config
    from mmengine.runner import Runner

    def ours(batch, workers=None):
        cfg = Config.fromfile(OURS)
        cfg.optim_wrapper.type = 'AmpOptimWrapper'  # --amp
        cfg.train_dataloader.update(batch_size=batch, num_workers=workers or os.cpu_count())
        return cfg

    tuned, cfg = ours(args.batch), get_config('mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py')
    text = cfg.pretty_text.replace('640', str(tuned.img_scale[0]))  # smaller in a dry run
    cfg = Config(Config.fromstring(text, '.py').to_dict())  # without the name of a file
    cfg.model.bbox_head.num_classes = 1
    cfg.model.backbone.update(init_cfg=None, frozen_stages=4)
    cfg.train_dataloader.batch_size = args.batch
    cfg.val_evaluator = tuned.val_evaluator
    for name in ('train_dataloader', 'val_dataloader'):  # our data, their pipelines
        pipeline = cfg[name].dataset.pipeline
        cfg[name].dataset = dict(tuned[name].dataset, pipeline=pipeline)
    theirs = throughput('upstream', cfg, args)
    speed = throughput('configs/my_rtmdet_tiny.py --amp', ours(args.batch), args)
    say(f'figure {speed / theirs:.1f} times as fast as upstream at batch {args.batch}')
    tuned.env_cfg.cudnn_benchmark = True
    throughput('the same with cudnn_benchmark', tuned, args)
    for batch in args.batches:
        before, speed = speed, throughput('configs/my_rtmdet_tiny.py --amp', ours(batch), args)
        if speed < 1.1 * before:
            break
    for workers in args.workers:
        batches = iter(Runner.build_dataloader(ours(args.batch, workers).train_dataloader))
        next(batches)  # not counted
        start, count = time.perf_counter(), 0
        for _ in batches:
            count += 1
            if time.perf_counter() - start > args.seconds:
                break
        speed = args.batch * count / (time.perf_counter() - start)
        say(f'figure loader alone, {workers} workers: {speed:.3g} images per second')


def models(args):
    """One training step and one prediction of each of MMDetection's families, some at a time."""
    sys.path.insert(0, str(ROOT / 'tests/mmcompat'))
    import mmcompat  # noqa: F401  isort: skip  (imported once, before the fork)
    import mmdet.models  # noqa: F401
    import model_zoo

    paths = [*reversed(model_zoo.configs().values())][: args.count]  # the last is a small one
    with multiprocessing.get_context('fork').Pool(args.processes, maxtasksperchild=1) as pool:
        answer = functools.partial(model_zoo.answer, device=device().type)
        for path, said in zip(paths, pool.imap(answer, paths)):
            verdict = 'ok' if said == 'works' or said.startswith('needs ') else 'FAILED'
            say(f'{verdict} {path.parent.name}: {said}')


def note(args):
    """Add a section to gpu.json and write gpu.md anew: both are whole at any moment."""
    from mmballoon.cli import atomic_write

    path = args.out / 'gpu.json'
    sections = json.loads(path.read_text()) if path.is_file() else {}
    lines = args.log.read_text(errors='replace').splitlines() if args.log else []
    said = [line for line in lines if line.startswith(('ok ', 'FAILED ', 'figure '))]
    if args.status not in ('finished', 'not run'):
        said += [line for line in lines[-3:] if line not in said]
    sections[args.title] = dict(status=args.status, seconds=args.seconds, lines=said)
    text = '# GPU report\n'
    for title, section in sections.items():
        text += f'\n## {title}: {section["status"]}, {section["seconds"]:.0f} s\n'
        if section['lines']:
            text += '\n'.join(['\n```text', *section['lines'], '```\n'])
    for file, content in ((path, json.dumps(sections, indent=1)), (args.out / 'gpu.md', text)):
        with atomic_write(file, 'w') as stream:
            stream.write(content)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parts = {part.__name__: part for part in (shrink, kernels, detections, fast, models, note)}
    add = parser.add_argument
    add('part', choices=parts)
    add('--out', type=Path, default=Path('outputs/gpu'), help='results (%(default)s)')
    add('--data', type=Path, default=Path('data/balloon'), help='of shrink (%(default)s)')
    add('--checkpoint', help='of detections')
    add('--count', type=int, help='images of detections, or families of models (default: all)')
    add('--processes', type=int, default=4, help='of models (%(default)s)')
    seconds = 'each measurement, or what a section took (%(default)s)'
    add('--seconds', type=float, default=8, help=seconds)
    add('--batch', type=int, default=12, help='of fast (%(default)s)')
    add('--batches', type=int, nargs='*', default=[32, 64, 128, 256], help='larger ones')
    add('--workers', type=int, nargs='*', default=[4, 8, 16], help='of fast')
    add('--title', help='of note')
    add('--status', default='finished', help='of note')
    add('--log', type=Path, help='of note')
    args = parser.parse_args(argv)
    with report_errors():
        if args.part in ('kernels', 'detections', 'fast'):
            from mmballoon.train import rules

            rules.apply()
        parts[args.part](args)


if __name__ == '__main__':
    main()
