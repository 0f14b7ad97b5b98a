"""Train a tiny model for 3 epochs, and kill it at every write; then resume. Run by test_kill.py.

    python kill_at_every_write.py FOLDER kill|full [upstream]

Each event is a write (half of the bytes arrive), a rename or a removal of a file in the work directory.
At each one, a forked process is killed with SIGKILL, or gets ENOSPC. What it left is checked, then the
training is resumed. Prints the number of events and of failures.
"""

import builtins
import errno
import glob
import os
import shutil
import signal
import sys
import types
import zipfile
from pathlib import Path

import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import MessageHub, MMLogger
from mmengine.model import BaseModel
from mmengine.registry import DefaultScope
from mmengine.runner import Runner, runner
from mmengine.visualization import Visualizer

torch.set_num_threads(1)
EPOCHS = 3


class Model(BaseModel):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(64, 64)

    def forward(self, inputs, mode='tensor'):
        if mode == 'loss':
            return dict(loss=self.layer(torch.stack(inputs)).square().mean())
        return [0]


class Improving(BaseMetric):
    def process(self, data_batch, data_samples):
        self.results.append(0)

    def compute_metrics(self, results):
        return dict(score=MessageHub.get_current_instance().get_info('epoch') + 1.0)


def train(folder, resume, epochs=EPOCHS, batch_size=2, keep=1, best='score', **options):
    loader = dict(
        batch_size=batch_size,
        num_workers=0,
        sampler=dict(type='DefaultSampler', shuffle=False),
        dataset=[dict(inputs=torch.ones(64))] * 4,
    )
    checkpoint = dict(
        type='CheckpointHook', interval=1, max_keep_ckpts=keep, save_best=best, rule='greater'
    )
    names = [name for name in ('type', 'lr', 'weight_decay') if name in options]
    optimizer = dict(type='SGD', lr=0.01) | {name: options.pop(name) for name in names}
    Runner(
        Model(),
        folder,
        train_dataloader=loader,
        val_dataloader=loader,
        val_evaluator=dict(type=Improving),
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        val_cfg=dict(),
        optim_wrapper=dict(optimizer=optimizer),
        default_hooks=dict(checkpoint=checkpoint, logger=None),
        resume=resume,
        log_level='ERROR',
        **options,
    ).train()


class Events:
    """Counts what changes files in a folder; at event ``at`` kills the process, or fails it."""

    def __init__(self, folder, at, how):
        self.folder, self.at, self.how, self.count = str(folder), at, how, 0
        self.open, self.replace, self.remove = builtins.open, os.replace, os.remove
        builtins.open, os.replace, os.remove = self._open, self._replace, self._remove

    def happens(self):
        self.count += 1
        if self.count != self.at:
            return
        if self.how == 'kill':
            os.kill(os.getpid(), signal.SIGKILL)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _open(self, path, mode='r', *args, **kwargs):
        file = self.open(path, mode, *args, **kwargs)
        name = os.path.basename(str(path))
        wanted = str(path).startswith(self.folder) and ('.pth' in name or 'last_checkpoint' in name)
        if not wanted or 'w' not in mode:
            return file
        write, events = file.write, self

        class Half:
            def __getattr__(self, name):
                return getattr(file, name)

            def __enter__(self):
                return self

            def __exit__(self, *error):
                file.close()

            def write(self, data):
                if events.count + 1 == events.at:
                    write(data[: len(data) // 2])
                    file.flush()
                events.happens()
                return write(data)

        self.happens()  # opened: the old content is gone
        return Half()

    def _replace(self, source, target):
        self.happens()
        self.replace(source, target)
        self.happens()

    def _remove(self, path):
        self.happens()
        self.remove(path)
        self.happens()


def in_child(function, *args):
    """The exit status of a forked process that calls the function."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            function(*args)
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def train_with_event(folder, at, how, count_file):
    events = Events(folder, at, how)
    try:
        train(folder, False)
    finally:
        if at == 0:
            with events.open(count_file, 'w') as file:
                file.write(str(events.count))


def whole(path):
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (OSError, zipfile.BadZipFile):
        return False


def epochs_of(pattern):
    return [int(path.split('_')[-1][:-4]) for path in glob.glob(pattern)]


def warm_up(folder):
    """Train once, so that what is imported and looked up for the first time is known in each fork."""
    train(folder, False)
    for kind in (MessageHub, MMLogger, Visualizer, DefaultScope):
        kind._instance_dict.clear()


def main(root, how):
    folder, count_file = os.path.join(root, 'work'), os.path.join(root, 'count')
    warm_up(os.path.join(root, 'warm'))
    assert in_child(train_with_event, folder, 0, how, count_file) == 0
    total, failures, saved = int(Path(count_file).read_text()), [], 0
    for at in range(1, total + 1):
        shutil.rmtree(folder)
        status = in_child(train_with_event, folder, at, how, count_file)
        assert status == (-signal.SIGKILL if how == 'kill' else 1), status
        best = glob.glob(f'{folder}/best_*.pth')
        before = max(epochs_of(f'{folder}/epoch_*.pth'), default=0)
        # A kill between a new best checkpoint and the end of the old one leaves both.
        intact = len(best) <= 2 and all(map(whole, best + glob.glob(f'{folder}/epoch_*.pth')))
        intact = intact and (before < 2 or len(best) >= 1)
        # The epochs that were saved at an earlier event stay saved, and a resume begins after them; or
        # one before, if last_checkpoint does not name the last one yet.
        found = epochs_of(runner.find_latest_checkpoint(folder) or '')
        kept = before >= saved and (not before or found <= [before] and found >= [before - 1])
        saved = max(saved, before)
        resumed = in_child(train, folder, True) == 0
        best = glob.glob(f'{folder}/best_*.pth')
        done = EPOCHS in epochs_of(f'{folder}/epoch_*.pth') and all(map(whole, best))
        # Killed between the last epoch and its validation: a resume does not validate again.
        newest = {EPOCHS, EPOCHS - 1} if before == EPOCHS else {EPOCHS}
        done = done and max(epochs_of(f'{folder}/best_*.pth'), default=0) in newest
        if not (intact and kept and resumed and done):
            failures.append((at, before, intact, kept, resumed, done))
    print(f'{total} events, {len(failures)} failures: {failures}')


def apply_rules(without=()):
    """Apply the rules, and leave in the place of some of them what MMEngine itself does."""
    from mmballoon.train import rules

    for name in without:
        nothing = types.ModuleType(name)
        nothing.apply = lambda: None
        sys.modules[f'mmballoon.train.rules.{name}'] = nothing
    rules.apply()


if __name__ == '__main__':
    ours = ['checkpoints', 'resume']
    apply_rules(without=ours if sys.argv[3:] == ['upstream'] else [])
    main(sys.argv[1], sys.argv[2])
