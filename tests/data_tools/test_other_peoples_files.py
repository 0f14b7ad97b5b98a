"""Annotation files as other people's programs, scripts and hands made them: nothing lost silently."""

import json
import math
import os
import subprocess
import sys
import unicodedata

import balloon2coco
import numpy as np
import pytest
import via_files as v
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from mmballoon.cli import UserError
from mmballoon.data.via import find_annotation


@pytest.fixture
def convert(tmp_path, capsys):
    """A function from the text of a VIA file to (COCO or None, what was printed, status)."""

    def run(text, *args, images=('a.jpg',), name='via.json'):
        folder, out = tmp_path / 'photos', tmp_path / 'out.json'
        for image in images:
            v.save_image(folder / image)
        folder.mkdir(exist_ok=True)
        (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode('utf-8'))
        out.unlink(missing_ok=True)
        status = 0
        try:
            balloon2coco.main([str(folder / name), '--out', str(out), *args])
        except SystemExit as stop:
            status = stop.code
        printed = ''.join(capsys.readouterr())
        coco = json.loads(out.read_text(encoding='utf-8')) if out.exists() else None
        assert (coco is None) == (status != 0), printed
        return coco, printed, status

    return run


def class_names(coco):
    names = {category['id']: category['name'] for category in coco['categories']}
    return [names[annotation['category_id']] for annotation in coco['annotations']]


# ---- 1. class names


def test_option_without_description_is_its_own_name(convert):
    regions = [(v.RECT, {'type': value}) for value in ('cat', 'dog', '1 ')]
    options = {'type': {'cat': '', 'dog': ' ', '1': 'bird'}}
    coco, _, _ = convert(
        v.project([v.entry('a.jpg', *regions)], options), '--class-attribute', 'type'
    )
    assert class_names(coco) == ['cat', 'dog', 'bird']


def test_checkbox_with_the_text_false_is_not_ticked(convert):
    text = v.via2([v.entry('a.jpg', (v.RECT, {'type': {'cat': 'false', 'dog': True}}))])
    coco, _, _ = convert(text, '--class-attribute', 'type')
    assert class_names(coco) == ['dog']


# ---- 2. orientation


@pytest.mark.parametrize('kind', ['exif', 'xmp'])
@pytest.mark.parametrize('suffix', ['jpg', 'png', 'webp', 'tiff'])
@pytest.mark.parametrize('orientation', range(1, 9))
def test_every_orientation_as_the_loader_sees_it(tmp_path, suffix, orientation, kind):
    import mmcv

    from mmballoon.data.coco import thumbnail
    from mmballoon.data.images import read_size

    exif, path = Image.Exif(), tmp_path / f'a.{suffix}'
    if kind == 'exif':
        exif[0x0112] = orientation
        options = {}
    else:  # Pillow turns by it, too, OpenCV does not
        exif[0x010F] = 'maker'
        xmp, info = f'<x tiff:Orientation="{orientation}"/>', PngInfo()
        info.add_itxt('XML:com.adobe.xmp', xmp)
        options = dict(xmp=xmp.encode(), pnginfo=info)
    image = Image.linear_gradient('L').resize((100, 80))
    image.paste(255, (0, 0, 20, 40))
    image.save(path, exif=exif, **options)
    loaded = mmcv.imfrombytes(path.read_bytes())  # as MMDetection's LoadImageFromFile
    assert read_size(path) == (loaded.shape[1::-1], orientation if kind == 'exif' else 1)
    small, wanted = thumbnail(path, 20), Image.fromarray(loaded)
    wanted.thumbnail((20, 20))
    assert small.size == wanted.size and abs(np.subtract(small, wanted, dtype=int)).mean() < 2


BROKEN_EXIF = b'JUNKJUNKJUNK', b'II*\0', b'II+\0', b'\0' * 20


@pytest.mark.parametrize('content', BROKEN_EXIF)
@pytest.mark.parametrize('suffix', ['jpg', 'png', 'webp'])
def test_broken_exif_turns_nothing(tmp_path, suffix, content):
    from mmballoon.data.coco import thumbnail
    from mmballoon.data.images import read_size

    path = tmp_path / f'a.{suffix}'
    Image.new('RGB', (60, 40)).save(path, exif=b'Exif\0\0' + content)
    assert read_size(path) == ((60, 40), 1) and thumbnail(path).size == (60, 40)


