"""Files that appear whole under their name, or not at all."""

import contextlib
import os
import shutil
import zipfile
from pathlib import Path


@contextlib.contextmanager
def atomic_write(path, mode='wb', instead_of=None):
    """Open a temporary file beside ``path``; when the block ends well, it takes the name ``path``.

    mode: of ``open``; text is UTF-8 on every system. instead_of: an older file under another
    name, which goes. At any moment there is one of the two files, whole.
    """
    path = Path(path)
    part = path.with_name(f'.{path.name}.part')
    try:
        with open(part, mode, encoding=None if 'b' in mode else 'utf-8') as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if instead_of and Path(instead_of) != path and Path(instead_of).is_file():
            os.replace(instead_of, path)
        os.replace(part, path)
    except BaseException as error:
        part.unlink(missing_ok=True)
        if isinstance(error, OSError):  # for a full disk, the system does not say of which file
            error.filename = error.filename or str(path)
        raise


def replace_folder(new, path):
    """Give a finished folder the name ``path`` (both Path); what had it goes after that."""
    old = path.with_name(f'{path.name}.old')
    shutil.rmtree(old, ignore_errors=True)
    if path.exists():
        path.rename(old)
    new.rename(path)
    shutil.rmtree(old, ignore_errors=True)


def is_whole(path):
    """Whether a checkpoint file is a complete archive whose parts have their checksums."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (OSError, zipfile.BadZipFile, EOFError):
        return False
