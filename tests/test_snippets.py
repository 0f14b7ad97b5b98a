"""The Python lines of the README and of docs/deployment.md run as they are printed."""

import re
import sys

import cv2
import numpy as np
import pytest
from conftest import ROOT


def snippets(file, word):
    """The Python blocks of a Markdown file that hold a word."""
    blocks = re.findall(r'```python\n(.*?)```', (ROOT / file).read_text(encoding='utf-8'), re.S)
    return [block for block in blocks if word in block]


@pytest.fixture(scope='module')
def folder(tiny, exported, tmp_path_factory):
    """A folder with the files that the snippets name."""
    folder = tmp_path_factory.mktemp('program')
    (folder / 'detector.py').write_bytes((ROOT / 'mmballoon/export/detector.py').read_bytes())
    # A PNG in spite of its name: Pillow and OpenCV read a JPEG with small differences.
    png = cv2.imencode('.png', cv2.imread(str(tiny.images[0])))[1]
    (folder / 'image.jpg').write_bytes(png.tobytes())
    (folder / 'best.pth').symlink_to(tiny.checkpoint)
    (folder / 'configs').symlink_to(ROOT / 'configs')
    (folder / 'balloon.onnx').symlink_to(exported)
    return folder


@pytest.fixture
def execute(folder, monkeypatch):
    """A function that runs a snippet in this process; what it defined, and what earlier ones did."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, 'path', [str(folder), *sys.path])
    defined = {}

    def run_it(snippet):
        exec(snippet, defined)
        return defined

    return run_it


@pytest.mark.slow
@pytest.mark.parametrize('file', ['README.md', 'docs/deployment.md'])
def test_det_inferencer_and_detector(execute, file, capsys):
    for snippet in snippets(file, 'DetInferencer('):
        found = execute(snippet)['predictions']
        assert len(found) == 2 and found[0]['scores'] == found[1]['scores'] and found[0]['scores']
        assert '\nballoon 0.' in capsys.readouterr().out
    for snippet in snippets(file, ' Detector('):
        names = execute(snippet)
        boxes, scores, labels = (names[name] for name in ('boxes', 'scores', 'labels'))
        assert boxes.shape == (len(scores), 4) and names['names'] == ['balloon'] * len(labels) != []
        assert all(map(np.array_equal, names['several'][0], (boxes, scores, labels)))
    if file == 'README.md':
        return
    sv = pytest.importorskip('supervision')
    (snippet,) = snippets(file, 'supervision')
    detections = execute(snippet)['detections']
    assert isinstance(detections, sv.Detections) and len(detections) == len(found[0]['scores'])


def test_they_are_there():
    for word in ('DetInferencer(', ' Detector(', 'sv.Detections('):
        assert len(snippets('docs/deployment.md', word)) == 1, word
