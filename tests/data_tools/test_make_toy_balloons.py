"""The renderer: byte-identical, in the original's layout, and honest about what can be seen."""

import json

import cv2
import make_toy_balloons as toy
import numpy as np
import pytest

from mmballoon.data.via import read_via
from mmballoon.render.balloons import draw_balloon, visible_outline
from mmballoon.render.scene import background


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
