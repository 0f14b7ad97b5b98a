"""Suggestions, with a detector that returns what the test says."""

import hashlib
import json
import os
import runpy
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from mmballoon import suggest as module
from mmballoon.cli import UserError
from mmballoon.suggest import choose_threshold, in_order, outline, suggest


def region(score, box=(1, 2, 30, 40)):
    return dict(label='ball', score=score, status='suggested', box=list(box), outline=None)


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Four images: sure.png, unsure.png, its copy, and one that is annotated; a function to suggest."""
    folder, rng = tmp_path / 'photos', np.random.default_rng(0)
    (folder / 'two').mkdir(parents=True)
    images = [rng.integers(0, 255, (60, 80, 3), np.uint8) for _ in range(3)]
    scores = {int(image[0, 0, 0]): [0.97, 0.03] for image in images}
    scores[int(images[1][0, 0, 0])] = [0.5, 0.2]
    names = ['sure.png', 'two/unsure ü.png', 'two/copy.png', 'old.png']
    for name, image in zip(names, [images[0], images[1], images[1], images[2]]):
        cv2.imwrite(str(folder / name), image)
    entry = dict(filename='old.png', size=9, regions=[], file_attributes={})
    (tmp_path / 'via.json').write_text(json.dumps({'old.png9': entry}))

    def detector(args):
        return lambda image: [region(s) for s in scores[int(image[0, 0, 0])]], ['ball', 'mug']

    monkeypatch.setattr(module, 'load_detector', detector)

    def run(**changes):
        args = dict(images=folder, model='c.py', weights=None, format='via', top=None, device=None)
        args |= dict(out=tmp_path / 'out.json', extend=tmp_path / 'via.json')
        args |= dict(class_attribute='class', pred_score_thr=None)
        args = SimpleNamespace(**(args | changes))
        return args, list(suggest(args))

    return run


def test_via_in_order_without_the_annotated_image(photos):
    args, lines = photos()
    project = json.loads(args.out.read_text(encoding='utf-8'))
    order = [project['_via_img_metadata'][key] for key in project['_via_image_id_list']]
    names = [entry['filename'] for entry in order]
    assert names == ['two/copy.png', 'sure.png', 'two/unsure ü.png', 'old.png']
    assert [len(entry['regions']) for entry in order] == [1, 1, 1, 0]
    assert lines.pop(0).startswith('note: 1 images have another size in bytes than in ')
    assert lines[0] == '3 suggestions in 3 of 3 images without annotations'
    assert 'minimum score 0.30 (there is no report' in lines[1]


def test_an_image_of_the_same_name_in_another_folder_is_new(photos, tmp_path):
    (tmp_path / 'photos/one').mkdir()
    (tmp_path / 'photos/old.png').rename(tmp_path / 'photos/one/old.png')
    image = cv2.imread(str(tmp_path / 'photos/sure.png'))
    cv2.imwrite(str(tmp_path / 'photos/two/old.png'), image[:30])
    with pytest.raises(UserError, match='old.png could be one/old.png or two/old.png'):
        photos()
    entry = dict(filename='old.png', regions=[], file_attributes={})
    entry['size'] = (tmp_path / 'photos/one/old.png').stat().st_size
    (tmp_path / 'via.json').write_text(json.dumps({'key': entry}))
    args, lines = photos()
    assert lines[0].endswith('of 4 images without annotations')
    assert 'two/old.png' in args.out.read_text(encoding='utf-8')


def test_the_best_n_images_and_another_threshold(photos):
    args, lines = photos(top=1, pred_score_thr=0.1, extend=None)
    project = json.loads(args.out.read_text(encoding='utf-8'))
    (entry,) = project['_via_img_metadata'].values()
    assert entry['filename'] == 'two/copy.png' and len(entry['regions']) == 2


def test_nothing_is_replaced_and_mistakes_end_in_one_line(photos, tmp_path):
    args, _ = photos()
    with pytest.raises(UserError, match='out.json: exists; next: choose another --out'):
        photos()
    with pytest.raises(UserError, match='nowhere: no such folder; next: '):
        photos(images=tmp_path / 'nowhere', out=tmp_path / 'b')
    (tmp_path / 'photos/broken.png').write_bytes(b'no image')
    with pytest.raises(UserError, match='broken.png: not a readable image'):
        photos(out=tmp_path / 'b')


def test_no_file_of_labelme_for_two_images(photos, tmp_path):
    (tmp_path / 'photos/sure.bmp').write_bytes((tmp_path / 'photos/old.png').read_bytes())
    with pytest.raises(UserError, match='would have one file'):
        photos(format='labelme', extend=None)
    assert not (tmp_path / 'out.json').exists()


def test_a_name_that_is_not_in_utf8_is_said_before_anything_is_detected(
    photos, tmp_path, monkeypatch
):
    monkeypatch.setattr(module, 'load_detector', None)
    path = tmp_path / 'photos' / os.fsdecode(b'\xff.png')
    path.write_bytes((tmp_path / 'photos/sure.png').read_bytes())
    with pytest.raises(UserError, match='its name is not in UTF-8; next: rename it'):
        photos()


def test_an_image_that_the_loader_cannot_read(photos, tmp_path, monkeypatch):
    monkeypatch.setattr(cv2, 'imdecode', lambda data, flags: None)
    with pytest.raises(UserError, match='not a readable image'):
        photos()


@pytest.mark.parametrize(
    'option, line',
    [
        (('--top', '0'), '--top takes a number of images'),
        (('--top', '-1'), '--top takes a number of images'),
        (('--class-attribute', 'status'), 'status is an attribute that suggestions have'),
    ],
)
def test_mistaken_options(option, line, capsys, monkeypatch):
    command = Path(__file__).parents[2] / 'tools/suggest_annotations.py'
    monkeypatch.setattr('sys.argv', [str(command), 'photos', 'model.onnx', *option])
    with pytest.raises(SystemExit):
        runpy.run_path(str(command), run_name='__main__')
    assert line in capsys.readouterr().err


def test_coco_and_labelme_carry_the_mark(photos, tmp_path):
    args, _ = photos(format='coco', out=tmp_path / 'c.json', extend=None, top=2)
    coco = json.loads(args.out.read_text(encoding='utf-8'))
    assert [a['attributes']['status'] for a in coco['annotations']] == ['suggested'] * 2
    assert coco['annotations'][0]['bbox'] == [1, 2, 29, 38]
    assert coco['annotations'][0]['area'] == 29 * 38
    assert [c['name'] for c in coco['categories']] == ['ball', 'mug']
    args, _ = photos(format='labelme', out=tmp_path / 'labels', extend=None)
    label = json.loads((tmp_path / 'labels/two/copy.json').read_text(encoding='utf-8'))
    assert label['imagePath'] == '../../photos/two/copy.png'.replace('/', module.os.sep)
    assert label['shapes'][0]['points'] == [[1, 2], [30, 40]]
    assert label['shapes'][0]['flags'] == {'suggested': True}


def test_the_threshold_of_a_report_counts_only_for_its_own_weights(tmp_path, monkeypatch):
    weights, report = tmp_path / 'a.pth', tmp_path / 'report.json'
    weights.write_bytes(b'weights')
    monkeypatch.setattr(module, 'REPORT', report)
    digest = hashlib.sha256(b'weights').hexdigest()
    args = SimpleNamespace(pred_score_thr=None, weights=weights)
    for known, expected in ((digest, 0.41), ('0' * 64, 0.3)):
        made = dict(checkpoint_sha256=known)
        report.write_text(json.dumps(dict(made=made, threshold=dict(threshold=0.41))))
        assert choose_threshold(args)[0] == expected


@pytest.mark.parametrize('radius', [3, 30, 300])
def test_an_outline_has_few_points_and_lies_on_the_border(radius):
    size = 2 * radius + 10
    mask = np.zeros((size, size), np.uint8)
    cv2.circle(mask, (size // 2, size // 2), radius, 1, -1)
    mask[0, 0] = 1  # another part, which is smaller
    points = np.reshape(outline(mask.astype(bool)), (-1, 2))
    assert 3 <= len(points) <= 40
    distance = np.hypot(*(points - (size // 2 + 0.5)).T)
    assert np.abs(distance - radius).max() <= 1
    redrawn = np.zeros_like(mask)
    cv2.fillPoly(redrawn, [np.int32(points - 0.5)], 1)
    assert (redrawn ^ mask).sum() <= 0.03 * mask.sum() + 2 * np.pi * radius


def test_no_outline_of_nothing():
    assert outline(np.zeros((9, 9), bool)) is None


def test_order_is_the_expected_number_of_wrong_detections(tmp_path):
    rng, found = np.random.default_rng(1), {}
    for name, scores in dict(a=[0.9] * 3, b=[0.5], c=[0.45, 0.6], d=[]).items():
        cv2.imwrite(str(tmp_path / f'{name}.png'), rng.integers(0, 255, (40, 40, 3), np.uint8))
        found[f'{name}.png'] = [region(score) for score in scores]
    assert in_order(tmp_path, found) == ['c.png', 'b.png', 'a.png', 'd.png']
