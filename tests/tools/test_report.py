"""tools/report.py, typed as a person would."""

import json
import pickle
import re
import shutil
import subprocess
import time

import pytest
import torch

CHROMIUM = shutil.which('chromium') or shutil.which('google-chrome')


@pytest.fixture(scope='module')
def results(tiny, tmp_path_factory):
    """results.pkl of tools/test.py on the tiny set, and what it printed."""
    from conftest import run

    folder = tmp_path_factory.mktemp('results')
    args = [tiny.config, tiny.checkpoint, '--out', folder / 'results.pkl', '--work-dir', folder]
    return folder / 'results.pkl', run('tools/test.py', *args, env=tiny.env).stdout


def test_the_same_map_as_tools_test(in_process, tiny, results, tmp_path):
    """Detected by the report itself, and read from results.pkl: the last digit is the same."""
    printed = re.findall(r'coco/bbox_mAP: ([0-9.]+)', results[1])[-1]
    for name, source in (
        ('a', [tiny.checkpoint]),
        ('b', [tiny.checkpoint, '--predictions', results[0], '--lang', 'zh']),
    ):
        start = time.perf_counter()
        done = in_process(
            'tools/report.py', tiny.config, *source, '--out', tmp_path / name, env=tiny.env
        )
        assert done.status == 0 and f'saved: {tmp_path / name / "report.html"}' in done.out
        report = json.loads((tmp_path / name / 'report.json').read_text())
        assert f'{report["metrics"]["AP"]["value"]:.3f}' == f'{float(printed):.3f}'
        assert 'note: ' in report['findings'] and 'val: 4 images' in report['findings']
    assert time.perf_counter() - start < 10  # nothing was detected in the second
    page = (tmp_path / 'b/report.html').read_text()
    assert 'lang="zh"' in page and 'src="data:image/jpeg' in page  # the curves
    assert sorted(path.name for path in (tmp_path / 'b').iterdir()) == [
        'report.html',
        'report.json',
    ]


class Hostile:
    def __reduce__(self):
        return print, ('executed',)


@pytest.mark.parametrize(
    'content, found',
    [
        (pickle.dumps([Hostile()]), 'builtins.print, which is no tensor'),
        (pickle.dumps(torch.nn.Linear(1, 1)), 'which is no tensor'),
        (pickle.dumps([dict(img_id=1)]), "KeyError: 'pred_instances'"),
        (b'', 'EOFError'),
        (b'text', 'UnpicklingError'),
    ],
)
def test_file_that_is_no_detections(mistake, tiny, tmp_path, content, found, capsys):
    (tmp_path / 'results.pkl').write_bytes(content)
    args = ['--predictions', tmp_path / 'results.pkl', '--out', tmp_path / 'out']
    line = mistake('tools/report.py', tiny.config, *args, env=tiny.env)
    assert f'{tmp_path / "results.pkl"}: not a file of detections (' in line and found in line
    assert not (tmp_path / 'out').exists()


def test_results_json_of_other_images(mistake, tiny, tmp_path):
    row = dict(image_id=99, category_id=1, bbox=[1, 2, 3, 4], score=0.5)
    (tmp_path / 'other.json').write_text(json.dumps([row]))
    line = mistake(
        'tools/report.py', tiny.config, '--predictions', tmp_path / 'other.json', env=tiny.env
    )
    assert 'detections in image 99, which the annotations do not have' in line


@pytest.mark.slow
@pytest.mark.skipif(not CHROMIUM, reason='needs chromium')
@pytest.mark.parametrize('lang', ['en', 'zh'])
def test_in_a_browser(in_process, tiny, results, tmp_path, lang):
    """No line on the console, no request, and no horizontal scrolling on a telephone."""
    args = [tiny.checkpoint, '--predictions', results[0], '--lang', lang, '--out', tmp_path]
    in_process('tools/report.py', tiny.config, *args, env=tiny.env)
    (tmp_path / 'phone.html').write_text(
        '<iframe src="report.html" width="390" height="800"></iframe><script>onload = () => {'
        'const page = document.querySelector("iframe").contentWindow;'
        'const root = page.document.documentElement;'
        'const requests = page.performance.getEntriesByType("resource").length;'
        'document.title = `${root.scrollWidth} ${root.clientWidth} ${requests}`; };</script>'
    )
    options = ['--headless', '--no-sandbox', '--disable-gpu', '--enable-logging=stderr']
    options += ['--allow-file-access-from-files', '--virtual-time-budget=5000', '--dump-dom']
    command = [CHROMIUM, *options, f'file://{tmp_path / "phone.html"}']
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert 'CONSOLE' not in done.stderr, done.stderr
    width, client, requests = re.search(r'<title>(\d+) (\d+) (\d+)<', done.stdout).groups()
    assert int(width) <= int(client) <= 390 and requests == '0'
