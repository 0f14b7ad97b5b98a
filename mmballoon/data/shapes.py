"""Outlines of objects as polygons, and the plane geometry for them. Standard library only.

One convention for points and boxes: continuous pixel coordinates, x to the right and y down. (0, 0)
is the upper left corner of the upper left pixel, (width, height) the lower right corner of the image.
A polygon is a flat list, as in COCO: x0, y0, x1, y1, ...; the first point is not repeated at the end.
"""

import math
import reprlib

CURVE_POINTS = 72  # touches all sides of its ellipse, and has 99.87 % of its area
LIMIT = 1_000_000  # pixels; a larger number cannot be a coordinate in an image
TINY = 1e-6  # an area in square pixels, or the product of two; what is smaller is rounding

_shortener = reprlib.Repr()
_shortener.maxstring = 60
short = _shortener.repr  # a value in quotes, as messages show it: [1, 2, 3, 4, 5, 6, ...]


class Skip(Exception):
    """A region that gives no box. args: the reason, then what the file has there, if it matters."""


def shape_to_polygon(shape: dict) -> list[float]:
    """The polygon of a VIA shape (its shape_attributes).

    polygon and polyline: their points; rect: 4 corners; circle and ellipse (theta in radians,
    clockwise on the screen): CURVE_POINTS points on the curve.

    Raises:
        Skip: a shape that has no area, such as a point; a number that is missing, no number, not
            finite or too large; or x and y lists of different lengths.
    """

    def number(key, least=-LIMIT):
        return _number(key, shape.get(key), least)

    name = shape['name']
    if name in ('polygon', 'polyline'):
        xs, ys = shape.get('all_points_x'), shape.get('all_points_y')
        if not isinstance(xs, list) or not isinstance(ys, list) or len(xs) != len(ys):
            raise Skip('broken: all_points_x and all_points_y are not two lists of equal length')
        points = [_number(key, value) for point in zip(xs, ys) for key, value in zip('xy', point)]
        closed = len(points) > 2 and points[:2] == points[-2:]
        return points[:-2] if closed else points
    if name == 'rect':
        x, y, w, h = number('x'), number('y'), number('width', 0), number('height', 0)
        return [x, y, x + w, y, x + w, y + h, x, y + h]
    if name == 'circle':
        return _ellipse(number('cx'), number('cy'), number('r', 0), number('r', 0), 0)
    if name == 'ellipse':
        theta = number('theta') if 'theta' in shape else 0
        return _ellipse(number('cx'), number('cy'), number('rx', 0), number('ry', 0), theta)
    raise Skip('a shape without area')


def _ellipse(cx, cy, rx, ry, theta):
    angles = [2 * math.pi * i / CURVE_POINTS for i in range(CURVE_POINTS)]
    points = [value for t in angles for value in (rx * math.cos(t), ry * math.sin(t))]
    return [value + (cx, cy)[i % 2] for i, value in enumerate(turned(points, theta))]


def turned(points: list[float], angle: float, center=(0, 0)) -> list[float]:
    """A polygon turned by an angle in radians, clockwise on the screen, around a point."""
    (x0, y0), cos, sin, result = center, math.cos(angle), math.sin(angle), []
    for x, y in zip(points[::2], points[1::2]):
        u, v = x - x0, y - y0
        result += [x0 + u * cos - v * sin, y0 + u * sin + v * cos]
    return result


def _number(key, value, least=-LIMIT):
    if type(value) not in (int, float):
        raise Skip(f'broken: {key} is not a number', short(value))
    if not least <= value <= LIMIT:  # also false for nan
        raise Skip(f'broken: {key} is not between {least:,} and {LIMIT:,} pixels', short(value))
    return float(value)


def polygon_area(points: list[float]) -> float:
    """Area in square pixels of a polygon that does not cross itself (shoelace formula)."""
    x0, y0 = points[:2]  # products of differences keep their digits far from the origin
    xs = [x - x0 for x in points[::2]]
    ys = [y - y0 for y in points[1::2]]
    twice = 0.0
    for i in range(len(xs)):
        twice += xs[i - 1] * ys[i] - xs[i] * ys[i - 1]
    return abs(twice) / 2


def crosses_itself(points: list[float]) -> bool:
    """Whether two sides of a polygon that are not neighbours cross each other."""
    corners = list(zip(points[::2], points[1::2]))
    count = len(corners)
    sides = [(corners[i - 1], corners[i], i) for i in range(count)]
    sides.sort(key=lambda side: min(side[0][0], side[1][0]))
    for n, (a, b, i) in enumerate(sides):
        for c, d, j in sides[n + 1 :]:
            if min(c[0], d[0]) > max(a[0], b[0]):
                break  # all further sides begin to the right of this one
            neighbours = (i - j) % count in (1, count - 1)
            if not neighbours and _separates(a, b, c, d) and _separates(c, d, a, b):
                return True
    return False


def _separates(a, b, c, d):
    """Whether the line through the points a and b has c on one side and d on the other."""
    side_c, side_d = ((b[0] - a[0]) * (y - a[1]) - (b[1] - a[1]) * (x - a[0]) for x, y in (c, d))
    return side_c * side_d < -TINY


def polygon_box(points: list[float]) -> list[float]:
    """COCO box [x, y, width, height] in pixels around a polygon."""
    xs, ys = points[::2], points[1::2]
    left, top = min(xs), min(ys)
    return [left, top, max(xs) - left, max(ys) - top]


def clip_polygon(points: list[float], width: float, height: float) -> list[float]:
    """The part of a polygon inside the image; empty if there is none (Sutherland and Hodgman, 1974)."""
    xs, ys = points[::2], points[1::2]
    if min(xs) >= 0 and min(ys) >= 0 and max(xs) <= width and max(ys) <= height:
        return points
    corners = list(zip(xs, ys))
    for axis, limit, sign in ((0, 0, 1), (0, width, -1), (1, 0, 1), (1, height, -1)):
        kept = []
        for i, p in enumerate(corners):
            q = corners[i - 1]
            p_inside = sign * (p[axis] - limit) >= 0
            if p_inside != (sign * (q[axis] - limit) >= 0):
                t = (limit - q[axis]) / (p[axis] - q[axis])
                cut = [q[0] + t * (p[0] - q[0]), q[1] + t * (p[1] - q[1])]
                cut[axis] = float(limit)  # exactly on the border
                kept.append(tuple(cut))
            if p_inside:
                kept.append(p)
        corners = kept
    return [value for corner in corners for value in corner]
