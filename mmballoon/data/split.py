"""Split one folder of annotated images into train/ and val/."""

import os
import shutil
from pathlib import Path
from random import Random

from mmballoon.cli import UserError, replace_folder
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


def link_images(folder: Path, targets: dict[Path, list[str]]):
    """Fill each target folder with its images: hard links, or copies on another disk."""
    for target in targets:
        files = [path.relative_to(target) for path in target.rglob('*') if path.is_file()]
        foreign = [path for path in files if not (folder / path).is_file()]
        if foreign or (target.exists() and target.samefile(folder)):
            what = foreign[0] if foreign else 'the images themselves'
            raise UserError(f'{target}: holds {what}; next: choose another folder with --data-root')
    for target, names in targets.items():
        part = target.with_name(target.name + '.part')
        shutil.rmtree(part, ignore_errors=True)
        for name in names:
            (part / name).parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(folder / name, part / name)
            except OSError:
                shutil.copy2(folder / name, part / name)
        replace_folder(part, target)
