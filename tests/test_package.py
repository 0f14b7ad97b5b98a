"""What an installed mmballoon gives: configs from any folder, repairs in any script, light data tools."""

import shutil
import subprocess
import sys

import pytest
from conftest import ROOT

DETECT = """
import sys
import mmcompat
from mmdet.apis import DetInferencer
config, checkpoint, image = sys.argv[1:]
inferencer = DetInferencer(config, checkpoint, device='cpu', show_progress=False)
print(len(inferencer(image)['predictions'][0]['scores']), 'boxes')
"""


def test_a_script_in_any_folder_detects(tiny, tmp_path):
    (tmp_path / 'detect.py').write_text(DETECT)
    command = [sys.executable, 'detect.py', tiny.config, tiny.checkpoint, tiny.images[0]]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and ' boxes' in done.stdout, done.stderr


def test_an_installation_brings_the_weights_and_their_card(tmp_path):
    source = tmp_path / 'source'  # a build writes into its source
    source.mkdir()
    for name in ('mmballoon', 'mmcompat'):
        shutil.copytree(ROOT / name, source / name)
    for name in ('pyproject.toml', 'README.md', 'LICENSE'):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, '-m', 'pip', 'install', '-q', '--no-deps', '--no-build-isolation']
    subprocess.run([*pip, '--target', tmp_path / 'site', source], check=True)
    for name in ('rtmdet_tiny_objects.pth', 'README.md'):
        installed = (tmp_path / 'site/mmballoon/weights' / name).read_bytes()
        assert installed == (ROOT / 'mmballoon/weights' / name).read_bytes()


@pytest.mark.parametrize(
    'command', sorted((ROOT / 'data_tools').glob('*.py')), ids=lambda p: p.name
)
def test_data_tools_import_no_torch(command):
    code = f'import runpy, sys; runpy.run_path({str(command)!r}); print(*sys.modules)'
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not {'torch', 'mmengine', 'mmcv', 'mmdet'} & set(done.stdout.split())


def test_no_path_is_inserted():
    # upstream.py: the folder of a person's script, as Python does; onnx_demo.py runs uninstalled;
    # gpu.py runs the model zoo of the tests.
    needed = {
        ROOT / 'mmballoon/upstream.py',
        ROOT / 'tools/onnx_demo.py',
        ROOT / 'benchmarks/gpu.py',
    }
    for path in {*ROOT.glob('*/**/*.py')} - needed:
        folder = path.relative_to(ROOT).parts[0]
        if folder in ('tools', 'data_tools', 'mmballoon', 'benchmarks', 'configs'):
            assert 'sys.path' not in path.read_text(), path


def test_only_commands_beside_commands():
    for folder in ('tools', 'data_tools'):
        for path in (ROOT / folder).glob('*'):
            if path.name != '__pycache__':
                assert path.suffix == '.py' and "__name__ == '__main__'" in path.read_text(), path