# ---- 3. images that lost all their regions


def test_image_whose_regions_were_all_skipped_is_left_out(convert):
    entries = [v.entry('a.jpg', v.RECT), v.entry('b.jpg', v.POINT), v.entry('c.jpg')]
    coco, printed, _ = convert(v.via2(entries), images=['a.jpg', 'b.jpg', 'c.jpg'])
    assert [image['file_name'] for image in coco['images']] == ['a.jpg', 'c.jpg']
    assert 'note: 1 images left out: b.jpg' in printed
    assert 'left out: images with all regions skipped' in printed


def test_nothing_converted_is_an_error(convert):
    _, printed, status = convert(v.via2([v.entry('a.jpg', v.POINT, v.POINT)]))
    assert status == 2 and 'all 2 regions were skipped (a shape without area' in printed


def test_most_regions_skipped_is_a_warning_with_the_likely_cause(convert):
    outside = dict(v.RECT, x=900)
    _, printed, _ = convert(v.via2([v.entry('a.jpg', v.RECT, outside, outside)]))
    assert (
        'warning: 2 of 3 regions skipped (wholly outside the image): are these the images'
        in printed
    )


# ---- 4., 9. names


def test_missing_images_are_named(convert):
    entries = [v.entry('a.jpg', v.RECT), *[v.entry(f'gone{i}.jpg', v.RECT) for i in range(7)]]
    _, printed, _ = convert(v.via2(entries))
    assert '7 entries without an image: gone0.jpg, gone1.jpg' in printed and 'and 2 more' in printed


@pytest.mark.parametrize(
    'written, stored',
    [
        (unicodedata.normalize('NFD', 'é.jpg'), unicodedata.normalize('NFC', 'é.jpg')),
        ('IMG.JPG', 'img.jpg'),
        ('old/folder/a.jpg', 'a.jpg'),
        ('http://example.org/1.jpeg', '1.jpeg'),
        ('file:.\\set1\\a.jpg', 'a.jpg'),
        ('C:\\Users\\me\\a.jpg', 'a.jpg'),
        ('sub\\a.jpg', 'sub/a.jpg'),
    ],
)
def test_image_under_another_name_is_found(convert, written, stored):
    coco, printed, _ = convert(v.via2([v.entry(written, v.RECT)]), images=[stored])
    assert coco['images'][0]['file_name'] == stored
    assert f"1 images found under another name: '{written}' as {stored}" in printed


def test_a_name_that_could_mean_two_images_is_ambiguous(convert):
    entries = [v.entry('x/a.jpg', v.RECT), v.entry('ok.jpg', v.RECT)]
    coco, printed, _ = convert(v.via2(entries), images=['1/a.jpg', '2/a.jpg', 'ok.jpg'])
    assert len(coco['images']) == 1 and 'without an image' not in printed
    assert '1 ambiguous entries, which several images could be: x/a.jpg' in printed


@pytest.mark.parametrize(
    'written, first, advice',
    [
        ('b.jpg', "'b.jpg'", 'name their folder after'),
        ('C:\\x\\b.jpg', "'b.jpg', written as 'C:\\x\\b.jpg'", 'name their folder after'),
        (
            'http://e.org/b.jpg',
            "'b.jpg', written as 'http://e.org/b.jpg'",
            'download the images, then name their folder after',
        ),
    ],
)
def test_no_image_is_there(convert, written, first, advice):
    _, printed, status = convert(v.via2([v.entry(written, v.RECT)]))
    assert status == 2 and 'none of its 1 images is in ' in printed
    assert f'(the first: {first}); next: {advice} the annotation file' in printed


# ---- 5. lines


def test_lines_are_called_lines(convert):
    line = dict(name='polyline', all_points_x=[1, 50], all_points_y=[1, 30])
    straight = dict(name='polyline', all_points_x=[1, 2, 3], all_points_y=[1, 2, 3])
    _, printed, _ = convert(v.via2([v.entry('a.jpg', v.RECT, line, straight)]))
    row = next(
        row for row in printed.splitlines() if row.startswith('skipped: a line without area')
    )
    assert row.split()[-1] == '2'


