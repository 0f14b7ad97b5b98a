"""Images of objects of many kinds, balloons among them, for the weights in the package.

Clip art (Debian's openclipart-png, public domain), emoji (Debian's fonts-noto-color-emoji, and the shaded
Fluent emoji under MIT of the npm package @lobehub/fluent-emoji-3d), drawn shapes and letters are turned,
lit from one side, textured and blurred, and cover each other. No photograph is used.
"""

import json
import math
from importlib import resources

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mmballoon.render.balloons import draw_balloon, place_anywhere, place_balloons, visible_outline
from mmballoon.render.scene import background, fractal_noise, random_color, smooth_noise

# {kind: (its folders in openclipart-png, the code points of its emoji)}, in the order of the classes; a
# config inherits it. What has neither is drawn: balloons, letters, and shapes with so many waves. A few
# emoji are of two kinds (a whale, a purse).
KINDS = json.loads(resources.files('mmballoon.render').joinpath('kinds.json').read_bytes())['kinds']
NAMES = tuple(KINDS)
SIZES = ((512, 384), (512, 341), (384, 512), (410, 410))  # width, height
SPRITE = 176  # pixels: the long side of what is kept of a clip art
MOST = 160  # clip arts of a kind
MIN_VISIBLE = 0.3  # an object of which less is seen is not annotated


def code_points(text):
    """[int] of code points and ranges in hexadecimal, such as '1f400-1f412 1f43f'."""
    codes = []
    for word in text.split():
        first, _, last = word.partition('-')
        codes += range(int(first, 16), int(last or first, 16) + 1)
    return codes


def trimmed(picture):
    """The part of a PIL image that is not transparent, (h, w, 4) uint8 BGRA, at most SPRITE long, or None."""
    picture = picture.convert('RGBA')
    box = picture.getchannel('A').point(lambda a: 255 * (a > 20)).getbbox()
    if not box or min(box[2] - box[0], box[3] - box[1]) < 16:
        return None
    picture = picture.crop(box)
    picture.thumbnail((SPRITE, SPRITE), Image.Resampling.BOX)
    return cv2.cvtColor(np.asarray(picture), cv2.COLOR_RGBA2BGRA)


def load_sprites(sources):
    """{kind: [(h, w, 4) uint8 BGRA]} of the kinds that are not drawn.

    sources (Path): holds openclipart/ (the package's folder png), fluent/ (*.webp) and NotoColorEmoji.ttf.
    """
    font, sprites = ImageFont.truetype(str(sources / 'NotoColorEmoji.ttf'), 109), {}
    for kind, (folders, emoji) in KINDS.items():
        cut = []
        files = [
            path
            for folder in folders.split()
            for path in sorted((sources / 'openclipart' / folder).glob('*.png'))
            # Balloons are a kind of their own. Some large files have 170 million pixels and more.
            if 'ball' not in path.name and path.stat().st_size < 100_000
        ]
        for path in files[:: math.ceil(len(files) / MOST) or 1]:
            with Image.open(path) as picture:
                if max(picture.size) < 1600:
                    cut.append(trimmed(picture))
        for code in code_points(emoji):
            picture = Image.new('RGBA', (140, 140))
            ImageDraw.Draw(picture).text((2, 2), chr(code), font=font, embedded_color=True)
            cut.append(trimmed(picture))
            files = [sources / 'fluent' / f'{code:x}{end}.webp' for end in ('', '-fe0f')]
            cut += [trimmed(Image.open(path)) for path in files if path.exists()][:1]
        if cut:
            sprites[kind] = [sprite for sprite in cut if sprite is not None]
    return sprites


def drawn_shape(rng, lobes):
    """A closed curve around the origin with ``lobes`` waves, (160, 160, 4) uint8 BGRA."""
    t = np.linspace(0, 2 * np.pi, 96, endpoint=False)
    radius = 1 + rng.uniform(0.12, 0.4) * np.cos(lobes * t)
    radius += sum(rng.normal(0, 0.03) * np.cos(k * t + k) for k in (1, 5, 7))
    points = np.stack([np.cos(t), np.sin(t)], 1) * (radius / radius.max() * 78)[:, None] + 80
    sprite = np.zeros((160, 160, 4), np.uint8)
    colors = np.float32(random_color(rng)), np.float32(random_color(rng))
    share = smooth_noise(rng, 160, 160, int(rng.integers(5, 60)))[..., None]
    if rng.random() < 0.5:
        share = np.round(share * 2) / 2
    sprite[..., :3] = colors[0] * share + colors[1] * (1 - share)
    alpha = np.zeros((160, 160), np.uint8)
    cv2.fillPoly(alpha, [np.int32(points * 16)], 255, cv2.LINE_AA, 4)
    sprite[..., 3] = alpha
    return sprite


