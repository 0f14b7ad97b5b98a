"""The README's "Your own data", followed literally: a two-class VIA 2 project that is not about
balloons.
"""

import json
import re
import shutil

import cv2
import numpy as np
import pytest
from conftest import ROOT, run

OPTIONS = {'1': 'ball', '2': 'mug', '3': 'tile'}


def render(folder, count, tiles=False):
    """Pictures of balls (discs), mugs (boxes with a handle) and, if asked for, tiles (squares) on
    noise, and their VIA 2 project file.
    """
    folder.mkdir(parents=True)
    rng, metadata = np.random.default_rng(0), {}
    options = {key: name for key, name in OPTIONS.items() if tiles or name != 'tile'}
    for i in range(count):
        image = np.uint8(cv2.GaussianBlur(rng.uniform(0, 255, (240, 320, 3)), (0, 0), 9) * 0.9)
        regions = []
        for slot in rng.permutation(3)[: rng.integers(1, 4)]:
            x, y, r = int(55 + 100 * slot), int(rng.integers(70, 170)), int(rng.integers(22, 40))
            color = tuple(int(c) for c in rng.integers(120, 255, 3))
            kind = rng.random()
            if tiles and kind > 0.7:
                cv2.rectangle(image, (x - r, y - r), (x + r, y + r), color, -1)
                box = dict(name='rect', x=x - r, y=y - r, width=2 * r, height=2 * r)
                regions.append((box, {'type': '3'}))
            elif kind < 0.5:
                cv2.circle(image, (x, y), r, color, -1, cv2.LINE_AA)
                regions.append((dict(name='circle', cx=x, cy=y, r=r), {'type': '1'}))
            else:
                cv2.rectangle(image, (x - r, y - r), (x + r // 2, y + r), color, -1)
                cv2.circle(image, (x + r // 2, y), r // 2, color, 5, cv2.LINE_AA)
                regions.append(
                    (dict(name='rect', x=x - r, y=y - r, width=2 * r, height=2 * r), {'type': '2'})
                )
        path = folder / f'{i:02d}.png'
        cv2.imwrite(str(path), image)
        metadata[path.name] = dict(
            filename=path.name,
            size=path.stat().st_size,
            regions=[
                dict(shape_attributes=shape, region_attributes=attributes)
                for shape, attributes in regions
            ],
        )
    (folder / 'my project.json').write_text(
        json.dumps(
            {
                '_via_settings': {},
                '_via_img_metadata': metadata,
                '_via_attributes': {
                    'region': {'type': dict(type='radio', options=options)},
                    'file': {},
                },
            }
        )
    )


@pytest.mark.slow
def test_own_data_as_in_the_readme(tmp_path):
    section = re.search(r'## Your own data\n(.*?)\n## ', (ROOT / 'README.md').read_text(), re.S)[1]
    commands = [
        line
        for block in re.findall(r'```bash\n(.*?)```', section, re.S)
        for line in block.splitlines()
    ]
    (root,) = [
        line.removeprefix('export BALLOON_ROOT=') for line in commands if line.startswith('export')
    ]
    commands = [
        line.removeprefix('python ').split() for line in commands if line.startswith('python ')
    ]
    assert len(commands) == 4 and f'{root}/photos' in commands[0]
    for folder in ('configs', 'data_tools', 'tools'):
        shutil.copytree(
            ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns('__pycache__')
        )
    render(tmp_path / root / 'photos', 30)

    env, outputs = dict(BALLOON_ROOT=root), []
    for i, command in enumerate(commands):
        if i == 2:  # paste the class names: the only edit
            config = tmp_path / 'configs/my_rtmdet_tiny.py'
            (line,) = re.findall(r'^ +classes=.*,$', section, re.M)
            assert line.strip().removesuffix(',') in outputs[0]
            text, count = re.subn(r'^ +classes=.*$', line, config.read_text(), flags=re.M)
            assert count == 1
            config.write_text(text)
        if '*' in command[-1]:
            (found,) = tmp_path.glob(command[-1])
            command[-1] = str(found.relative_to(tmp_path))
        outputs.append(run(*command, env=env, cwd=tmp_path, timeout=1800).stdout)
    assert 'skipped' not in outputs[0] and '24 images' in outputs[0] and '6 images' in outputs[0]
    assert 'No duplicates between train and val' in outputs[1]
    scores = re.findall(r'coco/bbox_mAP: ([0-9.]+)', outputs[3])
    assert float(scores[-1]) > 0.3, outputs[3][-1500:]
    print(f"two classes of one's own: mAP {scores[-1]}")


@pytest.mark.slow
def test_three_own_classes_without_any_download(tmp_path):
    """What `make scratch` does, for classes of one's own: from VIA to the report, tiny."""
    for folder in ('configs', 'data_tools', 'tools'):
        shutil.copytree(
            ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns('__pycache__')
        )
    render(tmp_path / 'data/mine/photos', 12, tiles=True)
    config = tmp_path / 'configs/my_rtmdet_tiny.py'
    names = "classes=('ball', 'mug', 'tile')"
    config.write_text(config.read_text().replace("classes=('balloon', )", names))

    def command(*args):
        return run(*args, env=dict(BALLOON_ROOT='data/mine'), cwd=tmp_path, timeout=900)

    via = ('data/mine/photos', '--split', '0.75', '--class-attribute', 'type')
    assert names in command('data_tools/balloon2coco.py', *via).stdout
    few = ('--train', 8, '--val', 4, '--photos', 'data/mine', '--out', 'data/rendered')
    command('data_tools/make_toy_balloons.py', *few)
    kept = ('--data-root', 'data/rendered', '--class-attribute', 'class')
    command('data_tools/balloon2coco.py', *kept)
    found = json.loads((tmp_path / 'data/rendered/coco_train.json').read_text())
    assert {c['name'] for c in found['categories']} == {'balloon', 'ball', 'mug', 'tile'}

    options = ['--cfg-options', 'max_epochs=1', 'img_scale=(160,160)', 'num_workers=0']
    options += [f'{part}_dataloader.persistent_workers=False' for part in ('train', 'val')]
    log = command('tools/train.py', 'configs/my_rtmdet_tiny_scratch.py', *options)
    for line in ('is in no annotation file', 'does not name'):
        assert line not in log.stdout + log.stderr
    trained = ('configs/my_rtmdet_tiny_scratch.py', 'work_dirs/my_rtmdet_tiny_scratch/epoch_1.pth')
    results = tmp_path / 'results.pkl'
    tested = command('tools/test.py', *trained, '--out', results)
    assert 'the checkpoint was trained for' not in tested.stdout + tested.stderr
    assert results.is_file()  # after so few steps there may be no detection, and so no mAP
    command('tools/report.py', *trained, '--predictions', results)
    page = (tmp_path / 'outputs/report/report.html').read_text()
    assert all(f'<bdi>{name}</bdi>' in page for name in ('ball', 'mug', 'tile'))
