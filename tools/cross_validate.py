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

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path

from mmballoon.cli import UserError, report_errors


def parse_args(argv=None):
    from mmengine.config import DictAction

    from mmballoon.report.review import add_arguments

    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
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


def cross_validate(config, folder, args):
    """Train and detect; returns the datasets (configs) of the images, the Part of all images, the folds,
    and {share in per cent: (mean number of training images, detections)}.
    """
    from mmengine import Config, dump, load

    from mmballoon.report import trainings
    from mmballoon.report.results import read_results
    from mmballoon.report.split import load_split

    cfg = Config.fromfile(config)
    cfg.merge_from_dict(args.cfg_options or {})
    part, dealt, runs = trainings.prepare(cfg, folder, args)
    counts = ', '.join(str(len(fold)) for fold in dealt)
    print(f'{folder}: {len(part.images)} images in {len(dealt)} folds of {counts}', flush=True)
    steps = {run: count for of_share in runs.values() for run, count in of_share.items()}
    trainings.train_and_test(steps, args.jobs)
    results = {}
    for share, of_share in runs.items():
        detections, images = [], 0
        for run in of_share:
            left_out = Config.fromfile(run / 'config.py').test_dataloader.dataset
            detections += read_results(run / 'results.pkl', load_split(left_out))
            images += len(load(run / 'train.json')['images'])
        results[share] = images / len(of_share), detections
    dump(results[100][1], folder / 'predictions.json')
    return trainings.sources(cfg), part, dealt, results


def other_predictions(folder, args):
    """The file with the detections of --compare, on the same images in the same folds."""
    from mmengine import load

    other = args.compare
    if other.is_file():
        other = Path('work_dirs', f'{args.compare.stem}_folds')
        cross_validate(args.compare, other, args)
    if not (other / 'folds.json').is_file() or not (other / 'predictions.json').is_file():
        advice = 'name a config, or a work directory of this command'
        raise UserError(other, 'no finished cross-validation', advice)
    ours, theirs = load(folder / 'folds.json'), load(other / 'folds.json')
    for key in ('data', 'folds'):
        if ours[key] != theirs[key]:
            found = f'has other {key} than {folder}'
            raise UserError(other, found, f'choose the same {key} for both')
    return other / 'predictions.json'


def summary(report):
    """Lines of text about report.json of a cross-validation."""

    def interval(row, form):
        if row['low'] is None:
            return f'{row["value"]:{form}} (too few images for an interval)'
        return f'{row["value"]:{form}} [{row["low"]:{form}}, {row["high"]:{form}}]'

    cross = report['cross']
    yield f'mAP of all {report["images"]} images: {interval(report["metrics"]["AP"], ".3f")}'
    yield f'mAP of the folds: {cross["mean"]:.3f} in the mean, standard deviation {cross["spread"]:.3f}'
    if report['difference']:
        yield f'{report["made"]["compare"]}: mAP {interval(report["difference"]["AP"], "+.3f")}'
    if 'curve' in cross:
        curve = cross['curve']
        rows = zip(curve['sizes'], curve['measured'])
        points = ', '.join(f'{size:.0f}: mAP {value:.3f}' for size, value in rows)
        yield f'training images: {points}'
        for row in curve['forecast']:
            yield f'{row["images"]} images instead of {row["now"]:.0f}: mAP {interval(row, "+.3f")}'
        if not curve['forecast']:
            yield 'the curve is flat within its noise: no forecast'


def main(argv=None):
    with report_errors():
        from mmballoon.train import rules

        rules.apply()  # first: it reads --cfg-options
        args = parse_args(argv)
        from mmengine import load

        from mmballoon.report import cross_validation, review

        review.check(args)
        folder = args.work_dir or Path('work_dirs', f'{Path(args.config).stem}_folds')
        sources, part, dealt, results = cross_validate(args.config, folder, args)
        from mmballoon.report.build import build
        from mmballoon.report.split import to_coco

        compare = other_predictions(folder, args) if args.compare else None
        cross = cross_validation.summarise(to_coco(part), results[100][1], dealt)
        if args.learning_curve:
            sizes, found = zip(*results.values())
            cross['curve'] = cross_validation.learning_curve(to_coco(part), found, dealt, sizes)
        args.config, args.checkpoint = str(folder / 'config.py'), None
        args.predictions, args.compare = folder / 'predictions.json', compare
        args.out = folder / 'report'
        print(*build(args, cross=cross, sources=sources), sep='\n')
        print(*summary(load(args.out / 'report.json')), sep='\n')


if __name__ == '__main__':
    main()
