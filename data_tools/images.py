"""Sizes of image files from their headers, nothing decoded. Pillow only."""
import warnings
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from via import BadInput

SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff', '.gif')
MAX_PIXELS = 178_956_970  # what Pillow takes for a decompression bomb: 512 MiB once decoded
EXIF_ORIENTATION, TURNED = 0x0112, (5, 6, 7, 8)  # orientations that swap width and height


def image_size(path):
    """(width, height) in pixels as MMDetection's loader sees the image: turned upright by its EXIF orientation.

    mmcv decodes with OpenCV's IMREAD_COLOR, which turns JPEGs by EXIF, as browsers, and so VIA, do. Boxes drawn in
    VIA therefore fit what the model sees.

    Raises:
        BadInput: no image, a truncated JPEG, or a header that claims an absurd size.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', Image.DecompressionBombWarning)
            with Image.open(path) as image:
                (width, height), kind = image.size, image.format
                turned = kind == 'JPEG' and image.getexif().get(EXIF_ORIENTATION) in TURNED
    except Image.DecompressionBombError:
        width = height = MAX_PIXELS  # Pillow refuses before it tells the size
        kind, turned = None, False
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise BadInput(f'{path}: not a readable image ({str(error).splitlines()[0][:80]}); next: replace the file, or '
                       'delete its entry in VIA') from None
    if width * height > MAX_PIXELS:
        raise BadInput(f'{path}: its header claims more than {MAX_PIXELS // 10 ** 6} million pixels; next: replace the '
                       'file, or scale it down')
    if kind == 'JPEG' and not _has_end_marker(path):
        raise BadInput(f'{path}: truncated JPEG (no end-of-image marker); next: copy or download it again')
    return (height, width) if turned else (width, height)


def _has_end_marker(path):
    """Whether a JPEG's last kilobyte holds the end-of-image marker (some cameras write a little behind it)."""
    with open(path, 'rb') as file:
        file.seek(max(0, Path(path).stat().st_size - 1024))
        return b'\xff\xd9' in file.read()
