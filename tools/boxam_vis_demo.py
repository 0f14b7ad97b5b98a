r"""Draw what made a detector detect, like MMYOLO's demo/boxam_vis_demo.py (Box AM: box activation map).

    python tools/boxam_vis_demo.py image.jpg configs/my_rtmdet_tiny.py CHECKPOINT
    python tools/boxam_vis_demo.py image.jpg CONFIG CHECKPOINT --method gradcam++ \
        --target-layers 'neck.out_convs[0]'
    python tools/boxam_vis_demo.py image.jpg CONFIG CHECKPOINT --method layercam
    python tools/boxam_vis_demo.py data/balloon/val CONFIG CHECKPOINT --method eigencam \
        --target-layers backbone.stage4

It writes one figure per image to OUT_DIR. Without --target-layers the figure shows the last stage of
the backbone and the outputs of the neck; layercam shows all strides of the backbone in one map. The maps
of several named layers are averaged into one, as MMYOLO does (layercam: the largest value). The
arguments are those of MMYOLO's demo, without --show, --max-shape, --norm-in-bbox and URLs as input.
eigencam and ablationcam work with any detector, gradcam and gradcam++ with the heads of RTMDet, YOLOX
and MMYOLO. docs/visualization.md explains how to read the maps.
"""

import sys
from functools import partial

from mmballoon.cli import report_errors
from mmballoon.data.coco import STRIDES

METHODS = ['gradcam', 'gradcam++', 'layercam', 'eigencam', 'ablationcam']


def parse_args(argv=None):
    from mmballoon.explain.demo import map_parser

    parser = map_parser(__doc__)
    add = parser.add_argument
    add('--method', default='gradcam', choices=METHODS, help='%(default)s')
    about = 'such as backbone.stage4 or neck.out_convs[0]'
    add('--target-layers', nargs='+', metavar='LAYER', help=about)
    add('--topk', type=int, default=-1, help='explain only the K best detections; -1: all (-1)')
    about = 'ablationcam: channels per batch (%(default)s)'
    add('--batch-size', type=int, default=1, help=about)
    about = 'ablationcam: share of the channels to switch off (%(default)s)'
    add('--ratio-channels-to-ablate', type=float, default=0.5, help=about)
    args = parser.parse_args(argv)
    if not 0 < args.ratio_channels_to_ablate <= 1:
        parser.error('--ratio-channels-to-ablate takes a number above 0 and up to 1')
    if args.batch_size < 1:
        parser.error('--batch-size takes 1 or more')
    return args


def load(args, cfg, device):
    """(detector, function that draws an image), for draw_figures."""
    from mmballoon.explain.box_am import BoxAM

    ratio = args.ratio_channels_to_ablate
    ablation = dict(batch_size=args.batch_size, ratio_channels_to_ablate=ratio)
    box_am = BoxAM(cfg, args.checkpoint, args.method, device, **ablation)
    return box_am.detector, partial(explain, args, box_am)


def note(path, message):
    print(f'{path}: {message}', file=sys.stderr)


def explain(args, box_am, path):
    """Panels [(title, RGB image)] of one image; [] if there is no detection to explain."""
    from mmcv import imread
    from pytorch_grad_cam.utils.image import show_cam_on_image

    from mmballoon.explain.demo import draw_detections

    image = imread(path)
    groups = [args.target_layers] if args.target_layers else box_am.default_layers()
    sample = box_am.detect(image, sum(groups, []))
    scores = sample.pred_instances.scores
    instances = sample.pred_instances[scores >= args.score_thr]
    if args.topk > 0:
        instances = instances[: args.topk]
    sample.pred_instances = instances
    if not len(instances):
        best = max(scores.tolist(), default=0)
        found = f'no detection with a score of {args.score_thr:g} or more (highest {best:.2f})'
        advice = f'next: --score-thr {max(0.01, best * 0.9):.2f}, or train longer'
        if args.method != 'eigencam':  # eigencam needs no detection
            note(path, f'{found}; {args.method} explains detections, so nothing is drawn; {advice}')
            return []
        note(path, f'{found}; only the map is drawn; {advice}')

    panels, blank = [], []
    for group in groups:
        heat = box_am.heat(image, sample, group)
        title = f'{args.method}  {" + ".join(group)}'
        if heat.max() == 0:
            blank += group
            title += '  (no gradient)'
        overlay = show_cam_on_image(image[..., ::-1] / 255, heat, use_rgb=True)
        panels.append((title, draw_detections(box_am.detector, overlay, sample)))
    if blank:
        strides = box_am.strides(image, instances)  # of the neck's outputs
        layers = [f'neck.out_convs[{STRIDES.index(s)}]' for s in strides if s in STRIDES]
        made_at = ', '.join(str(stride) for stride in strides)
        note(path, f'the map of {", ".join(blank)} is blank, because the detections were made at '
             f'stride {made_at} and send no gradient there; next: --target-layers '
             f'{" or ".join(layers)}')  # fmt: skip
    return panels


def main(argv=None):
    with report_errors():
        args = parse_args(argv)
        from mmballoon.explain.demo import draw_figures

        draw_figures(args, partial(load, args))


if __name__ == '__main__':
    main()
