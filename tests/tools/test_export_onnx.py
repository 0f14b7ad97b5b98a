"""Export, test and detection with the exported file, typed as a person would."""

import importlib.util
import io
import json
import re
import runpy
import subprocess
import sys
import venv
from contextlib import redirect_stdout
from functools import partial
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import onnxruntime
import pytest
from conftest import ROOT

from mmballoon.cli import check_ours
from mmballoon.export import compare, onnx_file
from mmballoon.export.detector import Detector


@pytest.fixture
def export(tiny, exported, monkeypatch):
    """A function that runs tools/export_onnx.py in this process, without the 13 seconds of building the
    same network again, and returns what it printed.
    """
    content = onnx_file.add_metadata(exported.read_bytes(), bfloat16=None)  # as it is built
    monkeypatch.setattr(onnx_file, 'build', lambda model, half: content)
    return partial(run_export, tiny)


def run_export(tiny, out, *args):
    from mmengine.logging import MMLogger

    MMLogger._instance_dict.clear()  # earlier ones write to streams that pytest has closed
    main = runpy.run_path(str(ROOT / 'tools/export_onnx.py'))['main']
    paths = [str(tiny.config), str(tiny.checkpoint), '--out', str(out), '--img-size', '128']
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as printed:
        patch.setenv('BALLOON_ROOT', str(tiny.root))
        main([*paths, *map(str, args)])
    return printed.getvalue()


def test_a_new_file_that_cannot_be_opened(export, tiny, tmp_path, monkeypatch, capsys):
    """The person has passed no file, and is not asked for another one."""
    monkeypatch.setattr(onnx_file, 'build', lambda model, half: b'nothing')
    with pytest.raises(SystemExit):
        export(tmp_path / 'a.onnx', '--images', tiny.images[0])
    said = capsys.readouterr().err
    assert 'error: the new file cannot be opened: ' in said and 'report a bug' in said
    assert not [*tmp_path.iterdir()]


def test_export_prints_the_parity_and_writes_the_file(exported):
    first, last = (exported.parents[1] / 'printed.txt').read_text().splitlines()[-2:]
    assert first.startswith('torch and ONNX Runtime agree on 4 images: 99.5% of the boxes within ')
    assert ', mAP 0.' in first and last.startswith(f'saved: {exported} (')
    assert [file.name for file in exported.parent.iterdir()] == ['model.onnx']


def test_the_coco_table_and_a_report_about_the_file(in_process, tiny, exported, tmp_path):
    done = in_process('tools/test_onnx.py', tiny.config, exported, env=tiny.env)
    assert f'{exported}: runs in ONNX Runtime\n Average' in done.out
    table = [line.split(' = ')[-1] for line in done.out.splitlines() if 'maxDets' in line]
    in_process('tools/report.py', tiny.config, exported, '--out', tmp_path, env=tiny.env)
    report = json.loads((tmp_path / 'report.json').read_text())
    assert report['detections'] > 0 and report['use'].startswith('python tools/onnx_demo.py ')
    values = [row['value'] if row else -1 for row in report['metrics'].values()]
    assert [f'{value:.3f}' for value in values] == table[:6] and len(table) == 12


