"""tools/report.py, typed as a person would."""

import json
import multiprocessing
import pickle
import re
import shutil
import subprocess

import pytest
import torch

from mmballoon.cli import UserError
from mmballoon.report.results import read_results

CHROMIUM = shutil.which('chromium') or shutil.which('google-chrome')


@pytest.fixture(scope='module')
def results(tiny, tmp_path_factory):
    """results.pkl of tools/test.py on the tiny set, and what it printed."""
    from conftest import run

    folder = tmp_path_factory.mktemp('results')
    args = [tiny.config, tiny.checkpoint, '--out', folder / 'results.pkl', '--work-dir', folder]
    return folder / 'results.pkl', run('tools/test.py', *args, env=tiny.env).stdout


@pytest.mark.parametrize('name', ['report.html', 'report.json'])
def test_a_file_of_somebody_else_is_not_replaced(mistake, tiny, tmp_path, name):
    (tmp_path / name).write_text('{"my": "thesis"}')
    line = mistake('tools/report.py', tiny.config, tiny.checkpoint, '--out', tmp_path, env=tiny.env)
    assert f'{tmp_path / name}: not written by this command' in line
    assert (tmp_path / name).read_text() == '{"my": "thesis"}' and len([*tmp_path.iterdir()]) == 1


def test_the_same_values_as_tools_test(in_process, tiny, results, tmp_path):
    """Detected by the report itself, and read from results.pkl: the last digit is the same."""
    printed = dict(re.findall(r'coco/bbox_(mAP\w*): (-?[0-9.]+)', results[1]))
    for name, source in (
        ('a', [tiny.checkpoint]),
        ('b', [tiny.checkpoint, '--predictions', results[0], '--lang', 'zh']),
    ):
        done = in_process(
            'tools/report.py', tiny.config, *source, '--out', tmp_path / name, env=tiny.env
        )
        assert done.status == 0 and f'saved: {tmp_path / name / "report.html"}' in done.out
        assert not multiprocessing.active_children()  # later, it would wait 5 seconds for each
        report = json.loads((tmp_path / name / 'report.json').read_text())
        for key, row in zip(printed, report['metrics'].values(), strict=True):
            assert f'{row["value"] if row else -1:.3f}' == f'{float(printed[key]):.3f}', key
        findings = '\n'.join(report['findings'])
        assert '\nnote: ' in findings and 'val: 4 images' in findings
    page = (tmp_path / 'b/report.html').read_text()
    assert 'lang="zh"' in page and 'src="data:image/jpeg' in page  # the curves
    assert sorted(path.name for path in (tmp_path / 'b').iterdir()) == [
        'report.html',
        'report.json',
    ]


def test_leakage_is_found_where_the_files_of_both_splits_have_one_name(
    in_process, tiny, results, tmp_path
):
    split = "dict(dataset=dict(ann_file='coco_val.json', data_prefix=dict(img='val/')))"
    text = f'_base_ = {str(tiny.config)!r}\ntrain_dataloader = {split}\n'
    (tmp_path / 'same.py').write_text(text)
    args = [tmp_path / 'same.py', '--predictions', results[0], '--out', tmp_path / 'out']
    assert in_process('tools/report.py', *args, env=tiny.env).status == 0
    findings = '\n'.join(json.loads((tmp_path / 'out/report.json').read_text())['findings'])
    assert 'No duplicates' not in findings
    assert 'wrong: 4 identical files between splits: data leakage' in findings


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


@pytest.mark.parametrize(
    'change, found',
    [
        (dict(bbox=[1, 2, 3]), 'ValueError'),
        (dict(bbox=[1, 2, 3, 'wide']), 'ValueError'),
        (dict(score=float('nan')), 'not a number in'),
        (dict(image_id=[1]), 'TypeError'),
    ],
)
def test_results_json_with_a_bad_row(tmp_path, change, found):
    row = dict(image_id=1, category_id=1, bbox=[1, 2, 3, 4], score=0.5)
    (tmp_path / 'results.json').write_text(json.dumps([row, row | change]))
    with pytest.raises(UserError, match=found):
        read_results(tmp_path / 'results.json', None)


def test_results_json_of_other_images(mistake, tiny, tmp_path):
    row = dict(image_id=99, category_id=1, bbox=[1, 2, 3, 4], score=0.5)
    (tmp_path / 'other.json').write_text(json.dumps([row]))
    line = mistake(
        'tools/report.py', tiny.config, '--predictions', tmp_path / 'other.json', env=tiny.env
    )
    assert 'detections in image 99, which the annotations do not have' in line


