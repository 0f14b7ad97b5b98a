"""MMDetection's model zoo on the CPU: one training step and one prediction of each family.

python -m pytest -m slow -s tests/mmballoon/test_models.py     # writes docs/models.md
python tests/mmballoon/test_models.py faster_rcnn              # one family, in this process
"""

import contextlib
import multiprocessing
import resource
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOT_MODELS = {'_base_', 'common', 'objects365', 'openimages', 'v3det', 'lvis', 'dsdl'}
SIZE = 128  # pixels


def configs():
    """{family: its config with the smallest name of a ResNet-50, or else the shortest name}."""
    import mmdet

    found = {}
    for folder in sorted((Path(mmdet.__file__).parent / '.mim/configs').iterdir()):
        files = sorted(folder.glob('*.py'), key=lambda f: (len(f.name), f.name))
        files = [f for f in files if 'tta' not in f.name and 'image-config' not in f.name]
        small = [f for f in files if any(word in f.name for word in ('r50', 'tiny', '_s_', 'r18'))]
        if files and folder.name not in NOT_MODELS:
            found[folder.name] = (small or files)[0]
    return found


def without_weights(node):
    """Set every ``init_cfg`` that names a checkpoint, and every ``pretrained``, to None, in place."""
    for value in node.values() if isinstance(node, dict) else node:
        if isinstance(value, (dict, list, tuple)):
            without_weights(value)
    if isinstance(node, dict):
        if isinstance(node.get('init_cfg'), dict) and 'checkpoint' in node['init_cfg']:
            node['init_cfg'] = None
        if isinstance(node.get('pretrained'), str):
            node['pretrained'] = None


def try_model(path):
    """Build the model of a config, train it one step and predict once; raises what it raises."""
    import mmballoon.patches  # noqa: F401  isort: skip
    import torch
    from mmdet.registry import MODELS
    from mmdet.testing import demo_mm_inputs
    from mmdet.utils import register_all_modules
    from mmengine.config import Config

    register_all_modules()
    torch.manual_seed(0)
    cfg = Config.fromfile(path)
    without_weights(cfg._cfg_dict)
    model = MODELS.build(cfg.model)
    head = str(cfg.model)
    inputs = demo_mm_inputs(
        2,
        [[3, SIZE, SIZE]] * 2,
        num_items=[3, 2],
        num_classes=2,
        with_mask='mask' in head.lower(),
        with_semantic='semantic' in head.lower(),
    )
    model.train()
    data = model.data_preprocessor(inputs, True)
    losses, _ = model.parse_losses(model(**data, mode='loss'))
    losses.backward()
    assert torch.isfinite(losses), 'the loss is not finite'
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())
    model.eval()
    with torch.no_grad():
        assert len(model(**model.data_preprocessor(inputs, False), mode='predict')) == 2


def _child(path, answer):
    resource.setrlimit(resource.RLIMIT_DATA, (3 * 2**30, 3 * 2**30))
    try:
        with contextlib.redirect_stdout(None), contextlib.redirect_stderr(None):
            try_model(path)
        answer.send('works')
    except BaseException as e:
        text = (str(e).strip() or repr(e)).splitlines()
        if "can't allocate memory" in text[0]:
            text = ['needs more than 3 GiB']
        answer.send(f'{type(e).__name__}: {text[0]}'.replace('|', '/')[:160])


def outcome(path):
    """'works', or what went wrong, found in a process of its own (3 GiB, 45 seconds)."""
    import mmballoon.patches  # noqa: F401  (imported once, before the fork)

    fork = multiprocessing.get_context('fork')
    here, there = fork.Pipe()
    child = fork.Process(target=_child, args=(path, there))
    child.start()
    said = (
        here.recv() if here.poll(45) else f'not finished in 45 seconds, or ended ({child.exitcode})'
    )
    child.kill()
    child.join()
    print(f'{path.parent.name}\t{path.stem}\t{said}', flush=True)
    return said


@pytest.mark.slow
@pytest.mark.models
def test_every_family_trains_and_predicts_or_says_what_is_missing():
    found = configs()
    results = [outcome(path) for path in found.values()]
    rows = [f'| {name} | `{found[name].stem}` | {said} |' for name, said in zip(found, results)]
    works = results.count('works')
    text = (
        '# Models\n\nOne training step and one prediction of one config of each family in '
        f'MMDetection, without weights, on the CPU at {SIZE} px: **{works} of {len(rows)}** work.\n'
        'The table is written by `python -m pytest -m slow tests/mmballoon/test_models.py`.\n\n'
        '| family | config | result |\n|---|---|---|\n' + '\n'.join(rows) + '\n'
    )
    print(text)
    (ROOT / 'docs/models.md').write_text(text, encoding='utf-8')
    missing = [row for row in rows if 'mmcv operator' in row and 'deform_roi_pool' not in row]
    assert not missing, missing


if __name__ == '__main__':
    try_model(configs()[sys.argv[1]])
