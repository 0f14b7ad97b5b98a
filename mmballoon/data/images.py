"""Image files beside annotations: which file an annotation means, and its size. Pillow only."""

import contextlib
import os
import struct
import unicodedata
import warnings
from collections import Counter
from functools import cached_property
from pathlib import Path, PurePosixPath

from PIL import Image

from mmballoon.cli import IMG_EXTENSIONS, UserError

SUFFIXES = (*IMG_EXTENSIONS, '.gif')  # OpenCV reads the first picture
EXIF_ORIENTATION = 0x0112
TURNED = (5, 6, 7, 8)  # orientations that swap width and height


def image_size(path) -> tuple[int, int]:
    """(width, height) in pixels as MMDetection sees the image: turned by its EXIF orientation."""
    return read_size(path)[0]


def read_size(path) -> tuple[tuple[int, int], int]:
    """(image_size, EXIF orientation from 1 to 8) of an image.

    mmcv decodes with OpenCV 5, which turns JPEG, PNG, WebP and TIFF, like browsers and so like VIA,
    by EXIF data (of a TIFF, by its tag) and never by XMP data. Only a JPEG without an end
    marker near its end is decoded.

    Raises:
        UserError: the file is no image, or is cut off.
    """
    try:
        with warnings.catch_warnings(), Image.open(path) as image:
            warnings.simplefilter('ignore', Image.DecompressionBombWarning)
            size, turn = image.size, orientation(image)
            turned = turn in TURNED and image.format != 'TIFF'  # Pillow itself swaps its size
            if image.format == 'JPEG':
                image.fp.seek(max(0, os.path.getsize(path) - 1024))
                end = image.fp.read()
                if b'\xff\xd9' not in end:  # the end marker; a camera's notes may follow
                    # Cut off, or a phone's motion photo, which has a film behind it: decoding tells.
                    image.draft('RGB', (1, 1))
                    image.load()
    except (Image.DecompressionBombError, OSError, SyntaxError, ValueError) as e:
        reason = str(e).splitlines()[0][:80]
        advice = 'replace it, or delete its entry in the annotations'
        raise UserError(path, f'not a readable image ({reason})', advice) from None
    return (size[::-1] if turned else size), turn


def orientation(image):
    """The EXIF orientation of an open image; 1 where its EXIF data cannot be read, as in OpenCV."""
    exif = Image.Exif()  # image.getexif() has XMP's orientation, too
    with contextlib.suppress(OSError, SyntaxError, ValueError, KeyError, TypeError, struct.error):
        exif.load(image.info.get('exif', b''))
        return getattr(image, 'tag_v2', exif).get(EXIF_ORIENTATION, 1)
    return 1


def files_of(path, suffixes):
    """A file itself, or the files below a folder, without hidden ones."""
    if path.is_file():
        return [path]
    files = [f for f in sorted(path.rglob('*')) if f.suffix.lower() in suffixes and f.is_file()]
    return [f for f in files if not any(p.startswith('.') for p in f.relative_to(path).parts)]


class ImageFolder:
    """Finds the image files that annotations mean, in folders below ``base``; paths are relative to it."""

    def __init__(self, base: Path, folders=None):
        self.base, self.folders = base, folders or [base]

    def find(self, name: str, label: Path | None = None) -> list[str]:
        """The paths (with /) of the image that is meant: one, none, or several that cannot be told apart.

        name: what the annotations call the image. That path counts first. Else a file with the same
        last part is taken: paths differ by a folder or URL in front, by letter case, or by Unicode
        normalisation. label: the annotation file of this image alone, if there is one: an image with
        the stem of this file counts more, since names inside the files get stale. Of several files,
        the one that shares most folders with the name and the label is meant; links to one file are
        one image.
        """
        path, (by_name, by_stem) = PurePosixPath(name), self._index
        inside = not path.is_absolute() and '..' not in path.parts and '\0' not in name
        if label is None and inside and (self.base / path).is_file():
            return [str(path)]
        paths = by_name.get(_key(name), []) if name else []
        if label is not None:
            same_stem = by_stem.get(_key(label.stem), [])
            paths = [path for path in same_stem if path in paths] or same_stem or paths
        if len(paths) > 1:
            known = Counter(_folders(name)) + Counter(_folders(str(label or '')))
            shared = [(Counter(_folders(path)) & known).total() for path in paths]
            paths = [path for path, count in zip(paths, shared) if count == max(shared)]
            if all((self.base / path).samefile(self.base / paths[0]) for path in paths):
                paths = [min(paths, key=lambda path: path.count('/'))]  # the others are links to it
        return paths

    def images(self) -> list[str]:
        """The paths of all image files in the folders."""
        return [path for paths in self._index[0].values() for path in paths]

    @cached_property
    def _index(self):
        """({file name: paths}, {stem: paths}), both as _key gives them."""
        by_name, by_stem = {}, {}
        for file in sorted(f for folder in self.folders for f in files_of(folder, SUFFIXES)):
            path = file.relative_to(self.base).as_posix()
            by_name.setdefault(_key(path), []).append(path)
            by_stem.setdefault(_key(path).rpartition('.')[0], []).append(path)
        return by_name, by_stem


def _folders(name):
    return name.replace('\\', '/').casefold().split('/')[:-1]


def _key(name):
    """The last part of a path or URL, without differences of letter case and of Unicode normalisation."""
    return unicodedata.normalize('NFC', name.replace('\\', '/').split('/')[-1]).casefold()