def test_compare_says_whether_the_difference_could_be_chance(in_process, tiny, results, tmp_path):
    """With itself: a difference of 0, which its interval contains."""
    args = ['--predictions', results[0], '--compare', results[0], '--out', tmp_path]
    in_process('tools/report.py', tiny.config, *args, env=tiny.env)
    report = json.loads((tmp_path / 'report.json').read_text())
    assert report['difference']['AP']['value'] == 0
    assert report['made']['compare_sha256'] == report['made']['predictions_sha256']
    assert 'the mAP differs by +0.000.' in (tmp_path / 'report.html').read_text()


def test_review_is_written_beside_the_report(in_process, mistake, tiny_data, tmp_path):
    """All objects are found but the first; one detection has no annotation."""
    first, *rest = json.loads((tiny_data.root / 'coco_val.json').read_text())['annotations']
    boxes = [dict(a, score=0.9) for a in [*rest, dict(first, image_id=4, bbox=[1, 1, 9, 9])]]
    keys = ('image_id', 'category_id', 'bbox', 'score')
    found = [{key: box[key] for key in keys} for box in boxes]
    (tmp_path / 'found.json').write_text(json.dumps(found))
    args = ['--predictions', tmp_path / 'found.json', '--out', tmp_path / 'out']
    args += [
        '--extend',
        tiny_data.root / 'val/via_region_data.json',
        '--review',
        tmp_path / 'r.json',
    ]
    done = in_process('tools/report.py', tiny_data.config, *args, env=tiny_data.env)
    assert '1 annotations to check, 1 suggestions, in 2 of 4 images' in done.out, done.out
    project = json.loads((tmp_path / 'r.json').read_text(encoding='utf-8'))
    status = [
        [region['region_attributes'].get('status') for region in image['regions']]
        for image in project['_via_img_metadata'].values()
    ]
    flat = sum(status, [])
    assert (flat.count('check'), flat.count('suggested'), len(flat)) == (1, 1, 2 + len(rest))
    assert set(status[2] + status[3]) == {None}  # the first two images are those to look at
    line = mistake('tools/report.py', tiny_data.config, *args, env=tiny_data.env)
    assert 'r.json: exists; next: choose another --review' in line


# Uses the page as a person would, in a frame as wide as a telephone, and writes what it finds into
# the title of the page around it.
IN_FRAME = """<iframe src="report.html" width="390" height="800"></iframe><script>onload = () => {
const { document: page, performance } = document.querySelector('iframe').contentWindow;
const order = page.querySelector('#order');
order.value = 'best';
order.dispatchEvent(new Event('change'));
const values = [...page.querySelectorAll('[data-f1]')].map((card) => Number(card.dataset.f1));
const slider = page.querySelector('#slider');
if (slider) { slider.value = 0; slider.dispatchEvent(new Event('input')); }
page.querySelector('[data-f1] button').click();
document.title = JSON.stringify({
  requests: performance.getEntriesByType('resource').length,
  width: page.documentElement.scrollWidth,
  sorted: values.length > 1 && values.every((value, i) => i === 0 || value <= values[i - 1]),
  at: slider && page.querySelector('#at').textContent,
  enlarged: page.querySelectorAll('dialog[open] svg').length,
});};</script>"""


@pytest.mark.slow
@pytest.mark.skipif(not CHROMIUM, reason='needs chromium')
@pytest.mark.parametrize('lang', ['en', 'zh'])
def test_in_a_browser(in_process, tiny_data, tmp_path, lang):
    """No line on the console, no request, no horizontal scrolling; sorting, slider, enlarging work."""
    rows = [
        dict(image_id=image, category_id=1, bbox=a['bbox'], score=0.9)
        for image in (1, 2)
        for a in json.loads((tiny_data.root / 'coco_val.json').read_text())['annotations']
        if a['image_id'] == image
    ]
    (tmp_path / 'found.json').write_text(json.dumps(rows))
    args = ['--predictions', tmp_path / 'found.json', '--lang', lang, '--out', tmp_path]
    in_process('tools/report.py', tiny_data.config, *args, env=tiny_data.env)
    (tmp_path / 'frame.html').write_text(IN_FRAME)
    options = ['--headless', '--no-sandbox', '--disable-gpu', '--enable-logging=stderr']
    options += ['--disable-quic', '--no-first-run', '--disable-background-networking']
    options += ['--disable-component-update', '--disable-sync', f'--user-data-dir={tmp_path}/user']
    options += ['--allow-file-access-from-files', '--virtual-time-budget=5000', '--dump-dom']
    command = [CHROMIUM, *options, f'file://{tmp_path / "frame.html"}']
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert 'CONSOLE' not in done.stderr, done.stderr
    found = json.loads(re.search(r'<title>(.+)</title>', done.stdout)[1])
    assert found.pop('width') <= 390
    assert found == dict(requests=0, sorted=True, at='0.000', enlarged=1)
