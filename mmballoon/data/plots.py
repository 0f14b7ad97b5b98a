"""The contact sheets of check_coco.py. Pillow only."""

from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from mmballoon.cli import atomic_write, check_ours
from mmballoon.data.coco import THUMBNAIL

MARK = 'mmballoon contact sheet'  # in the file: only a picture of ours is replaced
COLUMNS, LABEL, GAP = 8, 16, 4
COLORS = '#ff3c5a', '#28beff', '#5adc5a', '#ffb428', '#c86ef0', '#00d2be'


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
    """Save a sheet of the thumbnails that checks.read_images kept; returns its path."""
    count, side = max(1, len(part.thumbnails)), THUMBNAIL + GAP
    columns = min(COLUMNS, count)
    rows = -(-count // columns)
    sheet = Image.new('RGB', (columns * side, rows * (side + LABEL)), 'white')
    for i, (key, small) in enumerate(part.thumbnails.items()):
        sheet.paste(tile(part, key, small), (i % columns * side, i // columns * (side + LABEL)))
    out.mkdir(parents=True, exist_ok=True)
    path = out / f'contact_sheet_{part.name}.png'
    check_ours(path, MARK)
    mark = PngInfo()
    mark.add_text('Software', MARK)
    with atomic_write(path) as file:
        sheet.save(file, 'PNG', pnginfo=mark)
    return path
