"""CPU time for each image and peak memory of commands that take many images: both should stay flat.

    python benchmarks/growth.py check_coco                        (with 100 and with 10,000 images)
    python benchmarks/growth.py onnx_demo --model small.onnx      (small: export_onnx.py --img-size 64)
    python benchmarks/growth.py image_demo --model CONFIG --images 100 1000

Each command runs in a process of its own. Every image is another one: noise of its own seed, 320 x 240.
"""

import json
import os
import subprocess
import sys
import tempfile
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[1]
# Name -> what is typed behind "python"; {data} holds images/ and coco.json, {out} is empty.
COMMANDS = dict(
    check_coco='data_tools/check_coco.py {data}/coco.json --images {data}/images --out {out}',
    onnx_demo='tools/onnx_demo.py {data}/images {model} --out-dir {out}',
    image_demo='tools/image_demo.py {data}/images {model} --out-dir {out}',
)


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


def main(argv=None):
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument('command', choices=COMMANDS)
    parser.add_argument('--images', nargs='+', type=int, default=[100, 10_000], help='%(default)s')
    parser.add_argument('--model', help='ONNX file, or config, of a demo')
    args = parser.parse_args(argv)
    print(f'{args.command}: {"images":>8}{"CPU s":>10}{"ms each":>10}{"peak MB":>10}')
    for count in args.images:
        with tempfile.TemporaryDirectory() as top:
            make(Path(top), count)
            typed = COMMANDS[args.command].format(data=top, out=f'{top}/out', model=args.model)
            command = [sys.executable, *typed.split()]
            process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
            _, status, usage = os.wait4(process.pid, 0)
            if status:
                raise SystemExit(f'{typed} failed')
            seconds, memory = usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1000
            each = 1000 * seconds / count
            print(f'{count:>20}{seconds:>10.1f}{each:>10.2f}{memory:>10.0f}', flush=True)


if __name__ == '__main__':
    main()
