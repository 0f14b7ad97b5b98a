"""What the two map demos share: their arguments, the loop over the images, and the figures."""

import logging
from pathlib import Path

from mmengine.config import Config, DictAction
from mmengine.logging import MMLogger
from tqdm import tqdm

from mmballoon import upstream
from mmballoon.cli import atomic_write, list_images, make_parser, pick_device


def map_parser(description):
    """An ArgumentParser with the arguments that both demos take, named as in MMYOLO."""
    parser = make_parser(description)
    add = parser.add_argument
    add('img', help='image file, folder or glob pattern')
    add('config', help='config file')
    add('checkpoint', help='checkpoint file')
    add('--out-dir', type=Path, default='output', help='folder of the figures (%(default)s)')
    add('--device', help='cuda:0, cpu, ... (default: CUDA if there is a GPU)')
    add('--score-thr', type=float, default=0.3, help='minimum score of a detection (%(default)s)')
    add('--preview-model', action='store_true', help='print the layers of the model and stop')
    about = 'override settings of the config'
    add('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE', help=about)
    return parser


def draw_figures(args, load):
    """Save one figure per image as ``args.out_dir/<name of the image>.jpg``, and print their paths.

    load: function from the Config and the device (str) to the detector and a function ``draw``. That
    takes the path of an image, and returns the panels [(title, RGB image)] of its figure, or [] if there
    is nothing to draw. If that is so for all images, the status is 1.
    """
    images, saved = list_images([args.img], out=args.out_dir), []
    upstream.apply_rules()
    # A demo prints a few lines of its own.
    MMLogger.get_instance('mmengine', logger_name='mmengine').setLevel(logging.ERROR)
    cfg = Config.fromfile(args.config)
    cfg.merge_from_dict(args.cfg_options or {})
    model, draw = load(cfg, pick_device(args.device))
    if args.preview_model:
        print(model)
        return
    for path in tqdm(images, disable=len(images) == 1):
        panels = draw(path)
        if panels:
            saved.append(args.out_dir / f'{Path(path).stem}.jpg')
            save_figure(panels, saved[-1])
    for path in saved:
        print(f'saved: {path}')
    if not saved:
        raise SystemExit(1)


def draw_detections(model, image, sample, score_thr=0.0):
    """The image ((H, W, 3) uint8 RGB) with the boxes of a DetDataSample, drawn by MMDetection."""
    from mmdet.visualization import DetLocalVisualizer  # takes seconds, and --help does not need it

    visualizer = DetLocalVisualizer()
    visualizer.dataset_meta = model.dataset_meta
    visualizer.add_datasample('', image, sample, draw_gt=False, pred_score_thr=score_thr)
    return visualizer.get_image()


def save_figure(panels, path):
    """Save titled images as one JPEG at ``path`` (Path).

    panels: [(title, image)], images (H, W, 3) uint8 RGB of one size; four in two rows, more in rows
    of three.
    """
    from matplotlib.figure import Figure

    columns = 2 if len(panels) == 4 else min(len(panels), 3)
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
    with atomic_write(path) as file:
        figure.savefig(file, format='jpg', dpi=120, pil_kwargs=dict(quality=88))
