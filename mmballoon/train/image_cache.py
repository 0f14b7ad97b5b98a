"""The folder of decoded images that ``LoadCachedImage`` keeps: one per user and machine.

All processes of a user share it, and the last one that ends removes it. After a SIGKILL it stays, and
the next process goes on with it.
"""

import atexit
import contextlib
import functools
import hashlib
import os
import shutil
import stat
import tempfile
import time
from pathlib import Path

import numpy as np

try:
    import fcntl
except ModuleNotFoundError:  # Windows: each process has a folder of its own
    fcntl = None

STARTED = time.time()


@functools.cache
def folder():
    """The folder (Path), locked until this process ends.

    A folder of this name that others can write to, or have made, is not used: its images could be
    anybody's. This process then has a folder of its own.
    """
    while fcntl:
        path = Path(tempfile.gettempdir()) / f'decoded_images_{os.getuid()}'
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=0o700)
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
            break
        with contextlib.suppress(FileNotFoundError):  # removed meanwhile by the last process
            lock = open(path / 'lock', 'a')  # noqa: SIM115  (open as long as this process)
            fcntl.flock(lock, fcntl.LOCK_SH)
            if os.fstat(lock.fileno()).st_nlink:
                atexit.register(_remove, path, os.getpid(), lock)
                return path
    path = Path(tempfile.mkdtemp(prefix='decoded_images_'))
    atexit.register(_remove, path, os.getpid())
    return path


def _remove(path, maker, lock=None):
    """Remove the folder, unless another process has locked it; a forked worker ends, too."""
    if os.getpid() != maker:
        return
    try:
        if lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    shutil.rmtree(path, ignore_errors=True)


def path_of(folder, image):
    """The file of an image (path) in the folder; another one after the image has changed."""
    found = os.stat(image)
    key = f'{os.path.abspath(image)} {found.st_mtime_ns} {found.st_size}'
    path = folder / f'{hashlib.sha1(key.encode()).hexdigest()}.npy'
    with contextlib.suppress(OSError):
        os.utime(path)  # in use
    return path


def store(path, image, budget):
    """Write an image, (H, W, 3) uint8, whole or not at all, if the folder stays within ``budget`` bytes."""
    with contextlib.suppress(OSError):  # no space left, or removed meanwhile: decoded each time
        if _size(path.parent) + image.nbytes > budget:
            for entry in os.scandir(path.parent):  # left over by a process that was killed
                if entry.name != 'lock' and entry.stat().st_mtime < STARTED:
                    os.unlink(entry)
        if _size(path.parent) + image.nbytes > budget:
            return
        part = path.with_name(f'{path.name}.{os.getpid()}')
        with open(part, 'wb') as file:
            np.save(file, image)
        os.replace(part, path)


def _size(path):
    return sum(entry.stat().st_size for entry in os.scandir(path))
