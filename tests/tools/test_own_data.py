"""The README's "Your own data", followed literally: a VIA 2 project of three classes that are no balloons."""

import json
import re
import shutil

import cv2
import numpy as np
import pytest
from conftest import ROOT, run, write_small_config

NAMES = {'1': 'ball', '2': 'mug', '3': 'tile'}


def render(folder, count):
    """Pictures of balls (discs), mugs (boxes with a handle) and tiles (squares) on noise, and their
    VIA 2 project file.
    """
    folder.mkdir(parents=True)
    rng, metadata = np.random.default_rng(0), {}
    for i in range(count):
        image = np.uint8(cv2.GaussianBlur(rng.uniform(0, 255, (240, 320, 3)), (0, 0), 9) * 0.9)
        regions = []
        for slot in rng.permutation(3)[: rng.integers(1, 4)]:
            x, y, r = int(55 + 100 * slot), int(rng.integers(70, 170)), int(rng.integers(22, 40))
            color = tuple(int(c) for c in rng.integers(120, 255, 3))
            kind = '123'[rng.integers(3)]
            shape = dict(name='rect', x=x - r, y=y - r, width=2 * r, height=2 * r)
            if kind == '1':
                cv2.circle(image, (x, y), r, color, -1, cv2.LINE_AA)
                shape = dict(name='circle', cx=x, cy=y, r=r)
            elif kind == '2':
                cv2.rectangle(image, (x - r, y - r), (x + r // 2, y + r), color, -1)
                cv2.circle(image, (x + r // 2, y), r // 2, color, 5, cv2.LINE_AA)
            else:
                cv2.rectangle(image, (x - r, y - r), (x + r, y + r), color, -1)
            regions.append(dict(shape_attributes=shape, region_attributes={'type': kind}))
        path = folder / f'{i:02d}.png'
        cv2.imwrite(str(path), image)
        size = path.stat().st_size
        metadata[path.name] = dict(filename=path.name, size=size, regions=regions)
    attributes = {'region': {'type': dict(type='radio', options=NAMES)}, 'file': {}}
    project = dict(_via_settings={}, _via_img_metadata=metadata, _via_attributes=attributes)
    (folder / 'my project.json').write_text(json.dumps(project))


@pytest.mark.slow
def test_three_classes_from_via_to_the_report_without_a_download(tmp_path):
    section = re.search(r'## Your own data\n(.*?)\n## ', (ROOT / 'README.md').read_text(), re.S)[1]
    blocks = re.findall(r'```bash\n(.*?)```', section, re.S)
    lines = [line for block in blocks for line in block.splitlines()]
    (root,) = [line.split('=')[1] for line in lines if line.startswith('export BALLOON_ROOT=')]
    commands = [line.split()[1:] for line in lines if line.startswith('python ')]
    assert len(commands) == 4 and f'{root}/photos' in commands[0]
    for folder in ('configs', 'data_tools', 'tools'):
        ignored = shutil.ignore_patterns('__pycache__')
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignored)
    write_small_config(tmp_path / 'configs/my_rtmdet_tiny_toy.py', 192, base='.')
    render(tmp_path / root / 'photos', 40)

    outputs = []
    for i, command in enumerate(commands):
        if i == 2:  # change the line of class names to what the converter printed: the only edit
            config = tmp_path / 'configs/my_rtmdet_tiny.py'
            (names,) = re.findall(r"^for the config: (classes=\('ball', .*\))$", outputs[0], re.M)
            text, count = re.subn(r'classes=\(.balloon., \)', names, config.read_text())
            assert count == 1
            config.write_text(text)
        if '*' in command[-1]:
            (found,) = tmp_path.glob(command[-1])
            command[-1] = str(found.relative_to(tmp_path))
        done = run(*command, env=dict(BALLOON_ROOT=root), cwd=tmp_path)
        assert 'does not name' not in done.stdout and 'in no annotation file' not in done.stdout
        outputs.append(done.stdout)
    assert 'skipped' not in outputs[0] and '32 images' in outputs[0] and '8 images' in outputs[0]
    assert 'No duplicates between train and val' in outputs[1]
    score = re.findall(r'coco/bbox_mAP: ([0-9.]+)', outputs[3])[-1]
    print(f"three classes of one's own: mAP {score}")
    assert float(score) > 0.6, outputs[3][-1500:]
    # README, "How good is it, and where does it fail?"
    done = run('tools/report.py', *commands[3][1:], env=dict(BALLOON_ROOT=root), cwd=tmp_path)
    page = (tmp_path / 'outputs/report/report.html').read_text()
    assert all(f'<bdi>{name}</bdi>' in page for name in NAMES.values()), done.stdout
    # The figure is one of classes, not of boxes alone: with another name for each object, it falls.
    file = tmp_path / root / 'coco_val.json'
    coco = json.loads(file.read_text())
    for category, name in zip(coco['categories'], ('mug', 'tile', 'ball')):
        category['name'] = name
    file.write_text(json.dumps(coco))
    done = run(*commands[3], env=dict(BALLOON_ROOT=root), cwd=tmp_path)
    other = re.findall(r'coco/bbox_mAP: ([0-9.]+)', done.stdout)[-1]
    assert float(other) < float(score) / 2, (score, other)
