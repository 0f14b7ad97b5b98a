"""What objects are painted on: scenes without a balloon.

Each thing of a scene is painted in place on ``image``, (height, width, 3) uint8 BGR; ``ground`` is the row at
which the ground begins.
"""

import cv2
import numpy as np

SKIES = (
    ((225, 170, 105), (245, 225, 200)), ((200, 140, 90), (190, 215, 245)),
    ((120, 90, 70), (120, 150, 230)), ((215, 215, 215), (240, 240, 240)),
    ((80, 60, 50), (130, 110, 100)),
)  # fmt: skip  # top, horizon: BGR
SKINS = (150, 180, 225), (110, 150, 205), (70, 100, 150), (45, 65, 100)
AA = cv2.LINE_AA


def smooth_noise(rng, height, width, cell):
    """Value noise in [0, 1], (height, width) float32, with bumps of about ``cell`` pixels."""
    grid = rng.random((height // cell + 3, width // cell + 3), dtype=np.float32)
    return np.clip(cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC), 0, 1)


def fractal_noise(rng, height, width):
    """Smooth noise at four scales, (height, width, 1) float32, mean about 0."""
    cells = enumerate((96, 40, 16, 6))
    layers = [smooth_noise(rng, height, width, cell) / 2**i for i, cell in cells]
    return (sum(layers) / sum(0.5**i for i in range(4)) - 0.5)[..., None]


def random_color(rng, low=20, high=236):
    gray, tint = rng.uniform(low, high), rng.normal(0, 28, 3)  # things are duller than balloons
    return tuple(int(c) for c in np.clip(gray + tint, 0, 255))


def background(rng, width, height):
    """A busy scene, (H, W, 3) uint8: sky or wall, clouds, hills, buildings, foliage, people, signs."""
    top, horizon = SKIES[rng.integers(len(SKIES))]
    if rng.random() < 0.35:  # indoors: any wall
        top, horizon = random_color(rng, 60), random_color(rng, 60)
    ramp = np.linspace(0, 1, height, dtype=np.float32)[:, None, None] ** rng.uniform(0.6, 1.6)
    image = np.float32(top) * (1 - ramp) + np.float32(horizon) * ramp
    image = image + np.zeros((height, width, 1), np.float32)
    image += fractal_noise(rng, height, width) * rng.uniform(20, 110)
    image = np.uint8(np.clip(image, 0, 255))
    ground = int(height * rng.uniform(0.55, 1.05))
    for _ in range(rng.integers(0, 5)):
        building(rng, image, width, height, ground)
    if ground < height:
        texture = fractal_noise(rng, height - ground, width) * rng.uniform(40, 140)
        image[ground:] = np.clip(np.float32(random_color(rng, 30, 190)) + texture, 0, 255)
    for _ in range(rng.integers(1, 9)):
        thing = (foliage, person, sign, lamp, stripes)[rng.integers(5)]
        thing(rng, image, width, height, ground)
    if rng.random() < 0.3:  # out of focus, as behind a portrait
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(1, 4))
    return image


