"""Write several files, all or none, and never in the place of a file that somebody else made."""

import contextlib
import filecmp
import os
import secrets
import shutil

from mmballoon.cli import UserError, atomic_write


def replace_files(contents):
    """Write several files, {path: bytes}: all of them or none.

    If one of them cannot be written, those before it get back what they had.
    """
    old = {
        path: path.with_name(f'.{path.name}.{secrets.token_hex(4)}.part')
        for path in contents
        if path.exists()
    }
    try:
        for path, part in old.items():
            _link(path, part)
        with contextlib.ExitStack() as stack:  # at its end, the files get their names
            for path, data in contents.items():
                path.parent.mkdir(parents=True, exist_ok=True)
                stack.enter_context(atomic_write(path)).write(data)
    except BaseException:
        for path in contents:
            with contextlib.suppress(OSError):  # an error here would hide the first one
                os.replace(old[path], path) if path in old else path.unlink()
        raise
    finally:
        for part in old.values():
            part.unlink(missing_ok=True)


def _link(source, path):
    """Give a file a second name, or copy it where that is not possible."""
    try:
        os.link(source, path)
    except OSError:
        shutil.copy2(source, path)


@contextlib.contextmanager
def added_files():
    """Give a function add(path, content), for bytes or the path of a file to link to.

    It replaces nothing: a file that is there already must have this content. If the block fails,
    what was added goes again.
    """
    made = []

    def add(path, content):
        if is_same(path, content):
            return
        if os.path.lexists(path):
            advice = 'move it away, or choose another folder'
            raise UserError(path, 'a file with another content is there', advice)
        for folder in reversed([path.parent, *path.parent.parents]):
            if not folder.exists():
                folder.mkdir()
                made.append(folder)
        made.append(path)
        if isinstance(content, bytes):
            with atomic_write(path) as file:
                file.write(content)
        else:
            _link(content.resolve(), path)  # not a link to a link: that may be moved

    try:
        yield add
    except BaseException:
        for path in reversed(made):
            with contextlib.suppress(OSError):  # an error here would hide the first one
                path.rmdir() if path.is_dir() else path.unlink()
        raise


def is_same(path, content):
    """Whether a file has this content: bytes, or those of another file (Path)."""
    if not path.is_file():
        return False
    if isinstance(content, bytes):
        return path.stat().st_size == len(content) and path.read_bytes() == content
    return path.samefile(content) or filecmp.cmp(path, content, shallow=False)
