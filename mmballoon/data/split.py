"""Split one folder of annotated images into train/ and val/."""

import os
import shutil
from pathlib import Path
from random import Random

from mmballoon.data.via import Entry
from mmballoon.errors import UserError


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


def link_images(folder: Path, names: list[str], target: Path):
    """Fill the folder ``target`` with the named images: hard links, or copies on another disk.

    Raises:
        UserError: ``target`` holds anything that is not in ``folder``.
    """
    if target.exists():
        files = [path for path in target.rglob('*') if path.is_file()]
        foreign = [p for p in files if not (folder / p.relative_to(target)).is_file()]
        if foreign or target.samefile(folder):
            what = foreign[0].name if foreign else 'the images themselves'
            raise UserError(f'{target}: holds {what}; next: choose another folder with --data-root')
    part = target.with_name(target.name + '.part')
    shutil.rmtree(part, ignore_errors=True)
    for name in names:
        (part / name).parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(folder / name, part / name)
        except OSError:
            shutil.copy2(folder / name, part / name)
    shutil.rmtree(target, ignore_errors=True)
    part.rename(target)
