"""VIA shapes as polygons, and the little plane geometry that takes. Standard library only.

One convention for points and boxes: continuous pixel coordinates, x to the right and y down, (0, 0)
the upper left corner of the upper left pixel, (width, height) the lower right corner of the
picture. VIA's numbers are taken as they are. A polygon is flat, as COCO writes it: x0, y0, x1, y1,
..., not closed (the first point is not repeated).
"""

import math
from array import array
from operator import mul

CURVE_POINTS = 72  # an inscribed 72-gon has 99.87 % of its ellipse's area; 72 = 4 x 18, so that it touches all 4 sides
LIMIT = 1e6  # pixels; beyond it a number is no coordinate of a photograph


class BadShape(Exception):
    """A shape that is broken: the message says what was found."""


def shape_to_polygon(shape):
    """Polygon of a VIA shape (shape_attributes), or None for a shape without an area by nature
    (point, unknown).

    polygon and polyline: their points (a polyline is closed); rect: 4 corners; circle and ellipse
    (theta in radians, clockwise on the screen): CURVE_POINTS points on the curve.

    Raises:
        BadShape: a number that is missing, not finite, no number or absurd; x and y lists of
        different length.
    """
    name = shape['name']
    if name in ('polygon', 'polyline'):
        xs, ys = shape.get('all_points_x'), shape.get('all_points_y')
        if not isinstance(xs, list) or not isinstance(ys, list) or len(xs) != len(ys):
            raise BadShape('all_points_x and all_points_y are not two lists of equal length')
        points = array('d', bytes(16 * len(xs)))
        points[::2], points[1::2] = _numbers('x', xs), _numbers('y', ys)
        return points[:-2] if len(points) > 2 and points[:2] == points[-2:] else points
    if name == 'rect':
        x, y = _number('x', shape.get('x')), _number('y', shape.get('y'))
        w, h = (_number(key, shape.get(key), least=0) for key in ('width', 'height'))
        return array('d', (x, y, x + w, y, x + w, y + h, x, y + h))
    if name in ('circle', 'ellipse'):
        cx, cy = _number('cx', shape.get('cx')), _number('cy', shape.get('cy'))
        radii = ('r', 'r') if name == 'circle' else ('rx', 'ry')
        rx, ry = (_number(key, shape.get(key), least=0) for key in radii)
        theta = _number('theta', shape.get('theta', 0)) if name == 'ellipse' else 0
        points = array('d')
        for t in (2 * math.pi * i / CURVE_POINTS for i in range(CURVE_POINTS)):
            u, v = rx * math.cos(t), ry * math.sin(t)
            points.extend(
                (
                    cx + u * math.cos(theta) - v * math.sin(theta),
                    cy + u * math.sin(theta) + v * math.cos(theta),
                )
            )
        return points
    return None


def _numbers(key, values):
    """array of doubles, each checked."""
    if values and set(map(type, values)) <= {int, float}:
        try:
            found = array('d', values)
        except OverflowError:  # an integer beyond any double
            found = array('d', (math.inf,))
        if math.isfinite(sum(found)) and min(found) >= -LIMIT and max(found) <= LIMIT:
            return found
    for value in values:
        _number(key, value)
    return array('d', values)


def _number(key, value, least=-LIMIT):
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise BadShape(f'{key} is {value!r:.40}, not a number')
    if not (math.isfinite(value) and least <= value <= LIMIT):
        raise BadShape(f'{key} is {value!r:.40}, expected {least:g} to {LIMIT:g} pixels')
    return value


def polygon_area(points):
    """Area in square pixels of a simple polygon (shoelace formula)."""
    if len(points) < 6:
        return 0.0
    x0, y0 = points[0], points[1]  # relative to a corner: far from the origin products lose digits
    xs, ys = (
        [x - x0 for x in points[::2]],
        [y - y0 for y in points[1::2]],
    )  # so that (xs[0], ys[0]) is (0, 0)
    return abs(sum(map(mul, xs[1:], ys[2:])) - sum(map(mul, ys[1:], xs[2:]))) / 2


def polygon_box(points):
    """COCO box [x, y, width, height] in pixels, floats, around a polygon."""
    xs, ys = points[::2], points[1::2]
    left, top = min(xs), min(ys)
    return [left, top, max(xs) - left, max(ys) - top]


def clip_polygon(points, width, height):
    """The part of a polygon inside the picture, empty if there is none (Sutherland and Hodgman,
    1974).

    A polygon that lies inside comes back as it is.
    """
    xs, ys = points[::2], points[1::2]
    if min(xs) >= 0 and min(ys) >= 0 and max(xs) <= width and max(ys) <= height:
        return points
    corners = list(zip(xs, ys))
    for axis, limit, sign in ((0, 0, 1), (0, width, -1), (1, 0, 1), (1, height, -1)):
        inside = [sign * (p[axis] - limit) >= 0 for p in corners]
        kept = []
        for i, (p, p_inside) in enumerate(zip(corners, inside)):
            q, q_inside = corners[i - 1], inside[i - 1]
            if p_inside != q_inside:
                t = (limit - q[axis]) / (p[axis] - q[axis])
                cut = [q[0] + t * (p[0] - q[0]), q[1] + t * (p[1] - q[1])]
                cut[axis] = float(limit)  # exactly on the border, whatever the rounding
                kept.append(tuple(cut))
            if p_inside:
                kept.append(p)
        corners = kept
    return array('d', (c for p in corners for c in p))
