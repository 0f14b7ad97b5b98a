"""Detect on images, like MMDetection's demo/image_demo.py, with its DetInferencer.

    python tools/image_demo.py image.jpg configs/my_rtmdet_tiny_scratch.py   (the weights in the package)
    python tools/image_demo.py image.jpg configs/my_rtmdet_tiny.py --weights CHECKPOINT
    python tools/image_demo.py data/balloon/val CONFIG --weights CHECKPOINT --pred-score-thr 0.5
    python tools/image_demo.py FOLDER CONFIG --weights CHECKPOINT --pred-score-thr outputs/report/report.json
    python tools/image_demo.py a.jpg b.jpg folder CONFIG --weights CHECKPOINT --out-dir outputs

Images with boxes go to OUT_DIR/vis, and predictions to OUT_DIR/preds, one JSON per image: labels,
scores and bboxes [x1, y1, x2, y2] in pixels. MMDetection's packages do not include its demo. The
options for text prompts and chunks are not here: --texts, --custom-entities, --tokens-positive and
--chunked-size.
"""

from pathlib import Path

from mmballoon import cli, upstream


def parse_args(argv=None):
    parser = cli.make_parser(__doc__)
    add = parser.add_argument
    add('inputs', nargs='+', help='image files or folders')
    add('model', help="config file, or the name of a model in MMDetection's zoo")
    add('--weights', help='checkpoint file (default for a config: the weights in the package)')
    add('--out-dir', default='outputs', help='where vis/ and preds/ go (%(default)s)')
    add('--device', help='cuda:0, cpu, ... (default: CUDA if there is a GPU)')
    about = 'minimum score to draw, or report.json of tools/report.py (%(default)s)'
    add('--pred-score-thr', type=cli.score_thresholds, default='0.3', help=about)
    add('--batch-size', type=int, default=1, help='images at a time (%(default)s)')
    choices = ['coco', 'voc', 'citys', 'random', 'none']
    about = "colours (%(default)s: the config's own)"
    add('--palette', default='none', choices=choices, help=about)
    add('--amp', action='store_true', help='bfloat16 on a CPU that has it: faster, other rounding')
    add('--show', action='store_true', help='show each image in a window')
    add('--no-save-vis', action='store_true', help='save no images')
    add('--no-save-pred', action='store_true', help='save no predictions')
    add('--print-result', action='store_true', help='print the predictions')
    args = parser.parse_args(argv)
    if args.model.endswith('.pth'):  # upstream would run the config code inside the checkpoint
        advice = f'image_demo.py IMAGES CONFIG --weights {args.model}'
        parser.error(f'{args.model} is a checkpoint, expected a config; next: {advice}')
    if args.batch_size < 1:
        parser.error('--batch-size takes 1 or more')
    return args


def main(argv=None):
    args = parse_args(argv)
    with cli.report_errors():
        files = cli.list_images(args.inputs, decode=False, out=Path(args.out_dir, 'vis'))
        device = cli.pick_device(args.device)
        rules = upstream.apply_rules()
        from mmdet.apis import DetInferencer
        from mmengine.config import Config

        from mmballoon.inference import prepare, prepare_drawing

        if args.model.endswith('.py'):
            config = Config.fromfile(args.model)
            # With an empty config, DetInferencer would run the one inside the checkpoint.
            if not config.get('model'):
                raise cli.UserError(args.model, 'names no model', 'correct the config')
            args.weights = args.weights or rules.weights.address(config, args.model)
        settings = dict(palette=args.palette, show_progress=False)
        inferencer = DetInferencer(args.model, args.weights, device, **settings)
        prepare(inferencer.model, amp=args.amp)
        thresholds = args.pred_score_thr(inferencer.model.dataset_meta['classes'])
        prepare_drawing(inferencer.visualizer, thresholds)
        names = 'batch_size', 'show', 'no_save_vis', 'no_save_pred', 'print_result', 'out_dir'
        options = {name: getattr(args, name) for name in names}
        options['pred_score_thr'] = -1  # prepare_drawing has removed the others
        # A call keeps all its drawn images until it returns: one batch per call.
        for start in range(0, len(files), args.batch_size):
            batch = files[start : start + args.batch_size]
            try:
                predictions = inferencer(batch, **options)['predictions']
            except Exception:
                for file in batch:
                    cli.read_image(file)  # names the file, if one is no image
                raise
            for file, prediction in zip(batch, predictions):
                print(cli.count_boxes(file, prediction['scores'], prediction['labels'], thresholds))
    for folder, skipped in (('vis', args.no_save_vis), ('preds', args.no_save_pred)):
        if not skipped:
            print(f'saved: {Path(args.out_dir) / folder}')


if __name__ == '__main__':
    main()
