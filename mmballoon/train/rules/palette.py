"""Any number of classes has colours: MMDetection asserts that the config's palette has one for each."""

import functools

from mmdet.visualization import local_visualizer

from mmballoon.colors import palette
from mmballoon.train.rules import instead


def _any_number(get_palette, chosen, num_classes):
    if isinstance(chosen, tuple) and (len(chosen) != 3 or not isinstance(chosen[0], int)):
        chosen = list(chosen)  # colours; MMDetection takes a tuple for one colour
    if chosen in (None, 'random') or isinstance(chosen, list):
        return palette(num_classes, chosen)
    try:
        return get_palette(chosen, num_classes)
    except AssertionError:  # 'coco', 'voc' or 'citys', which has fewer
        return palette(num_classes, get_palette(chosen, 1))


@functools.cache
def apply():
    """Replace the visualizer's name of MMDetection's function."""
    instead(local_visualizer, 'get_palette', _any_number)
