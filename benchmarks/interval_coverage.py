"""How often the 95 % intervals of tools/report.py hold the true value, in simulated sets of images.

    python benchmarks/interval_coverage.py                                       (400 sets a row)
    python benchmarks/interval_coverage.py --images 13 --objects few --sets 100

One row for each number of images, objects per image and quality of the detector. The true values are
those of the 3,000 images from which the sets are drawn. The two detectors of a difference agree on
most objects. F1: at the score threshold 0.5, and at the threshold that is best for the set itself.
An asterisk marks what is outside of 92 to 98 %. Rows that say "too few" have no interval.
"""

import hotcoco
import numpy as np
from tqdm import tqdm

from mmballoon.cli import make_parser
from mmballoon.report import intervals, numbers

POPULATION = 3000
SIDE = 1600  # pixels
OBJECTS = ('few', 'many')  # per image: 1 to 6, most often 1 or 2; or 6 to 24
# Of each detector: mean share of objects found, noise of a box in its sides, false alarms per image
QUALITY = dict(low=(0.55, 0.045, 1.5), middle=(0.78, 0.032, 0.8), high=(0.96, 0.017, 0.35))
COLUMNS = [*intervals.METRICS, 'dAP', 'dAP50', 'dAP75', 'F1', 'F1 best']


def image(rng, objects, quality):
    """(annotations, [detections of two detectors]) of one image: lists of COCO dicts without ids.

    Images differ in how hard they are: in the share of objects that is found, in how well boxes fit,
    and in false alarms. One in ten has no object.
    """
    found, noise, alarms = QUALITY[quality]
    skill = rng.beta(6 * found, 6 * (1 - found))
    noise *= np.exp(rng.normal(0, 0.4))
    alarms *= np.exp(rng.normal(0, 0.8)) * (2 if objects == 'many' else 1)
    count = rng.integers(6, 25) if objects == 'many' else min(6, rng.geometric(0.5))
    truth, detections = [], ([], [])
    for _ in range(count if rng.random() > 0.1 else 0):
        size = np.clip(np.exp(rng.normal(np.log(70), 0.8)), 8, 400)
        box = np.array([*rng.uniform(0, 0.75 * SIDE, 2), size * np.exp(rng.normal(0, 0.2)), size])
        truth.append(dict(bbox=box.tolist(), area=box[2] * box[3]))
        first = detection(rng, box, skill, noise)
        second = first if rng.random() < 0.7 else detection(rng, box, min(1, skill + 0.05), noise)
        for rows, row in zip(detections, (first, second)):
            rows += [row] if row else []
        if first and rng.random() < 0.08:  # a second box on the same object
            x, *others = first['bbox']
            double = dict(bbox=[x + 0.1 * size, *others], score=0.7 * first['score'])
            detections[0].append(double)
    for rows in detections:
        for _ in range(rng.poisson(alarms)):
            size = np.exp(rng.normal(np.log(60), 0.8))
            box = [*rng.uniform(0, 0.75 * SIDE, 2).tolist(), size, size]
            rows.append(dict(bbox=box, score=rng.beta(1.3, 2.5)))
    return truth, detections


def detection(rng, box, skill, noise):
    """A detection of a box [x, y, width, height], or None; small objects are harder."""
    if rng.random() > skill - 0.15 * (box[3] < 32):
        return None
    dx, dy, wider, higher = rng.normal(0, noise, 4)
    x, y, width, height = box.tolist()
    moved = [x + dx * width, y + dy * height, width * np.exp(wider), height * np.exp(higher)]
    return dict(bbox=moved, score=rng.beta(5 * skill + 1.2, 1.6))


def evaluations(images):
    """A COCOeval for each of the two detectors, and the detections of the first."""
    annotations, results = [], ([], [])
    for key, (truth, detections) in enumerate(images, start=1):
        for a in truth:
            ids = dict(id=len(annotations) + 1, image_id=key, category_id=1)
            annotations.append(dict(a, **ids, iscrowd=0))
        for rows, found in zip(results, detections):
            rows += [dict(d, image_id=key, category_id=1) for d in found]
    keys, categories = range(1, len(images) + 1), [dict(id=1, name='object')]
    rows = [dict(id=key, file_name='', width=SIDE, height=SIDE) for key in keys]
    truth = hotcoco.COCO(dict(images=rows, annotations=annotations, categories=categories))
    return [numbers.evaluate(truth, rows) for rows in results], results[0]


def f1_row(truth, detections, threshold):
    """{'value', 'low', 'high'} of the F1 at a score threshold."""
    shown = numbers.evaluate(truth, [d for d in detections if d['score'] >= threshold])
    images = len({a['image_id'] for a in truth.dataset['annotations']})
    return intervals.f1(shown.image_diagnostics(numbers.IOU)['img_summary'], images)


def threshold_curve(evaluation, detections):
    objects = len(evaluation.coco_gt.dataset['annotations'])
    return numbers.threshold_curve(numbers.match(evaluation, detections), objects)


def coverage(objects, quality, images, sets):
    """({column: true value}, {column: [whether the interval of each set holds it]}) for one row."""
    rng = np.random.default_rng(0)
    population = [image(rng, objects, quality) for _ in range(POPULATION)]
    (first, second), detections = evaluations(population)
    true = {name: first.get_results()[name] for name in intervals.METRICS}
    true |= {f'd{name}': second.get_results()[name] - value for name, value in true.items()}
    true['F1'] = f1_row(first.coco_gt, detections, 0.5)['value']
    curve = threshold_curve(first, detections)['rows']  # highest score first
    holds = {name: [] for name in COLUMNS}
    for _ in tqdm(range(sets), f'{images} images, {objects}, {quality}', leave=False, disable=None):
        chosen = [population[i] for i in rng.choice(POPULATION, images, replace=False)]
        (left, right), found = evaluations(chosen)
        threshold = threshold_curve(left, found)['threshold']
        true['F1 best'] = [row['f1'] for row in curve if row['score'] >= threshold][-1]
        rows = intervals.metrics(left)
        rows |= {f'd{name}': row for name, row in intervals.metrics(left, right).items()}
        for name, score in (('F1', 0.5), ('F1 best', threshold)):
            rows[name] = f1_row(left.coco_gt, found, score)
        for name in COLUMNS:
            if rows[name] and rows[name]['low'] is not None:
                holds[name].append(rows[name]['low'] <= true[name] <= rows[name]['high'])
    return true, holds


def main(argv=None):
    parser = make_parser(__doc__)
    add = parser.add_argument
    add('--images', type=int, nargs='+', default=[13, 30, 100], help='(%(default)s)')
    add('--objects', nargs='+', choices=OBJECTS, default=OBJECTS, help='(both)')
    add('--sets', type=int, default=400, help='for each row (%(default)s)')
    args = parser.parse_args(argv)
    print('| images | objects | mAP |', ' | '.join(COLUMNS), '|')
    print('| --- ' * (3 + len(COLUMNS)) + '|')
    for images in args.images:
        for objects in args.objects:
            for quality in QUALITY:
                true, holds = coverage(objects, quality, images, args.sets)
                cells = [str(images), objects, f'{true["AP"]:.2f}']
                for held in holds.values():
                    share = 100 * np.mean(held or [0])
                    text = f'{share:.1f}' + '*' * (not 92 <= share <= 98)
                    cells.append(text if len(held) >= 0.9 * args.sets else 'too few')
                print('|', ' | '.join(cells), '|', flush=True)


if __name__ == '__main__':
    main()
