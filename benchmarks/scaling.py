"""Training speed of one process and of several on this machine, over torchrun, with the toy config.

    python benchmarks/scaling.py                     1 and 2 processes, 3 epochs each, on rendered images
    python benchmarks/scaling.py --processes 1 2 4

Prints images per second of all processes together, from the times that the training logs. The first
epoch, in which everything starts, does not count. On a CPU, each process has one thread, so that 2
processes have twice the cores of 1.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
CONFIG = 'configs/my_rtmdet_tiny_toy.py'
BATCH = 8  # images per process and step


def train(processes, epochs, env, work_dir):
    """Images per second over all epochs but the first."""
    command = ['-m', 'torch.distributed.run', '--standalone', f'--nproc_per_node={processes}']
    command += ['tools/train.py', CONFIG, '--launcher', 'pytorch', '--work-dir', work_dir]
    command += [
        '--cfg-options',
        f'train_cfg.max_epochs={epochs}',
        f'train_cfg.val_interval={epochs}',
    ]
    command += [f'train_dataloader.batch_size={BATCH}', 'log_processor.window_size=1']
    run([*command, 'default_hooks.logger.interval=1', 'train_dataloader.num_workers=1'], env)
    (scalars,) = Path(work_dir).glob('*/vis_data/scalars.json')
    rows = [json.loads(line) for line in scalars.read_text().splitlines()]
    times = [row['time'] for row in rows if row.get('epoch', 0) > 1 and 'loss' in row]
    return processes * BATCH * len(times) / sum(times)


def run(command, env):
    done = subprocess.run(
        [sys.executable, *map(str, command)], cwd=ROOT, env=env, capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(done.stderr[-3000:])


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--processes', type=int, nargs='+', default=[1, 2], help='(%(default)s)')
    parser.add_argument('--epochs', type=int, default=3, help='2 or more (%(default)s)')
    parser.add_argument('--images', type=int, default=96, help='rendered images (%(default)s)')
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as top:
        env = {**os.environ, 'BALLOON_ROOT': f'{top}/data', 'OMP_NUM_THREADS': '1'}
        render = ['data_tools/make_toy_balloons.py', '--out', f'{top}/data', '--val', 2]
        run([*render, '--train', args.images], env)
        run(['data_tools/balloon2coco.py'], env)
        first = None
        for number in args.processes:
            speed = train(number, args.epochs, env, f'{top}/{number}')
            first = first or speed
            print(
                f'{number} processes: {speed:.1f} images per second, {speed / first:.2f} times the first'
            )


if __name__ == '__main__':
    main()
