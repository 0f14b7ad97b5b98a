r"""Draw a detector's feature maps on images: MMYOLO's demo/featmap_vis_demo.py (no wheel has it),
maps in place.

    python tools/featmap_vis_demo.py photo.jpg configs/my_rtmdet_tiny.py CHECKPOINT
    python tools/featmap_vis_demo.py data/balloon/val CONFIG CHECKPOINT --target-layers neck
    python tools/featmap_vis_demo.py photo.jpg CONFIG CHECKPOINT --target-layers backbone.stage4 \
        --channel-reduction None --topk 4 --arrangement 2 2

One picture per image in OUT_DIR: the detection, then every level of every layer, titled with stride
and shape.
"""

import argparse
from pathlib import Path

from mmballoon.errors import UserError, report_errors
from mmballoon.inputs import list_images


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('img', help='image file, folder or glob pattern')
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument(
        '--out-dir', type=Path, default=Path('output'), help='where pictures go (%(default)s)'
    )
    parser.add_argument(
        '--target-layers',
        nargs='+',
        default=['backbone'],
        metavar='LAYER',
        help='layers, as backbone, neck or neck.out_convs[0] (backbone)',
    )
    parser.add_argument(
        '--preview-model', action='store_true', help="print the model's layers and stop"
    )
    parser.add_argument('--device', help='cuda:0, cpu, ... (default: CUDA where there is one)')
    parser.add_argument(
        '--score-thr', type=float, default=0.3, help='least score of a box drawn (%(default)s)'
    )
    parser.add_argument(
        '--channel-reduction',
        default='select_max',
        choices=['squeeze_mean', 'select_max', 'None'],
        help='mean over channels, strongest channel, or the topk strongest each (%(default)s)',
    )
    parser.add_argument(
        '--topk',
        type=int,
        default=4,
        help='channels drawn without reduction; -1: all (%(default)s)',
    )
    parser.add_argument(
        '--arrangement',
        nargs=2,
        type=int,
        default=[2, 2],
        metavar=('ROWS', 'COLUMNS'),
        help='of these channels (2 2)',
    )
    parser.add_argument(
        '--cfg-options', nargs='+', metavar='KEY=VALUE', help='override settings of the config'
    )
    args = parser.parse_args(argv)
    args.channel_reduction = None if args.channel_reduction == 'None' else args.channel_reduction
    if args.topk < -1 or args.topk == 0 or min(args.arrangement) < 1:
        parser.error('--topk takes -1 or a positive number, --arrangement two positive numbers')
    if args.channel_reduction is None and args.topk > args.arrangement[0] * args.arrangement[1]:
        parser.error(
            f'--topk {args.topk} channels do not fit in --arrangement {args.arrangement[0]} rows of '
            f'{args.arrangement[1]}'
        )
    return args


def draw_levels(image, sample, name, outputs, args):
    """Panels [(title, RGB picture)] of all levels that one layer put out for one image."""
    import numpy as np
    from mmengine.visualization.utils import convert_overlay_heatmap

    from mmballoon.vis.maps import map_to_image, reduce_channels

    levels = [tensor for output in outputs for tensor in output if tensor.ndim == 4]
    if not levels:
        raise UserError(
            f'--target-layers {name}: puts out no feature map (1, C, H, W); next: name a layer of the '
            'backbone or the neck'
        )
    panels = []
    for i, featmap in enumerate(levels):
        drawn = [
            convert_overlay_heatmap(map_to_image(values, sample.metainfo), image, alpha=0.5)
            for values in reduce_channels(featmap[0], args.channel_reduction, args.topk)
        ]
        if args.channel_reduction is None and args.topk > 0:
            rows, columns = args.arrangement
            drawn += [np.full_like(image, 255)] * (rows * columns - len(drawn))
            drawn = [
                np.vstack([np.hstack(drawn[r * columns : (r + 1) * columns]) for r in range(rows)])
            ]
        stride = round(sample.batch_input_shape[1] / featmap.shape[-1])
        label = f'{name}[{i}]' if len(levels) > 1 else name
        panels += [
            (f'{label}  stride {stride}  {tuple(featmap.shape[1:])}', picture) for picture in drawn
        ]
    return panels


def main(argv=None):
    args = parse_args(argv)
    with report_errors():
        images = list_images([args.img])
        import mmballoon.patches  # noqa: F401

        from mmcv import imread
        from mmdet.apis import inference_detector, init_detector
        from mmengine.utils import track_iter_progress

        from mmballoon.inputs import load_config, pick_device
        from mmballoon.vis.maps import (
            capture_outputs,
            detections,
            find_layer,
            save_figure,
            silence_loggers,
        )

        silence_loggers()
        model = init_detector(load_config(args), args.checkpoint, device=pick_device(args.device))
        if args.preview_model:
            print(model)
            return
        layers = [find_layer(model, name) for name in args.target_layers]
        written = []
        for path in track_iter_progress(images) if len(images) > 1 else images:
            image = imread(path, channel_order='rgb')
            sample, outputs = capture_outputs(
                layers, lambda image=path: inference_detector(model, image)
            )
            kept = int((sample.pred_instances.scores >= args.score_thr).sum())
            panels = [
                (
                    f'{kept} boxes with a score of {args.score_thr:g} or more',
                    detections(model, image, sample, args.score_thr),
                )
            ]
            for name, output in zip(args.target_layers, outputs):
                panels += draw_levels(image, sample, name, output, args)
            written.append(args.out_dir / f'{Path(path).stem}.jpg')
            save_figure(panels, written[-1])
    print(*(f'saved: {path}' for path in written), sep='\n')


if __name__ == '__main__':
    main()
