"""Any number of classes has colours: MMDetection asserts that the config's palette has one for each."""

import functools

from mmdet.visualization import local_visualizer

from mmballoon.colors import palette
from mmballoon.train.rules import instead


def _any_number(get_palette, chosen, num_classes):
    if chosen in (None, 'random') or isinstance(chosen, list):
        return palette(num_classes, chosen)
    return get_palette(chosen, num_classes)


@functools.cache
def apply():
    """Replace the visualizer's name of MMDetection's function."""
    instead(local_visualizer, 'get_palette', _any_number)
