"""CPU time for each image and peak memory of the check before training: both should stay flat.

    python benchmarks/growth.py                     (with 100 and with 10,000 images)
    python benchmarks/growth.py 100 1000

Each check runs in a process of its own. Every image is another one: noise of its own seed, 320 x 240.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

CHECK = Path(__file__).parents[1] / 'data_tools/check_coco.py'


def make(folder, count):
    """Write ``count`` images with four boxes each, and their COCO file."""
    (folder / 'images').mkdir()
    images, annotations = [], []
    for i in range(1, count + 1):
        cells = np.random.default_rng(i).integers(0, 255, (8, 10, 3), dtype=np.uint8)
        picture = Image.fromarray(cells).resize((320, 240), Image.Resampling.BICUBIC)
        picture.save(folder / f'images/{i}.jpg', quality=85)
        images.append(dict(id=i, file_name=f'{i}.jpg', width=320, height=240))
        for j in range(4):
            box = dict(bbox=[70 * j, 10, 60, 60], area=3600, iscrowd=0)
            annotations.append(dict(id=len(annotations) + 1, image_id=i, category_id=1, **box))
    coco = dict(images=images, annotations=annotations, categories=[dict(id=1, name='thing')])
    (folder / 'coco.json').write_text(json.dumps(coco))


def main(counts):
    print(f'{"images":>8}{"CPU s":>10}{"ms each":>10}{"peak MB":>10}')
    for count in map(int, counts or (100, 10_000)):
        with tempfile.TemporaryDirectory() as top:
            make(Path(top), count)
            command = [
                CHECK,
                f'{top}/coco.json',
                '--images',
                f'{top}/images',
                '--out',
                f'{top}/out',
            ]
            process = subprocess.Popen([sys.executable, *command], stdout=subprocess.DEVNULL)
            _, status, usage = os.wait4(process.pid, 0)
            if status:
                raise SystemExit('check_coco.py failed')
            seconds, memory = usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1000
            each = 1000 * seconds / count
            print(f'{count:>8}{seconds:>10.1f}{each:>10.2f}{memory:>10.0f}', flush=True)


if __name__ == '__main__':
    main(sys.argv[1:])
