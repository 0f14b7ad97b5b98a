"""Balloons: drawn, placed, and outlined as far as they are seen; and images of them."""

import json

import cv2
import numpy as np

from mmballoon.render.scene import background

BALLOONS = (
    (40, 35, 215), (40, 120, 240), (50, 205, 245), (70, 175, 60), (205, 120, 40), (165, 60, 130),
    (175, 110, 235), (235, 225, 225), (190, 190, 60), (45, 45, 50), (110, 190, 235),
)  # fmt: skip  # BGR
SIZES = ((640, 480), (640, 427), (480, 640), (512, 512))  # width, height, as photographs come
MIN_SIDE = 8  # pixels; what is smaller is not annotated
MIN_VISIBLE = 0.3  # a balloon of which less is seen is not annotated


def outline(rng, radius):
    """An ellipse around (0, 0) with one pointed end, (48, 2) float64 in pixels, and this end, (2,)."""
    t = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    taper, long = rng.uniform(0.0, 0.28), rng.uniform(1.0, 1.35)
    down = (1 - np.cos(t)) / 2  # 0 at the top, 1 at the knot
    x = radius * np.sin(t) * (1 - taper * down**2)
    y = -radius * long * np.cos(t) * (1 + 0.35 * taper * down**6)
    angle = rng.normal(0, 0.25)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.stack([x, y], 1) @ turn.T, turn @ (0, y.max())


def draw_balloon(rng, image, center, radius, light):
    """Paint a shaded balloon with highlight, knot and string; return its body as a mask, (H, W) bool.

    light: (2,) direction to the light in the image plane, shared by all balloons of an image.
    """
    height, width = image.shape[:2]
    points, knot = outline(rng, radius)
    points, knot = points + center, knot + center
    mask = np.zeros((height, width), np.uint8)
    cv2.fillPoly(mask, [np.int32(points * 16)], 255, cv2.LINE_AA, shift=4)
    color = np.float32(BALLOONS[rng.integers(len(BALLOONS))]) + rng.normal(0, 14, 3)

    left, top = np.int32(np.clip(points.min(0) - 1, 0, None))
    right, bottom = np.int32(points.max(0) + 2)
    # All of the image that this balloon touches.
    window = np.s_[top : max(top, bottom), left : max(left, right)]
    ys, xs = np.arange(height)[window[0], None], np.arange(width)[None, window[1]]
    u, v = (xs - center[0]) / radius, (ys - center[1]) / (1.15 * radius)
    depth = np.sqrt(np.clip(1 - u**2 - v**2, 0, 1))
    lit = np.clip(0.55 * depth + 0.42 * (u * light[0] + v * light[1]) + 0.35, 0.18, 1.25)[..., None]
    shaded = color * lit + (255 - color) * 0.12 * np.clip(1 - depth, 0, 1)[..., None] ** 3
    spot = np.array(light) * 0.45
    shine = np.exp(-(((u - spot[0]) / 0.16) ** 2 + ((v - spot[1]) / 0.22) ** 2))[..., None]
    shaded = shaded + shine * rng.uniform(90, 200)
    opacity = rng.uniform(0.72, 0.95) if rng.random() < 0.2 else 1.0
    alpha = mask[window][..., None] / 255.0 * opacity
    image[window] = np.clip(image[window] * (1 - alpha) + shaded * alpha, 0, 255)

    if rng.random() < 0.75:  # knot and string
        k, dark = max(2.0, radius * 0.09), np.clip(color * 0.7, 0, 255).tolist()
        triangle = np.int32((knot + [(0, -k), (-k, k), (k, k)]) * 16)
        cv2.fillPoly(image, [triangle], dark, cv2.LINE_AA, shift=4)
        s = np.linspace(0, 1, 20)
        x = knot[0] + radius * 0.3 * np.sin(s * rng.uniform(2, 7)) * s
        x = x + s * rng.normal(0, radius * 0.4)
        string = np.stack([x, knot[1] + k + s * radius * rng.uniform(1.5, 5)], 1)
        lines, white, thick = [np.int32(string * 16)], (235, 235, 235), max(1, round(radius / 40))
        cv2.polylines(image, lines, False, white, thick, cv2.LINE_AA, shift=4)
    return mask > 127


def scatter(rng, width, height, count, radius):
    """[(x, y, radius)] in pixels of ``count`` balloons anywhere; the function ``radius`` draws the radii."""
    return [(rng.uniform(0, width), rng.uniform(0, height), radius()) for _ in range(count)]


