"""Getting the photographs: from a folder, an archive, and a server that breaks off; verified, all
or nothing.
"""

import http.server
import threading
import zipfile

import download_balloon
import pytest
import via_files as v


@pytest.fixture
def release(tmp_path):
    """A folder like the release's, of two splits with one image each."""
    folder = tmp_path / 'release/balloon'
    for split in ('train', 'val'):
        v.save_image(folder / split / f'{split}.jpg')
        size = (folder / split / f'{split}.jpg').stat().st_size
        (folder / split / 'via_region_data.json').write_text(
            v.via1([v.entry(f'{split}.jpg', v.POLYGON, size=size)])
        )
    return folder


def pack(release, path, extra=()):
    with zipfile.ZipFile(path, 'w') as archive:
        for file in sorted(release.rglob('*')):
            archive.write(file, file.relative_to(release.parent))
        for name, data in extra:
            archive.writestr(name, data)
    return path


def files(root):
    return sorted(str(p.relative_to(root)) for p in root.rglob('*') if p.is_file())


WHOLE = ['train/train.jpg', 'train/via_region_data.json', 'val/val.jpg', 'val/via_region_data.json']


def refuse(capsys, *args):
    with pytest.raises(SystemExit) as stop:
        download_balloon.main([str(a) for a in args])
    err = capsys.readouterr().err.strip().splitlines()
    assert stop.value.code == 2 and err[-1].startswith('error: ') and '; next: ' in err[-1]
    return err[-1]


def test_from_folder_and_zip(tmp_path, release, capsys):
    download_balloon.main(['--from', str(release.parent), '--data-root', str(tmp_path / 'a')])
    assert files(tmp_path / 'a') == WHOLE
    archive = pack(
        release,
        tmp_path / 'b.zip',
        [
            ('__MACOSX/balloon/train/via_region_data.json', 'x'),
            ('../../evil.txt', 'x'),
            ('balloon/train/unlisted.jpg', 'x'),
        ],
    )
    download_balloon.main(['--zip', str(archive), '--data-root', str(tmp_path / 'b')])
    assert files(tmp_path / 'b') == WHOLE and not list(tmp_path.parent.glob('**/evil.txt'))
    assert 'train 1 images, val 1 images, sizes verified' in capsys.readouterr().out
    download_balloon.main(['--data-root', str(tmp_path / 'b')])
    assert 'already complete' in capsys.readouterr().out


@pytest.mark.parametrize(
    'damage, message',
    [
        (lambda r: (r / 'val/val.jpg').write_bytes(b'short'), 'val/val.jpg: 5 bytes, expected'),
        (lambda r: (r / 'val/val.jpg').unlink(), 'val.jpg'),
        (
            lambda r: (r / 'val/via_region_data.json').write_text(
                v.via1([v.entry('../../evil.jpg', v.RECT)])
            ),
            "image '../../evil.jpg' is outside its folder",
        ),
        (lambda r: (r / 'val/via_region_data.json').write_text('{'), 'not valid JSON'),
    ],
)
def test_damaged_source_leaves_the_old_data(tmp_path, release, capsys, damage, message):
    root = tmp_path / 'root'
    download_balloon.main(['--from', str(release), '--data-root', str(root)])
    before = files(root)
    damage(release)
    assert message in refuse(capsys, '--from', release, '--data-root', root)
    assert message in refuse(
        capsys, '--zip', pack(release, tmp_path / 'b.zip'), '--data-root', root
    )
    assert files(root) == before


def test_not_the_archive(tmp_path, capsys):
    (tmp_path / 'a.zip').write_bytes(b'<html>')
    assert 'not a whole zip archive' in refuse(
        capsys, '--zip', tmp_path / 'a.zip', '--data-root', tmp_path / 'r'
    )
    assert 'no such file or folder' in refuse(
        capsys, '--zip', tmp_path / 'none.zip', '--data-root', tmp_path / 'r'
    )
    assert 'no train/via_region_data.json' in refuse(
        capsys, '--from', tmp_path, '--data-root', tmp_path / 'r'
    )


class Server(http.server.BaseHTTPRequestHandler):
    """Serves ``data``, and breaks off after ``limit`` bytes until the limit is lifted."""

    data, limit = b'', None

    def do_GET(self):
        self.send_response(200)
        self.send_header('Content-Length', str(len(self.data)))
        self.end_headers()
        self.wfile.write(self.data[: self.limit])

    def log_message(self, *args):
        pass


def test_a_download_that_ends_early_installs_nothing(tmp_path, release, capsys):
    Server.data, Server.limit = pack(release, tmp_path / 'r.zip').read_bytes(), 1000
    root = tmp_path / 'data/balloon'
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f'http://127.0.0.1:{server.server_port}/b.zip'
        assert 'cannot be downloaded' in refuse(capsys, '--url', url, '--data-root', root)
        assert not root.exists()
        Server.limit = None
        download_balloon.main(['--url', url, '--data-root', str(root)])
        server.shutdown()
    assert files(tmp_path / 'data') == [f'balloon/{name}' for name in WHOLE]  # nothing left over
