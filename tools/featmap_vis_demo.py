r"""Draw the feature maps of a detector on images, like MMYOLO's demo/featmap_vis_demo.py.

    python tools/featmap_vis_demo.py image.jpg configs/my_rtmdet_tiny.py CHECKPOINT
    python tools/featmap_vis_demo.py data/balloon/val CONFIG CHECKPOINT --target-layers neck
    python tools/featmap_vis_demo.py image.jpg CONFIG CHECKPOINT --target-layers backbone.stage4 \
        --channel-reduction None --topk 4

It writes one figure per image to OUT_DIR: the detections, then each level of each layer with its
stride and shape. The arguments are those of MMYOLO's demo, without --show, --arrangement and URLs:
each channel has its own panel. MMYOLO's packages do not include its demo, and its maps are shifted on
images that are not square.
"""

from functools import partial

from mmballoon.cli import UserError, report_errors


def parse_args(argv=None):
    from mmballoon.explain.demo import map_parser

    parser = map_parser(__doc__)
    add = parser.add_argument
    about = 'such as backbone, neck or neck.out_convs[0] (backbone)'
    add('--target-layers', nargs='+', default=['backbone'], metavar='LAYER', help=about)
    about = 'draw the mean of the channels, the strongest one, or the topk strongest (%(default)s)'
    choices = ['squeeze_mean', 'select_max', 'None']
    add('--channel-reduction', default='select_max', choices=choices, help=about)
    add('--topk', type=int, default=4, help='channels to draw; -1: all (%(default)s)')
    args = parser.parse_args(argv)
    if args.topk < -1 or args.topk == 0:
        parser.error('--topk takes -1 or a positive number')
    return args


def load(args, cfg, device):
    """(detector, function that draws an image), for draw_figures."""
    from mmdet.apis import init_detector

    from mmballoon.inference import prepare

    model = prepare(init_detector(cfg, args.checkpoint, device=device), fuse=False)
    return model, partial(draw, args, model)


def draw(args, model, path):
    """Panels [(title, RGB image)] of one image: its detections, and each level of each layer.

    Raises:
        UserError: a layer has no feature map.
    """
    from mmcv import imread
    from mmdet.apis import inference_detector
    from mmengine.visualization.utils import convert_overlay_heatmap

    from mmballoon.explain.demo import draw_detections
    from mmballoon.explain.maps import capture_outputs, find_layer, map_to_image, reduce_channels

    layers = [find_layer(model, name) for name in args.target_layers]
    image = imread(path, channel_order='rgb')
    sample, outputs = capture_outputs(layers, lambda: inference_detector(model, path))
    count = int((sample.pred_instances.scores >= args.score_thr).sum())
    title = f'{count} boxes with a score of {args.score_thr:g} or more'
    panels = [(title, draw_detections(model, image, sample, args.score_thr))]
    for name, calls in zip(args.target_layers, outputs):
        levels = [tensor for output in calls for tensor in output if tensor.ndim == 4]
        if not levels:
            found = 'its output is no feature map (1, C, H, W)'
            advice = 'name a layer of the backbone or the neck'
            raise UserError(f'--target-layers {name}', found, advice)
        for i, featmap in enumerate(levels):
            stride = round(sample.batch_input_shape[1] / featmap.shape[-1])
            level = f'{name}[{i}]' if len(levels) > 1 else name
            title = f'{level}  stride {stride}  {tuple(featmap.shape[1:])}'
            channels = reduce_channels(featmap[0], args.channel_reduction, args.topk)
            for channel, values in channels.items():
                heat = map_to_image(values, sample.metainfo)
                overlay = convert_overlay_heatmap(heat, image, alpha=0.5)
                panels.append((f'{title}  {channel}', overlay))
    return panels


def main(argv=None):
    with report_errors():
        args = parse_args(argv)
        from mmballoon.explain.demo import draw_figures

        draw_figures(args, partial(load, args))


if __name__ == '__main__':
    main()