def place_balloons(rng, width, height):
    """Centers and radii, [(x, y, radius)] in pixels: large ones, a bunch, small ones, or all sizes."""
    side, kind = min(width, height), rng.random()
    if kind < 0.25:  # one to three large ones
        count = rng.integers(1, 4)
        spots = scatter(rng, width, height, count, lambda: side * rng.uniform(0.12, 0.42))
    elif kind < 0.55:  # a bunch
        x, y = rng.uniform(0.2, 0.8) * width, rng.uniform(0.2, 0.7) * height
        r = side * rng.uniform(0.06, 0.16)
        spots = [
            (x + rng.normal(0, 1.7 * r), y + rng.normal(0, 1.5 * r), r * rng.uniform(0.75, 1.2))
            for _ in range(rng.integers(3, 9))
        ]
    elif kind < 0.75:  # scattered small ones
        count = rng.integers(3, 12)
        spots = scatter(rng, width, height, count, lambda: side * rng.uniform(0.04, 0.12))
    else:  # one close to the camera, others at any distance; small ones hover in front
        x, y = rng.uniform(0.2, 0.8) * width, rng.uniform(0.2, 0.8) * height
        close, count = (x, y, side * rng.uniform(0.4, 0.6)), rng.integers(1, 6)
        return [close, *scatter(rng, width, height, count, lambda: side * 0.05 * 5 ** rng.random())]
    return sorted(spots, key=lambda spot: spot[2])


def place_anywhere(rng, width, height):
    """Centers and radii of a few balloons of any size, most of them small: [(x, y, radius)]."""
    side, count = min(width, height), rng.integers(1, 10)
    return scatter(rng, width, height, count, lambda: side * 0.012 * 20 ** rng.random())


def visible_outline(mask):
    """The largest part's outline as VIA writes it, two closed lists of ints, or None if it is small."""
    contours, _ = cv2.findContours(np.uint8(mask), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not contours:
        return None
    contour = max(contours, key=cv2.contourArea)
    x, y, w, h = cv2.boundingRect(contour)
    points = cv2.approxPolyDP(contour, 0.004 * cv2.arcLength(contour, True) + 0.3, True)[:, 0]
    if min(w, h) < MIN_SIDE or len(points) < 3:
        return None
    closed = np.concatenate([points, points[:1]])
    return closed[:, 0].tolist(), closed[:, 1].tolist()


def render(rng):
    """One image, (H, W, 3) uint8 BGR, and its balloons, [closed outline (xs, ys) in pixels]."""
    width, height = SIZES[rng.integers(len(SIZES))]
    image, angle, masks = background(rng, width, height), rng.uniform(-2.4, -0.7), []
    for x, y, radius in place_balloons(rng, width, height):
        mask = draw_balloon(rng, image, np.array([x, y]), radius, (np.cos(angle), np.sin(angle)))
        masks = [(behind & ~mask, area) for behind, area in masks] + [(mask, int(mask.sum()))]
    if rng.random() < 0.25:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.2))
    grain = rng.normal(0, rng.uniform(1, 7), image.shape) + rng.uniform(-18, 18)
    image = np.uint8(np.clip(image + grain, 0, 255))
    seen = [mask for mask, area in masks if area and mask.sum() >= MIN_VISIBLE * area]
    return image, [points for points in map(visible_outline, seen) if points]


def make_split(folder, count, seed, add):
    """Render ``count`` images into ``folder`` by ``add`` (of added_files); return the number of balloons.

    Their annotations are of VIA 1, as the original set has them: regions as a mapping, closed polygons.
    """
    via = {}
    for i in range(count):
        rng = np.random.default_rng([*seed, i])  # each image has its own stream
        image, balloons = render(rng)
        name = f'toy_{folder.name}_{i:05d}.jpg'
        data = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()
        add(folder / name, data)
        entry = dict(fileref='', size=len(data), filename=name, base64_img_data='')
        entry |= dict(file_attributes={}, regions={})
        for number, (xs, ys) in enumerate(balloons):
            shape = dict(name='polygon', all_points_x=xs, all_points_y=ys)
            entry['regions'][str(number)] = dict(shape_attributes=shape, region_attributes={})
        via[f'{name}{len(data)}'] = entry
        if (i + 1) % 100 == 0:
            print(f'  {i + 1}/{count}', flush=True)
    add(folder / 'via_region_data.json', json.dumps(via).encode())
    return sum(len(entry['regions']) for entry in via.values())
