"""Cut the annotated aerial images that the package deepforest ships (MIT licence) into a small dataset of trees.

    pip download --no-deps deepforest==2.1.0
    python benchmarks/trees.py deepforest-2.1.0-py3-none-any.whl data/trees
    python data_tools/import_annotations.py data/trees/train
    python data_tools/import_annotations.py data/trees/val

Training and validation tiles come from different images, so no tree is in both.
"""

import sys
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np

SPLITS = dict(
    train=['2019_YELL_2_528000_4978000_image_crop2'],
    val=['2019_YELL_2_541000_4977000_image_crop', 'OSBS_029'],
)
TILE = 400  # pixels


def cut(image, annotation, folder, stem):
    """Write the whole tiles of an image, (H, W, 3) uint8, as PNG and Pascal VOC files into ``folder`` (Path).

    A tree of which a tile holds less than half is not annotated there.
    """
    height, width = image.shape[:2]
    for y in range(0, height - TILE + 1, TILE):
        for x in range(0, width - TILE + 1, TILE):
            root = ElementTree.fromstring(annotation)
            root.find('filename').text = f'{stem}_{y}_{x}.png'
            root.find('size/width').text = root.find('size/height').text = str(TILE)
            for tree in root.findall('object'):
                sides = [tree.find(f'bndbox/{name}') for name in ('xmin', 'ymin', 'xmax', 'ymax')]
                box = np.float64([side.text for side in sides]) - (x, y, x, y)
                inside = np.clip(box, 0, TILE)
                if np.prod(inside[2:] - inside[:2]) < 0.5 * np.prod(box[2:] - box[:2]):
                    root.remove(tree)
                for side, value in zip(sides, inside):
                    side.text = str(value)
            ElementTree.ElementTree(root).write(folder / f'{stem}_{y}_{x}.xml')
            tile = image[y : y + TILE, x : x + TILE]
            cv2.imwrite(str(folder / f'{stem}_{y}_{x}.png'), tile)


def main(wheel, out):
    archive = zipfile.ZipFile(wheel)
    for split, stems in SPLITS.items():
        folder = Path(out) / split
        folder.mkdir(parents=True)
        for stem in stems:
            data = np.frombuffer(archive.read(f'deepforest/data/{stem}.png'), np.uint8)
            image = cv2.imdecode(data, cv2.IMREAD_COLOR)
            cut(image, archive.read(f'deepforest/data/{stem}.xml'), folder, stem)


if __name__ == '__main__':
    main(*sys.argv[1:])
