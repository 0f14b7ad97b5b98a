"""mmballoon/packages.py: an environment that does not fit is told what to install, in one line."""

import os
import subprocess
import sys

import pytest
from conftest import ROOT
from packaging.requirements import Requirement

from mmballoon import packages

TRAIN = ['tools/train.py', 'configs/my_rtmdet_tiny_toy.py']


def python(*args, path='', flags=()):
    """Run Python with ``path`` before the installed packages; returns (status, last line)."""
    done = subprocess.run(
        [sys.executable, *flags, *map(str, args)],
        cwd=ROOT,
        env={**os.environ, 'PYTHONPATH': f'{ROOT}{os.pathsep}{path}'},
        capture_output=True,
        text=True,
    )
    assert 'Traceback' not in done.stderr, done.stderr
    return done.returncode, done.stderr.strip().splitlines()[-1]


def pretend(folder, name, version, *requires):
    """Put the metadata of a package into a folder, as pip would write it."""
    info = folder / f'{name.replace("-", "_")}-{version}.dist-info'
    info.mkdir(parents=True)
    lines = ['Metadata-Version: 2.1', f'Name: {name}', f'Version: {version}']
    lines += [f'Requires-Dist: {line}' for line in requires]
    (info / 'METADATA').write_text('\n'.join(lines) + '\n')


def test_an_empty_environment_is_told_what_to_do():
    """-S: Python without the folder of the installed packages."""
    status, line = python(*TRAIN, flags=['-S'])
    assert status == 2
    if list(ROOT.glob('*.egg-info')):  # pip was here: the metadata names each package
        assert line.startswith('error: ') and 'torch is not installed, ' in line
        assert '; next: pip install ' in line and '"mmdet<3.4,>=3.0.0"' in line
    else:
        assert line == 'error: mmdet: not installed; next: pip install -r requirements.txt'


def test_what_pip_installs_without_the_range(tmp_path):
    pretend(tmp_path, 'mmcv-lite', '2.2.0')
    status, line = python(*TRAIN, path=tmp_path)
    assert status and line.partition('rror: ')[2] == (
        'mmcv-lite 2.2.0 is installed, expected <2.1,>=2.0.1; '
        'next: pip install "mmcv-lite<2.1,>=2.0.1"'
    )


@pytest.mark.parametrize(
    'command',
    [
        ['tools/test.py', TRAIN[1], 'x.pth'],
        ['tools/image_demo.py', 'docs/images', TRAIN[1], '--weights', 'x.pth'],
        ['tools/featmap_vis_demo.py', 'docs/images', TRAIN[1], 'x.pth'],
        ['tools/boxam_vis_demo.py', 'docs/images', TRAIN[1], 'x.pth'],
        ['tools/report.py', TRAIN[1], 'x.pth'],
        ['tools/export_onnx.py', TRAIN[1], 'x.pth'],
        ['tools/upstream.py', 'mmdet', 'tools/misc/print_config.py', TRAIN[1]],
    ],
    ids=lambda command: command[0],
)
def test_every_command_says_it(tmp_path, mistake, monkeypatch, command):
    pretend(tmp_path, 'mmdet', '3.4.0')
    monkeypatch.setattr(sys, 'path', [str(tmp_path), *sys.path])
    assert mistake(*command) == (
        'error: mmdet 3.4.0 is installed, expected <3.4,>=3.0.0; '
        'next: pip install "mmdet<3.4,>=3.0.0"'
    )


def test_torchvision_for_another_torch(tmp_path):
    pretend(tmp_path, 'torchvision', '0.30.0', 'torch==2.16.0')
    pretend(tmp_path, 'torch', '2.15.0')
    status, line = python(*TRAIN, path=tmp_path)
    assert status == 2 and line.endswith(
        'torchvision 0.30.0 is for torch ==2.16.0, found torch 2.15.0; '
        'next: pip install "torch==2.15.0" "torchvision"'
    )


@pytest.fixture
def installed(monkeypatch):
    """A function that sets the versions of packages (None: not installed), and returns the line."""
    real = packages._version

    def line(names, **versions):
        versions = {name.replace('_', '-'): found for name, found in versions.items()}
        monkeypatch.setattr(packages, '_version', lambda name: versions.get(name, real(name)))
        return packages.package_problems(names)

    return line


def test_this_environment_fits(installed):
    assert len(packages.requirements()) >= 16 and packages.package_problems() is None
    assert installed(['torch'], torch='2.16.0.dev20261101+cu132') is None  # a nightly build


def test_all_that_is_missing_is_named_at_once(installed):
    assert installed(['numpy', 'mmdet'], numpy=None, mmdet=None) == (
        'numpy is not installed, mmdet is not installed; '
        'next: pip install "numpy>=1.26" "mmdet<3.4,>=3.0.0"'
    )


def test_an_old_torch_takes_its_torchvision_along(installed):
    assert installed(['torch'], torch='2.4.1+cu121') == (
        'torch 2.4.1+cu121 is installed, expected >=2.6; next: pip install "torch>=2.6" "torchvision"'
    )


def test_full_mmcv(installed):
    """In range it is used as it is; else mmcv-lite takes its place. Never both in one folder."""
    assert installed(['mmcv-lite'], mmcv='2.0.1', mmcv_lite=None) is None
    assert installed(['mmcv-lite'], mmcv='2.0.1') is None  # both, but the same files
    assert installed(['mmcv-lite'], mmcv='2.1.0', mmcv_lite=None, mmyolo=None) is None
    assert installed(['mmcv-lite'], mmcv='2.1.0', mmcv_lite=None) == (
        'mmcv 2.1.0 is installed, expected <2.1,>=2.0.1; '
        'next: pip uninstall -y mmcv && pip install "mmcv-lite<2.1,>=2.0.1"'
    )
    assert installed(['mmcv-lite'], mmcv='2.1.0') == (
        'mmcv-lite 2.0.1 and mmcv 2.1.0 are installed into one folder; '
        'next: pip uninstall -y mmcv-lite mmcv && pip install "mmcv-lite<2.1,>=2.0.1"'
    )


def test_the_tested_set_is_in_the_ranges():
    """Each pin of constraints.txt that pyproject.toml names."""
    ranges = {r.name: r for r in map(Requirement, packages.requirements().values())}
    lines = [line.partition('#')[0] for line in (ROOT / 'constraints.txt').read_text().splitlines()]
    pins = [Requirement(line) for line in lines if line.strip()]
    seen = {pin.name for pin in pins if pin.name in ranges}
    assert seen == set(ranges)
    for pin in pins:
        if pin.name in ranges:
            version = str(pin.specifier).removeprefix('==')
            assert ranges[pin.name].specifier.contains(version), pin