def drawn_letter(rng):
    """A letter or digit, (h, w, 4) uint8 BGRA."""
    picture = Image.new('RGBA', (180, 180))
    text = 'ABCDEFGHJKLMNPQRSTUVWXYZabdefghkmnqrt23456789&?@'[rng.integers(48)]
    draw = ImageDraw.Draw(picture)
    font, color = ImageFont.load_default(120), random_color(rng)
    draw.text((30, 10), text, color, font, stroke_width=int(rng.integers(1, 8)))
    return trimmed(picture)


def paste(rng, image, sprite, center, side, light):
    """Paint a sprite in place, turned, lit from ``light`` (2,) and textured; return its mask, (H, W) bool.

    center: (x, y); side: length of its long side; both in pixels.
    """
    height, width = image.shape[:2]
    h, w = sprite.shape[:2]
    stretch = np.exp(rng.normal(0, 0.12, 2))
    angle = rng.normal(0, 0.25) if rng.random() < 0.8 else rng.uniform(0, 6.3)
    zoom = max(side / max(h, w), 3 / min(h, w))
    if zoom < 1:
        sprite = cv2.resize(sprite, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA)
        h, w = sprite.shape[:2]
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turn = turn * stretch * max(1.0, zoom) @ np.diag([rng.choice([-1, 1]), 1])
    corners = np.array([[-w, -h], [w, -h], [w, h], [-w, h]]) / 2 @ turn.T + center
    left, top = np.clip(np.int32(corners.min(0)) - 2, 0, (width, height))
    right, bottom = np.clip(np.int32(corners.max(0)) + 3, 0, (width, height))
    mask = np.zeros((height, width), bool)
    if min(right - left, bottom - top) < 2:
        return mask
    matrix = np.column_stack([turn, center - (left, top) - turn @ (w / 2, h / 2)])
    layer = np.float32(sprite)
    layer[..., :3] *= layer[..., 3:] / 255
    layer = cv2.warpAffine(layer, matrix, (int(right - left), int(bottom - top)))
    color, alpha = layer[..., :3], layer[..., 3:] / 255
    if rng.random() < 0.3:  # another colour
        color = color[..., rng.permutation(3)]
    if rng.random() < 0.75:  # as if it were round: the middle is near, the edge is far
        near = cv2.GaussianBlur(alpha, (0, 0), max(1.0, side * rng.uniform(0.05, 0.2)))
        slope = np.stack(np.gradient(near)[::-1], -1) @ np.float32(light)
        lit = near**0.5 * 0.5 + 0.6 - slope * side * rng.uniform(0.1, 0.35)
        color = color * np.clip(lit, 0.25, 1.5)[..., None]
    if rng.random() < 0.4:
        color = color * (1 + fractal_noise(rng, *color.shape[:2]) * rng.uniform(0.2, 1.2))
    if rng.random() < 0.2:
        sigma = rng.uniform(0.4, 1.6)
        color = cv2.GaussianBlur(color, (0, 0), sigma)
        alpha = cv2.GaussianBlur(alpha, (0, 0), sigma)[..., None]
    window = image[top:bottom, left:right]
    if rng.random() < 0.3:  # its shadow
        shift = np.float32([[1, 0, -light[0] * side * 0.08], [0, 1, -light[1] * side * 0.08]])
        shadow = cv2.warpAffine(alpha, shift, alpha.shape[1::-1])
        window = window * (1 - 0.5 * cv2.GaussianBlur(shadow, (0, 0), 1 + side / 30)[..., None])
    color = np.clip(color * rng.uniform(0.65, 1.1), 0, 255 * alpha)
    image[top:bottom, left:right] = np.clip(window * (1 - alpha) + color, 0, 255)
    mask[top:bottom, left:right] = alpha[..., 0] > 0.5
    return mask


