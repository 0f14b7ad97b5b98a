"""Any number of classes has colours, their names are drawn, and images of every format can be drawn on.

MMDetection asserts that the palette has a colour for each class, and writes a picture in the format of its
image, which fails for .jfif and .pgm, and under its name without the folder, also where two have one name.
matplotlib takes a name with two dollar signs for a formula, and draws Chinese with a font that lacks it.
Without a window for --show, MMEngine waits forever for a key.
"""

import functools
from pathlib import Path

from mmdet.visualization import local_visualizer
from mmengine.visualization import Visualizer

from mmballoon.cli import UserError, picture_suffix
from mmballoon.colors import palette
from mmballoon.train.rules import instead

# Fonts with Chinese, Japanese and Korean characters, of Linux, Windows and macOS
CJK = (
    'Noto Sans CJK SC', 'Noto Sans CJK JP', 'WenQuanYi Micro Hei', 'WenQuanYi Zen Hei', 'Droid Sans Fallback',
    'Microsoft YaHei', 'SimHei', 'Malgun Gothic', 'PingFang SC', 'Hiragino Sans GB', 'Arial Unicode MS',
)  # fmt: skip


@instead(local_visualizer, 'get_palette')
def _any_number(get_palette, chosen, num_classes):
    if isinstance(chosen, tuple) and (len(chosen) != 3 or not isinstance(chosen[0], int)):
        chosen = list(chosen)  # colours; MMDetection takes a tuple for one colour
    if chosen in (None, 'random') or isinstance(chosen, list):
        return palette(num_classes, chosen)
    try:
        return get_palette(chosen, num_classes)
    except AssertionError:  # 'coco', 'voc' or 'citys', which has fewer
        return palette(num_classes, get_palette(chosen, 1))


@instead(local_visualizer.DetLocalVisualizer, 'add_datasample')
def _file_names(add, self, *args, out_file=None, **options):
    if out_file:
        path = first = Path(out_file).with_suffix(picture_suffix(out_file))
        written, number = vars(self).setdefault('_written', set()), 1
        while path in written:
            number += 1
            path = first.with_stem(f'{first.stem}_{number}')
        written.add(path)
        out_file = str(path)
    return add(self, *args, out_file=out_file, **options)


@functools.cache  # called for every box
def _installed(names):
    from matplotlib.font_manager import fontManager

    fonts = {font.name for font in fontManager.ttflist}
    return [name for name in names if name in fonts]


@instead(Visualizer, 'draw_texts')
def _as_written(draw, self, texts, *args, **options):
    import matplotlib

    count = 1 if isinstance(texts, str) else len(texts)
    options.setdefault('font_families', [['sans-serif', *_installed(CJK)]] * count)
    with matplotlib.rc_context({'text.parse_math': False}):
        return draw(self, texts, *args, **options)


@instead(local_visualizer.DetLocalVisualizer, 'show')
def _in_a_window(show, self, *args, **options):
    import matplotlib.pyplot as plt

    if plt.get_backend().lower() == 'agg':
        found, advice = 'no window can be opened here', 'leave it out, see the saved files'
        raise UserError('--show', found, advice)
    return show(self, *args, **options)
