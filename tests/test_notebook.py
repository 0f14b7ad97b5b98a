"""docs/quickstart.ipynb runs from top to bottom, and is stored without outputs."""

import os
import shutil
from pathlib import Path

import nbformat
import pytest
from conftest import ROOT, write_small_config
from nbclient import NotebookClient

NOTEBOOK = ROOT / 'docs/quickstart.ipynb'
PARTS = ('configs', 'data_tools', 'docs', 'mmballoon', 'tools')  # what the notebook uses of a clone


def read():
    return nbformat.read(NOTEBOOK, as_version=4)


def cells(notebook, tag):
    return [cell for cell in notebook.cells if tag in cell.metadata.get('tags', ())]


def test_stored_without_outputs():
    notebook = read()
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == 'code':
            assert not cell.outputs and cell.execution_count is None


def test_it_installs_what_the_readme_installs():
    clone, install = cells(read(), 'install')
    assert 'git clone' in clone.source
    assert install.source == '%pip install -q -r requirements.txt'
    assert 'pip install -r requirements.txt' in (ROOT / 'README.md').read_text(encoding='utf-8')


@pytest.mark.slow
def test_it_runs(tmp_path, monkeypatch):
    """In a copy of the repository, for one epoch; what it executed is kept as executed.ipynb."""
    clone = tmp_path / 'clone'
    for part in PARTS:
        shutil.copytree(ROOT / part, clone / part)
    write_small_config(clone / 'configs/my_rtmdet_tiny_toy.py', base='.')
    notebook = read()
    for cell in cells(notebook, 'install'):
        cell.source = 'import os\nfrom pathlib import Path'
    (settings,) = cells(notebook, 'parameters')
    short = settings.source.replace('EPOCHS = 20', 'EPOCHS = 1').replace('0.5', '0.05')
    assert short.count(' = 1\n') == short.count('0.05') == 1
    settings.source = short
    rendered, own = '.py --out data/toy', '--train 20 --val 1 '
    assert sum(cell.source.count(rendered) + cell.source.count(own) for cell in notebook.cells) == 2
    for cell in notebook.cells:  # the smallest set that has the image toy_val_00013.jpg
        cell.source = cell.source.replace(rendered, '.py --train 8 --val 14 --out data/toy')
        cell.source = cell.source.replace(own, '--train 8 --val 1 ')
    python = Path(os.environ['FORKING_PYTHON'])  # `!python` is this one
    monkeypatch.setenv('PATH', f'{python.parent}{os.pathsep}{os.environ["PATH"]}')
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '')
    monkeypatch.delenv('MPLBACKEND')  # its pictures are outputs
    client = NotebookClient(notebook, timeout=900, resources=dict(metadata=dict(path=str(clone))))
    try:
        client.execute()
    finally:
        nbformat.write(notebook, os.environ.get('EXECUTED_NOTEBOOK', tmp_path / 'executed.ipynb'))
    outputs = [o for cell in notebook.cells for o in cell.get('outputs', ())]
    text = ''.join(o.text for o in outputs if o.output_type == 'stream')
    # a command after `!` that fails does not stop a notebook
    assert 'error: ' not in text and 'Traceback' not in text, text[-3000:]
    assert text.count('Epoch(val) [1]') == 2 and 'for the config: classes=' in text
    images = [o for o in outputs if 'image/png' in o.get('data', {})]
    assert len(images) == 5, text[-3000:]