# ---- 6. VIA's own CSV


def test_undefined_means_not_set(convert):
    text = v.via_csv([v.entry('a.jpg', (v.RECT, {'Label': 'x'}), (v.RECT, {'Label': 'REPLACE'}))])
    text = text.replace('""REPLACE""', 'undefined')
    coco, printed, _ = convert(text, '--class-attribute', 'Label', name='via.csv')
    assert class_names(coco) == ['x'] and 'no single class in its attributes' in printed


# ---- 7. broken regions


NESTED = [[1, 2, 3, 4, 5, 6, 7, 8]]


@pytest.mark.parametrize(
    'broken, reason, found',
    [
        (
            dict(name='polygon', all_points_x=NESTED, all_points_y=NESTED),
            'x is not a number',
            '[1, 2, 3, 4, 5, 6, ...]',
        ),
        (dict(v.RECT, x='1'), 'x is not a number', "'1'"),
        (dict(v.RECT, y=None), 'y is not a number', 'None'),
        (dict(v.RECT, width=-3), 'width is not between 0 and 1,000,000 pixels', '-3'),
    ],
)
def test_broken_regions_are_skipped_and_counted(convert, broken, reason, found):
    text = v.via2([v.entry('a.jpg', v.RECT, broken, v.POLYGON, broken)])
    coco, printed, _ = convert(text)
    assert len(coco['annotations']) == 2
    assert f'skipped: broken: {reason} 2' in ' '.join(printed.split())
    first = f"via.json, image 'a.jpg', region 1, found {found}\n"
    assert f'note: skipped, broken: {reason}: first in ' in printed and first in printed
    _, printed, status = convert(text, '--strict')
    assert status == 2 and f'2 regions skipped; skipped, broken: {reason}: first in ' in printed


def test_strict_names_every_reason_in_one_line(convert):
    text = v.via2([v.entry('a.jpg', dict(v.RECT, x='1'), v.RECT, dict(v.RECT, width=-3), v.POINT)])
    _, printed, status = convert(text, '--strict')
    (line,) = [line for line in printed.splitlines() if line.startswith('error: ')]
    assert status == 2 and '3 regions skipped; ' in line and 'a shape without area' in line
    assert "region 0, found '1'" in line and 'region 2, found -3' in line


# ---- 8. one entry


def test_single_entry_as_root(convert):
    (entry,) = json.loads(v.via2([v.entry('a.jpg', v.RECT)])).values()
    assert len(convert(json.dumps(entry))[0]['annotations']) == 1


# ---- 10., 11. folders


def test_second_split_over_names_with_a_folder(tmp_path):
    names = [f'sub/{i}.jpg' for i in range(5)]
    for name in names:
        v.save_image(tmp_path / 'photos' / name)
    path = tmp_path / 'photos/via.json'
    path.write_text(v.via2([v.entry(name, v.RECT) for name in names]))
    for _ in range(2):
        balloon2coco.main([str(path), '--split', '0.6'])
    linked = [p for split in ('train', 'val') for p in (tmp_path / split).rglob('*.jpg')]
    assert len(linked) == 5


def test_the_broken_file_is_reported_not_its_neighbours(convert, tmp_path):
    convert(v.via2([v.entry('a.jpg', v.RECT)])[:-3])
    (tmp_path / 'photos/notes.txt').write_text('hello')
    (tmp_path / 'photos/._via.json').write_bytes(b'\x00\x05\x16\x07')
    with pytest.raises(SystemExit):
        balloon2coco.main([str(tmp_path / 'photos')])
    (tmp_path / 'photos/via.json').write_text(v.via2([v.entry('a.jpg', v.RECT)]))
    balloon2coco.main([str(tmp_path / 'photos')])


def test_the_broken_file_is_named(convert, tmp_path, capsys):
    convert(v.via2([v.entry('a.jpg', v.RECT)])[:-3])
    (tmp_path / 'photos/notes.txt').write_text('hello')
    with pytest.raises(SystemExit):
        balloon2coco.main([str(tmp_path / 'photos')])
    err = capsys.readouterr().err
    assert 'via.json: not valid JSON' in err and err.count('\n') == 1


