"""How many of 30 planted label errors are among the first suggestions of a cross-validation?

    python benchmarks/label_errors.py --work-dir work_dirs/label_errors      (resumes if it was stopped)

66 rendered images hold about 300 balloons of two classes, near and far by their size. The errors are
annotations removed, invented, moved, and given the other class. The detections are those of
tools/cross_validate.py with the toy config; they see the errors in training, as yours would.
"""

import json
from collections import Counter
from pathlib import Path

import numpy as np
from common import run

from mmballoon.cli import make_parser
from mmballoon.report.label_errors import overlaps, suspects

KINDS = dict(missing_annotation=8, never_found=8, moved=7, wrong_label=7)
IMAGES = 66
NEAR = 90  # pixels of the longer side of a box, in images with a long side of 640


def plant(data, rng):
    """Plant the errors in a COCO dict; returns [(kind, file name, annotation)] with the right or lost box."""
    images = {image['id']: image for image in data['images']}
    kinds = [kind for kind, n in KINDS.items() if kind != 'never_found' for _ in range(n)]
    rng.shuffle(data['annotations'])
    planted, kept = [], []
    for kind, a in zip([*kinds, *[None] * len(data['annotations'])], data['annotations']):
        image = images[a['image_id']]
        if kind:
            planted.append((kind, image['file_name'], dict(a)))
        if kind == 'wrong_label':
            a['category_id'] = 3 - a['category_id']
        if kind == 'moved':  # by 0.3 of its size in x and y, towards the middle: IoU 0.32
            x, y, width, height = a['bbox']
            x += 0.3 * width * (1 if 2 * x + width < image['width'] else -1)
            y += 0.3 * height * (1 if 2 * y + height < image['height'] else -1)
            a['bbox'] = [x, y, width, height]
        if kind != 'missing_annotation':
            kept.append(a)
    while len(planted) < sum(KINDS.values()):  # invented: as large as another box, where nothing is
        a, image = kept[rng.integers(len(kept))], data['images'][rng.integers(len(images))]
        width, height = a['bbox'][2:]
        room = image['width'] - width, image['height'] - height
        if min(room) > 0:
            box = [rng.uniform(0, room[0]), rng.uniform(0, room[1]), width, height]
            a = dict(a, image_id=image['id'], bbox=box)
            others = [b for b in kept if b['image_id'] == image['id']]
            if overlaps([a], others).max(initial=0) < 0.05:
                kept.append(a)
                planted.append(('never_found', image['file_name'], a))
    for i, a in enumerate(kept, start=1):
        a.update(id=i, area=a['bbox'][2] * a['bbox'][3], segmentation=[])
    data['annotations'] = kept
    return planted


def shown(rows, planted, names):
    """For each suggestion, the kind of the planted error that it shows, or None; each error counts once."""
    left, result = list(planted), []
    for row in rows:
        boxes = [row, row['truth'] or row]
        same = [p for p in left if p[1] == names[row['image_id']]]
        hit = next((p for p in same if overlaps([p[2]], boxes).max() >= 0.5), None)
        if hit:
            left.remove(hit)
        result.append(hit and hit[0])
    return result


def main(argv=None):
    parser = make_parser(__doc__)
    add = parser.add_argument
    add('--work-dir', type=Path, default=Path('work_dirs/label_errors'), help='(%(default)s)')
    add('--epochs', type=int, default=20, help='(%(default)s)')
    add('--seed', type=int, default=0, help='of the images and errors (%(default)s)')
    args = parser.parse_args(argv)
    folder = args.work_dir.resolve()
    right, data, folds = folder / 'right', folder / 'data', folder / 'folds'
    if not right.is_dir() and data.exists():  # errors would be planted into somebody's annotations
        parser.error(f'{data} is there, and not of this benchmark: choose another --work-dir')
    options = '--seed', args.seed + 5, '--train', IMAGES, '--val', 1
    run('', 'data_tools/make_toy_balloons.py', '--out', right, *options)
    run('', 'data_tools/balloon2coco.py', '--data-root', right)
    data.mkdir(exist_ok=True)
    for split in ('val', 'train'):
        if not (data / split).exists():
            (data / split).symlink_to(right / split)
        coco = json.loads((right / f'coco_{split}.json').read_text())
        coco['categories'] = [dict(id=1, name='far'), dict(id=2, name='near')]
        for a in coco['annotations']:
            a['category_id'] = 1 + (max(a['bbox'][2:]) >= NEAR)
        boxes = len(coco['annotations'])
        planted = plant(coco, np.random.default_rng(args.seed)) if split == 'train' else []
        (data / f'coco_{split}.json').write_text(json.dumps(coco))
    options = f'max_epochs={args.epochs}', 'metainfo.classes=far,near'
    command = 'tools/cross_validate.py', 'configs/my_rtmdet_tiny_toy.py', '--work-dir', folds
    run(data, *command, '--cfg-options', *options)
    coco = json.loads((folds / 'test.json').read_text())
    names = {image['id']: Path(image['file_name']).name for image in coco['images']}
    rows = suspects(coco, json.loads((folds / 'predictions.json').read_text()))
    kinds = shown(rows, planted, names)
    print(f'{len(planted)} errors in {boxes} boxes; {len(rows)} suggestions')
    for first in (30, 60, len(rows)):
        hits = Counter(filter(None, kinds[:first]))
        precision, recall = hits.total() / max(1, len(kinds[:first])), hits.total() / len(planted)
        by_kind = ', '.join(f'{kind} {hits[kind]} of {n}' for kind, n in KINDS.items())
        print(f'first {first}: precision {precision:.2f}, recall {recall:.2f}   ({by_kind})')


if __name__ == '__main__':
    main()
