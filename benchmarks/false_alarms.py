"""False alarms on images without objects, after training with and without such images.

    python benchmarks/false_alarms.py data/balloon data/toy_balloon

Squares of images in which no object is annotated are background images: those from the first half of
the validation images join the training, and 20 from the other half are the test. Both trainings take
the same number of steps with the toy config, from the weights in the package.
"""

import json
from pathlib import Path

import cv2
import numpy as np
from common import ROOT, run

from mmballoon.cli import make_parser, report_errors
from mmballoon.data.coco import read_json

CONFIG = 'configs/my_rtmdet_tiny_toy.py'
FILTER = 'train_dataloader.dataset.filter_cfg.filter_empty_gt'


def cut(coco, images, count, folder):
    """Write ``count`` squares of these images that touch no box; returns their images (COCO)."""
    rng, squares = np.random.default_rng(0), []
    folder.mkdir(parents=True, exist_ok=True)
    while len(squares) < count:
        image, path = images[rng.integers(len(images))], folder / f'{len(squares):03d}.png'
        side = int(min(image['width'], image['height']) * rng.uniform(0.25, 0.6))
        x, y = (int(rng.integers(image[key] - side)) for key in ('width', 'height'))
        boxes = [a['bbox'] for a in coco['annotations'] if a['image_id'] == image['id']]
        start, size = np.split(np.reshape(boxes, (-1, 4)), 2, axis=1)
        if ((start > (x + side, y + side)) | (start + size < (x, y))).any(1).all():
            cv2.imwrite(str(path), cv2.imread(image['file_name'])[y : y + side, x : x + side])
            number = 10_000 + len(squares)
            squares.append(dict(id=number, file_name=str(path), width=side, height=side))
    return squares


def main(root):
    data, coco = ROOT / 'work_dirs/false_alarms' / root.name, {}
    for split in ('train', 'val'):
        coco[split] = read_json(root / f'coco_{split}.json')
        for image in coco[split]['images']:
            image['file_name'] = str(root.resolve() / split / image['file_name'])
    train, val = (coco[split]['images'] for split in coco)
    cut(coco['val'], val[len(val) // 2 :], 20, data / 'test')
    train += cut(coco['val'], val[: len(val) // 2], len(train) // 2, data / 'background')
    for split in coco:
        (data / f'coco_{split}.json').write_text(json.dumps(coco[split]))
    for what, left_out, epochs in (('without', True, 3), ('with', False, 2)):
        for seed in range(2):
            options = f'{FILTER}={left_out}', f'max_epochs={epochs}', f'randomness.seed={seed}'
            work, weights = data / f'{what}_{seed}', data / f'{what}_{seed}/epoch_{epochs}.pth'
            run(data, 'tools/train.py', CONFIG, '--work-dir', work, '--cfg-options', *options)
            detect = 'tools/image_demo.py', data / 'test', CONFIG, '--weights', weights
            run(data, *detect, '--out-dir', work)
            found = [json.loads(file.read_text())['scores'] for file in work.glob('preds/*')]
            low, high = (np.mean([np.sum(np.array(f) >= s) for f in found]) for s in (0.3, 0.5))
            print(f'{root.name}, {what} background images, seed {seed}: {low:.2f} per image'
                  f' from score 0.3, {high:.2f} from 0.5', flush=True)  # fmt: skip


if __name__ == '__main__':
    parser = make_parser(__doc__)
    parser.add_argument('roots', nargs='+', type=Path, help='data roots with COCO files')
    with report_errors():
        for folder in parser.parse_args().roots:
            main(folder)
