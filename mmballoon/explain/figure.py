"""Figures of the map demos: the detections on an image, and titled panels side by side."""

from matplotlib.figure import Figure
from mmdet.visualization import DetLocalVisualizer

from mmballoon.cli import atomic_write


def draw_detections(model, image, sample, score_thr=0.0):
    """The image ((H, W, 3) uint8 RGB) with the boxes of a DetDataSample, drawn by MMDetection."""
    visualizer = DetLocalVisualizer()
    visualizer.dataset_meta = model.dataset_meta
    visualizer.add_datasample('', image, sample, draw_gt=False, pred_score_thr=score_thr)
    return visualizer.get_image()


def save_figure(panels, path):
    """Save titled images as one JPEG at ``path`` (Path).

    panels: [(title, image)], images (H, W, 3) uint8 RGB of one size; four in two rows, more in rows
    of three.
    """
    columns = {1: 1, 2: 2, 3: 3, 4: 2}.get(len(panels), 3)
    rows = -(-len(panels) // columns)
    height, width = panels[0][1].shape[:2]
    inches = (4.6 if len(panels) > 1 else 7) / max(height, width)  # per pixel
    size = columns * (width * inches + 0.1), rows * (height * inches + 0.35)
    figure = Figure(figsize=size, layout='constrained')
    for axes in figure.subplots(rows, columns, squeeze=False).flat:
        axes.axis('off')
    for axes, (title, image) in zip(figure.axes, panels):
        axes.imshow(image)
        axes.set_title(title, fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        figure.savefig(file, format='jpg', dpi=120, pil_kwargs=dict(quality=88))
