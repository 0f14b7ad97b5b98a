"""Image files beside annotations: which file an annotation means, and its size. Pillow only."""

import os
import unicodedata
import warnings
from pathlib import Path, PurePosixPath

from PIL import Image, JpegImagePlugin, UnidentifiedImageError  # noqa: F401  (loaded once, here)

from mmballoon.errors import UserError

SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff', '.gif')
MAX_PIXELS = 178_956_970  # Pillow takes more for a decompression bomb: 512 MiB once decoded
EXIF_ORIENTATION = 0x0112
TURNED = (5, 6, 7, 8)  # orientations that swap width and height


def image_size(path) -> tuple[int, int]:
    """(width, height) in pixels as MMDetection sees the image: turned by its EXIF orientation.

    mmcv decodes with OpenCV 5, which turns JPEG, PNG, WebP and TIFF, like browsers and so like VIA.
    Nothing is decoded here.

    Raises:
        UserError: no image, a truncated JPEG, or a header with too many pixels.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', Image.DecompressionBombWarning)
            with Image.open(path) as image:
                width, height = image.size
                # Pillow itself swaps the size of a TIFF.
                turned = 'exif' in image.info and image.getexif().get(EXIF_ORIENTATION) in TURNED
                whole = image.format != 'JPEG' or _has_end_marker(image.fp)
    except Image.DecompressionBombError:
        width, height, turned, whole = MAX_PIXELS, MAX_PIXELS, False, True
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        reason = str(error).splitlines()[0][:80]
        raise UserError(
            f'{path}: not a readable image ({reason}); next: replace it, or delete its entry in VIA'
        ) from None
    if width * height > MAX_PIXELS:
        raise UserError(
            f'{path}: its header says more than {MAX_PIXELS // 10**6} million pixels; next: replace '
            'the file, or scale it down'
        )
    if not whole:
        raise UserError(f'{path}: truncated JPEG (no end marker); next: copy or download it again')
    return (height, width) if turned else (width, height)


def _has_end_marker(file):
    """Whether the last kilobyte of a JPEG has the end marker; some cameras write a little behind it."""
    file.seek(max(0, os.fstat(file.fileno()).st_size - 1024))
    return b'\xff\xd9' in file.read()


class ImageFolder:
    """Finds the files that the names in an annotation file mean."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._by_name = None

    def find(self, name: str) -> str | None:
        """The path below the folder (with /) of the file that ``name`` means, or None.

        The path itself counts first. Else the file with the same last part is taken, if there is only
        one: names differ by a folder or URL in front, by letter case, or by Unicode normalisation.
        """
        path = PurePosixPath(name)
        inside = not path.is_absolute() and '..' not in path.parts and '\0' not in name
        if inside and (self.folder / path).is_file():
            return str(path)
        found = self._files().get(_key(name), [])
        return found[0] if len(found) == 1 else None

    def images(self) -> list[str]:
        """The paths of all image files below the folder."""
        return [path for paths in self._files().values() for path in paths]

    def _files(self):
        if self._by_name is None:
            self._by_name = {}
            for path in sorted(self.folder.rglob('*')):
                if path.suffix.lower() in SUFFIXES and not path.name.startswith('.'):
                    relative = path.relative_to(self.folder).as_posix()
                    self._by_name.setdefault(_key(relative), []).append(relative)
        return self._by_name


def _key(name):
    """The last part of a path or URL, without differences of letter case and of Unicode normalisation."""
    return unicodedata.normalize('NFC', name.replace('\\', '/').split('/')[-1]).casefold()
