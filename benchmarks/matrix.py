"""Try this repository in new environments: releases of torch x releases of Python.

    make matrix
    python benchmarks/matrix.py --pythons python3.10 /opt/python3.13/bin/python --torches 2.6.0 newest

Each environment gets its torch first, as if a person had it already, and then what a newcomer types:
``pip install -r requirements.txt`` (with -c constraints.txt for the pinned torch). The commands below run
in it, and it is deleted. The table goes to the
screen, one row at a time. An environment takes 6 GB of disk and about 5 minutes on two CPU cores. The status
is 1 if a command failed.
"""

import argparse
import datetime
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
OLDEST = '2.6.0'  # of requirements.txt
PINNED = re.search(r'^torch==(\S+)', (ROOT / 'constraints.txt').read_text(), re.M)[1]
CONFIG = 'configs/my_rtmdet_tiny_toy.py'
SHORT = 'train_cfg.val_interval=1 train_dataloader.num_workers=1'
# What runs in each environment, in this order. TMP is a folder of its own.
COMMANDS = {
    'patches': '-c "import mmballoon.patches, mmdet.apis, mmyolo"',
    'toy data': 'data_tools/make_toy_balloons.py --out TMP/data --train 8 --val 4',
    'converter': 'data_tools/balloon2coco.py --data-root TMP/data',
    'train': 'tools/train.py CONFIG --work-dir TMP/w --cfg-options train_cfg.max_epochs=1 SHORT',
    'resume': 'tools/train.py CONFIG --work-dir TMP/w --cfg-options train_cfg.max_epochs=2 SHORT --resume',
    'test': 'tools/test.py CONFIG TMP/w/epoch_2.pth --work-dir TMP/w',
    'image demo': 'tools/image_demo.py TMP/data/val CONFIG --weights TMP/w/epoch_2.pth --out-dir TMP',
    'Box AM': 'tools/boxam_vis_demo.py TMP/data/val CONFIG TMP/w/epoch_2.pth --score-thr 0 --topk 3 '
    '--out-dir TMP/am',
}
SHOWN = ('torch', 'torchvision', 'numpy', 'opencv-python', 'setuptools')


def run(*command, **env):
    """The finished process of a command, its output as text."""
    env = {**os.environ, **env}
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=1800)


def install(python, torch, folder):
    """Make an environment in ``folder``; returns (its Python, None or what pip complained about)."""
    run(python, '-m', 'venv', folder)
    inside = str(folder / 'bin/python')
    pip = [inside, '-m', 'pip', '--disable-pip-version-check', 'install', '-q']
    steps = [] if torch == 'newest' else [[f'torch=={torch}', 'torchvision']]
    tested = ['-c', 'constraints.txt'] if torch == PINNED else []
    for packages in [*steps, ['-r', 'requirements.txt', *tested]]:
        done = run(*pip, *packages)
        if done.returncode:
            return inside, last_line(done.stderr)
    return inside, None


def words(command, out):
    for name, value in dict(CONFIG=CONFIG, SHORT=SHORT, TMP=shlex.quote(str(out))).items():
        command = command.replace(name, value)
    return shlex.split(command)


def versions(python):
    code = f'from importlib.metadata import version\nprint(*map(version, {SHOWN}))'
    return run(python, '-c', code).stdout.split()


def last_line(text):
    lines = [line for line in text.splitlines() if line.strip() and 'WARNING' not in line]
    return (lines or ['no message'])[-1][:200].replace('|', '/')


def cell(python, torch, out):
    """One row of the table (list of str), and whether all of it worked."""
    found = run(python, '-c', 'import platform; print(platform.python_version())').stdout.strip()
    inside, problem = install(python, torch, out / 'venv')
    if problem:
        return [found, torch, problem], 'No matching distribution found for torch' in problem
    row = [found, *versions(inside)]
    for name, command in COMMANDS.items():
        done = run(
            inside, *words(command, out), BALLOON_ROOT=str(out / 'data'), CUDA_VISIBLE_DEVICES=''
        )
        if done.returncode:
            return [*row, f'{name}: {last_line(done.stderr)}'], False
    return [*row, 'all work'], True


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--pythons', nargs='+', default=[sys.executable])
    parser.add_argument('--torches', nargs='+', default=[OLDEST, PINNED, 'newest'])
    args = parser.parse_args()
    print(f'{datetime.date.today()}, {platform.system()} {platform.machine()}, CPU:', end='')
    print(' ' + ', '.join(COMMANDS) + '\n')
    print(f'| Python | {" | ".join(SHOWN)} | result |\n{"| --- " * (len(SHOWN) + 2)}|', flush=True)
    worked = True
    for python in args.pythons:
        for torch in args.torches:
            with tempfile.TemporaryDirectory(prefix='matrix_') as out:
                row, good = cell(shutil.which(python) or python, torch, Path(out))
            row[-1:-1] = [''] * (len(SHOWN) + 2 - len(row))
            print(f'| {" | ".join(row)} |', flush=True)
            worked &= good
    sys.exit(0 if worked else 1)


if __name__ == '__main__':
    main()
