"""The contact sheets of check_coco.py. Pillow only."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from mmballoon.cli import atomic_write, check_ours
from mmballoon.data.coco import THUMBNAIL

MARK = 'mmballoon contact sheet'  # in the file: only a picture of ours is replaced
COLUMNS, MAX_TILES, LABEL, GAP = 8, 96, 16, 4
COLORS = '#ff3c5a', '#28beff', '#5adc5a', '#ffb428', '#c86ef0', '#00d2be'


def tiles(parts):
    """Function for checks.read_images that draws tiles of each part: of many images, an even choice."""
    chosen = {}
    for part in parts:
        keys = list(part.images)
        places = np.linspace(0, len(keys) - 1, min(len(keys), MAX_TILES)).astype(int)
        chosen[part.name] = {keys[i] for i in places}
    return lambda part, key, small: tile(part, key, small) if key in chosen[part.name] else None


def tile(part, key, small):
    """A thumbnail with boxes (thin) and polygons (bold), the number of boxes and its name below."""
    side = THUMBNAIL
    picture, image = Image.new('RGB', (side, side + LABEL), 'white'), part.images[key]
    scale, draw = small.width / max(1, image['width']), ImageDraw.Draw(picture)
    picture.paste(small, (0, 0))
    for a in part.boxes.get(key, ()):
        color = COLORS[list(part.names).index(a['category_id']) % len(COLORS)]
        x, y, w, h = (v * scale for v in a['bbox'])
        draw.rectangle((x, y, max(x, x + w), max(y, y + h)), outline=color)
        for ring in a.get('segmentation') or () if isinstance(a.get('segmentation'), list) else ():
            points = [v * scale for v in ring]
            draw.line(points + points[:2], fill=color, width=2)
    text = f'{len(part.boxes.get(key, ()))}  {image["file_name"]}'
    draw.text((2, side + 2), text[:40], fill='black', font=ImageFont.load_default(11))
    return picture


def contact_sheet(part, out):
    """Save a sheet of a part's tiles; returns its path."""
    columns, side = min(COLUMNS, max(1, len(part.tiles))), THUMBNAIL + GAP
    rows = max(1, -(-len(part.tiles) // columns))
    sheet = Image.new('RGB', (columns * side, rows * (side + LABEL)), 'white')
    for i, picture in enumerate(part.tiles):
        sheet.paste(picture, (i % columns * side, i // columns * (side + LABEL)))
    out.mkdir(parents=True, exist_ok=True)
    path = out / f'contact_sheet_{part.name}.png'
    check_ours(path, MARK)
    mark = PngInfo()
    mark.add_text('Software', MARK)
    with atomic_write(path) as file:
        sheet.save(file, 'PNG', pnginfo=mark)
    return path
