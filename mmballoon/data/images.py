"""Image files beside annotations: which file an annotation means, and its size. Pillow only."""

import os
import unicodedata
import warnings
from functools import cached_property
from pathlib import Path, PurePosixPath

from PIL import Image

from mmballoon.cli import UserError

SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff', '.gif')
EXIF_ORIENTATION = 0x0112
TURNED = (5, 6, 7, 8)  # orientations that swap width and height


def image_size(path) -> tuple[int, int]:
    """(width, height) in pixels as MMDetection sees the image: turned by its EXIF orientation.

    mmcv decodes with OpenCV 5, which turns JPEG, PNG, WebP and TIFF, like browsers and so like VIA.
    Only a JPEG without an end marker near its end is decoded.
    """
    try:
        with warnings.catch_warnings(), Image.open(path) as image:
            warnings.simplefilter('ignore', Image.DecompressionBombWarning)
            width, height = image.size
            # Pillow itself swaps the size of a TIFF.
            turned = 'exif' in image.info and image.getexif().get(EXIF_ORIENTATION) in TURNED
            if image.format == 'JPEG' and not _has_end_marker(image.fp):
                # Cut off, or a phone's motion photo, which has a film behind it: decoding tells.
                image.draft('RGB', (1, 1))
                image.load()
    except (Image.DecompressionBombError, OSError, SyntaxError, ValueError) as e:
        reason = str(e).splitlines()[0][:80]
        advice = 'replace it, or delete its entry in the annotations'
        raise UserError(f'{path}: not a readable image ({reason}); next: {advice}') from None
    return (height, width) if turned else (width, height)


def _has_end_marker(file):
    """Whether the last kilobyte of a JPEG has the end marker; some cameras write a little behind it."""
    position = file.tell()
    file.seek(max(0, os.fstat(file.fileno()).st_size - 1024))
    found = b'\xff\xd9' in file.read()
    file.seek(position)  # Pillow goes on reading from there
    return found


class ImageFolder:
    """Finds the files that the names in an annotation file mean."""

    def __init__(self, folder: Path):
        self.folder = folder

    def find(self, name: str) -> str | None:
        """The path below the folder (with /) of the file that ``name`` means, or None.

        The path itself counts first. Else the file with the same last part is taken, if there is only
        one: names differ by a folder or URL in front, by letter case, or by Unicode normalisation.
        """
        path = PurePosixPath(name)
        inside = not path.is_absolute() and '..' not in path.parts and '\0' not in name
        if inside and (self.folder / path).is_file():
            return str(path)
        found = self._by_name.get(_key(name), [])
        return found[0] if len(found) == 1 else None

    def images(self) -> list[str]:
        """The paths of all image files below the folder."""
        return [path for paths in self._by_name.values() for path in paths]

    @cached_property
    def _by_name(self):
        found = {}
        for path in sorted(self.folder.rglob('*')):
            if path.suffix.lower() in SUFFIXES and not path.name.startswith('.'):
                relative = path.relative_to(self.folder).as_posix()
                found.setdefault(_key(relative), []).append(relative)
        return found


def _key(name):
    """The last part of a path or URL, without differences of letter case and of Unicode normalisation."""
    return unicodedata.normalize('NFC', name.replace('\\', '/').split('/')[-1]).casefold()
