"""mmballoon/train/rules/weights.py, with a server on this machine in the place of OpenMMLab's."""

import errno
import functools
import hashlib
import http.server
import threading
from types import SimpleNamespace

import mmcompat  # noqa: F401

import pytest
import torch
from conftest import ROOT
from mmengine.config import Config
from mmengine.runner.checkpoint import load_from_http

from mmballoon.cli import FILE_SYSTEM, UserError, explain
from mmballoon.train.rules import weights


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture
def host(tmp_path, monkeypatch):
    """A server with weights {a: 1}, whose name ends with their checksum, and an empty cache."""
    folder, cache = tmp_path / 'host', tmp_path / 'cache'
    folder.mkdir()
    torch.save(dict(a=torch.ones(1)), folder / 'weights.pth')
    digest = hashlib.sha256((folder / 'weights.pth').read_bytes()).hexdigest()
    file = (folder / 'weights.pth').rename(folder / f'tiny-{digest[:8]}.pth')
    monkeypatch.setenv('TORCH_HOME', str(cache))
    monkeypatch.delenv('BALLOON_WEIGHTS', raising=False)
    monkeypatch.setitem(weights.SHA256, file.name, digest)
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f'http://127.0.0.1:{server.server_port}'
        cached = cache / 'hub/checkpoints' / file.name
        yield SimpleNamespace(
            address=address, url=f'{address}/{file.name}', file=file, cached=cached
        )
        server.shutdown()


def test_a_download_is_verified_and_kept(host):
    assert load_from_http(host.url)['a'] == 1
    assert host.cached.read_bytes() == host.file.read_bytes()
    host.file.unlink()
    assert load_from_http(host.url)['a'] == 1  # from the cache


def test_a_damaged_download_is_not_kept(host):
    host.file.write_bytes(b'<html>the certificate has expired</html>')
    with pytest.raises(UserError, match='invalid hash value.*next: put this file .sha256 '):
        load_from_http(host.url)
    assert list(host.cached.parent.iterdir()) == []


def test_a_damaged_file_in_the_cache_is_not_used(host):
    host.cached.parent.mkdir(parents=True)
    torch.save(dict(a=torch.zeros(1)), host.cached)
    with pytest.raises(UserError) as error:
        load_from_http(host.url)
    assert f'{host.cached}: its sha256 is ' in str(error.value)
    assert 'next: delete this file' in str(error.value)


@pytest.mark.parametrize('as_folder', [True, False])
def test_a_copy(host, monkeypatch, as_folder):
    monkeypatch.setenv('BALLOON_WEIGHTS', str(host.file.parent if as_folder else host.file))
    assert load_from_http(f'https://no.host.invalid/{host.file.name}')['a'] == 1
    assert not host.cached.exists()
    torch.save(dict(a=torch.zeros(1)), host.file)
    with pytest.raises(UserError, match='its sha256 is .* again'):
        load_from_http(host.url)
    host.file.unlink()
    with pytest.raises(UserError, match='BALLOON_WEIGHTS=.* is not there; next: check the path'):
        load_from_http(host.url)


def test_a_mirror(host, monkeypatch):
    monkeypatch.setenv('BALLOON_WEIGHTS', f'{host.address}/')
    assert load_from_http(f'https://no.host.invalid/deep/{host.file.name}')['a'] == 1
    assert host.cached.is_file()


def test_no_network_says_all_that_helps(host):
    with pytest.raises(UserError) as error:
        load_from_http(f'http://127.0.0.1:9/{host.file.name}')
    line = str(error.value)
    assert '\n' not in line and f'http://127.0.0.1:9/{host.file.name}: ' in line
    for help_text in (str(host.cached.parent), 'BALLOON_WEIGHTS', 'load_from=None'):
        assert help_text in line


@pytest.mark.parametrize(
    'name, lines',
    [
        ('plain.pth', []),
        ('mydet-20240101.pth', []),  # a date
        ('rtmdet_tiny-0123abcd.pth', ['the name ends with 0123abcd, but the sha256 begins with ']),
    ],
)
def test_a_name_alone_refuses_nothing(host, monkeypatch, name, lines):
    """OpenMMLab itself has files whose name is not their checksum."""
    said = []
    monkeypatch.setattr(weights, 'print_log', lambda line, logger: said.append(line))
    host.file.rename(host.file.with_name(name))
    assert load_from_http(f'{host.address}/{name}')['a'] == 1
    assert len(said) == len(lines) and all(part in line for part, line in zip(lines, said))


def test_the_checksum_of_the_config_s_weights_is_known_in_full():
    name = Config.fromfile(ROOT / 'configs/my_rtmdet_tiny.py').load_from.rpartition('/')[2]
    assert len(weights.SHA256[name]) == 64 and weights.SHA256[name][:8] == name[-12:-4]


def test_a_full_disk_is_not_taken_for_a_missing_network(host, monkeypatch):
    def full(*args):
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(torch.hub, 'download_url_to_file', full)
    with pytest.raises(OSError) as error:
        load_from_http(host.url)
    line = explain(error.value)
    assert line == f'{host.cached}: No space left on device; next: {FILE_SYSTEM[errno.ENOSPC]}'
