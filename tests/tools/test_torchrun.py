"""Training with torch's elastic launcher: processes that are killed, and two launchers as on two machines."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT, run

pytestmark = pytest.mark.slow
OPTIONS = ['train_dataloader.num_workers=0', 'train_dataloader.persistent_workers=False']
EPOCHS = 6


def launch(tiny_data, work_dir, *options):
    """A process of torchrun that trains on the tiny set, its output in ``work_dir``/N.txt."""
    env = {**os.environ, **tiny_data.env, 'CUDA_VISIBLE_DEVICES': '', 'OMP_NUM_THREADS': '1'}
    env['GLOO_SOCKET_IFNAME'] = 'lo'
    env['TORCH_DISABLE_SHARE_RDZV_TCP_STORE'] = '1'  # docs/scaling.md
    env['PYTHON_EXEC'] = env['FORKING_PYTHON']  # torchrun starts its processes with it
    command = [sys.executable, '-m', 'torch.distributed.run', '--max-restarts=3', *options]
    command += [ROOT / 'tools/train.py', tiny_data.config, '--launcher', 'pytorch']
    command += ['--resume', '--work-dir', work_dir]
    command += ['--cfg-options', *OPTIONS, f'train_cfg.max_epochs={EPOCHS}']
    command += [f'train_cfg.val_interval={EPOCHS}', 'default_hooks.logger.interval=1']
    work_dir.mkdir(exist_ok=True)
    log = work_dir / f'{len(list(work_dir.glob("*.txt")))}.txt'
    with open(log, 'w') as file:
        process = subprocess.Popen(command, cwd=work_dir, env=env, stdout=file, stderr=file)
    process.log = log
    return process


def workers(launcher):
    """Process ids of the training processes of a launcher."""
    children = Path(f'/proc/{launcher.pid}/task/{launcher.pid}/children').read_text().split()
    return [
        int(pid) for pid in children if b'train.py' in Path(f'/proc/{pid}/cmdline').read_bytes()
    ]


def wait_for(condition, *launchers):
    deadline = time.time() + 600
    while not condition():
        for launcher in launchers:
            assert launcher.poll() in (None, 0), launcher.log.read_text()[-3000:]
        assert time.time() < deadline, launchers[0].log.read_text()[-3000:]
        time.sleep(0.05)


def ends_well(work_dir, *launchers):
    """Every launcher ends by itself with status 0, and all epochs are done."""
    for launcher in launchers:
        assert launcher.wait(600) == 0, [
            path.read_text()[-3000:] for path in work_dir.glob('*.txt')
        ]
    lines = launchers[0].log.read_text().splitlines()
    print(*lines[-2:], sep='\n')
    assert (work_dir / f'epoch_{EPOCHS}.pth').is_file()
    assert f'Epoch(val) [{EPOCHS}]' in launchers[0].log.read_text()


def ports():
    with contextlib.closing(socket.create_server(('127.0.0.1', 0))) as server:
        return server.getsockname()[1]


def listens(port):
    """Whether a process waits for connections at a TCP port (state 0A of Linux's tables)."""
    rows = [Path(f'/proc/net/{name}').read_text().splitlines()[1:] for name in ('tcp', 'tcp6')]
    return any(
        row.split()[1].endswith(f':{port:04X}') and row.split()[3] == '0A' for row in sum(rows, [])
    )


def machine(tiny_data, work_dir, port):
    """A launcher as on one of two machines."""
    options = ['--nnodes=2', '--nproc_per_node=1', '--rdzv-backend=c10d', '--rdzv-id=tiny']
    options += [f'--rdzv-endpoint=127.0.0.1:{port}', '--local-addr=127.0.0.1']
    return launch(tiny_data, work_dir, *options)


def test_a_worker_that_is_killed(tiny_data, tmp_path):
    launcher = launch(tiny_data, tmp_path, '--standalone', '--nproc_per_node=2')
    wait_for((tmp_path / 'last_checkpoint').exists, launcher)
    os.kill(workers(launcher)[1], signal.SIGKILL)
    ends_well(tmp_path, launcher)
    log = launcher.log.read_text()
    assert 'Signal 9 (SIGKILL)' in log or 'exitcode: -9' in log
    assert re.search(r'resumed epoch: [1-5]', log)


def test_two_machines_and_one_that_dies_and_comes_back(tiny_data, tmp_path):
    port = ports()
    first = machine(tiny_data, tmp_path, port)
    wait_for(lambda: listens(port), first)  # so that the first one keeps the list of the machines
    second = machine(tiny_data, tmp_path, port)
    wait_for((tmp_path / 'last_checkpoint').exists, first, second)
    assert '[1][1/1]' in first.log.read_text()  # 8 images, 4 in each of two processes
    dead = workers(second)
    for pid in (second.pid, *dead):
        os.kill(pid, signal.SIGKILL)
    second.wait()
    second = machine(tiny_data, tmp_path, port)
    ends_well(tmp_path, first, second)
    assert re.search(r'resumed epoch: [1-5]', first.log.read_text())


def losses(work_dir):
    (scalars,) = work_dir.glob('*/vis_data/scalars.json')
    rows = [json.loads(line) for line in scalars.read_text().splitlines()]
    keys = ('loss', 'loss_cls', 'loss_bbox', 'coco/bbox_mAP')
    return [{key: row[key] for key in keys if key in row} for row in rows]


def test_the_same_command_gives_the_same_losses_and_map(tiny_data, tmp_path):
    found = []
    for name in ('first', 'second'):
        options = [*OPTIONS, 'train_cfg.max_epochs=1', 'train_cfg.val_interval=1']
        options += ['default_hooks.logger.interval=1']
        args = ['--work-dir', tmp_path / name, '--cfg-options', *options, 'randomness.seed=0']
        run('tools/train.py', tiny_data.config, *args, env=tiny_data.env)
        found.append(losses(tmp_path / name))
    assert found[0] == found[1] and len(found[0]) == 3 and 'coco/bbox_mAP' in found[0][-1]


def test_sigterm_ends_all_processes(tiny_data, tmp_path):
    launcher = launch(tiny_data, tmp_path, '--standalone', '--nproc_per_node=2')
    wait_for((tmp_path / 'last_checkpoint').exists, launcher)
    training = workers(launcher)
    launcher.send_signal(signal.SIGTERM)
    assert launcher.wait(600)
    log = launcher.log.read_text()
    assert 'stopped; every finished epoch is saved, and --resume continues from there' in log, log
    assert not [pid for pid in training if Path(f'/proc/{pid}').exists()]
    print(log[-3000:])
