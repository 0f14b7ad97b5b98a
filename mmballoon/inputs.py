"""The images that a demo is pointed at."""

import glob
from pathlib import Path

from mmballoon.errors import UserError

# Those of mmdet's DetInferencer
IMG_EXTENSIONS = ('.jpg', '.jpeg', '.png', '.ppm', '.bmp', '.pgm', '.tif', '.tiff', '.webp')


def list_images(inputs):
    """Paths (list of str) of all images among files, folders (not their subfolders) and glob
    patterns, each read once.

    Raises:
        UserError: a path that is not there, a folder without images, a file that is no image, or two
            images of one name, whose results would overwrite each other.
    """
    found = []
    for item in inputs:
        path = Path(item)
        if path.is_dir():
            images = sorted(p for p in path.iterdir() if p.suffix.lower() in IMG_EXTENSIONS)
        elif path.is_file():
            images = [path]
        else:
            images = sorted(match for match in map(Path, glob.glob(item)) if match.is_file())
        if not images:
            raise UserError(f'{item}: no such image, or no image in it; next: check the path')
        found += images
    names = {}
    for path in found:
        if names.setdefault(path.stem, path) != path:
            raise UserError(
                f'{names[path.stem]} and {path} would have results of one name; next: run them one by one, '
                'with an --out-dir each'
            )
    found = list(names.values())
    broken = [path for path in found if not _decodes(path)]
    if broken:
        more = f' (and {len(broken) - 1} more of {len(found)} files)' if len(broken) > 1 else ''
        raise UserError(
            f'{broken[0]}: not a readable image{more}; next: replace it or leave it out'
        )
    return [str(path) for path in found]


def _decodes(path):
    import cv2
    from mmcv import imread

    try:
        return imread(str(path)) is not None
    except (cv2.error, OSError, ValueError):
        return False


def pick_device(device=None):
    """The device asked for, else CUDA where there is one, else the CPU (str)."""
    import torch

    if device is None:
        return 'cuda:0' if torch.cuda.is_available() else 'cpu'
    try:
        torch.empty(0, device=device)
    except (AssertionError, RuntimeError) as error:  # AssertionError: a torch without CUDA
        found = str(error).split('. ')[0].splitlines()[0]
        raise UserError(
            f'--device {device}: {found}; next: --device cpu, or leave it out'
        ) from None
    return device
