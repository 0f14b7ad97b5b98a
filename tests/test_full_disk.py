"""A full disk, a real one in memory: one line that names the file, and nothing half-written."""

import os
import subprocess

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture
def disk(tmp_path):
    """A disk of 100 MB."""
    path = tmp_path / 'disk'
    path.mkdir()
    command = ['mount', '-t', 'tmpfs', '-o', 'size=100m', 'tmpfs', path]
    if os.getuid() or subprocess.run(command, capture_output=True).returncode:
        pytest.skip('needs the right to mount a disk')
    yield path
    subprocess.run(['umount', '-l', path], check=True)


def one_line(done):
    lines = [line for line in done.err.splitlines() if 'error: ' in line]
    assert done.status == 2 and len(lines) == 1, done.err
    assert 'o space left on' in lines[0] and '; next: free some space' in lines[0]
    return lines[0]


def test_training_stops_with_one_line_and_goes_on_once_there_is_room(tiny_data, in_process, disk):
    train = ['tools/train.py', tiny_data.config, '--work-dir', disk / 'work', '--resume']
    train += ['--cfg-options', 'train_cfg.max_epochs=2', 'train_cfg.val_interval=2']
    train += ['train_dataloader.num_workers=0', 'train_dataloader.persistent_workers=False']
    line = one_line(in_process(*train, env=tiny_data.env))
    assert f'{disk}/work/epoch_2.pth: no space left on the disk for ' in line and ' MB; ' in line
    names = [path.name for path in (disk / 'work').iterdir() if path.is_file()]
    assert 'epoch_1.pth' in names and not [n for n in names if 'epoch_2' in n or 'best' in n]
    subprocess.run(['mount', '-o', 'remount,size=300m', disk], check=True)
    done = in_process(*train, env=tiny_data.env)
    assert done.status == 0 and 'resumed epoch: 1' in done.out, done.err
    assert (disk / 'work/epoch_2.pth').is_file()


@pytest.mark.parametrize(
    'command',
    [
        'data_tools/make_toy_balloons.py --out {disk}/new --train 2 --val 1',
        'data_tools/balloon2coco.py {root}/val --out {disk}/c.json',
        'data_tools/download_balloon.py --from {root} --data-root {disk}/new',
        'data_tools/check_coco.py {root}/coco_val.json --out {disk}/out',
        'tools/train.py {config} --work-dir {disk}/out',
        'tools/test.py {config} {good} --work-dir {disk}/out',
        'tools/test.py {config} {good} --work-dir {work} --out {disk}/results.pkl',
        'tools/image_demo.py {image} {config} --weights {good} --out-dir {disk}/out',
        'tools/featmap_vis_demo.py {image} {config} {good} --out-dir {disk}/out',
        'tools/boxam_vis_demo.py {image} {config} {good} --score-thr 0 --topk 1 --out-dir {disk}/out',
        'tools/report.py {config} {good} --out {disk}/out',
    ],
)
def test_every_other_command(tiny, in_process, disk, tmp_path, command):
    with pytest.raises(OSError, match='No space'), open(disk / 'filler', 'wb', 0) as file:
        while True:
            file.write(bytes(1 << 20))
    places = dict(vars(tiny), disk=disk, good=tiny.checkpoint, image=tiny.images[0], work=tmp_path)
    words = [word.format(**places) for word in command.split()]
    assert str(disk) in one_line(in_process(*words, env=tiny.env))
    written = [path for path in disk.rglob('*') if path.is_file() and path.stat().st_size]
    assert written == [disk / 'filler']
