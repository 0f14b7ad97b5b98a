"""The benchmarks run and print what they promise; how fast it is here is nobody's test."""

import json
import os
import re
import subprocess
from collections import Counter

import annotation_cost
import cv2
import false_alarms
import forecast
import gpu
import inference
import label_errors
import numpy as np
import other_objects
import pytest
from conftest import ROOT, run

from mmballoon.export import onnx_file


def check_model_benchmark(printed):
    assert float(re.search(r': ([0-9.]+) GFLOP;', printed)[1]) > 0.1
    assert re.search(
        r'ours: [0-9.]+ times as fast as upstream \([0-9.]+ to [0-9.]+ over 2 repeats\)', printed
    ), printed


def test_train_step_benchmark():
    options = ['--size', 64, '--repeats', 2, '--batch-size', 2]
    check_model_benchmark(run('benchmarks/train_step.py', *options).stdout)


@pytest.mark.slow
def test_inference_benchmark(exported, capsys, monkeypatch):
    """Without building a file, which takes long: that of the tests is for as many pixels."""
    monkeypatch.setattr(onnx_file, 'build', lambda model: exported.read_bytes())
    inference.main(['--size', '128', '--repeats', '2'])
    printed = capsys.readouterr().out
    check_model_benchmark(printed)
    assert 'ONNX Runtime, file' in printed and 'ONNX Runtime, 8-bit file' in printed


def test_pipeline_benchmark(tiny_data):
    out = run(
        'benchmarks/pipeline.py', '--data-root', tiny_data.root, '--samples', '4', '--repeats', '1'
    ).stdout
    stages = re.findall(r'^(.*): upstream [0-9.]+ ms per image, ours', out, re.M)
    assert stages == ['stage 1', 'stage 2', 'masks, stage 1', 'masks, stage 2']


def gpu_report(out, *options):
    """Run benchmarks/gpu.sh with CUDA hidden; returns {title: section} of gpu.json, and gpu.md."""
    env = dict(os.environ, PY=os.environ['FORKING_PYTHON'], CUDA_VISIBLE_DEVICES='')
    command = ['bash', ROOT / 'benchmarks/gpu.sh', '--work', '0.01', '--out', out, *options]
    subprocess.run([str(part) for part in command], env=env, check=True, timeout=3600)
    (folder,) = out.iterdir()
    return json.loads((folder / 'gpu.json').read_text()), (folder / 'gpu.md').read_text()


@pytest.mark.slow
def test_all_sections_of_the_gpu_report_on_the_cpu(tiny_data, tmp_path):
    options = ['--minutes', 60, '--data', tiny_data.root]
    sections, report = gpu_report(tmp_path, *options)
    assert {section['status'] for section in sections.values()} == {'finished'}, report
    assert 'FAILED' not in report, report
    for text in (
        'ok roi_align on cpu', 'ok detections on cpu', 'ok torchrun', 'ok resume what the CPU',
        'times as fast as upstream', 'loader alone, 1 workers', 'figure 2 epochs', 'ok yolox',
    ):  # fmt: skip
        assert text in report


def test_what_the_gpu_report_has_no_time_for_is_named(tiny_data, tmp_path):
    sections, report = gpu_report(tmp_path, '--minutes', 0, '--data', tiny_data.root)
    assert {section['status'] for section in sections.values()} == {'not run'}
    assert [f'## {title}: not run, 0 s' in report for title in sections] == [True] * 6


def test_photographs_that_travel_are_smaller(tiny_data, tmp_path, monkeypatch):
    monkeypatch.setattr(gpu, 'LONG_SIDE', 160)
    gpu.main(['shrink', '--data', str(tiny_data.root), '--out', str(tmp_path)])
    for split in ('train', 'val'):
        old, new = (
            json.loads((root / f'coco_{split}.json').read_text())
            for root in (tiny_data.root, tmp_path)
        )
        sizes = {image['id']: (image['width'], image['height']) for image in old['images']}
        for image in new['images']:
            picture = cv2.imread(str(tmp_path / split / image['file_name']))
            assert (
                picture.shape[:2] == (image['height'], image['width']) and max(picture.shape) == 160
            )
        small = {image['id']: (image['width'], image['height']) for image in new['images']}
        for before, after in zip(old['annotations'], new['annotations'], strict=True):
            key = before['image_id']
            scale = np.divide(small[key], sizes[key])
            points = np.reshape(before['segmentation'][0], (-1, 2)) * scale
            np.testing.assert_allclose(after['bbox'], np.multiply(before['bbox'], [*scale, *scale]))
            np.testing.assert_allclose(after['area'], before['area'] * scale.prod())
            np.testing.assert_allclose(after['segmentation'][0], points.ravel())


def test_work_that_suggestions_leave():
    """One fits, one is moved by more than a tenth of its width, one is wrong; two objects are missing."""
    true = np.array([[10, 10, 40, 40], [100, 10, 40, 40], [200, 10, 40, 40], [10, 90, 9, 9]], float)
    found = np.array([[13, 10, 40, 42], [105, 10, 40, 40], [300, 10, 40, 40]], float)
    assert annotation_cost.steps(found, true) == [2, 1, 1]
    assert annotation_cost.steps(found, []) == [0, 3, 0]


