"""Detect on a video or a camera, like MMDetection's demo/video_demo.py.

    python tools/video_demo.py clip.mp4 configs/my_rtmdet_tiny.py CHECKPOINT --out result.mp4
    python tools/video_demo.py 0 CONFIG CHECKPOINT --show              (the first camera; q ends it)
    python tools/video_demo.py FOLDER_OF_FRAMES CONFIG CHECKPOINT --out result.mp4

The arguments are upstream's. After Ctrl-C, the file plays up to the last frame. With PyAV (pip install
av), the file is written in H.264; without it, OpenCV writes VP9, which takes 0.4 s for each frame of
1280 x 720. Browsers play both.
"""

from functools import partial
from pathlib import Path

from mmballoon import upstream
from mmballoon.cli import UserError, make_parser, pick_device, report_errors, score_thresholds


def parse_args(argv=None):
    parser = make_parser(__doc__)
    add = parser.add_argument
    add('video', help='video file, number of a camera, or folder of frames')
    add('config', help='config file')
    add('checkpoint', help='checkpoint file')
    add('--device', help='cuda:0, cpu, ... (default: CUDA if there is a GPU)')
    about = 'minimum score to draw, or report.json of tools/report.py (%(default)s)'
    add('--score-thr', type=score_thresholds, default='0.3', help=about)
    add('--out', type=Path, help='video to write, such as result.mp4')
    add('--show', action='store_true', help='show the frames in a window')
    add('--wait-time', type=float, default=0.001, help='seconds for each frame shown (%(default)s)')
    args = parser.parse_args(argv)
    if not (args.out or args.show):
        parser.error('pass --out FILE, or --show')
    return args


def main(argv=None):
    with report_errors():
        args = parse_args(argv)
        from mmballoon.colors import palette
        from mmballoon.video import Source, Writer, annotate, check_window, draw_boxes

        if args.out and args.out.exists():
            raise UserError(args.out, 'exists', 'choose another --out, or move it away')
        if args.show:
            check_window()
        source = Source(args.video)
        writer = Writer(args.out, source.fps) if args.out else None
        device = pick_device(args.device)
        upstream.apply_rules()
        from mmdet.apis import inference_detector, init_detector

        from mmballoon.inference import prepare

        model = prepare(init_detector(args.config, args.checkpoint, device=device))
        classes = model.dataset_meta['classes']
        colors = palette(len(classes), model.dataset_meta.get('palette'))
        thresholds = args.score_thr(classes)
        draw = partial(draw_boxes, classes=classes, palette=colors, thresholds=thresholds)

        def detect(frames):
            instances = [s.pred_instances.cpu().numpy() for s in inference_detector(model, frames)]
            columns = ['bboxes', 'scores', 'labels'] + ['masks'] * ('masks' in instances[0])
            return [[item[name] for name in columns] for item in instances]

        batch = 8 if device.startswith('cuda') and not source.camera else 1
        frames = annotate(source, detect, draw, writer, batch, args.show, args.wait_time)
        if writer:
            print(f'saved: {args.out} ({frames} frames, codec {writer.codec})')


if __name__ == '__main__':
    main()
