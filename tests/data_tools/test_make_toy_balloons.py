"""The renderer: byte-identical, in the original's layout, and honest about what can be seen."""

import json

import cv2
import make_toy_balloons as toy
import numpy as np
import pytest
from balloon2coco import main as convert

from mmballoon.data.via import read_via
from mmballoon.render.balloon_images import render
from mmballoon.render.balloons import draw_balloon, visible_outline
from mmballoon.render.scene import background, photograph


def test_same_seed_same_bytes_in_the_original_layout(tmp_path):
    for name in 'ab':
        toy.main(['--out', str(tmp_path / name), '--train', '2', '--val', '1', '--seed', '5'])
    files = sorted(
        p.relative_to(tmp_path / 'a') for p in (tmp_path / 'a').rglob('*') if p.is_file()
    )
    assert [str(f) for f in files] == [
        'train/toy_train_00000.jpg',
        'train/toy_train_00001.jpg',
        'train/via_region_data.json',
        'val/toy_val_00000.jpg',
        'val/via_region_data.json',
    ]
    assert all(
        (tmp_path / 'a' / f).read_bytes() == (tmp_path / 'b' / f).read_bytes() for f in files
    )
    toy.main(['--out', str(tmp_path / 'c'), '--train', '1', '--val', '1', '--seed', '6'])
    assert (tmp_path / 'c' / files[0]).read_bytes() != (tmp_path / 'a' / files[0]).read_bytes()

    via = json.loads((tmp_path / 'a/train/via_region_data.json').read_text())
    key, entry = next(iter(via.items()))
    assert set(entry) == {
        'fileref',
        'size',
        'filename',
        'base64_img_data',
        'file_attributes',
        'regions',
    }
    assert entry['size'] == (tmp_path / 'a/train' / entry['filename']).stat().st_size
    assert key == f'{entry["filename"]}{entry["size"]}' and set(entry['regions']) >= {'0'}
    shape = entry['regions']['0']['shape_attributes']
    assert shape['name'] == 'polygon' and shape['all_points_x'][0] == shape['all_points_x'][-1]
    assert len(read_via(tmp_path / 'a/train/via_region_data.json')[0]) == 2


def test_outlines_follow_what_is_seen():
    mask = np.zeros((60, 80), bool)
    mask[10:40, 20:60] = True
    xs, ys = visible_outline(mask)
    assert (min(xs), max(xs), min(ys), max(ys)) == (20, 59, 10, 39) and (xs[0], ys[0]) == (
        xs[-1],
        ys[-1],
    )
    mask[:, 30:] = False  # what stands in front takes its part
    assert max(visible_outline(mask)[0]) == 29
    assert visible_outline(np.zeros((60, 80), bool)) is None
    mask[:] = False
    mask[5:9, 5:9] = True  # smaller than MIN_SIDE
    assert visible_outline(mask) is None


@pytest.mark.parametrize('seed', range(6))
def test_balloons_look_unlike_what_was_there(seed):
    """Inside its outline a balloon has changed the picture."""
    rng = np.random.default_rng(seed)
    image = background(rng, 320, 240)
    before = image.copy()
    mask = draw_balloon(rng, image, np.array([160.0, 110.0]), 60, (0.6, -0.8))
    changed = np.abs(image.astype(int) - before).sum(2) > 12
    assert changed[mask].mean() > 0.8 and cv2.countNonZero(np.uint8(mask)) > 9000


@pytest.mark.parametrize('foreign', ['train/holiday.jpg', 'notes.txt', 'src/module.py'])
def test_a_folder_with_other_files_is_refused_and_left_as_it_is(tmp_path, capsys, foreign):
    (tmp_path / foreign).parent.mkdir(exist_ok=True)
    (tmp_path / foreign).write_text('mine')
    before = sorted(tmp_path.rglob('*'))
    with pytest.raises(SystemExit) as stop:
        toy.main(['--out', str(tmp_path), '--train', '1', '--val', '1'])
    assert stop.value.code == 2 and 'not a file of this command' in capsys.readouterr().err
    assert sorted(tmp_path.rglob('*')) == before


def test_on_photographs_annotated_objects_stay_annotated(tmp_path):
    """A photograph with one annotated square: it is found again, less what is painted over it."""
    photo = tmp_path / 'photo.png'
    cv2.imwrite(str(photo), np.full((300, 400, 3), 90, np.uint8))
    square = np.array([[100, 80], [260, 80], [260, 240], [100, 240]], float)
    rng, photos = np.random.default_rng(0), [(photo, [('cat', square)])]
    image, [(name, mask)] = photograph(rng, photos, 200, 150)
    assert image.shape == (150, 200, 3) and mask.shape == (150, 200) and name == 'cat'
    assert np.ptp(np.nonzero(mask)[1]) > 60  # 160 pixels at half size, or larger
    seen = [render(np.random.default_rng(i), photos)[1] for i in range(8)]
    assert all(seen) and {name for objects in seen for name, _ in objects} == {'cat', 'balloon'}

    _, whole = photograph(np.random.default_rng(3), photos, 400, 300)[1][0]
    assert 160**2 * 0.9 < whole.sum() < 160**2 / 0.4**2


def test_the_classes_of_photographs_are_kept(tmp_path):
    """A cat on a photograph does not become a balloon: from a COCO file to the COCO files."""
    photos, square = tmp_path / 'photos', [100, 80, 260, 80, 260, 240, 100, 240]
    (photos / 'train').mkdir(parents=True)
    cv2.imwrite(str(photos / 'train/a.png'), np.full((300, 400, 3), 90, np.uint8))
    box = dict(bbox=[100, 80, 160, 160], area=160**2, segmentation=[square], iscrowd=0)
    data = dict(
        images=[dict(id=1, file_name='a.png', width=400, height=300)],
        categories=[dict(id=4, name='dog'), dict(id=9, name='cat')],
        annotations=[dict(box, id=1, image_id=1, category_id=9)],
    )
    (photos / 'coco_train.json').write_text(json.dumps(data))
    out = tmp_path / 'rendered'
    toy.main(['--photos', str(photos), '--out', str(out), '--train', '6', '--val', '6'])
    convert(['--data-root', str(out), '--class-attribute', 'class'])
    for split in ('train', 'val'):
        made = json.loads((out / f'coco_{split}.json').read_text())
        names = {category['id']: category['name'] for category in made['categories']}
        assert {names[a['category_id']] for a in made['annotations']} == {'cat', 'balloon'}


def test_photographs_are_read_from_a_converted_data_root(tmp_path, capsys):
    toy.main(['--out', str(tmp_path / 'a'), '--train', '2', '--val', '1'])
    convert(['--data-root', str(tmp_path / 'a')])
    arguments = ['--train', '4', '--val', '1', '--photos', str(tmp_path / 'a')]
    toy.main([*arguments, '--out', str(tmp_path / 'b')])
    assert 'b/train: 4 images' in capsys.readouterr().out
    with pytest.raises(SystemExit) as stop:
        toy.main(['--out', str(tmp_path / 'c'), '--photos', str(tmp_path / 'b')])
    assert stop.value.code == 2 and not (tmp_path / 'c').exists()
    assert 'coco_train.json: no such file' in capsys.readouterr().err
