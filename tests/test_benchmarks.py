"""The benchmarks run and print what they promise; how fast it is here is nobody's test."""

import os
import re
import shutil
import subprocess
import zipfile
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
import trees
from conftest import ROOT, run


@pytest.mark.parametrize(
    'script, options', [('train_step', ['--batch-size', '2']), ('inference', [])]
)
def test_model_benchmarks(script, options):
    out = run(f'benchmarks/{script}.py', '--size', '64', '--repeats', '2', *options).stdout
    assert float(re.search(r': ([0-9.]+) GFLOP;', out)[1]) > 0.1
    assert re.search(
        r'ours: [0-9.]+ times as fast as upstream \([0-9.]+ to [0-9.]+ over 2 repeats\)', out
    ), out


def test_pipeline_benchmark(tiny_data):
    out = run(
        'benchmarks/pipeline.py', '--data-root', tiny_data.root, '--samples', '4', '--repeats', '1'
    ).stdout
    stages = re.findall(r'^(.*): upstream [0-9.]+ ms per image, ours', out, re.M)
    assert stages == ['stage 1', 'stage 2', 'masks, stage 1', 'masks, stage 2']


def test_the_gpu_report_with_pretended_programs(tmp_path):
    """python, make and nvidia-smi print what they would; the report has a section for each command."""
    waiting = '[ ! -e outputs/gpu.log ] || until [ -s outputs/busy.txt ]; do sleep 0.02; done\n'
    programs = {
        '.venv/bin/python': waiting
        + 'echo "Epoch(train) [1][ 5/8]  eta: 0:01  time: 0.0400  data_time: 0.01"',
        'bin/make': 'echo "mAP         0.593"; exit 3',
        'bin/nvidia-smi': '[[ "$*" != *loop* ]] || for _ in 1 2 3; do echo 95; done; sleep 0.2',
        'data/balloon/coco_train.json': '',
    }
    for name, lines in programs.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'#!/usr/bin/env bash\n{lines}\n')
        path.chmod(0o755)
    last = tmp_path / 'work_dirs/gpu_seed0/last_checkpoint'  # as MMEngine writes it
    last.parent.mkdir(parents=True)
    last.write_text('gpu_seed0/epoch_9.pth')
    (tmp_path / 'benchmarks').mkdir()
    shutil.copy(ROOT / 'benchmarks/gpu.sh', tmp_path / 'benchmarks')
    env = dict(os.environ, PATH=f'{tmp_path / "bin"}:{os.environ["PATH"]}')
    subprocess.run(['bash', tmp_path / 'benchmarks/gpu.sh'], env=env, check=True, timeout=60)
    report = (tmp_path / 'outputs/gpu.md').read_text()
    script = (ROOT / 'benchmarks/gpu.sh').read_text()
    sections = re.findall(r'^ *section .', script, re.M)
    assert report.count('\n## ') == len(sections) + 2  # three seeds in one line of the script
    main = report.split('## Main config, --amp, 200 epochs')[1].split('## ')[0]
    assert 'load_from=mmballoon://balloon`: status 0, ' in main
    assert '300.0 images per second' in main and 'GPU busy: 95 %' in main  # 12 images in 0.04 s
    assert 'mAP         0.593' in report and '`make demo`: status 3, ' in report


def test_trees_are_cut_into_tiles(tmp_path):
    """One tree is within the first tile; the other lies mostly in the second, and is cut at its edge."""
    boxes = '<bndbox><xmin>{}</xmin><ymin>10</ymin><xmax>{}</xmax><ymax>60</ymax></bndbox>'
    found = ''.join(f'<object>{boxes.format(x, x + 40)}</object>' for x in (20, 390))
    text = f'<annotation><filename/><size><width/><height/></size>{found}</annotation>'
    wheel, image = tmp_path / 'wheel.whl', np.zeros((400, 800, 3), np.uint8)
    with zipfile.ZipFile(wheel, 'w') as archive:
        for stem in sum(trees.SPLITS.values(), []):
            archive.writestr(
                f'deepforest/data/{stem}.png', cv2.imencode('.png', image)[1].tobytes()
            )
            archive.writestr(f'deepforest/data/{stem}.xml', text)
    trees.main(wheel, tmp_path / 'out')
    (stem,) = trees.SPLITS['train']
    for x, expected in ((0, [20, 60]), (400, [0, 30])):
        root = ElementTree.parse(tmp_path / f'out/train/{stem}_0_{x}.xml')
        edges = [float(root.find(f'object/bndbox/{side}').text) for side in ('xmin', 'xmax')]
        assert len(root.findall('object')) == 1 and edges == expected
        assert cv2.imread(str(tmp_path / f'out/train/{stem}_0_{x}.png')).shape == (400, 400, 3)
    assert len(list((tmp_path / 'out/val').glob('*.png'))) == 4
