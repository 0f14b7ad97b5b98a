"""Write several files, all or none, and never in the place of a file that somebody else made."""

import contextlib
import filecmp
import os
import secrets
import shutil
from pathlib import Path

from mmballoon.cli import UserError, atomic_write


def replace_files(contents):
    """Write several files, {path: bytes}: all of them or none.

    If one of them cannot be written, those before it get back what they had. Only a file that was
    written here is replaced or removed then, as its inode shows.
    """
    old, written = {}, {}
    try:
        for path in contents:
            if path.exists():
                old[path] = path.with_name(f'.{path.name}.{secrets.token_hex(4)}.part')
                _link(path, old[path])
        with contextlib.ExitStack() as stack:  # at its end, the files get their names
            for path, data in contents.items():
                file = stack.enter_context(atomic_write(path))
                file.write(data)
                written[path] = os.fstat(file.fileno())
    except BaseException:
        for path, made in written.items():
            with contextlib.suppress(OSError):  # an error here would hide the first one
                if os.path.samestat(path.stat(), made):
                    os.replace(old[path], path) if path in old else path.unlink()
        raise
    finally:
        for copy in old.values():
            copy.unlink(missing_ok=True)


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


@contextlib.contextmanager
def linked_images(targets: dict[Path, tuple[Path, list[str]]]):
    """Fill folders with images: {folder: (folder of the images, names)}; links, or copies elsewhere.

    Images of an earlier split go once the block has ended well; if it fails, the new ones go. A
    target may hold nothing but images of its source: the same file, or the same bytes.
    """
    earlier = {path for target, (source, _) in targets.items() for path in _own(target, source)}
    with added_files() as add:
        for target, (source, names) in targets.items():
            for name in names:
                add(target / name, source / name)
        yield
    for target, (_, names) in targets.items():
        new = [name for name in names if target / name not in earlier]
        moved = [name for name in new if any(other / name in earlier for other in targets)]
        if moved:
            found = f'{len(moved)} images of {target} were in the other part of an earlier split'
            print(f'note: {found}: do not test on them what was trained before')
    wanted = {target / name for target, (_, names) in targets.items() for name in names}
    for path in earlier - wanted:
        path.unlink()


def _own(target, source):
    """The files in a target folder (list of Path), each of which must be an image of the source."""
    advice = 'choose another folder with --data-root'
    if target.exists() and target.samefile(source):
        raise UserError(target, 'holds the images themselves', advice)
    files = [path for path in target.rglob('*') if not path.is_dir()]
    for path in files:
        name = path.relative_to(target)
        if not (source / name).is_file():
            raise UserError(target, f'holds {name}', advice)
        if not path.is_symlink() and (source / name).resolve() == path.resolve():
            raise UserError(target, f'holds {name} itself, and {source} a link to it', advice)
        if not is_same(path, source / name):
            raise UserError(target, f'holds another {name} than {source}', advice)
    return files
