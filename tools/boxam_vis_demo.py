"""Show what made a detector detect: MMYOLO's demo/boxam_vis_demo.py (no wheel has it), maps in the
right place.

    python tools/boxam_vis_demo.py photo.jpg configs/my_rtmdet_tiny.py CHECKPOINT python
    tools/boxam_vis_demo.py photo.jpg CONFIG CHECKPOINT --method gradcam++ --target-layers
    neck.out_convs[0] python tools/boxam_vis_demo.py data/balloon/val CONFIG CHECKPOINT --method
    eigencam --target-layers backbone.stage4

One picture per image in OUT_DIR. Without --target-layers: backbone.stage4 and the neck's three
outputs, side by side. Several layers given are averaged into one map, as upstream does. How to read
the maps: docs/visualization.md.
"""

import argparse
import sys
from pathlib import Path

from mmballoon.errors import report_errors
from mmballoon.inputs import list_images

DEFAULT_LAYERS = ('backbone.stage4', 'neck.out_convs[0]', 'neck.out_convs[1]', 'neck.out_convs[2]')


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('img', help='image file, folder or glob pattern')
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument(
        '--method',
        default='gradcam',
        choices=['gradcam', 'gradcam++', 'eigencam', 'ablationcam'],
        help='%(default)s',
    )
    parser.add_argument(
        '--target-layers',
        nargs='+',
        metavar='LAYER',
        help='as backbone.stage4 or neck.out_convs[0]',
    )
    parser.add_argument(
        '--out-dir', type=Path, default=Path('output'), help='where pictures go (%(default)s)'
    )
    parser.add_argument('--device', help='cuda:0, cpu, ... (default: CUDA where there is one)')
    parser.add_argument(
        '--score-thr', type=float, default=0.3, help='least score of a detection (%(default)s)'
    )
    parser.add_argument(
        '--topk', type=int, default=-1, help='explain the best so many only; -1: all (%(default)s)'
    )
    parser.add_argument(
        '--max-shape',
        nargs='+',
        type=int,
        default=[-1],
        metavar='N',
        help='scale activations down to this size to save memory; -1: as they are (-1)',
    )
    parser.add_argument(
        '--norm-in-bbox', action='store_true', help='scale the heat within each box, none outside'
    )
    parser.add_argument(
        '--preview-model', action='store_true', help="print the model's layers and stop"
    )
    parser.add_argument(
        '--cfg-options', nargs='+', metavar='KEY=VALUE', help='override settings of the config'
    )
    parser.add_argument(
        '--batch-size', type=int, default=1, help='ablationcam: channels at a time (%(default)s)'
    )
    parser.add_argument(
        '--ratio-channels-to-ablate',
        type=float,
        default=0.5,
        help='ablationcam: share of the channels that is tried (%(default)s)',
    )
    args = parser.parse_args(argv)
    if not 0 < args.ratio_channels_to_ablate <= 1 or args.batch_size < 1 or len(args.max_shape) > 2:
        parser.error(
            '--ratio-channels-to-ablate takes a share up to 1, --batch-size 1 or more, --max-shape 1 or 2 '
            'sizes'
        )
    return args


def explain(box_am, image, path, args):
    """Panels [(title, RGB picture)] of one image; [] where there is nothing to explain."""
    import cv2
    from pytorch_grad_cam.utils.image import show_cam_on_image

    from mmballoon.vis.maps import detections, norm_in_boxes

    layers, sample = box_am.detect_through(args.target_layers or DEFAULT_LAYERS, image)
    found = sample.pred_instances
    instances = found[found.scores >= args.score_thr][: args.topk if args.topk > 0 else None]
    if not len(instances):
        best = max(found.scores.tolist(), default=0)
        also = (
            ', the map alone is drawn'
            if args.method == 'eigencam'
            else f'; {args.method} explains detections: none'
        )
        print(
            f'{path}: no detection with a score of {args.score_thr:g} or more (highest {best:.2f}){also}; next: '
            f'--score-thr {max(0.01, best * 0.9):.2f}, or train longer',
            file=sys.stderr,
        )
        if args.method != 'eigencam':
            return []
    panels, cold = [], []
    groups = (
        [(args.target_layers, layers)]
        if args.target_layers
        else [([name], [layer]) for name, layer in zip(DEFAULT_LAYERS, layers)]
    )
    for names, group in groups:
        heat = box_am.heat(image, sample, instances, group)
        if heat.max() == 0:
            cold += names
        if args.norm_in_bbox:
            heat = norm_in_boxes(heat, instances.bboxes.cpu().numpy())
        picture = show_cam_on_image(image[..., ::-1] / 255, heat, use_rgb=True)
        shown = sample.clone()
        shown.pred_instances = instances
        title = f'{args.method}  {" + ".join(names)}' + (
            '  (no gradient)' if heat.max() == 0 else ''
        )
        panels.append(
            (title, cv2.resize(detections(box_am.detector, picture, shown, 0), image.shape[1::-1]))
        )
    if cold:
        strides = box_am.strides(image, instances)
        better = ' or '.join(
            f'neck.out_convs[{(8, 16, 32).index(s)}]' for s in strides if s in (8, 16, 32)
        )
        print(
            f'{path}: {", ".join(cold)}: a blank map. The detections were made at stride '
            f'{", ".join(map(str, strides))} and send no gradient there; next: --target-layers {better}',
            file=sys.stderr,
        )
    return panels


def main(argv=None):
    args = parse_args(argv)
    with report_errors():
        images = list_images([args.img])
        import mmballoon.patches.grad_cam  # noqa: F401

        from mmcv import imread
        from mmengine.utils import track_iter_progress

        from mmballoon.inputs import load_config, pick_device
        from mmballoon.vis.box_am import BoxAM
        from mmballoon.vis.maps import save_figure, silence_loggers

        silence_loggers()
        box_am = BoxAM(
            load_config(args),
            args.checkpoint,
            args.method,
            pick_device(args.device),
            args.max_shape,
            args.batch_size,
            args.ratio_channels_to_ablate,
        )
        if args.preview_model:
            print(box_am.detector)
            return
        written = []
        for path in track_iter_progress(images) if len(images) > 1 else images:
            panels = explain(box_am, imread(path), path, args)
            if panels:
                written.append(args.out_dir / f'{Path(path).stem}.jpg')
                save_figure(panels, written[-1])
    print(*(f'saved: {path}' for path in written), sep='\n')
    if not written:
        raise SystemExit(1)


if __name__ == '__main__':
    main()
