"""How many of 30 planted label errors are among the first suggestions of a cross-validation?

    python benchmarks/label_errors.py --work-dir work_dirs/label_errors      (again: goes on)

66 rendered images hold about 300 balloons of two classes, near and far by their size. The errors are
annotations removed, invented, moved, and given the other class. The detections are those of
tools/cross_validate.py with the toy config; they see the errors in training, as yours would.
"""

import json
import os
import subprocess
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections import Counter
from pathlib import Path

import hotcoco
import numpy as np

from mmballoon.report.label_errors import suspects

ROOT = Path(__file__).parents[1]
KINDS = dict(missing_annotation=8, never_found=8, moved=7, wrong_label=7)
IMAGES = 66
NEAR = 90  # pixels of the longer side of a box, in images with a long side of 640
CONFIG = """_base_ = '{base}'
metainfo = dict(classes=('far', 'near'))
model = dict(bbox_head=dict(num_classes=2))
train_dataloader = dict(dataset=dict(metainfo=metainfo))
val_dataloader = dict(dataset=dict(metainfo=metainfo))
test_dataloader = val_dataloader
"""


def plant(data, rng):
    """Plant the errors in a COCO dict; returns [(kind, file name, box)], box [x, y, width, height]."""
    images = {image['id']: image for image in data['images']}
    kinds = [kind for kind, n in KINDS.items() if kind != 'never_found' for _ in range(n)]
    rng.shuffle(data['annotations'])
    planted, kept = [], []
    for kind, a in zip([*kinds, *[None] * len(data['annotations'])], data['annotations']):
        image = images[a['image_id']]
        if kind:
            planted.append((kind, image['file_name'], list(a['bbox'])))
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
            boxes = [b['bbox'] for b in kept if b['image_id'] == image['id']]
            if not boxes or overlap(box, boxes).max() < 0.05:
                kept.append(dict(a, image_id=image['id'], bbox=box))
                planted.append(('never_found', image['file_name'], box))
    data['annotations'] = [
        dict(a, id=i, area=a['bbox'][2] * a['bbox'][3], segmentation=[])
        for i, a in enumerate(kept, start=1)
    ]
    return planted


def overlap(box, boxes):
    return hotcoco.mask.iou(np.array([box], float), np.array(boxes, float), [False] * len(boxes))


def shown(rows, planted, names):
    """For each suggestion, the kind of the planted error that it shows, or None; each counts once."""
    left, result = list(planted), []
    for row in rows:
        boxes = [row['bbox'], *([row['truth']['bbox']] if row['truth'] else [])]
        same = [p for p in left if p[1] == names[row['image_id']]]
        hit = next((p for p in same if overlap(p[2], boxes).max() >= 0.5), None)
        if hit:
            left.remove(hit)
        result.append(hit and hit[0])
    return result


def main(argv=None):
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    add = parser.add_argument
    add('--work-dir', type=Path, default=Path('work_dirs/label_errors'), help='(%(default)s)')
    add('--epochs', type=int, default=20, help='(%(default)s)')
    add('--seed', type=int, default=0, help='of the images and errors (%(default)s)')
    args = parser.parse_args(argv)
    folder = args.work_dir.resolve()
    data, folds, config = folder / 'data', folder / 'folds', folder / 'near_and_far.py'

    def run(*command):
        env = {**os.environ, 'BALLOON_ROOT': str(data)}
        subprocess.run([sys.executable, *map(str, command)], cwd=ROOT, env=env, check=True)

    images = '--train', IMAGES, '--val', 1
    run('data_tools/make_toy_balloons.py', '--out', data, '--seed', args.seed + 5, *images)
    run('data_tools/balloon2coco.py', '--data-root', data)
    for split in ('val', 'train'):
        coco = json.loads((data / f'coco_{split}.json').read_text())
        coco['categories'] = [dict(id=1, name='far'), dict(id=2, name='near')]
        for a in coco['annotations']:
            a['category_id'] = 1 + (max(a['bbox'][2:]) >= NEAR)
        boxes = len(coco['annotations'])
        planted = plant(coco, np.random.default_rng(args.seed)) if split == 'train' else []
        (data / f'coco_{split}.json').write_text(json.dumps(coco))
    config.write_text(CONFIG.format(base=ROOT / 'configs/my_rtmdet_tiny_toy.py'))
    options = '--work-dir', folds, '--cfg-options', f'max_epochs={args.epochs}'
    run('tools/cross_validate.py', config, *options)
    coco = json.loads((folds / 'test.json').read_text())
    names = {image['id']: Path(image['file_name']).name for image in coco['images']}
    rows = suspects(coco, json.loads((folds / 'predictions.json').read_text()))
    found = shown(rows, planted, names)
    print(f'{len(planted)} errors in {boxes} boxes; {len(rows)} suggestions')
    for first in (30, 60, len(rows)):
        hits = Counter(filter(None, found[:first]))
        precision, recall = hits.total() / min(first, len(rows)), hits.total() / len(planted)
        by_kind = ', '.join(f'{kind} {hits[kind]} of {n}' for kind, n in KINDS.items())
        print(f'first {first}: precision {precision:.2f}, recall {recall:.2f}   ({by_kind})')


if __name__ == '__main__':
    main()
