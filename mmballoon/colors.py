"""Colours of classes: the same ones in MMDetection's pictures, in ONNX files and in the report."""

import colorsys


def palette(count, chosen=None):
    """RGB colours, 0 to 255, for ``count`` classes: the chosen ones first, then others.

    chosen: a list of RGB colours, for example ``metainfo['palette']`` of a config, which may be shorter;
    or 'random', which MMDetection writes where there are none. The hues of the others are apart by the
    golden ratio, so that neighbours differ.
    """
    chosen = [] if chosen in (None, 'random') else chosen
    colors = [tuple(int(value) for value in color) for color in chosen][:count]
    for i in range(count - len(colors)):
        hue, level = i * 0.618034 % 1, (0.85, 0.6, 1)[i % 3]
        colors.append(tuple(round(255 * v) for v in colorsys.hsv_to_rgb(hue, 0.8, level)))
    return colors