def building(rng, image, width, height, ground):
    """A block with a grid of windows, standing on the row ``ground``."""
    w, h = int(width * rng.uniform(0.1, 0.35)), int(height * rng.uniform(0.15, 0.6))
    x, y = int(rng.uniform(-0.1, 0.95) * width), ground - h
    cv2.rectangle(image, (x, y), (x + w, ground), random_color(rng), -1)
    pane, step = random_color(rng), int(rng.integers(14, 34))
    for wy in range(y + 6, ground - 8, step):
        for wx in range(x + 6, x + w - 8, step):
            cv2.rectangle(image, (wx, wy), (wx + step // 2, wy + step // 2), pane, -1)


def foliage(rng, image, width, height, ground):
    """A tree or bush: many small leaves of near colours. Round in outline, rough in texture."""
    center = np.array([rng.uniform(0, width), min(ground, height) * rng.uniform(0.6, 1.0)])
    radius = rng.uniform(0.05, 0.2) * width
    x, y = np.int32(center).tolist()
    cv2.line(image, (x, y), (x, int(center[1] + 2 * radius)), (40, 60, 80), 6)
    base = np.array(random_color(rng, 20, 130))
    for offset, tint in zip(rng.normal(0, radius / 2, (160, 2)), rng.integers(-25, 25, 160)):
        color = tuple(int(c) for c in np.clip(base + tint, 0, 255))
        leaf, r = np.int32(center + offset).tolist(), int(rng.integers(3, 9))
        cv2.circle(image, leaf, r, color, -1, AA)


def person(rng, image, width, height, ground):
    """A head, hair and a body: round and skin-coloured, and no balloon."""
    r = int(rng.uniform(0.03, 0.1) * width)
    x, y = int(rng.uniform(0, width)), int(rng.uniform(0.35, 0.95) * height)
    skin, wide, chest = SKINS[rng.integers(4)], int(1.8 * r), y + 4 * r
    cv2.ellipse(image, (x, chest), (wide, 3 * r), 0, 180, 360, random_color(rng), -1, AA)
    cv2.rectangle(image, (x - wide, chest), (x + wide, height), random_color(rng), -1)
    cv2.ellipse(image, (x, y), (r, int(1.25 * r)), 0, 0, 360, skin, -1, AA)
    hair = random_color(rng, 10, 90)
    cv2.ellipse(image, (x, y - r // 4), (r, r), 0, 180, 360, hair, -1, AA)
    for side in (-1, 1):
        eye = x + side * r // 3, y + r // 8
        cv2.circle(image, eye, max(1, r // 9), (30, 30, 30), -1, AA)
    cv2.ellipse(image, (x, y + r // 2), (r // 3, r // 5), 0, 0, 180, (60, 60, 150), 2, AA)


def sign(rng, image, width, height, ground):
    """A flat round or square sign on a post, with a rim and a bar."""
    r, x = int(rng.uniform(0.025, 0.1) * width), int(rng.uniform(0, width))
    y = int(rng.uniform(0.2, 0.8) * height)
    cv2.line(image, (x, y), (x, height), (120, 120, 120), max(2, r // 6))
    if rng.random() < 0.6:
        cv2.circle(image, (x, y), r, random_color(rng), -1, AA)
        cv2.circle(image, (x, y), r, random_color(rng), max(2, r // 5), AA)
    else:
        cv2.rectangle(image, (x - r, y - r), (x + r, y + r), random_color(rng), -1)
    cv2.rectangle(image, (x - r // 2, y - r // 6), (x + r // 2, y + r // 6), random_color(rng), -1)


def lamp(rng, image, width, height, ground):
    """The sun or a lamp: a bright disc with a glow."""
    center, r = rng.uniform(0, 1, 2) * (width, height * 0.6), rng.uniform(0.02, 0.06) * width
    ys, xs = np.ogrid[:height, :width]
    glow = np.exp(-((xs - center[0]) ** 2 + (ys - center[1]) ** 2) / (2 * (1.5 * r) ** 2))
    image[:] = np.clip(image + glow[..., None] * (90, 150, 170), 0, 255)
    cv2.circle(image, np.int32(center).tolist(), int(r), (225, 245, 255), -1, AA)


def stripes(rng, image, width, height, ground):
    """Bunting, a parasol or a fence: bars of two colours."""
    x, y = rng.integers(0, width), rng.integers(0, height)
    colors, step = (random_color(rng), random_color(rng)), int(rng.integers(5, 22))
    dx, dy = int(rng.integers(40, 240)), int(rng.integers(10, 120))
    for i, left in enumerate(range(x, x + dx, step)):
        cv2.rectangle(image, (left, y), (left + step, y + dy), colors[i % 2], -1)
