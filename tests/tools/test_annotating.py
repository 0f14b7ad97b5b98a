"""The whole circle of docs/annotating.md, with the commands that it prints."""

import json
import os
import re
import subprocess
from pathlib import Path

import hotcoco
import numpy as np
import pytest
from conftest import ROOT, write_small_config

from mmballoon.data.shapes import polygon_box
from mmballoon.data.via import read_via

ENGLISH, CHINESE = (
    (ROOT / f'docs/annotating{suffix}.md').read_text(encoding='utf-8') for suffix in ('', '.zh-CN')
)


def commands(text):
    return re.findall(r'```bash\n(.*?)```', text, re.S)


def test_the_same_commands_and_figures_in_both_languages():
    assert commands(ENGLISH) == commands(CHINESE)
    rows = [
        re.findall(r'[\d.]+', '\n'.join(re.findall(r'^\|.*', t, re.M))) for t in (ENGLISH, CHINESE)
    ]
    assert rows[0] == rows[1]


def correct(project, truth):
    """Do what a person does with a project (dict), who sees the true boxes {name: [box]}.

    A box that fits is ok, one that nearly fits is moved, another one is wrong, and what is missing is
    drawn. Returns how often each of these was done.
    """
    done = dict(ok=0, moved=0, wrong=0, drawn=0)
    for image in project['_via_img_metadata'].values():
        left = list(truth[image['filename']])
        regions = [
            r for r in image['regions'] if r['region_attributes'].get('status') == 'suggested'
        ]
        for region in regions:
            shape = region['shape_attributes']
            box = np.array([[shape[k] for k in ('x', 'y', 'width', 'height')]], float)
            ious = hotcoco.mask.iou(box, np.reshape(left, (-1, 4)), [False] * len(left))
            best = ious.max(initial=0)
            region['region_attributes']['status'] = 'ok' if best > 0.5 else 'wrong'
            true = left.pop(ious.argmax()) if best > 0.5 else None
            if 0.5 < best < 0.8:
                shape.update(zip(('x', 'y', 'width', 'height'), true))
            done['wrong' if best <= 0.5 else 'moved' if best < 0.8 else 'ok'] += 1
        if regions or not image['regions']:
            for box in left:
                shape = dict(zip(('x', 'y', 'width', 'height'), box), name='rect')
                image['regions'].append(
                    dict(shape_attributes=shape, region_attributes={'status': 'ok'})
                )
                done['drawn'] += 1
    return done


def boxes(entries):
    return {e.filename: [polygon_box(r.outlines[0]) for r in e.regions] for e in entries}


@pytest.mark.slow
def test_the_whole_circle(tmp_path):
    for name in ('tools', 'data_tools'):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / 'configs').mkdir()
    write_small_config(tmp_path / 'configs/my_rtmdet_tiny_toy.py', 192)
    python = Path(os.environ['FORKING_PYTHON'])
    path = f'{python.parent}:{os.environ["PATH"]}'
    env = dict(os.environ, CUDA_VISIBLE_DEVICES='', PATH=path)

    def bash(text):
        return subprocess.run(
            ['bash', '-ec', text], cwd=tmp_path, env=env, capture_output=True, text=True
        )

    first, second = commands(ENGLISH)[:2]
    done = bash(first)
    assert done.returncode == 0, done.stderr
    file, truth = (
        tmp_path / 'data/more/round2.json',
        read_via(tmp_path / 'data/more/train/via_region_data.json')[0],
    )
    done = bash(second)  # nobody has looked at the suggestions
    assert done.returncode == 2 and 'in 20 images are not reviewed' in done.stderr, done.stderr
    project = json.loads(file.read_text(encoding='utf-8'))
    assert len(project['_via_img_metadata']) == 40
    work = correct(project, boxes(truth))
    file.write_text(json.dumps(project), encoding='utf-8')
    done = bash(second)
    assert done.returncode == 0, done.stderr
    coco = json.loads((tmp_path / 'data/more/coco_train.json').read_text())
    assert len(coco['annotations']) == sum(len(entry.regions) for entry in truth)
    scores = []
    for name in ('round1', 'round2'):
        (log,) = (tmp_path / 'work_dirs' / name).glob('*/vis_data/scalars.json')
        rows = map(json.loads, log.read_text().splitlines())
        scores.append([row['coco/bbox_mAP'] for row in rows if 'coco/bbox_mAP' in row][-1])
    print('mAP after round 1 and 2:', *scores, work)
    assert work['ok'] > work['drawn'] and min(scores) > 0.5
