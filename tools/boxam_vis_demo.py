r"""Draw what made a detector detect, like MMYOLO's demo/boxam_vis_demo.py (Box AM: box activation map).

    python tools/boxam_vis_demo.py image.jpg configs/my_rtmdet_tiny.py CHECKPOINT
    python tools/boxam_vis_demo.py image.jpg CONFIG CHECKPOINT --method gradcam++ \
        --target-layers 'neck.out_convs[0]'
    python tools/boxam_vis_demo.py data/balloon/val CONFIG CHECKPOINT --method eigencam \
        --target-layers backbone.stage4

It writes one figure per image to OUT_DIR. Without --target-layers the figure shows backbone.stage4
and the three outputs of the neck. Several layers that are named are averaged into one map, as MMYOLO
does. The arguments are those of MMYOLO's demo, without --show and without URLs as input.
docs/visualization.md explains how to read the maps.
"""

import sys

from mmballoon.cli import list_images, pick_device, report_errors

DEFAULT_LAYERS = ('backbone.stage4', 'neck.out_convs[0]', 'neck.out_convs[1]', 'neck.out_convs[2]')
STRIDES = (8, 16, 32)  # of the neck's outputs


def parse_args(argv=None):
    from mmballoon.explain.demo import make_parser

    parser = make_parser(__doc__)
    parser.add_argument(
        '--method', default='gradcam', choices=['gradcam', 'gradcam++', 'eigencam', 'ablationcam'],
        help='%(default)s',
    )  # fmt: skip
    parser.add_argument(
        '--target-layers', nargs='+', metavar='LAYER',
        help='such as backbone.stage4 or neck.out_convs[0]',
    )  # fmt: skip
    parser.add_argument(
        '--topk', type=int, default=-1, help='explain only the K best detections; -1: all (-1)'
    )
    parser.add_argument(
        '--max-shape', nargs='+', type=int, default=[-1], metavar='N',
        help='scale activations down to this size to save memory; -1: do not scale (-1)',
    )  # fmt: skip
    parser.add_argument(
        '--norm-in-bbox', action='store_true', help='scale the heat within each box; 0 outside'
    )
    parser.add_argument(
        '--batch-size', type=int, default=1, help='ablationcam: channels per batch (%(default)s)'
    )
    parser.add_argument(
        '--ratio-channels-to-ablate', type=float, default=0.5,
        help='ablationcam: share of the channels to switch off (%(default)s)',
    )  # fmt: skip
    args = parser.parse_args(argv)
    if not 0 < args.ratio_channels_to_ablate <= 1:
        parser.error('--ratio-channels-to-ablate takes a number above 0 and up to 1')
    if args.batch_size < 1 or len(args.max_shape) > 2:
        parser.error('--batch-size takes 1 or more, --max-shape one or two numbers')
    return args


def note(path, message):
    print(f'{path}: {message}', file=sys.stderr)


def explain(box_am, path, args):
    """Panels [(title, RGB image)] of one image; [] if there is no detection to explain."""
    from mmcv import imread
    from pytorch_grad_cam.utils.image import show_cam_on_image

    from mmballoon.explain.figure import draw_detections
    from mmballoon.explain.maps import norm_in_boxes

    image = imread(path)
    names = args.target_layers or DEFAULT_LAYERS
    sample = box_am.detect(image, names)
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
    for group in [names] if args.target_layers else [[name] for name in names]:
        heat = box_am.heat(image, sample, group)
        title = f'{args.method}  {" + ".join(group)}'
        if heat.max() == 0:
            blank += group
            title += '  (no gradient)'
        if args.norm_in_bbox:
            heat = norm_in_boxes(heat, instances.bboxes.cpu().numpy())
        overlay = show_cam_on_image(image[..., ::-1] / 255, heat, use_rgb=True)
        panels.append((title, draw_detections(box_am.detector, overlay, sample)))
    if blank:
        strides = box_am.strides(image, instances)
        layers = [f'neck.out_convs[{STRIDES.index(s)}]' for s in strides if s in STRIDES]
        made_at = ', '.join(str(stride) for stride in strides)
        note(path, f'the map of {", ".join(blank)} is blank, because the detections were made at '
             f'stride {made_at} and send no gradient there; next: --target-layers '
             f'{" or ".join(layers)}')  # fmt: skip
    return panels


def run(args):
    images = list_images([args.img])
    from mmballoon.train import rules

    rules.apply()

    from mmballoon.explain.box_am import BoxAM
    from mmballoon.explain.demo import draw_figures, load_config, silence_loggers

    silence_loggers()
    box_am = BoxAM(
        load_config(args),
        args.checkpoint,
        args.method,
        pick_device(args.device),
        max_shape=args.max_shape,
        batch_size=args.batch_size,
        ratio_channels_to_ablate=args.ratio_channels_to_ablate,
    )
    if args.preview_model:
        print(box_am.detector)
    elif not draw_figures(images, args.out_dir, lambda path: explain(box_am, path, args)):
        raise SystemExit(1)


def main(argv=None):
    with report_errors():
        run(parse_args(argv))


if __name__ == '__main__':
    main()
