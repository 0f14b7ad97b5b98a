"""Try this repository in new environments: releases of torch x releases of Python.

    make matrix
    python benchmarks/matrix.py --pythons python3.10 /opt/python3.13/bin/python --torches 2.6.0 newest

Each environment gets its torch first, as if a person had it already, and then what a newcomer types:
``pip install -r requirements.txt`` (with -c constraints.txt for the pinned torch). The commands below
run in it, on the CPU, and it is deleted. It takes 6 GB of disk and 5 minutes on two CPU cores. The
table goes to the screen, row by row; the status is 1 if a command failed.
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
    'patches': '-c "import mmcompat, mmdet.apis, mmyolo"',
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
    env = {**os.environ, 'CUDA_VISIBLE_DEVICES': '', **env}
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=1800)


def last_line(text):
    lines = [line for line in text.splitlines() if line.strip() and 'WARNING' not in line]
    return (lines or ['no message'])[-1][:200].replace('|', '/')


def install(python, torch, folder):
    """Make an environment in ``folder`` (Path); returns what pip complained about, or None."""
    run(python, '-m', 'venv', folder)
    steps = [] if torch == 'newest' else [[f'torch=={torch}', 'torchvision']]
    tested = ['-c', 'constraints.txt'] if torch == PINNED else []
    for packages in [*steps, ['-r', 'requirements.txt', *tested]]:
        done = run(folder / 'bin/pip', 'install', '-q', *packages)
        if done.returncode:
            return last_line(done.stderr)
    return None


def try_it(python, torch, out):
    """(cells of a row, whether it is as it should be) of one environment in ``out`` (Path)."""
    release = run(python, '-c', 'import platform; print(platform.python_version())').stdout.strip()
    problem = install(python, torch, out / 'venv')
    if problem:  # no build of this torch for this Python is nobody's fault
        row = [release, torch, *[''] * (len(SHOWN) - 1), problem]
        return row, 'No matching distribution found for torch=' in problem
    inside = out / 'venv/bin/python'
    code = f'from importlib.metadata import version; print(*map(version, {SHOWN}))'
    row = [release, *run(inside, '-c', code).stdout.split()]
    for name, command in COMMANDS.items():
        for word, value in dict(CONFIG=CONFIG, SHORT=SHORT, TMP=shlex.quote(str(out))).items():
            command = command.replace(word, value)
        done = run(inside, *shlex.split(command), BALLOON_ROOT=str(out / 'data'))
        if done.returncode:
            return [*row, f'{name}: {last_line(done.stderr)}'], False
    return [*row, 'all work'], True


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--pythons', nargs='+', default=[sys.executable])
    parser.add_argument('--torches', nargs='+', default=[OLDEST, PINNED, 'newest'])
    args = parser.parse_args()
    print(f'{datetime.date.today()}, {platform.platform()}, CPU: {", ".join(COMMANDS)}\n')
    print('|', ' | '.join(['Python', *SHOWN, 'result']), '|')
    print('| --- ' * (len(SHOWN) + 2) + '|', flush=True)
    worked = True
    for python in args.pythons:
        for torch in args.torches:
            with tempfile.TemporaryDirectory(prefix='matrix_') as out:
                row, good = try_it(shutil.which(python) or python, torch, Path(out))
            print('|', ' | '.join(row), '|', flush=True)
            worked &= good
    sys.exit(0 if worked else 1)


if __name__ == '__main__':
    main()
