"""Do forecasts of cross_validate.py --learning-curve hold? Checked where more images can be had: rendered.

    python benchmarks/forecast.py --work-dir work_dirs/forecast     (resumes if it was stopped)

For each seed, the curve of 24, 48 and 96 training images (4 folds of 128) forecasts the mAP of 192. The
truth is a cross-validation with 192 training images (4 folds of 256), on the 128 images of the forecast.
"""

import json
from pathlib import Path

import hotcoco
from common import run

from mmballoon.cli import make_parser
from mmballoon.report.numbers import evaluate

IMAGES = dict(train=96, val=32)  # together four folds of 32


def render(folder, seed):
    """Write twice the images into folder/all, and COCO files of half of them into folder/half."""
    counts = [text for split, n in IMAGES.items() for text in (f'--{split}', 2 * n)]
    run('', 'data_tools/make_toy_balloons.py', '--out', folder / 'all', '--seed', seed, *counts)
    run('', 'data_tools/balloon2coco.py', '--data-root', folder / 'all')
    (folder / 'half').mkdir(exist_ok=True)
    for split, count in IMAGES.items():
        if not (folder / 'half' / split).exists():
            (folder / 'half' / split).symlink_to(folder / 'all' / split)
        coco = read(folder / f'all/coco_{split}.json')
        coco['images'] = coco['images'][:count]
        keys = {image['id'] for image in coco['images']}
        coco['annotations'] = [a for a in coco['annotations'] if a['image_id'] in keys]
        (folder / f'half/coco_{split}.json').write_text(json.dumps(coco))


def read(path):
    return json.loads(path.read_text())


def mean_ap(folds, names):
    """mAP of a work directory of cross_validate.py on the images of these names."""
    data = read(folds / 'test.json')
    keys = [image['id'] for image in data['images'] if image['file_name'] in names]
    evaluation = evaluate(hotcoco.COCO(data), read(folds / 'predictions.json'))
    return evaluation.slice_by({'half': keys})['half']['AP']


def main(argv=None):
    parser = make_parser(__doc__)
    add = parser.add_argument
    add('--work-dir', type=Path, default='work_dirs/forecast', help='(%(default)s)')
    add('--seeds', type=int, nargs='+', default=[0, 1, 2], help='(%(default)s)')
    args = parser.parse_args(argv)
    print('| seed | measured | forecast of the gain from 96 to 192 images | gain |')
    command = 'tools/cross_validate.py', 'configs/my_rtmdet_tiny_toy.py', '--folds', 4
    command += '--cfg-options', 'max_epochs=4', '--work-dir'
    for seed in args.seeds:
        folder = args.work_dir.resolve() / str(seed)
        render(folder, seed)
        run(folder / 'half', *command, folder / 'folds', '--learning-curve')
        run(folder / 'all', *command, folder / 'folds_all')
        curve = read(folder / 'folds/report/report.json')['cross']['curve']
        measured = ', '.join(map('{:.0f}: {:.3f}'.format, curve['sizes'], curve['measured']))
        rows = [row for row in curve['forecast'] if row['images'] == 192]
        forecast = ['{value:+.3f} [{low:+.3f}, {high:+.3f}]'.format(**row) for row in rows]
        names = {image['file_name'] for image in read(folder / 'folds/test.json')['images']}
        gain = mean_ap(folder / 'folds_all', names) - curve['measured'][-1]
        said = forecast[0] if forecast else 'none: flat'
        print(f'| {seed} | {measured} | {said} | {gain:+.3f} |', flush=True)


if __name__ == '__main__':
    main()
