"""Objects of many kinds: what is annotated is what is seen, under the name of its kind."""

import json
import shutil
from pathlib import Path

import cv2
import matplotlib
import numpy as np
import pytest
import render_objects
from PIL import Image

from mmballoon.render import objects
from mmballoon.render.objects import KINDS

FONT = Path(matplotlib.get_data_path()) / 'fonts/ttf/DejaVuSans.ttf'  # as good as emoji here


@pytest.fixture(scope='module')
def sources(tmp_path_factory):
    """Clip art in two folders, one shaded emoji, and a font."""
    root = tmp_path_factory.mktemp('sources')
    shutil.copy(FONT, root / 'NotoColorEmoji.ttf')
    (root / 'fluent').mkdir()
    Image.new('RGBA', (64, 64), (200, 10, 10, 255)).save(root / 'fluent/1f40c.webp')
    for name, size in (('food/fruit/apple', 300), ('food/fruit/dot', 9), ('animals/balloon', 80)):
        path = root / 'openclipart' / f'{name}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        picture = Image.new('RGBA', (size, size))
        picture.paste((10, 200, 10, 255), (0, 0, size // 2, size))
        picture.save(path)
    return root


@pytest.fixture(scope='module')
def sprites(sources):
    return objects.load_sprites(sources)


def test_code_points():
    assert objects.code_points('1f400-1f402 263a') == [0x1F400, 0x1F401, 0x1F402, 0x263A]


def test_a_folder_is_of_one_kind_and_a_balloon_of_no_other():
    codes = [code for _, emoji in KINDS.values() for code in objects.code_points(emoji)]
    folders = [folder for names, _ in KINDS.values() for folder in names.split()]
    assert len(folders) == len(set(folders)) and len(codes) - len(set(codes)) < 10
    assert 0x1F388 not in codes and objects.NAMES[0] == 'balloon' and len(objects.NAMES) == 50


def test_pictures_are_trimmed_and_balloons_left_out(sources, sprites):
    emoji = len(objects.code_points(KINDS['fruit'][1]))
    assert len(sprites['fruit']) == emoji + 1  # the dot is too small
    assert sprites['fruit'][0].shape == (objects.SPRITE, objects.SPRITE // 2, 4)
    assert tuple(sprites['fruit'][0][80, 40]) == (10, 200, 10, 255)  # BGRA
    animals = len(objects.code_points(KINDS['animal'][1]))
    assert len(sprites['animal']) == animals + 1  # the shaded snail, and no balloon
    assert set(sprites) <= set(KINDS) and 'balloon' not in sprites and 'letter' not in sprites


@pytest.mark.parametrize('seed', range(8))
def test_the_mask_is_where_the_picture_was_painted(seed):
    image = np.full((200, 300, 3), 128, np.uint8)
    sprite = np.full((50, 50, 4), 255, np.uint8)
    mask = objects.paste(
        np.random.default_rng(seed), image, sprite, np.array([150.0, 90.0]), 60, (0.6, -0.8)
    )
    ys, xs = np.nonzero(mask)
    assert abs(xs.mean() - 150) < 3 and abs(ys.mean() - 90) < 3
    assert 0.4 < mask.sum() / 60**2 < 2  # stretched by 0.12 in the logarithm
    assert (image[mask] != 128).mean() > 0.9


def test_partly_outside_and_wholly_outside():
    sprite = np.full((50, 50, 4), 255, np.uint8)
    image = np.full((100, 100, 3), 128, np.uint8)
    rng = np.random.default_rng(0)
    part = objects.paste(rng, image, sprite, np.array([0.0, 50.0]), 40, (0.6, -0.8))
    assert 0 < part.sum() < 0.75 * 40**2 * 1.6 and not part[:, 60:].any()
    none = objects.paste(rng, image, sprite, np.array([500.0, 50.0]), 40, (0.6, -0.8))
    assert none.shape == (100, 100) and not none.any()


def test_what_is_hidden_is_not_annotated(monkeypatch, sprites):
    things = [('shape 3', 200, 170, 20), ('balloon', 200, 170, 100)]
    monkeypatch.setattr(objects, 'place', lambda *size: things)
    for seed in range(5):
        found = objects.render(np.random.default_rng(seed), sprites)[1]
        assert [kind for kind, _ in found] == ['balloon']
    monkeypatch.setattr(objects, 'place', lambda *size: things[::-1])
    assert len(objects.render(np.random.default_rng(0), sprites)[1]) == 2


def test_sides_from_twelve_pixels_to_most_of_the_image():
    rng = np.random.default_rng(0)
    things = [thing for _ in range(300) for thing in objects.place(rng, 512, 384)]
    others = np.array([2 * radius for kind, *_, radius in things if kind != 'balloon'])
    assert 12 <= others.min() < 14 and 250 < others.max() < 0.8 * 384
    balloons = len(things) - len(others)
    assert 0.2 < (others < 32).mean() < 0.5 and 0.15 < balloons / len(things) < 0.6
    assert {kind for kind, *_ in things} == set(objects.NAMES)


def test_the_command_writes_coco_files(sources, tmp_path, capsys):
    for name in 'ab':
        command = ['--sources', sources, '--out', tmp_path / name, '--train', 4, '--val', 2]
        render_objects.main([str(part) for part in command])
    assert 'train: 4 images' in capsys.readouterr().out
    files = sorted(p.relative_to(tmp_path / 'a') for p in (tmp_path / 'a').rglob('*.*'))
    assert len(files) == 8
    for file in files:
        assert (tmp_path / 'a' / file).read_bytes() == (tmp_path / 'b' / file).read_bytes()
    coco = json.loads((tmp_path / 'a/coco_train.json').read_text())
    assert [category['name'] for category in coco['categories']] == list(KINDS)
    assert [a['id'] for a in coco['annotations']] == [*range(1, len(coco['annotations']) + 1)]
    images = {image['id']: image for image in coco['images']}
    for a in coco['annotations']:
        (x, y, w, h), image = a['bbox'], images[a['image_id']]
        assert min(x, y) >= 0 and x + w <= image['width'] and y + h <= image['height']
        assert min(w, h) >= 7 and 0 < a['area'] <= w * h and 1 <= a['category_id'] <= 50
    for image in images.values():
        pixels = cv2.imread(str(tmp_path / 'a/train' / image['file_name']))
        assert pixels.shape == (image['height'], image['width'], 3)


def test_missing_sources_are_named(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        render_objects.main(['--sources', str(tmp_path), '--out', str(tmp_path / 'a')])
    assert stop.value.code == 2 and not (tmp_path / 'a').exists()
    assert 'openclipart: no such file or folder' in capsys.readouterr().err
