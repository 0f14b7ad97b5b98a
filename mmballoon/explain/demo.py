"""What the two map demos share: their arguments, and the loop over the images."""

import logging
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path

from mmengine.config import Config, DictAction
from mmengine.logging import MMLogger
from tqdm import tqdm


def make_parser(description):
    """An ArgumentParser with the arguments that both demos take, named as in MMYOLO."""
    parser = ArgumentParser(description=description, formatter_class=RawDescriptionHelpFormatter)
    add = parser.add_argument
    add('img', help='image file, folder or glob pattern')
    add('config', help='config file')
    add('checkpoint', help='checkpoint file')
    add('--out-dir', type=Path, default='output', help='folder of the figures (%(default)s)')
    add('--device', help='cuda:0, cpu, ... (default: CUDA if there is a GPU)')
    about = 'minimum score of a detection (%(default)s)'
    add('--score-thr', type=float, default=0.3, help=about)
    add('--preview-model', action='store_true', help='print the layers of the model and stop')
    about = 'override settings of the config'
    add('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE', help=about)
    return parser


def load_config(args):
    """The Config that ``args.config`` names, with ``args.cfg_options`` merged into it.

    MMEngine and MMDetection log errors only from here on: a demo prints a few lines of its own.
    """
    MMLogger.get_instance('mmengine', logger_name='mmengine').setLevel(logging.ERROR)
    cfg = Config.fromfile(args.config)
    cfg.merge_from_dict(args.cfg_options or {})
    return cfg


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