def test_another_result_leaves_no_file(export, tiny, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(compare.LIMITS, 'float32', (-1, 1e-3, 1, 1e-3, 0.995))
    old = tmp_path / 'model.onnx'
    old.write_text('of an earlier export: "pad_value": [')
    with pytest.raises(SystemExit) as stop:
        export(old, '--images', tiny.images[0])
    err = capsys.readouterr().err
    assert (
        stop.value.code == 2 and 'error: the exported file detects something else: 1 images' in err
    )
    assert [path.read_text()[:20] for path in tmp_path.iterdir()] == ['of an earlier export']


def test_a_file_of_another_program_stays(mistake, exported, tmp_path):
    foreign = tmp_path / 'model.onnx'
    foreign.write_text('of another program')
    assert 'not written by this command' in mistake(
        'tools/export_onnx.py', 'c', 'w', '--out', foreign
    )
    assert foreign.read_text() == 'of another program'
    check_ours(exported, '"pad_value": [')


@pytest.mark.parametrize('tool', ['export_onnx', 'test_onnx'])
def test_a_missing_package_is_named(mistake, tiny, monkeypatch, tool):
    monkeypatch.setitem(sys.modules, 'onnxruntime', None)
    monkeypatch.delitem(sys.modules, 'mmballoon.export.detector', raising=False)
    line = mistake(f'tools/{tool}.py', tiny.config, tiny.checkpoint, env=tiny.env)
    assert 'onnxruntime is not installed; next: pip install -r requirements-export.txt' in line


@pytest.fixture(scope='module')
def bare_python(tmp_path_factory):
    """A virtual environment with numpy, OpenCV and ONNX Runtime, and nothing else."""
    folder = tmp_path_factory.mktemp('bare')
    venv.create(folder, with_pip=False)
    (packages,) = folder.glob('lib/python3*/site-packages')
    for name in ('numpy', 'cv2', 'onnxruntime'):
        source = Path(importlib.util.find_spec(name).origin).parent
        (packages / name).symlink_to(source)
        for libraries in source.parent.glob(f'*{name.replace("cv2", "opencv")}*.libs'):
            (packages / libraries.name).symlink_to(libraries)
    return folder / 'bin/python'


def run_bare(python, *args):
    command = [str(python), str(ROOT / 'tools/onnx_demo.py'), *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_the_demo_alone_detects_as_image_demo_does(
    in_process, bare_python, tiny, exported, tmp_path
):
    done = run_bare(bare_python, tiny.root / 'val', exported, '--out-dir', tmp_path / 'onnx')
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == f'{exported}: runs in ONNX Runtime'
    config = tmp_path / 'small.py'
    config.write_text(
        f"_base_ = '{tiny.config}'\n"
        'pipeline = _base_.test_pipeline\n'
        'pipeline[1].scale = pipeline[2].size = (128, 128)\n'
        'test_dataloader = dict(dataset=dict(pipeline=pipeline))\n'
    )
    paths = [
        tiny.root / 'val',
        config,
        '--weights',
        tiny.checkpoint,
        '--out-dir',
        tmp_path / 'torch',
    ]
    assert in_process('tools/image_demo.py', *paths, env=tiny.env).status == 0
    for folder in ('vis', 'preds'):
        names = [
            sorted(p.name for p in (tmp_path / side / folder).iterdir())
            for side in ('onnx', 'torch')
        ]
        assert names[0] == names[1] and len(names[0]) == 4
    for path in (tmp_path / 'onnx/preds').iterdir():
        sides = [
            json.loads((tmp_path / side / 'preds' / path.name).read_text())
            for side in ('onnx', 'torch')
        ]
        assert sides[0].keys() == sides[1].keys()
        columns = [
            [np.array(side[key]) for key in ('bboxes', 'scores', 'labels')] for side in sides
        ]
        rows = compare.differences(*columns, 0.001)
        assert len(rows) and (rows.max(0) < (0.5, 1e-3, 1)).all()


def test_the_demo_detects_in_every_video_and_image(bare_python, tiny, exported, tmp_path):
    frame = cv2.imread(str(tiny.images[0]))
    for name in ('a.avi', 'b.avi'):
        writer = cv2.VideoWriter(
            str(tmp_path / name), cv2.VideoWriter_fourcc(*'MJPG'), 10, frame.shape[1::-1]
        )
        writer.write(frame)
        writer.release()
    inputs = [tmp_path / 'a.avi', tiny.images[0], tmp_path / 'b.avi', exported]
    done = run_bare(bare_python, *inputs, '--out-dir', tmp_path / 'out')
    assert done.returncode == 0, done.stderr
    written = {path.name for path in (tmp_path / 'out/vis').iterdir()}
    assert written == {'a.mp4', 'b.mp4', tiny.images[0].name}


def test_the_class_alone_in_a_program_of_ones_own(bare_python, exported, tiny, tmp_path):
    """Copied, as the documentation says, beside a program that imports nothing else."""
    (tmp_path / 'detector.py').write_bytes(
        Path(compare.__file__, '../detector.py').resolve().read_bytes()
    )
    program = f"""import sys, cv2, detector
print(len(detector.Detector({str(exported)!r})(cv2.imread(sys.argv[1]))))
assert not [name for name in sys.modules if name.startswith(('mmballoon', 'torch', 'mmcv'))]"""
    command = [str(bare_python), '-c', program, str(tiny.images[0])]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def openvino_of(capabilities, compiled):
    """A module like openvino that runs ONNX Runtime, and notes its settings in the list ``compiled``."""

    def compile_model(path, device, options):
        compiled.append(options)
        session = onnxruntime.InferenceSession(path)
        return lambda images: dict(enumerate(session.run(None, {'images': images})))

    class Model(str):
        def get_rt_info(self, key):
            entries = onnxruntime.InferenceSession(self).get_modelmeta().custom_metadata_map
            return SimpleNamespace(value=entries[key[1]])

    core = SimpleNamespace(
        read_model=Model, get_property=lambda *names: capabilities, compile_model=compile_model
    )
    return SimpleNamespace(Core=lambda: core, __spec__=ModuleSpec('openvino', None))


@pytest.mark.parametrize(
    'capabilities, agrees, wanted, runs, precision',
    [
        (['FP32', 'BF16'], True, None, 'openvino-bfloat16', ['bf16']),
        (['FP32', 'BF16'], False, None, 'openvino-float32', ['f32']),
        (['FP32'], True, None, 'openvino-float32', ['f32']),
        (['FP32', 'BF16'], False, 'openvino-bfloat16', 'openvino-bfloat16', ['bf16']),
        (['FP32', 'BF16'], True, 'onnxruntime', 'onnxruntime', []),
        (['FP32'], True, 'openvino-bfloat16', None, None),
    ],
)
def test_the_runtime(
    capabilities, agrees, wanted, runs, precision, exported, tmp_path, monkeypatch
):
    compiled, path = [], tmp_path / 'model.onnx'
    path.write_bytes(onnx_file.add_metadata(exported.read_bytes(), bfloat16=agrees))
    monkeypatch.setitem(sys.modules, 'openvino', openvino_of(capabilities, compiled))
    if runs is None:
        with pytest.raises(ValueError, match='no instructions for bfloat16'):
            Detector(str(path), runtime=wanted)
        return
    detector = Detector(str(path), threads=1, runtime=wanted)
    assert detector.runtime == runs
    assert [options.get('INFERENCE_PRECISION_HINT') for options in compiled] == precision
    image = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    assert len(detector(image)[0]) == len(detector(image)[1])


def test_bfloat16_is_allowed_where_the_boxes_agree(export, tmp_path, monkeypatch):
    pretended = openvino_of(['FP32', 'BF16'], [])
    monkeypatch.setitem(sys.modules, 'openvino', pretended)
    path = tmp_path / 'model.onnx'
    for limit, agrees in ((1, True), (-1, None)):
        monkeypatch.setitem(compare.LIMITS, 'bfloat16', (limit, 1, 1, 1, 0.95))
        printed = export(path)
        verdict = 'agree' if agrees else 'differ, so onnx_demo.py will use float32,'
        assert f'OpenVINO in bfloat16 {verdict} on 4 images' in printed
        assert Detector(str(path), runtime='onnxruntime').metadata.get('bfloat16') is agrees


def test_images_narrower_than_the_network_can_see(exported):
    """Upstream cannot resize a line of 300 pixels to 128: its width would be 0."""
    detector = Detector(str(exported))
    boxes, scores, _ = detector(np.zeros((300, 1, 3), np.uint8))
    assert len(boxes) == len(scores)


@pytest.mark.parametrize('case', ['no image', 'no model', 'broken image', 'same name'])
def test_mistakes_end_in_one_line(case, bare_python, exported, tiny, tmp_path):
    broken = tmp_path / 'a.jpg'
    broken.write_text('text')
    other = tmp_path / 'b/a.png'
    other.parent.mkdir()
    cv2.imwrite(str(other), np.zeros((9, 9, 3), np.uint8))
    args, text = {
        'no image': (['nowhere', exported], 'nowhere: no such image'),
        'no model': ([other, broken], 'pass a file of tools/export_onnx.py'),
        'broken image': ([broken, exported], f'{broken}: not a readable image'),
        'same name': ([broken, other, exported], 'would have results of the same name'),
    }[case]
    done = run_bare(bare_python, *args, '--out-dir', tmp_path / 'out')
    assert done.returncode == 2 and 'Traceback' not in done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith('error: ') and text in line and '; next: ' in line
    assert not (tmp_path / 'out').exists()


def test_8_bit_integers_calibrated_on_the_training_images(
    export, tiny, exported, tmp_path, monkeypatch
):
    from mmballoon.export import int8

    seen = []
    read = int8.read_image
    monkeypatch.setattr(int8, 'read_image', lambda file: seen.append(Path(file)) or read(file))
    printed = export(tmp_path / 'small.onnx', '--int8')
    times = re.search(r'8-bit integers take (\d+) ms per image .* without --int8 (\d+) ms', printed)
    slower = int(times[1]) > int(times[2])
    assert ('next: export without --int8' in printed) >= slower  # the same number may be either
    assert 'agree on 4 images: 50.0% of the boxes within' in printed
    assert {path.parent.name for path in seen} == {'train'} and len(seen) == 8
    sizes = [path.stat().st_size for path in (tmp_path / 'small.onnx', exported)]
    assert sizes[0] < 0.4 * sizes[1]
    image = cv2.imread(str(tiny.images[0]))
    small = Detector(str(tmp_path / 'small.onnx'))
    assert small.metadata['dtype'] == 'int8'
    scores = [small(image)[1], Detector(str(exported))(image)[1]]
    assert len(scores[0]) and not np.array_equal(*(values[:10] for values in scores))


def test_8_bit_integers_that_cost_too_much_are_refused(export, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(compare.LIMITS, 'int8', (*compare.LIMITS['int8'][:3], -1, 0.5))
    with pytest.raises(SystemExit) as stop:
        export(tmp_path / 'small.onnx', '--int8')
    assert stop.value.code == 2 and 'detects something else' in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
