"""What the two map demos share: their arguments, and the loop over the images."""

import argparse
import logging
from pathlib import Path

from mmengine.config import Config, DictAction
from mmengine.logging import MMLogger
from tqdm import tqdm


def make_parser(description):
    """An ArgumentParser with the arguments that both demos take, named as in MMYOLO."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('img', help='image file, folder or glob pattern')
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument(
        '--out-dir', type=Path, default='output', help='folder of the figures (%(default)s)'
    )
    parser.add_argument('--device', help='cuda:0, cpu, ... (default: CUDA if there is a GPU)')
    parser.add_argument(
        '--score-thr', type=float, default=0.3, help='minimum score of a detection (%(default)s)'
    )
    parser.add_argument(
        '--preview-model', action='store_true', help='print the layers of the model and stop'
    )
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE',
        help='override settings of the config',
    )  # fmt: skip
    return parser


def load_config(args):
    """The Config that ``args.config`` names, with ``args.cfg_options`` merged into it."""
    cfg = Config.fromfile(args.config)
    cfg.merge_from_dict(args.cfg_options or {})
    return cfg


def silence_loggers():
    """Let MMEngine and MMDetection log errors only: a demo prints a few lines of its own."""
    MMLogger.get_instance('mmengine', logger_name='mmengine').setLevel(logging.ERROR)


def draw_figures(images, out_dir, draw):
    """Save one figure per image as ``out_dir/<name of the image>.jpg`` and print its path.

    images: paths (str). draw: function from a path to the panels [(title, RGB image)] of its figure,
    or to [] if there is nothing to draw. Returns the number of figures.
    """
    from mmballoon.explain.figure import save_figure  # imports mmdet, which --help does not need

    saved = []
    for path in tqdm(images, disable=len(images) == 1):
        panels = draw(path)
        if panels:
            saved.append(out_dir / f'{Path(path).stem}.jpg')
            save_figure(panels, saved[-1])
    for path in saved:
        print(f'saved: {path}')
    return len(saved)
