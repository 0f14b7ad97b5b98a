"""MMDetection's model zoo on the CPU: `make models` runs this and writes docs/models.md."""

import json
from datetime import date
from pathlib import Path

import model_zoo
import pytest

from mmballoon.cli import atomic_write

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.models
def test_every_family_trains_and_predicts_or_says_what_is_missing():
    """What is known is kept in work_dirs/models.json, so that a run that was stopped goes on."""
    import mmdet
    import torch

    found, notes = model_zoo.configs(), ROOT / 'work_dirs/models.json'
    results = json.loads(notes.read_text()) if notes.is_file() else {}
    for name, path in found.items():
        if name not in results:
            results[name] = model_zoo.outcome(path)
            print(f'{name}\t{path.stem}\t{results[name]}', flush=True)
            notes.parent.mkdir(exist_ok=True)
            with atomic_write(notes, 'w') as file:
                json.dump(results, file, indent=1)
    works = sum(said == 'works' for said in results.values())
    needs = sum(said.startswith('needs ') for said in results.values())
    rows = [f'| {name} | `{found[name].stem}` | {results[name]} |' for name in found]
    text = (
        '# Models\n\nOne training step and one prediction of one config of each folder of configs in '
        f'MMDetection {mmdet.__version__}, without weights, on the CPU at {model_zoo.SIZE} px, with torch '
        f'{torch.__version__.split("+")[0]}, on {date.today()}: **{works} of {len(rows)}** work. '
        f'{needs} need a package that MMDetection does not install. No model was run on a GPU.\n\n'
        '`make models` writes this page.\n\n'
        '| folder | config | result |\n| --- | --- | --- |\n' + '\n'.join(rows) + '\n'
    )
    (ROOT / 'docs/models.md').write_text(text, encoding='utf-8')
    notes.unlink()
    assert works + needs == len(rows), text
