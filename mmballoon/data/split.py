"""Split one folder of annotated images into train/ and val/."""

import contextlib
from pathlib import Path
from random import Random

from mmballoon.cli import UserError
from mmballoon.data.files import added_files, is_same
from mmballoon.data.via import Entry


def split_entries(entries: list[Entry], fraction: float, seed: int) -> tuple[list, list]:
    """(train, val) entries, with the same share of images for each number of regions.

    fraction: the share of train, from 0 to 1.

    Images are sorted by their number of regions, in random order where it is equal, and then dealt
    out in turn. Each split gets at least one image.
    """
    order = sorted(entries, key=lambda entry: (len(entry.regions), entry.filename))
    rng = Random(seed)
    order.sort(key=lambda entry: (len(entry.regions), rng.random()))
    offset, val_share = rng.random(), 1 - fraction
    sums = [int(i * val_share + offset) for i in range(len(order) + 1)]
    in_val = [after > before for before, after in zip(sums, sums[1:])]
    if not any(in_val):
        in_val[rng.randrange(len(order))] = True
    if all(in_val):
        in_val[rng.randrange(len(order))] = False
    val_names = {entry.filename for entry, chosen in zip(order, in_val) if chosen}
    train = [entry for entry in entries if entry.filename not in val_names]
    return train, [entry for entry in entries if entry.filename in val_names]


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
            print(
                f'note: {len(moved)} images of {target} were in the other part of an earlier split: '
                'do not test on them what was trained before'
            )
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
            found = f'holds {name} itself, and {source} a link to it'
            raise UserError(target, found, advice)
        if not is_same(path, source / name):
            raise UserError(target, f'holds another {name} than {source}', advice)
    return files
