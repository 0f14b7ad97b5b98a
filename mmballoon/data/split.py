"""One folder of annotated images into train/ and val/."""

import os
import shutil
from random import Random

from mmballoon.errors import UserError


def split_entries(entries, fraction, seed):
    """(train, val) lists of entries, by image: of images with about the same number of regions, the
    same share each.

    Ordered by regions (ties in random order), images are dealt in turn: val gets its share of every
    stretch, and at least one image, as does train.
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


def link_images(folder, names, target):
    """Fill the folder ``target`` with the named images: hard links, which take no space, or copies
    where they can't be.

    Raises:
        UserError: ``target`` holds anything but images of ``folder``.
    """
    if target.exists():
        alien = next((p for p in target.iterdir() if not (folder / p.name).is_file()), None)
        if alien or target.samefile(folder):
            raise UserError(
                f'{target}: holds {alien.name if alien else "the images themselves"}; next: choose another '
                'place with --data-root'
            )
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
