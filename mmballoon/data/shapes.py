"""VIA shapes as polygons, and the plane geometry for them. Standard library only.

One convention for points and boxes: continuous pixel coordinates, x to the right and y down. (0, 0)
is the upper left corner of the upper left pixel, (width, height) the lower right corner of the image.
The numbers of VIA are taken as they are. A polygon is a flat list, as in COCO: x0, y0, x1, y1, ...;
the first point is not repeated at the end.
"""

import math

CURVE_POINTS = 72  # touches all sides of its ellipse, and has 99.87 % of its area
LIMIT = 1e6  # pixels; a larger number cannot be a coordinate in an image
TINY = 1e-6  # an area in square pixels, or the product of two; what is smaller is rounding


class BadShape(Exception):
    """A broken shape; the message says what was found."""


def shape_to_polygon(shape: dict) -> list[float] | None:
    """The polygon of a VIA shape (its shape_attributes); None for a shape that has no area (a point).

    polygon and polyline: their points; rect: 4 corners; circle and ellipse (theta in radians,
    clockwise on the screen): CURVE_POINTS points on the curve.

    Raises:
        BadShape: a number that is missing, no number, not finite or too large; or x and y lists of
            different lengths.
    """
    name = shape['name']
    if name in ('polygon', 'polyline'):
        xs, ys = shape.get('all_points_x'), shape.get('all_points_y')
        if not isinstance(xs, list) or not isinstance(ys, list) or len(xs) != len(ys):
            raise BadShape('all_points_x and all_points_y are not two lists of equal length')
        points = []
        for x, y in zip(xs, ys):
            points += [_number('x', x), _number('y', y)]
        closed = len(points) > 2 and points[:2] == points[-2:]
        return points[:-2] if closed else points
    if name == 'rect':
        x, y = _number('x', shape.get('x')), _number('y', shape.get('y'))
        w = _number('width', shape.get('width'), least=0)
        h = _number('height', shape.get('height'), least=0)
        return [x, y, x + w, y, x + w, y + h, x, y + h]
    if name in ('circle', 'ellipse'):
        center = _number('cx', shape.get('cx')), _number('cy', shape.get('cy'))
        radii = ('r', 'r') if name == 'circle' else ('rx', 'ry')
        rx, ry = (_number(key, shape.get(key), least=0) for key in radii)
        theta = _number('theta', shape.get('theta', 0)) if name == 'ellipse' else 0
        return _ellipse(center, rx, ry, theta)
    return None


def _ellipse(center, rx, ry, theta):
    points = []
    for i in range(CURVE_POINTS):
        t = 2 * math.pi * i / CURVE_POINTS
        u, v = rx * math.cos(t), ry * math.sin(t)
        points.append(center[0] + u * math.cos(theta) - v * math.sin(theta))
        points.append(center[1] + u * math.sin(theta) + v * math.cos(theta))
    return points


def _number(key, value, least=-LIMIT):
    if type(value) not in (int, float):
        raise BadShape(f'{key} is {value!r:.40}, not a number')
    if not least <= value <= LIMIT:  # also false for nan
        raise BadShape(f'{key} is {value!r:.40}, expected {least:g} to {LIMIT:g} pixels')
    return float(value)


def polygon_area(points: list[float]) -> float:
    """Area in square pixels of a polygon that does not cross itself (shoelace formula)."""
    if len(points) < 6:
        return 0.0
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
    sides = []
    for i, (x1, y1) in enumerate(corners):
        x2, y2 = corners[(i + 1) % count]
        sides.append((min(x1, x2), max(x1, x2), x1, y1, x2, y2, i))
    sides.sort()
    for n, (_, right, ax, ay, bx, by, i) in enumerate(sides):
        for left, _, cx, cy, dx, dy, j in sides[n + 1 :]:
            if left > right:
                break  # all further sides begin to the right of this one
            if (i - j) % count in (1, count - 1):
                continue
            if _side(ax, ay, bx, by, cx, cy) * _side(ax, ay, bx, by, dx, dy) < -TINY and (
                _side(cx, cy, dx, dy, ax, ay) * _side(cx, cy, dx, dy, bx, by) < -TINY
            ):
                return True
    return False


def _side(ax, ay, bx, by, px, py):
    """Positive on one side of the line from a to b, negative on the other, 0 on it."""
    return (bx - ax) * (py - ay) - (by - ay) * (px - ax)


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
