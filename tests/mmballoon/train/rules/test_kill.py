"""Kills and a full disk at every write of a training: kill_at_every_write.py, in a process of its own."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from conftest import ROOT, run

SCRIPT = Path(__file__).with_name('kill_at_every_write.py')


def attack(tmp_path, *args):
    """(number of events, number of failures) of a run of the script."""
    command = [os.environ['FORKING_PYTHON'], SCRIPT, tmp_path, *args]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    found = re.search(r'(\d+) events, (\d+) failures: .*', done.stdout)
    print(found[0])
    return int(found[1]), int(found[2])


@pytest.mark.slow
@pytest.mark.parametrize('how', ['kill', 'full'])
def test_nothing_is_lost_at_any_write(tmp_path, how):
    events, failures = attack(tmp_path, how)
    assert events >= 30 and failures == 0


@pytest.mark.slow
def test_without_the_rules_something_is_lost(tmp_path):
    events, failures = attack(tmp_path, 'kill', 'upstream')
    assert events >= 10 and failures >= 3


@pytest.mark.slow
def test_sigterm_ends_like_ctrl_c(tiny_data, tmp_path):
    """What Slurm, Kubernetes and a shutdown send."""
    command = [os.environ['FORKING_PYTHON'], 'tools/train.py', tiny_data.config]
    command += ['--work-dir', tmp_path, '--cfg-options', 'train_cfg.max_epochs=99']
    env = {**os.environ, **tiny_data.env}
    process = subprocess.Popen(command, cwd=ROOT, env=env, stderr=subprocess.PIPE, text=True,
                               stdout=subprocess.DEVNULL)  # fmt: skip
    while not (tmp_path / 'last_checkpoint').exists():
        assert process.poll() is None
        time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    err = process.communicate()[1]
    assert process.returncode == 143 and 'Traceback' not in err, err
    assert 'stopped; every finished epoch is saved, and --resume continues from there' in err


@pytest.mark.slow
def test_soak():
    """A few random kills of each command; SOAK_KILLS=30 for more."""
    kills = os.environ.get('SOAK_KILLS', 2)
    done = run('tests/soak.py', '--kills', kills)
    print(done.stdout)
    assert done.stdout.count(' 0 failures') == 4
