"""Kill every command that writes, at random times; what is left must be whole, and the next run must work.

    python tests/soak.py                  30 kills of each of the four commands
    python tests/soak.py --kills 3 --seed 7

Training continues with --resume after each kill. Prints one line for each command. The status is 1 if a
file under its final name was not whole, or a run after a kill ended with a traceback.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parents[1]


def broken(folder):
    """Files under their final names that are not whole. Logs, to which lines are added, are none."""
    found = []
    for path in folder.rglob('*'):
        if not path.is_file() or path.name.endswith('.part') or 'vis_data' in path.parts:
            continue
        if any(part.endswith(('.part', '.old')) for part in path.relative_to(folder).parts):
            continue
        try:
            if path.suffix == '.pth':
                with zipfile.ZipFile(path) as archive:
                    assert archive.testzip() is None
            elif path.suffix in ('.jpg', '.png'):
                with Image.open(path) as image:
                    image.load()
            elif path.suffix == '.json' and path.parent.parent == folder or path.name[:4] == 'coco':
                json.loads(path.read_text())
            elif path.name == 'last_checkpoint':
                assert Path(path.read_text()).is_file()
        except Exception as error:
            found.append(f'{path}: {error}')
    return found


def start(command, env):
    return subprocess.Popen([sys.executable, *map(str, command)], cwd=ROOT, env=env, text=True,
                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)  # fmt: skip


def soak(name, command, folder, kills, env, done=None):
    """Kill the command ``kills`` times, and let it end well at last; the number of failures."""
    begin = time.time()
    process = start(command, env)
    err = process.communicate()[1]
    assert process.returncode == 0, err
    duration, failures, killed = time.time() - begin, [], 0
    while killed < kills:
        if done and done():  # a training that has ended has nothing to kill: begin anew
            shutil.rmtree(folder)
        process = start(command, env)
        try:
            err = process.communicate(timeout=random.uniform(0, duration))[1]
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            err = process.communicate()[1]
            killed += 1
        failures += broken(folder) + ([err] if 'Traceback' in err else [])
    process = start(command, env)
    err = process.communicate()[1]
    if process.returncode or 'Traceback' in err:
        failures.append(err)
    # A killed command leaves its hidden temporary file: nobody can tell later whose it is.
    failures += broken(folder)
    print(
        f'{name}: {killed} kills in runs of {duration:.1f} s, {len(failures)} failures', flush=True
    )
    for failure in failures:
        print(failure[-2000:])
    return len(failures)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--kills', type=int, default=30, help='of each command (%(default)s)')
    parser.add_argument('--seed', type=int, default=0, help='(%(default)s)')
    args = parser.parse_args(argv)
    random.seed(args.seed)
    with tempfile.TemporaryDirectory() as top:
        top = Path(top)
        data, work = top / 'data', top / 'work'
        env = {
            **os.environ,
            'BALLOON_ROOT': str(data),
            'CUDA_VISIBLE_DEVICES': '',
            'TMPDIR': str(top),
        }
        render = ['data_tools/make_toy_balloons.py', '--out', data, '--train', 8, '--val', 4]
        failures = soak('renderer', render, data, args.kills, env)
        convert = ['data_tools/balloon2coco.py']
        failures += soak('converter', convert, data, args.kills, env)
        archive = shutil.make_archive(top / 'balloon', 'zip', data)
        download = ['data_tools/download_balloon.py', '--data-root', top / 'copy', '--zip', archive]
        failures += soak('downloader', download, top / 'copy', args.kills, env)
        train = ['tools/train.py', 'configs/my_rtmdet_tiny_toy.py', '--work-dir', work, '--resume']
        train += ['--cfg-options', 'train_cfg.max_epochs=2', 'train_cfg.val_interval=1']
        train += ['img_scale=(64,64)', 'test_scale=(64,64)']
        train += ['train_dataloader.num_workers=0', 'train_dataloader.persistent_workers=False']
        train += ['val_dataloader.num_workers=0', 'val_dataloader.persistent_workers=False']
        last = work / 'epoch_2.pth'
        failures += soak('training', train, work, args.kills, env, last.exists)
    return min(failures, 1)


if __name__ == '__main__':
    sys.exit(main())