def backdrop(rng, width, height):
    """Something behind the objects, (H, W, 3) uint8: a scene, or surfaces of two colours and any roughness."""
    if rng.random() < 0.5:
        return background(rng, width, height)
    colors = [np.float32(random_color(rng)) for _ in range(3)]
    share = smooth_noise(rng, height, width, int(rng.integers(20, 200)))[..., None]
    if rng.random() < 0.5:
        share = np.float32(share > 0.5)
    image = colors[0] * share + colors[1] * (1 - share)
    if rng.random() < 0.3:  # a table or a floor
        image[int(rng.uniform(0.3, 0.9) * height) :] = colors[2]
    image = image + fractal_noise(rng, height, width) * rng.uniform(10, 200)
    return np.uint8(np.clip(image, 0, 255))


def place(rng, width, height):
    """What an image shows, back to front: [(kind, x, y, radius)] in pixels.

    Half of the images have balloons and a few other objects, the others have other objects only. Their sides
    are spread evenly over their logarithm: as many of 12 to 24 pixels as of 120 to 240.
    """
    things, others, with_balloons = [], NAMES[1:], rng.random() < 0.5
    if with_balloons:
        spots = place_anywhere if rng.random() < 0.35 else place_balloons
        things = [('balloon', *spot) for spot in spots(rng, width, height)]
    least, most = 12, min(height, width) * (0.35 if with_balloons else 0.8)
    some = [others[i] for i in rng.integers(0, len(others), rng.integers(1, 5))]  # several times
    for _ in range(rng.integers(0, 6) if with_balloons else rng.integers(2, 15)):
        names = some if rng.random() < 0.5 else others
        kind, side = names[rng.integers(len(names))], least * (most / least) ** rng.random()
        things.append((kind, rng.uniform(0, width), rng.uniform(0, height), side / 2))
    if rng.random() < 0.7:  # most of what is large is behind
        things.sort(key=lambda thing: -thing[3] if rng.random() < 0.9 else 0)
    return things


def draw(rng, image, sprites, thing, light):
    """Paint a thing of ``place`` in place; return its mask, (H, W) bool."""
    kind, x, y, radius = thing
    center = np.array([x, y])
    if kind == 'balloon':
        mask = draw_balloon(rng, image, center, radius, light)
        if rng.random() < 0.12:  # a print on it
            paste(rng, image, drawn_letter(rng), center, radius * rng.uniform(0.4, 1), light)
        return mask
    if kind == 'letter':
        sprite = drawn_letter(rng)
    elif kind.startswith('shape'):
        sprite = drawn_shape(rng, int(kind.split()[1]))
    else:
        sprite = sprites[kind][rng.integers(len(sprites[kind]))]
    return paste(rng, image, sprite, center, 2 * radius, light)


def render(rng, sprites):
    """One image, (H, W, 3) uint8 BGR, and its objects, [(kind, (xs, ys) closed outline in pixels)]."""
    width, height = SIZES[rng.integers(len(SIZES))]
    image, angle = backdrop(rng, width, height), rng.uniform(-2.6, -0.5)
    light, seen = np.array([np.cos(angle), np.sin(angle)]), []
    for thing in place(rng, width, height):
        mask = draw(rng, image, sprites, thing, light)
        seen = [(kind, behind & ~mask, area) for kind, behind, area in seen]
        seen.append((thing[0], mask, int(mask.sum())))
    if rng.random() < 0.25:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.2))
    if rng.random() < 0.3:  # a balloon may lie or hang, and a person may turn the camera
        quarters = int(rng.integers(1, 4))
        image = np.ascontiguousarray(np.rot90(image, quarters))
        seen = [(kind, np.rot90(mask, quarters), area) for kind, mask, area in seen]
    grain = rng.standard_normal(image.shape, np.float32) * rng.uniform(1, 8)
    image = np.float32(image) * rng.uniform(0.75, 1.15) + grain + rng.uniform(-15, 25)
    objects = [
        (kind, visible_outline(mask))
        for kind, mask, area in seen
        if area and mask.sum() > MIN_VISIBLE * area
    ]
    return np.uint8(np.clip(image, 0, 255)), [item for item in objects if item[1]]