def test_background_squares_touch_no_box(tmp_path):
    """A white image with a black box: every square that is cut from it is white."""
    picture = np.full((120, 160, 3), 255, np.uint8)
    picture[40:80, 30:90] = 0
    cv2.imwrite(str(tmp_path / 'a.png'), picture)
    image = dict(id=7, file_name=str(tmp_path / 'a.png'), width=160, height=120)
    coco = dict(annotations=[dict(image_id=7, bbox=[30, 40, 60, 40])])
    squares = false_alarms.cut(coco, [image], 30, tmp_path / 'squares')
    assert len({square['id'] for square in squares}) == 30
    for square in squares:
        cut = cv2.imread(square['file_name'])
        assert cut.shape[:2] == (square['height'], square['width']) and cut.min() == 255


def test_the_forecast_is_judged_on_its_own_images(tmp_path, monkeypatch):
    """folder/half has half of the images; mAP counts theirs: found in image 1, missed in image 2."""
    monkeypatch.setattr(forecast, 'IMAGES', dict(train=2, val=1))
    forecast.render(tmp_path, seed=3)
    for split, count in forecast.IMAGES.items():
        whole, half = (
            forecast.read(tmp_path / f'{name}/coco_{split}.json') for name in ('all', 'half')
        )
        assert whole['images'][:count] == half['images'] and len(whole['images']) == 2 * count
        assert {a['image_id'] for a in half['annotations']} == {i['id'] for i in half['images']}

    images = [dict(id=i, file_name=f'{i}.jpg', width=100, height=100) for i in (1, 2)]
    box = dict(bbox=[10, 10, 50, 50], category_id=1)
    boxes = [dict(box, id=i, image_id=i, area=2500, iscrowd=0) for i in (1, 2)]
    data = dict(images=images, annotations=boxes, categories=[dict(id=1, name='balloon')])
    (tmp_path / 'test.json').write_text(json.dumps(data))
    (tmp_path / 'predictions.json').write_text(json.dumps([dict(box, image_id=1, score=0.9)]))
    for names, value in (('1.jpg', 1.0), ('2.jpg', 0.0)):
        assert forecast.mean_ap(tmp_path, {names}) == pytest.approx(value)


def test_planted_label_errors_count_once():
    """Suggestions that show each planted error twice, and one that shows none."""
    images = [dict(id=i, file_name=f'{i}.jpg', width=640, height=640) for i in range(12)]
    boxes = [[x, y, 60, 60] for x in (20, 300) for y in (20, 300)]
    rows = [
        dict(image_id=i, bbox=box, category_id=1, iscrowd=0) for i in range(12) for box in boxes
    ]
    data = dict(images=images, annotations=[dict(row) for row in rows])
    planted = label_errors.plant(data, np.random.default_rng(0))
    assert Counter(kind for kind, _, _ in planted) == label_errors.KINDS
    changed = [a for a in data['annotations'] if a['category_id'] == 2 and a['bbox'] in boxes]
    assert len(changed) == 7 and len(data['annotations']) == len(rows)  # 8 removed, 8 invented
    found = [dict(a, truth=None) for _, _, a in planted]
    nothing = dict(image_id=0, bbox=[500, 500, 9, 9], iscrowd=0, truth=None)
    names = {image['id']: image['file_name'] for image in images}
    kinds = label_errors.shown([nothing, *found, *found], planted, names)
    assert kinds == [None, *[kind for kind, _, _ in planted], *[None] * 30]


def test_no_label_errors_are_planted_into_other_annotations(tmp_path, monkeypatch):
    monkeypatch.setattr(label_errors, 'run', lambda *_: pytest.fail('it began'))
    (tmp_path / 'data').mkdir()
    with pytest.raises(SystemExit):
        label_errors.main(['--work-dir', str(tmp_path)])


@pytest.mark.parametrize('thing', ['qr', 'domino'])
def test_other_objects(thing, tmp_path, monkeypatch):
    """Boxes and outlines are in the image, and every photograph is in one split."""
    monkeypatch.setattr(other_objects, 'IMAGES', dict(train=3, val=2))
    (tmp_path / 'photographs').mkdir()
    for i, colour in enumerate((0, 255)):
        image = np.full((900, 900, 3), colour, np.uint8)
        cv2.imwrite(str(tmp_path / f'photographs/{i}.jpg'), image)
    other_objects.main([thing, str(tmp_path / 'photographs'), str(tmp_path / 'data')])
    own = tmp_path / 'own/coco_train.json'
    own.parent.mkdir()
    own.write_text('mine')
    with pytest.raises(SystemExit):  # the folder is somebody's
        other_objects.main([thing, str(tmp_path / 'photographs'), str(own.parent)])
    assert own.read_text() == 'mine'
    shades = set()
    for split, count in (('train', 3), ('val', 2)):
        coco = json.loads((tmp_path / f'data/coco_{split}.json').read_text())
        assert len(coco['images']) == count and coco['categories'][0]['name'] == thing
        for a in coco['annotations']:
            x, y, width, height = a['bbox']
            assert x >= 0 and y >= 0 and x + width <= 800 and y + height <= 600
            corners = np.concatenate(a['segmentation']).reshape(-1, 2)
            assert (corners.min(0) == (x, y)).all() and (
                corners.max(0) == (x + width - 1, y + height - 1)
            ).all()
        first = cv2.imread(str(tmp_path / f'data/{split}/001.jpg'))
        shades.add(round(np.median(first) / 255))
    assert shades == {0, 1}
