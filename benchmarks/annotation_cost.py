"""What suggestions save: boxes to add, to delete and to move, against drawing every box.

    python benchmarks/annotation_cost.py --work-dir work_dirs/annotation_cost   (resumes if it was stopped)

For each seed: train on 20 of the training photographs, suggest on the others, and count what a person must
do there. Then annotate 20 more, the first of the suggested order or 20 by chance, train on all 40, and
count again on the rest.
"""

import json
from pathlib import Path

import hotcoco
import numpy as np
from common import ROOT, run

from mmballoon.cli import make_parser
from mmballoon.data.shapes import polygon_box
from mmballoon.data.via import read_via

CONFIG = ROOT / 'configs/my_rtmdet_tiny_scratch.py'
DATA = ROOT / 'data/balloon'
TRAIN = DATA / 'train/via_region_data.json'
IMAGES = 20  # in a round
THRESHOLDS = 0.3, 0.4, 0.5, 0.6  # 0.3 is the one of suggest_annotations.py
BEST = 0.5  # the one of them with the least work
IOU = 0.5  # from which a suggestion shows an object
MOVED = 0.1  # an edge that is farther off, as a part of the width or height, has to be moved
OPTIONS = """train_cfg.max_epochs=12 train_cfg.val_interval=12 param_scheduler.0.end=20
    param_scheduler.1.end=12 param_scheduler.1.T_max=12
    train_dataloader.num_workers=0 train_dataloader.persistent_workers=False
    val_dataloader.num_workers=0 val_dataloader.persistent_workers=False"""


def steps(suggested, true):
    """[boxes to add, to delete, to move] of one image; boxes: (x, y, width, height), the surest first."""
    left, deleted, moved = list(true), 0, 0
    for box in suggested:
        ious = hotcoco.mask.iou(box[None], np.reshape(left, (-1, 4)), [False] * len(left))
        if ious.max(initial=0) < IOU:
            deleted += 1
            continue
        off = left.pop(ious.argmax()) - box
        off[2:] += off[:2]  # the right and the lower edge
        moved += bool((abs(off) > MOVED * np.tile(box[2:], 2)).any())
    return [len(left), deleted, moved]


def boxes(path, least=0):
    """{file name: [box]} of a VIA file, without the suggestions that have a lower score."""
    found = {}
    for entry in read_via(path)[0]:
        regions = [r for r in entry.regions if float(r.attributes.get('score', 1)) >= least]
        found[entry.filename] = [np.array(polygon_box(r.outlines[0]), float) for r in regions]
    return found


def work(folder, names, least):
    """(N, 4) of these images: the boxes there are, and the ``steps`` after a round."""
    true, found = boxes(TRAIN), boxes(folder / 'suggested.json', least)
    return np.array([[len(true[name]), *steps(found[name], true[name])] for name in names])


def train_and_suggest(folder, names, seed):
    """Annotate the images of these names, train on them, and suggest on the others."""
    folder.mkdir(parents=True, exist_ok=True)
    entries = json.loads(TRAIN.read_text()).values()
    annotated, checkpoint = folder / 'annotated.json', folder / 'run/epoch_12.pth'
    annotated.write_text(json.dumps({e['filename']: e for e in entries if e['filename'] in names}))
    for split, file in (('train', annotated), ('val', DATA / 'val')):
        if not (folder / split).is_symlink():
            (folder / split).symlink_to(DATA / split)
        run(folder, 'data_tools/balloon2coco.py', file, folder / split, '--data-root', folder)
    options = '--cfg-options', f'randomness.seed={seed}', *OPTIONS.split()
    run(folder, 'tools/train.py', CONFIG, '--work-dir', folder / 'run', *options)
    options = ['--weights', checkpoint, '--pred-score-thr', 0.2]
    options += ['--extend', annotated, '--out', folder / 'suggested.json']
    run(folder, 'tools/suggest_annotations.py', DATA / 'train', CONFIG, *options)


def one_round(title, folder, names, seed):
    """Do a round, unless it is done, and print its figures; returns the names in the suggested order."""
    if not (folder / 'suggested.json').exists():
        train_and_suggest(folder, names, seed)
    logs = [path.read_text() for path in sorted(folder.glob('run/*/vis_data/scalars.json'))]
    score = json.loads(logs[-1].splitlines()[-1])['coco/bbox_mAP']
    project = json.loads((folder / 'suggested.json').read_text())
    order = [project['_via_img_metadata'][key]['filename'] for key in project['_via_image_id_list']]
    order = [name for name in order if name not in names]
    for least in THRESHOLDS:
        drawn, *mean = work(folder, order, least).mean(0)
        values = ' | '.join(f'{value:.2f}' for value in (drawn, *mean, sum(mean)))
        share = f'{sum(mean) / drawn:.0%}'
        print(f'| {seed} | {title} | {score:.3f} | {least} | {values} | {share} |', flush=True)
    return order


def main(argv=None):
    parser = make_parser(__doc__)
    about = '(%(default)s)'
    parser.add_argument('--work-dir', type=Path, default='work_dirs/annotation_cost', help=about)
    folder = parser.parse_args(argv).work_dir.resolve()
    print('| seed | trained on | mAP | score | drawn | add | delete | move | in all | share |')
    for seed in range(3):
        some = np.random.default_rng(seed).permutation(sorted(boxes(TRAIN))).tolist()
        first = folder / f'{seed}_first'
        order = one_round('20', first, some[:IMAGES], seed)
        for title, more in (('suggested', order), ('random', some[IMAGES:])):
            second, more = folder / f'{seed}_{title}', more[:IMAGES]
            rest = one_round(f'40, {title} order', second, some[:IMAGES] + more, seed)
            rows = np.concatenate([work(first, more, BEST), work(second, rest, BEST)])
            drawn, total = rows[:, 0].sum(), rows[:, 1:].sum()
            share = f'{total} steps, {total / drawn:.0%} of {drawn}'
            print(f'seed {seed}, {title} order, both rounds at {BEST}: {share}', flush=True)


if __name__ == '__main__':
    main()