@pytest.mark.parametrize(
    'text, message',
    [
        ('{"project": {}, "file": {}, "metadata": {}}', 'mine.json: this is a VIA 3 project'),
        ('{"shapes": []}', 'mine.json: this is other JSON, expected a VIA 1 or 2 file'),
        ('hello', 'photos: no VIA file (.json, .txt, .csv) in it'),
    ],
)
def test_the_closest_file_is_reported(tmp_path, capsys, text, message):
    v.save_image(tmp_path / 'photos/a.jpg')
    (tmp_path / 'photos/about.txt').write_text('hello')
    (tmp_path / 'photos/mine.json').write_text(text)
    with pytest.raises(SystemExit):
        balloon2coco.main([str(tmp_path / 'photos')])
    err = capsys.readouterr().err
    assert message in err and err.count('\n') == 1


def test_files_of_macos_are_no_images(convert):
    _, printed, _ = convert(v.via2([v.entry('a.jpg', v.RECT)]), images=['a.jpg', '._b.jpg'])
    assert 'without an entry' not in printed


def test_a_refused_split_leaves_both_targets(tmp_path, capsys):
    names = [f'{i}.jpg' for i in range(4)]
    for name in names:
        v.save_image(tmp_path / 'photos' / name)
    (tmp_path / 'photos/via.json').write_text(v.via2([v.entry(name, v.RECT) for name in names]))
    (tmp_path / 'val').mkdir()
    (tmp_path / 'val/mine.txt').write_text('precious')
    before = sorted(tmp_path.rglob('*'))
    with pytest.raises(SystemExit):
        balloon2coco.main([str(tmp_path / 'photos'), '--split', '0.5'])
    assert 'val: holds mine.txt; next: ' in capsys.readouterr().err
    assert sorted(tmp_path.rglob('*')) == before


# ---- 12., 13. what is printed


def test_without_class_attribute_the_classes_are_pointed_out(convert):
    text = v.via2([v.entry('a.jpg', (v.RECT, {'type': 'cat'}), (v.RECT, {'type': 'dog'}))])
    _, printed, _ = convert(text)
    assert "2 values of attribute 'type': cat, dog; for a class each" in printed
    assert '--class-attribute type' in printed


def test_long_class_name_is_not_cut(convert):
    name = 'a class name of fifty characters, all in one table'
    text = v.via2([v.entry('a.jpg', (v.RECT, {'k': name}), (v.RECT, {'k': 'x'}))])
    _, printed, _ = convert(text, '--class-attribute', 'k', '--classes', 'x')
    assert f"skipped: class '{name}' not in --classes " in printed


def test_one_file_without_any_box_is_an_error(tmp_path, capsys):
    for split, shape in (('train', v.RECT), ('val', v.POINT)):
        v.save_image(tmp_path / split / 'a.jpg')
        (tmp_path / split / 'via.json').write_text(
            v.via2([v.entry('a.jpg', (shape, {'k': split}))])
        )
    with pytest.raises(SystemExit):
        balloon2coco.main(['--data-root', str(tmp_path)])
    assert 'val/via.json: all 1 regions were skipped (a shape' in capsys.readouterr().err
    assert not list(tmp_path.glob('*.json'))


def test_table_of_a_split_counts_each_part(tmp_path, capsys):
    entries = [v.entry(f'{i}.jpg', v.RECT) for i in range(5)]
    for name, _, _ in entries:
        v.save_image(tmp_path / 'photos' / name)
    (tmp_path / 'photos/via.json').write_text(v.via2([*entries, v.entry('gone.jpg', v.RECT)]))
    balloon2coco.main([str(tmp_path / 'photos'), '--split', '0.6'])
    out = capsys.readouterr().out
    assert ['regions', '3', '2'] in [line.split() for line in out.splitlines()]
    assert out.count('entries without an image: gone.jpg') == 1


