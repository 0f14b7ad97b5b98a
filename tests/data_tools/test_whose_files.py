"""No file of anybody's is replaced or removed: what is there already stays, whatever its name."""

import contextlib
import errno
import functools
import http.server
import json
import os
import threading

import balloon2coco
import check_coco
import download_balloon
import import_annotations
import make_toy_balloons
import pytest
import via_files as v

from mmballoon import cli
from mmballoon.data import files


def refuse(capsys, main, *args):
    with pytest.raises(SystemExit) as stop:
        main([str(arg) for arg in args])
    err = capsys.readouterr().err
    assert stop.value.code == 2 and err.count('error: ') == 1 and '; next: ' in err
    return err


def state(root):
    """{path: bytes} of everything below a folder, hidden files as well."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob('*')
        if path.is_file()
    }


@pytest.fixture
def photos(tmp_path):
    """A folder of four images and their VIA file."""
    for i in range(4):
        v.save_image(tmp_path / f'photos/{i}.jpg', 100 + i)
    entries = [v.entry(f'{i}.jpg', v.RECT) for i in range(4)]
    (tmp_path / 'photos/via.json').write_text(v.via2(entries))
    return tmp_path / 'photos'


@pytest.fixture
def release(tmp_path):
    """A folder like the downloaded one, with one image for each split."""
    for split in ('train', 'val'):
        v.save_image(tmp_path / 'release' / split / 'a.jpg')
        text = v.via1([v.entry('a.jpg', v.POLYGON)])
        (tmp_path / 'release' / split / 'via_region_data.json').write_text(text)
    return tmp_path / 'release'


# ---- the split


@pytest.mark.parametrize(
    'name, message',
    [
        ('train/0.jpg', 'train: holds another 0.jpg than '),  # an image of an image's name
        ('val/notes.txt', 'val: holds notes.txt'),
        ('val/.hidden', 'val: holds .hidden'),
        ('coco_val.json', 'coco_val.json: not written by this command'),
    ],
)
def test_a_split_replaces_nothing_foreign(photos, capsys, name, message):
    path = photos.parent / name
    path.parent.mkdir(exist_ok=True)
    path.write_text('precious')
    before = state(photos.parent)
    assert message in refuse(capsys, balloon2coco.main, photos, '--split', '0.5')
    assert state(photos.parent) == before


@pytest.mark.parametrize('absolute', [False, True])
def test_a_folder_of_links_to_the_only_photographs(photos, capsys, absolute):
    """The originals are in train/ and val/ already: a split would take them for images of its own."""
    for i in range(4):
        original = photos.parent / ('train' if i < 3 else 'val') / f'{i}.jpg'
        original.parent.mkdir(exist_ok=True)
        (photos / f'{i}.jpg').rename(original)
        target = original if absolute else f'../{original.parent.name}/{i}.jpg'
        (photos / f'{i}.jpg').symlink_to(target)
    before = state(photos.parent)
    err = refuse(capsys, balloon2coco.main, photos, '--split', '0.5')
    assert 'train: holds ' in err and 'photos a link to it' in err
    assert state(photos.parent) == before


def test_links_are_followed_to_the_images(photos, tmp_path):
    originals = tmp_path / 'elsewhere'
    originals.mkdir()
    for i in range(4):
        (photos / f'{i}.jpg').rename(originals / f'{i}.jpg')
        (photos / f'{i}.jpg').symlink_to(f'../elsewhere/{i}.jpg')
    root = tmp_path / 'deep/er'
    for _ in range(2):
        balloon2coco.main([str(photos), '--split', '0.5', '--data-root', str(root)])
        images = [*root.glob('*/*.jpg')]
        assert len(images) == 4 and not any(path.is_symlink() for path in images)


def test_two_links_to_one_image_are_in_several_splits_only_if_there_are_several(photos, capsys):
    (photos / '1.jpg').unlink()
    (photos / '1.jpg').symlink_to('0.jpg')
    balloon2coco.main([str(photos)])
    assert 'in several splits' not in capsys.readouterr().out
    said = set()
    for seed in range(9):
        balloon2coco.main([str(photos), '--split', '0.5', '--seed', str(seed)])
        apart = (photos.parent / 'train/0.jpg').exists() != (photos.parent / 'train/1.jpg').exists()
        assert ('1 images are in several splits' in capsys.readouterr().out) == apart
        said.add(apart)
    assert said == {True, False}


def test_another_split_says_which_images_change_sides(photos, capsys):
    balloon2coco.main([str(photos), '--split', '0.5'])
    assert 'earlier split' not in capsys.readouterr().out
    before = {path.name for path in (photos.parent / 'train').iterdir()}
    for seed in range(1, 9):
        balloon2coco.main([str(photos), '--split', '0.5', '--seed', str(seed)])
        after = {path.name for path in (photos.parent / 'train').iterdir()}
        said = capsys.readouterr().out.count('were in the other part of an earlier split')
        assert said == (0 if before == after else 2)
        before = after


def test_a_contact_sheet_replaces_only_a_contact_sheet(photos, capsys, tmp_path):
    balloon2coco.main([str(photos)])
    args = [photos.parent / 'coco_photos.json', '--images', photos, '--out', tmp_path / 'out']
    for _ in range(2):
        check_coco.main([str(arg) for arg in args])
    sheet = tmp_path / 'out/contact_sheet_photos.png'
    sheet.write_bytes(b'my own')
    assert 'contact_sheet_photos.png: not written by' in refuse(capsys, check_coco.main, *args)
    assert sheet.read_bytes() == b'my own'


@pytest.mark.parametrize('name', ['train.part/a', 'train.old/a', '.coco_train.json.part', 'x/a'])
def test_files_of_names_like_those_of_a_command_stay(photos, name):
    (photos.parent / name).parent.mkdir(exist_ok=True)
    (photos.parent / name).write_text('precious')
    for seed in range(3):
        balloon2coco.main([str(photos), '--split', '0.5', '--seed', str(seed)])
    assert (photos.parent / name).read_text() == 'precious'


def test_another_split_replaces_its_own_links_and_copies(photos, monkeypatch):
    for seed in range(6):
        if seed == 3:
            monkeypatch.setattr(os, 'link', None)  # as on a disk without hard links
            monkeypatch.setattr(files, '_link', files.shutil.copy2)
        balloon2coco.main([str(photos), '--split', '0.5', '--seed', str(seed)])
        splits = [
            {path.name for path in (photos.parent / split).iterdir()} for split in ('train', 'val')
        ]
        assert sorted(map(len, splits)) == [2, 2] and not splits[0] & splits[1]
        for split, names in zip(('train', 'val'), splits):
            coco = json.loads((photos.parent / f'coco_{split}.json').read_text())
            assert {image['file_name'] for image in coco['images']} == names
    assert len(list(photos.iterdir())) == 5


@pytest.mark.parametrize('earlier', [None, 0, 2])
def test_a_failing_write_leaves_everything_as_it_was(photos, monkeypatch, earlier):
    """The disk fails at each of the renames and links, one after another: what was there stays."""
    if earlier is not None:
        balloon2coco.main([str(photos), '--split', '0.5', '--seed', str(earlier)])
    before = state(photos.parent)
    for failing in range(100):
        calls = []

        def fail(real, *args, calls=calls, failing=failing):
            calls.append(args)
            if len(calls) == failing + 1:
                raise OSError(5, 'Input/output error', str(args[1]))
            return real(*args)

        with monkeypatch.context() as patch, contextlib.suppress(OSError):
            patch.setattr(cli.os, 'replace', functools.partial(fail, os.replace))
            patch.setattr(files, '_link', functools.partial(fail, files._link))
            balloon2coco.main([str(photos), '--split', '0.5', '--seed', '1'])
            break
        assert state(photos.parent) == before
        assert (photos.parent / 'train').exists() == (earlier is not None)
    assert failing >= 4  # two files to keep or four images to link, and two files to rename


def test_the_annotations_are_not_replaced_by_their_conversion(tmp_path, capsys):
    v.save_image(tmp_path / 'a.jpg')
    coco = dict(images=[dict(id=0, file_name='a.jpg')], categories=[dict(id=0, name='b')])
    coco['annotations'] = [dict(id=0, image_id=0, category_id=0, bbox=[1, 2, 30, 40])]
    (tmp_path / 'c.json').write_text(json.dumps(coco))
    before, path = state(tmp_path), tmp_path / 'c.json'
    message = refuse(capsys, import_annotations.main, path, '--out', path)
    assert 'c.json: not written by this command' in message and state(tmp_path) == before


def test_the_data_root_of_the_environment_holds_where_a_path_is_given(photos, monkeypatch):
    monkeypatch.setenv('BALLOON_ROOT', str(photos.parent / 'root'))
    balloon2coco.main([str(photos), '--split', '0.5'])
    assert {path.name for path in (photos.parent / 'root').iterdir()} == {
        'train', 'val', 'coco_train.json', 'coco_val.json'
    }  # fmt: skip
    make_toy_balloons.main(['--train', '1', '--val', '1', '--out', str(photos.parent / 'other')])
    monkeypatch.setenv('BALLOON_ROOT', str(photos.parent / 'toy'))
    make_toy_balloons.main(['--train', '1', '--val', '1'])
    assert state(photos.parent / 'toy') == state(photos.parent / 'other')


# ---- rendering


def test_rendering_again_writes_the_same_or_nothing(tmp_path, capsys):
    command = ['--out', str(tmp_path), '--train', '2', '--val', '1']
    make_toy_balloons.main(command)
    balloon2coco.main(['--data-root', str(tmp_path)])
    before = state(tmp_path)
    (tmp_path / 'train/toy_train_00001.jpg').unlink()  # as after a kill
    (tmp_path / 'val/via_region_data.json').unlink()
    make_toy_balloons.main(command)
    assert state(tmp_path) == before
    other = refuse(capsys, make_toy_balloons.main, *command, '--seed', '1')
    assert 'toy_train_00000.jpg: a file with another content is there' in other
    fewer = refuse(capsys, make_toy_balloons.main, '--out', tmp_path, '--train', '1', '--val', '1')
    assert 'toy_train_00001.jpg: not a file of this command' in fewer
    more = refuse(capsys, make_toy_balloons.main, '--out', tmp_path, '--train', '3', '--val', '1')
    assert 'via_region_data.json: a file with another content' in more
    assert state(tmp_path) == before


def test_a_photograph_called_like_a_rendered_image_stays(tmp_path, capsys):
    v.save_image(tmp_path / 'train/toy_train_00001.jpg')
    before = state(tmp_path)
    message = refuse(capsys, make_toy_balloons.main, '--out', tmp_path, '--train', 2, '--val', 1)
    assert 'toy_train_00001.jpg: a file with another content' in message
    assert state(tmp_path) == before


# ---- the download


@pytest.mark.parametrize('name', ['train/a.jpg', 'val/via_region_data.json'])
def test_the_download_replaces_nothing(tmp_path, release, capsys, name):
    path = tmp_path / 'root' / name
    path.parent.mkdir(parents=True)
    path.write_text('precious')
    (path.parent / 'mine.jpg').write_text('precious')
    before = state(tmp_path)
    args = ['--from', release, '--data-root', tmp_path / 'root']
    assert f'{name}: a file with another content' in refuse(capsys, download_balloon.main, *args)
    assert state(tmp_path) == before
    path.unlink()
    download_balloon.main([str(arg) for arg in args])
    assert (path.parent / 'mine.jpg').read_text() == 'precious'


def test_an_archive_beside_the_data_root_stays(tmp_path, release):
    (tmp_path / 'balloon_dataset.zip').write_text('precious')
    (tmp_path / 'balloon_dataset.zip.part').write_text('precious')
    from test_download_balloon import pack

    archive = pack(release, tmp_path / 'served.zip').read_bytes()

    class Server(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(archive)

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f'http://127.0.0.1:{server.server_port}/b.zip'
        download_balloon.main(['--url', url, '--data-root', str(tmp_path / 'root')])
        server.shutdown()
    assert (tmp_path / 'root/val/a.jpg').is_file()
    for name in ('balloon_dataset.zip', 'balloon_dataset.zip.part'):
        assert (tmp_path / name).read_text() == 'precious'


@pytest.mark.skipif(not os.path.isdir('/sys'), reason='needs a folder that nobody can write in')
def test_the_first_error_is_the_one_reported(release, capsys):
    message = refuse(
        capsys, download_balloon.main, '--from', release, '--data-root', '/sys/nope/root'
    )
    assert '/sys/nope' in message and 'Traceback' not in message


# ---- images


def test_a_motion_photo_is_an_image_and_a_cut_off_one_is_not(tmp_path, capsys):
    v.save_image(tmp_path / 'a.jpg', 300, 200)
    data, out = (tmp_path / 'a.jpg').read_bytes(), tmp_path / 'out.json'
    (tmp_path / 'via.json').write_text(v.via2([v.entry('a.jpg', v.RECT)]))
    (tmp_path / 'a.jpg').write_bytes(data + b'\0\0\0\x18ftypmp42' + bytes(5000))
    balloon2coco.main([str(tmp_path / 'via.json'), '--out', str(out)])
    image = json.loads(out.read_text())['images'][0]
    assert (image['width'], image['height']) == (300, 200)
    (tmp_path / 'a.jpg').write_bytes(data[: len(data) - 20] + bytes(0))
    assert 'a.jpg: not a readable image' in refuse(
        capsys, balloon2coco.main, tmp_path / 'via.json', '--out', out
    )


# ---- power loss


def test_names_reach_the_disk_after_the_files(tmp_path, monkeypatch):
    """fsync: the file, then (after the rename) its folder, which holds the new name."""
    calls = []
    real = os.fsync

    def fsync(descriptor):
        calls.append(os.path.isdir(f'/proc/self/fd/{descriptor}'))
        assert not calls[-1] or (tmp_path / 'a').exists()
        real(descriptor)

    monkeypatch.setattr(cli.os, 'fsync', fsync)
    with cli.atomic_write(tmp_path / 'a') as file:
        file.write(b'x')
    if os.path.exists('/proc/self/fd'):
        assert calls == [False, True]
    files.replace_files({tmp_path / 'a': b'y', tmp_path / 'b': b'z'})
    assert len(calls) == 6


def test_a_file_with_the_name_of_the_temporary_one_stays(tmp_path, monkeypatch):
    monkeypatch.setattr(cli.secrets, 'token_hex', lambda count: 'random')
    (tmp_path / '.a.random.part').write_bytes(b'mine')
    with pytest.raises(FileExistsError), cli.atomic_write(tmp_path / 'a') as file:
        file.write(b'x')
    assert state(tmp_path) == {'.a.random.part': b'mine'}


@pytest.mark.skipif(os.name != 'posix', reason='Windows cannot open a folder')
@pytest.mark.parametrize(
    'name, error', [('open', errno.EACCES), ('fsync', errno.EINVAL), ('fsync', errno.EIO)]
)
def test_a_folder_that_cannot_be_written_to_the_disk(tmp_path, monkeypatch, name, error):
    """One that may not be read, and file systems without this (CIFS, VirtualBox): the file is whole."""
    real = getattr(os, name)

    def function(subject, *args):
        if os.path.isdir(subject):
            raise OSError(error, os.strerror(error))
        return real(subject, *args)

    monkeypatch.setattr(cli.os, name, function)
    descriptors = len(os.listdir('/dev/fd'))
    expected = contextlib.nullcontext() if error != errno.EIO else pytest.raises(OSError)
    with expected, cli.atomic_write(tmp_path / 'a') as file:
        file.write(b'x')
    assert state(tmp_path) == {'a': b'x'} and len(os.listdir('/dev/fd')) == descriptors


# ---- several files at once


def test_a_copy_that_a_full_disk_cuts_is_not_put_back(tmp_path, monkeypatch):
    """Where there are no hard links, what was there is copied before it is replaced."""
    (tmp_path / 'a').write_bytes(b'whole')

    def link(source, path):
        raise PermissionError(errno.EPERM, 'no hard links here')

    def copy(source, path):
        path.write_bytes(b'wh')
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(files.os, 'link', link)
    monkeypatch.setattr(files.shutil, 'copy2', copy)
    with pytest.raises(OSError, match='No space'):
        files.replace_files({tmp_path / 'a': b'new', tmp_path / 'b': b'new'})
    assert state(tmp_path) == {'a': b'whole'}


def test_a_file_that_appears_meanwhile_stays(tmp_path, monkeypatch):
    """b gets its name, then a cannot: b goes again, and a is by then of somebody else."""
    real, seen = os.replace, []

    def replace(source, path):
        if not seen:
            (tmp_path / 'a').write_bytes(b'of somebody else')
        seen.append(path)
        if len(seen) == 2:
            raise OSError(errno.EIO, 'Input/output error')
        real(source, path)

    monkeypatch.setattr(cli.os, 'replace', replace)
    with pytest.raises(OSError, match='Input'):
        files.replace_files({tmp_path / 'a': b'new', tmp_path / 'b': b'new'})
    assert len(seen) == 2 and state(tmp_path) == {'a': b'of somebody else'}
