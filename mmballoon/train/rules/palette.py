"""Any number of classes has colours: MMDetection asserts that the config's palette has one for each."""

import functools

from mmballoon.colors import palette


def apply():
    from mmdet.visualization import local_visualizer

    upstream = local_visualizer.get_palette
    if getattr(upstream, 'any_number', False):
        return

    @functools.wraps(upstream)
    def get_palette(chosen, num_classes):
        if chosen is None or chosen == 'random':
            return palette(num_classes)
        if isinstance(chosen, list):
            return palette(num_classes, chosen)
        return upstream(chosen, num_classes)

    get_palette.any_number = True
    local_visualizer.get_palette = get_palette
