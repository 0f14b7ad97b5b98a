"""Sizes of image files from their headers, nothing decoded. Pillow only."""

import os
import warnings

from PIL import Image, JpegImagePlugin, UnidentifiedImageError  # noqa: F401  (the plugin: else loaded while counting)

from mmballoon.errors import UserError

SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff', '.gif')
MAX_PIXELS = 178_956_970  # what Pillow takes for a decompression bomb: 512 MiB once decoded
EXIF_ORIENTATION, TURNED = 0x0112, (5, 6, 7, 8)  # orientations that swap width and height


def image_size(path):
    """(width, height) in pixels as MMDetection's loader sees the image: turned upright by its EXIF
    orientation.

    mmcv decodes with OpenCV's IMREAD_COLOR, which turns JPEGs by EXIF, as browsers, and so VIA, do.
    Boxes drawn in VIA therefore fit what the model sees.

    Raises:
        UserError: no image, a truncated JPEG, or a header that claims an absurd size.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', Image.DecompressionBombWarning)
            with Image.open(path) as image:
                (width, height), is_jpeg = image.size, image.format == 'JPEG'
                turned = (
                    is_jpeg
                    and 'exif' in image.info
                    and image.getexif().get(EXIF_ORIENTATION) in TURNED
                )
                whole = not is_jpeg or _has_end_marker(image.fp)
    except Image.DecompressionBombError:
        width = height = MAX_PIXELS  # Pillow refuses before it tells the size
        turned, whole = False, True
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise UserError(
            f'{path}: not a readable image ({str(error).splitlines()[0][:80]}); next: replace the file, or '
            'delete its entry in VIA'
        ) from None
    if width * height > MAX_PIXELS:
        raise UserError(
            f'{path}: its header claims more than {MAX_PIXELS // 10**6} million pixels; next: replace the '
            'file, or scale it down'
        )
    if not whole:
        raise UserError(
            f'{path}: truncated JPEG (no end-of-image marker); next: copy or download it again'
        )
    return (height, width) if turned else (width, height)


def _has_end_marker(file):
    """Whether a JPEG's last kilobyte holds the end-of-image marker (some cameras write a little
    behind it).
    """
    file.seek(max(0, os.fstat(file.fileno()).st_size - 1024))
    return b'\xff\xd9' in file.read()
