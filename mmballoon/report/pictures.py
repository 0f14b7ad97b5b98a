"""The report's plots as inline SVG, and its images as JPEG in a data URL."""

import base64
import io

from PIL import Image, ImageOps

INK, BLUE, ORANGE, GREEN = '#1f2933', '#0072b2', '#d55e00', '#009e73'  # Okabe and Ito's palette


def data_url(path, side):
    """A JPEG of at most ``side`` pixels as a data URL (str), or None for an unreadable image."""
    try:
        with Image.open(path) as image:
            image.draft('RGB', (side, side))
            small = ImageOps.exif_transpose(image).convert('RGB')
    except (OSError, ValueError):
        return None
    small.thumbnail((side, side))
    data = io.BytesIO()
    small.save(data, 'JPEG', quality=75)
    return 'data:image/jpeg;base64,' + base64.b64encode(data.getvalue()).decode()


def line_plot(lines, x_label, y_label, mark=None):
    """SVG (str) of [(label, xs, ys)], with a vertical line at ``mark``; y from 0 to 1."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context({'svg.hashsalt': 'report', 'svg.fonttype': 'path'}):
        figure = Figure(figsize=(6.4, 3.4), layout='constrained')
        axes = figure.subplots()
        for (label, xs, ys), color, style in zip(
            lines, (BLUE, ORANGE, GREEN, INK), ('-', '--', '-.', ':')
        ):
            axes.plot(xs, ys, style, color=color, label=label, linewidth=2)
        if mark is not None:
            axes.axvline(mark, color=INK, linewidth=1)
        axes.set(xlabel=x_label, ylabel=y_label, ylim=(0, 1.02), xlim=(0, 1))
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
        out = io.StringIO()
        figure.savefig(out, format='svg', metadata={'Date': None})
    return out.getvalue()[out.getvalue().index('<svg') :]