def test_strict_refuses_a_missing_image_without_regions(convert):
    text = v.via2([v.entry('a.jpg', v.RECT), v.entry('gone.jpg')])
    _, printed, status = convert(text, '--strict')
    assert (
        status == 2 and 'via.json: 1 entries without an image: gone.jpg; next: correct' in printed
    )


def test_csv_lines_are_counted_with_blank_ones(convert):
    head, row = v.via_csv([v.entry('a.jpg', v.RECT)]).splitlines()
    _, printed, _ = convert(f'\n\n{head}\n\n\n{row}\n\na.jpg,12\n', name='via.csv')
    assert 'line 8: too few fields' in printed


def test_csv_file_name_with_a_comma(convert):
    text = v.via_csv([v.entry('a.jpg', v.RECT)]).replace('a.jpg', 'a,b.jpg')
    _, printed, status = convert(text, name='via.csv', images=['a,b.jpg'])
    assert status == 2 and 'a file name with a comma needs quotation marks' in printed


# ---- 14., 15. bytes and characters


@pytest.mark.parametrize(
    'data, message',
    [
        (b'\x89PNG\r\n\x1a\n\0\0\xff', 'not a text file; next: name the annotation file'),
        ('{}'.encode('utf-16'), 'not in UTF-8 (byte 0); next: save it as UTF-8'),
        (b'{"a": "na\xefve"}', 'not in UTF-8 (byte 9); next: save it as UTF-8'),
    ],
)
def test_bytes_that_are_not_utf8(convert, data, message):
    _, printed, status = convert(data)
    assert status == 2 and message in printed


@pytest.mark.parametrize('text', ['{}', '\r\n {"a": 1}', v.via_csv([]), 'filename\tfile_size\t'])
@pytest.mark.parametrize('codec', ['utf-16-le', 'utf-16-be'])
def test_a_file_of_via_in_utf16_is_not_passed_over_in_its_folder(tmp_path, codec, text):
    (tmp_path / 'via.json').write_bytes(f'\ufeff{text}'.encode(codec))
    with pytest.raises(UserError, match='via.json: not in UTF-8'):
        find_annotation(tmp_path)


def test_coordinate_with_400_digits(convert):
    coco, printed, _ = convert(v.via2([v.entry('a.jpg', v.RECT, dict(v.RECT, x=10**400))]))
    assert len(coco['annotations']) == 1
    assert 'x is not between -1,000,000 and 1,000,000 pixels' in printed
    assert 'found 10000' in printed and '...' in printed


def test_lone_surrogate_in_a_class_name(convert):
    text = v.via2([v.entry('a.jpg', (v.RECT, {'k': 'REPLACE'}))]).replace('REPLACE', '\\ud800')
    _, printed, status = convert(text, '--class-attribute', 'k')
    assert status == 2 and 'a name has an invalid character' in printed


@pytest.mark.parametrize('encoding', ['cp1252', 'ascii'])
def test_class_name_that_the_terminal_cannot_show(tmp_path, encoding):
    v.save_image(tmp_path / 'photos/a.jpg')
    (tmp_path / 'photos/via.json').write_text(v.via2([v.entry('a.jpg', (v.RECT, {'k': 'β球'}))]))
    command = [sys.executable, balloon2coco.__file__, tmp_path / 'photos', '--class-attribute', 'k']
    env = dict(os.environ, PYTHONIOENCODING=encoding)
    done = subprocess.run(command, env=env, capture_output=True)
    assert done.returncode == 0 and b'\\u03b2' in done.stdout, done.stderr


# ---- 16. outlines that cross themselves


def test_area_of_a_bow_tie_is_that_of_its_mask(convert):
    """Two triangles of 40 x 30 / 2, with opposite direction: the shoelace formula says 0."""
    bow_tie = v.polygon((10, 10), (90, 70), (90, 10), (10, 70))
    coco, _, _ = convert(v.via2([v.entry('a.jpg', bow_tie)]))
    assert math.isclose(coco['annotations'][0]['area'], 2 * 60 * 40 / 2, rel_tol=0.05)


def test_area_of_a_simple_outline_is_exact(convert):
    coco, _, _ = convert(v.via2([v.entry('a.jpg', v.POLYLINE)]))
    assert coco['annotations'][0]['area'] == 600
