"""CPU time for each image and peak memory of data_tools/check_coco.py, which should both stay flat.

    python benchmarks/growth.py                (with 100 and with 10,000 images)

Every image is another one: noise of its own seed, 320 x 240, with four boxes.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from common import ROOT
from PIL import Image


def make(folder, count):
    """Write ``count`` images with four boxes each, and their COCO file."""
    (folder / 'images').mkdir()
    images, annotations = [], []
    for i in range(1, count + 1):
        cells = np.random.default_rng(i).integers(0, 255, (8, 10, 3), dtype=np.uint8)
        image = Image.fromarray(cells).resize((320, 240), Image.Resampling.BICUBIC)
        image.save(folder / f'images/{i}.jpg', quality=85)
        images.append(dict(id=i, file_name=f'{i}.jpg', width=320, height=240))
        for j in range(4):
            box = dict(bbox=[70 * j, 10, 60, 60], area=3600, iscrowd=0)
            annotations.append(dict(id=len(annotations) + 1, image_id=i, category_id=1, **box))
    coco = dict(images=images, annotations=annotations, categories=[dict(id=1, name='thing')])
    (folder / 'coco.json').write_text(json.dumps(coco))


if __name__ == '__main__':
    for count in (100, 10_000):
        with tempfile.TemporaryDirectory() as top:
            make(Path(top), count)
            command = [sys.executable, ROOT / 'data_tools/check_coco.py', f'{top}/coco.json']
            command += ['--images', f'{top}/images', '--out', f'{top}/out']
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
            _, status, usage = os.wait4(process.pid, 0)
        assert status == 0, 'check_coco.py failed'
        seconds, memory = usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1000
        each = f'{1000 * seconds / count:.2f} ms for each'
        print(f'{count} images: {seconds:.1f} s of CPU time, {each}; {memory:.0f} MB', flush=True)
