"""Split one folder of annotated images into train/ and val/."""

import contextlib
from pathlib import Path
from random import Random

from mmballoon.cli import UserError, added_files, is_same
from mmballoon.data.via import Entry


def split_entries(entries: list[Entry], fraction: float, seed: int) -> tuple[list, list]:
    """(train, val) entries, with the same share of images for each number of regions.

    Images are sorted by their number of regions, in random order where it is equal, and then dealt
    out in turn. Each split gets at least one image.
    """
    order = sorted(entries, key=lambda entry: (len(entry.regions), entry.filename))
    rng = Random(seed)
    order.sort(key=lambda entry: (len(entry.regions), rng.random()))
    offset, share = rng.random(), 1 - fraction
    in_val = [int((i + 1) * share + offset) > int(i * share + offset) for i in range(len(order))]
    if not any(in_val):
        in_val[rng.randrange(len(order))] = True
    if all(in_val):
        in_val[rng.randrange(len(order))] = False
    val = {entry.filename for entry, chosen in zip(order, in_val) if chosen}
    return [e for e in entries if e.filename not in val], [e for e in entries if e.filename in val]


@contextlib.contextmanager
def linked_images(folder: Path, targets: dict[Path, list[str]]):
    """Fill each target folder with its images: hard links, or copies on another disk.

    Images of an earlier split go once the block has ended well; if it fails, the new ones go. A
    target may hold nothing but images of ``folder``: the same file, or the same bytes.
    """
    earlier = [path for target in targets for path in _files_of(folder, target)]
    with added_files() as add:
        for target, names in targets.items():
            for name in names:
                add(target / name, folder / name)
        yield
    wanted = {target / name for target, names in targets.items() for name in names}
    for path in earlier:
        if path not in wanted:
            path.unlink()


def _files_of(folder, target):
    """The files in a target folder (list of Path), each of which must be an image of ``folder``."""
    if target.exists() and target.samefile(folder):
        advice = 'choose another folder with --data-root'
        raise UserError(f'{target}: holds the images themselves; next: {advice}')
    files = [path for path in target.rglob('*') if not path.is_dir()]
    for path in files:
        source = folder / path.relative_to(target)
        if not source.is_file():
            found = f'holds {path.relative_to(target)}'
        elif not is_same(path, source):
            found = f'holds another {path.relative_to(target)} than {folder}'
        else:
            continue
        raise UserError(f'{target}: {found}; next: choose another folder with --data-root')
    return files
