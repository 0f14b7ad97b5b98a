"""Cross-validation: train once per fold, and detect in every image with the training that left it out.

    python tools/cross_validate.py CONFIG                     (5 folds of the train and val images)
    python tools/cross_validate.py CONFIG --jobs 2            (two trainings at once, one thread each)
    python tools/cross_validate.py CONFIG --compare OTHER_CONFIG
    python tools/cross_validate.py CONFIG --learning-curve    (how many more images?)
    python tools/cross_validate.py CONFIG --review review.json    (label errors, to correct in VIA)
    python tools/cross_validate.py CONFIG --group '(.+)_frame'    (a video's images stay together)

After a stop, the same command resumes: finished folds are kept. predictions.json in the work directory
has the detections of all images, and report/report.html shows them.
"""

from pathlib import Path

from mmballoon import upstream
from mmballoon.cli import UserError, make_parser, report_errors


def parse_args(argv=None):
    from mmengine.config import DictAction

    from mmballoon.report.review import add_arguments

    parser = make_parser(__doc__)
    add = parser.add_argument
    add('config', help='config file')
    add('--folds', type=int, default=5, help='(%(default)s)')
    add('--seed', type=int, default=0, help='of the folds, and of a config without one (0)')
    about = 'images in whose file names it finds the same text stay in one fold'
    add('--group', metavar='REGEX', help=about)
    add('--jobs', type=int, default=1, help='trainings at once (%(default)s)')
    add('--compare', metavar='OTHER', type=Path, help='config, or work directory of the same folds')
    add('--learning-curve', action='store_true', help='also train on 25 and 50 %% of the images')
    add('--work-dir', type=Path, help='(work_dirs/CONFIG_folds)')
    add('--lang', choices=('en', 'zh'), default='en', help='of the report (%(default)s)')
    add('--cfg-options', nargs='+', action=DictAction, help='override settings of the config')
    add_arguments(add)
    args = parser.parse_args(argv)
    if args.folds < 2 or args.jobs < 1 or args.seed < 0:
        parser.error('--folds takes 2 or more, --jobs 1 or more, --seed 0 or more')
    return args


def summary(report):
    """Lines of text about report.json of a cross-validation."""

    def interval(row, form):
        ends = '(too few images for an interval)'
        if row['low'] is not None:
            ends = f'[{row["low"]:{form}}, {row["high"]:{form}}]'
        return f'{row["value"]:{form}} {ends}'

    cross = report['cross']
    yield f'mAP of all {report["images"]} images: {interval(report["metrics"]["AP"], ".3f")}'
    yield f'mAP of the folds: {cross["mean"]:.3f} in the mean, standard deviation {cross["spread"]:.3f}'
    if report['difference']:
        yield f'{report["made"]["compare"]}: mAP {interval(report["difference"]["AP"], "+.3f")}'
    if 'curve' in cross:
        curve = cross['curve']
        points = map('{:.0f}: mAP {:.3f}'.format, curve['sizes'], curve['measured'])
        yield f'training images: {", ".join(points)}'
        for row in curve['forecast']:
            yield f'{row["images"]} images instead of {row["now"]:.0f}: mAP {interval(row, "+.3f")}'
        if not curve['forecast']:
            yield 'the curve is flat within its noise: no forecast'


def main(argv=None):
    with report_errors():
        upstream.apply_rules()  # first: it reads --cfg-options
        args = parse_args(argv)
        from mmengine import Config, load

        from mmballoon.report import cross_validation, review, trainings
        from mmballoon.report.build import build
        from mmballoon.report.split import to_coco

        review.check(args)
        folder = args.work_dir or Path('work_dirs', f'{Path(args.config).stem}_folds')
        other, needed = args.compare, ('folds.json', 'predictions.json')
        sides = [(args.config, folder, other)]
        if other and other.is_file():  # a config
            other = Path('work_dirs', f'{other.stem}_folds')
            if folder.resolve() == other.resolve():  # neither could take it from the other
                found = f'{args.compare} would use this folder, too'
                raise UserError(folder, found, 'choose another folder with --work-dir')
            sides = [(args.config, folder, None), (args.compare, other, folder)]
        elif other and not all((other / name).is_file() for name in needed):
            advice = 'name a config, or a work directory of this command'
            raise UserError(other, 'no finished cross-validation', advice)
        prepared = []
        for config, place, theirs in sides:
            cfg = Config.fromfile(config)
            cfg.merge_from_dict(args.cfg_options or {})
            split, runs = trainings.prepare(cfg, place, args, theirs)
            counts = ', '.join(str(len(run.test)) for run in runs if run.share == 100)
            dealt = f'{len(split.images)} images in {args.folds} folds of {counts}'
            print(f'{place}: {dealt}', flush=True)
            prepared.append((cfg, place, split, runs))
        detections = [trainings.detect(*side, args.jobs) for _, *side in prepared]
        detected, (cfg, _, split, runs) = detections[0], prepared[0]
        args.compare = other and other / 'predictions.json'
        data, folds = to_coco(split), [run.test for run in runs if run.share == 100]
        cross = cross_validation.summarise(data, detected[100], folds)
        if args.learning_curve:
            counts = [[len(run.train) for run in runs if run.share == share] for share in detected]
            sizes = [sum(some) / len(some) for some in counts]
            curve = cross_validation.learning_curve(data, [*detected.values()], folds, sizes)
            cross['curve'] = curve
        args.config, args.checkpoint, args.out = folder / 'config.py', None, folder / 'report'
        args.predictions = folder / 'predictions.json'
        print(*build(args, cross=cross, sources=trainings.sources(cfg)), sep='\n')
        print(*summary(load(args.out / 'report.json')), sep='\n')


if __name__ == '__main__':
    main()
