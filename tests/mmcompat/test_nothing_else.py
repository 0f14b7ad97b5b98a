"""What ``import mmcompat`` changes is what the README's table lists, and nothing else."""

import ast
import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / 'mmcompat'

# Every function that is replaced, as its owner (a class, or 'module') and name. Where a function is
# replaced in each module that imported it, it is listed once.
REPLACED = {
    'BaseDenseHead.head_module',
    'COCO.get_cat_ids',
    'CocoMetric.results2json',
    'MMDistributedDataParallel.__init__',
    'MultiScaleDeformableAttnFunction.apply',
    'RTMDetInsHead._bbox_mask_post_process',
    'RTMDetInsSepBNHead._init_layers',
    'SSDHead.__init__',
    'Visualizer.draw_bboxes',
    *('module.carafe', 'module.carafe_naive', 'module.deform_conv2d', 'module.deform_roi_pool'),
    *('module.modulated_deform_conv2d', 'module.roi_align', 'module.roi_pool'),
    *('module.sigmoid_focal_loss', 'module.softmax_focal_loss', 'module._sigmoid_focal_loss'),
    *('module._do_paste_mask', 'module._init_dist_pytorch', 'module.build_norm_layer'),
    'module.SyncBatchNorm',
    *('module.GradScaler', 'module.is_cuda_available'),  # of amp_optimizer_wrapper only
    *('module.track_iter_progress', 'module.track_parallel_progress', 'module.track_progress'),
}
# Where modules do not define a name themselves, but import it.
IN_ONE_MODULE = {
    'module.GradScaler': 'mmengine.optim.optimizer.amp_optimizer_wrapper',
    'module.is_cuda_available': 'mmengine.optim.optimizer.amp_optimizer_wrapper',
}

# What upstream's modules hold, and the state of the process that upstream's behaviour depends on.
DESCRIBE = """
import importlib, json, logging, multiprocessing, os, sys, threading, types, warnings

def place(value):
    if isinstance(value, types.ModuleType):
        return 'module'
    value = value.fget if isinstance(value, property) else getattr(value, '__func__', value)
    code = getattr(value, '__code__', None)
    return f'{code.co_filename}:{code.co_firstlineno}' if code else type(value).__name__

def attributes():
    found = {}
    for name, module in list(sys.modules.items()):
        if name.split('.')[0] not in ('mmengine', 'mmcv', 'mmdet') or name == 'mmcv._ext':
            continue
        for key, value in list(vars(module).items()):
            if isinstance(value, type):
                found[f'{name} module {key}'] = f'{value.__module__}.{value.__qualname__}'
                if value.__module__ == name:
                    for inner, member in list(vars(value).items()):
                        found[f'{name} {key} {inner}'] = place(member)
            elif not key.startswith('__'):
                found[f'{name} module {key}'] = place(value)
    return found

def process():
    import cv2, mmengine.registry, torch
    from mmengine.device import get_device
    loggers = [logging.root, *logging.root.manager.loggerDict.values()]
    return dict(
        loggers={
            l.name: [l.level, l.disabled, [[type(h).__name__, h.level, len(h.filters)] for h in l.handlers]]
            for l in loggers if isinstance(l, logging.Logger)
        },
        warnings=sorted(map(str, warnings.filters)),
        device=get_device(),
        dtype=str(torch.get_default_dtype()),
        threads=[torch.get_num_threads(), cv2.getNumThreads(), threading.active_count()],
        start_method=multiprocessing.get_start_method(allow_none=True),
        environment={k: v for k, v in os.environ.items() if not k.startswith('__KMP')},  # process ids
        hooks=[str(sys.excepthook), str(threading.excepthook)],
        registered=sorted(mmengine.registry.HOOKS.module_dict),
        folder=os.listdir('.'),
    )
"""
WITH = f"""{DESCRIBE}
import mmcompat
import mmdet.apis, mmdet.evaluation, mmengine.runner
modules = [m for m in sys.modules if m.split('.')[0] in ('mmengine', 'mmcv', 'mmdet')]
ours = [m for m in sys.modules if m.startswith('mmballoon') or m == 'pytorch_grad_cam']
print(json.dumps([attributes(), process(), modules, ours]))
"""
# A module that has any name is enough to import MMDetection without the repairs.
WITHOUT = f"""{DESCRIBE}
from importlib.machinery import ModuleSpec

def operator(name):
    if name.startswith('__'):
        raise AttributeError(name)

sys.modules['mmcv._ext'] = extension = types.ModuleType('mmcv._ext')
extension.__getattr__, extension.__spec__ = operator, ModuleSpec('mmcv._ext', None)
for module in json.load(sys.stdin):
    importlib.import_module(module)
print(json.dumps([attributes(), process()]))
"""


def python(code, folder, **options):
    done = subprocess.run(
        [sys.executable, '-c', code],
        cwd=folder,
        env=dict(os.environ, PYTHONPATH=str(ROOT), CUDA_VISIBLE_DEVICES=''),
        capture_output=True,
        text=True,
        timeout=300,
        **options,
    )
    assert done.returncode == 0, done.stderr
    *printed, last = done.stdout.splitlines()
    assert not printed and not done.stderr, printed + [done.stderr]
    return json.loads(last)


@pytest.fixture(scope='module')
def compared(tmp_path_factory):
    """(attributes, process) of a process with mmcompat, and of one without; modules of ours."""
    folder = tmp_path_factory.mktemp('empty')
    *repaired, modules, ours = python(WITH, folder)
    plain = python(WITHOUT, folder, input=json.dumps([m for m in modules if m != 'mmcv._ext']))
    return repaired, plain, ours


def test_nothing_of_this_project_and_no_grad_cam_is_imported(compared):
    assert compared[2] == []


def test_logs_files_devices_and_number_types_are_upstreams(compared):
    (_, repaired), (_, plain), _ = compared
    loggers, upstreams = repaired.pop('loggers'), plain.pop('loggers')  # torch makes some when used
    assert {name: loggers[name] for name in upstreams if name in loggers} == {
        name: upstreams[name] for name in upstreams if name in loggers
    }
    assert 'root' in loggers and 'mmengine' not in loggers
    assert repaired == plain


def test_only_what_is_listed_is_replaced(compared):
    (repaired, _), (plain, _), _ = compared
    changed = {k for k in plain if repaired.get(k) != plain[k]}
    changed |= {k for k in repaired if k not in plain}
    changed = [key.split(' ') for key in sorted(changed)]  # [module, class or 'module', name]
    # The members of mmcv's own SyncBatchNorm, which its module no longer holds.
    changed = [c for c in changed if c[:2] != ['mmcv.ops.sync_bn', 'SyncBatchNorm']]
    names = {f'{owner}.{name}' for _, owner, name in changed}
    assert names == REPLACED, names ^ REPLACED
    for module, owner, name in changed:
        only = IN_ONE_MODULE.get(f'{owner}.{name}', module)
        assert module == only, f'{module}.{name} is replaced as well'


TWICE = f"""{DESCRIBE}
import pkgutil
import mmcompat, mmdet.apis, pytorch_grad_cam, torch

def objects():
    found = {{}}
    for name, module in list(sys.modules.items()):
        if name.split('.')[0] in ('mmengine', 'mmcv', 'mmdet', 'pkgutil', 'pytorch_grad_cam'):
            for key, value in list(vars(module).items()):
                found[f'{{name}}.{{key}}'] = value
                if isinstance(value, type):
                    for inner, member in list(vars(value).items()):
                        found[f'{{name}}.{{key}}.{{inner}}'] = member
    found['safe globals'] = len(torch.serialization.get_safe_globals())
    found['finders'] = len(sys.meta_path)
    return found

before = objects()
modules = [m.name for m in pkgutil.walk_packages(mmcompat.__path__, 'mmcompat.')]
for module in modules:
    if not module.endswith('_replace'):  # it replaces nothing itself
        importlib.reload(sys.modules[module])
after = objects()
ours = mmcompat.__path__[0]
replaced = [key for key, value in before.items() if place(value).startswith(ours)]
changed = [key for key in before if before[key] is not after.get(key) and before[key] != after.get(key)]
print(json.dumps([modules, replaced, changed]))
"""


def test_applying_twice_changes_nothing(tmp_path):
    modules, replaced, changed = python(TWICE, tmp_path)
    assert set(modules) >= {f'mmcompat.{p.stem}' for p in FOLDER.glob('*.py')} - {
        'mmcompat.__init__'
    }
    for name in REPLACED - {'module.SyncBatchNorm'}:  # torch's own
        owner, attribute = name.replace('module.', '.').rsplit('.', 1)
        assert any(key.endswith(f'{owner}.{attribute}') for key in replaced), name
    assert changed == []


KEYS = ('Symptom', 'Cause', 'Versions', 'Upstream', 'Delete')


def cards():
    """{name of a repair: {key: text}} of each docstring that says what it repairs."""
    found = {}
    for path in FOLDER.rglob('*.py'):
        module = ast.parse(path.read_text(encoding='utf-8'))
        for node in ast.walk(module):
            documented = isinstance(node, (ast.Module, ast.FunctionDef, ast.ClassDef))
            text = ast.get_docstring(node) if documented else None
            if text and '\nSymptom:' in text:
                card = [line for line in text.splitlines() if line.startswith(tuple(KEYS))]
                name = path.parent.name if path.stem == '__init__' else path.stem
                name += '' if isinstance(node, ast.Module) else f'.{node.name}'
                found[name] = dict(line.split(':', 1) for line in card)
    return found


def test_each_repair_has_a_card_and_a_row_in_the_table():
    table = (FOLDER / 'README.md').read_text(encoding='utf-8')
    rows = [line for line in table.splitlines() if line.startswith('| `')]
    found = cards()
    assert len(rows) == len(found) >= 14
    for name, card in found.items():
        assert set(card) == set(KEYS), name
        (row,) = [row for row in rows if row.startswith(f'| `{name}` |')]
        links = [
            word.strip(',;') for word in card['Upstream'].split() if word.startswith('https://')
        ]
        assert links and all(link in row for link in links), name
    assert len(table.splitlines()) <= 60


def test_modules_without_a_card_have_cards_on_their_functions():
    with_card = {name.split('.')[0] for name in cards()}
    modules = {path.stem for path in FOLDER.glob('*.py')} - {'__init__', '_replace'}
    assert modules <= with_card


def test_the_versions_tried_are_those_installed():
    table = (FOLDER / 'README.md').read_text(encoding='utf-8')
    for package in ('mmengine', 'mmdet'):
        assert f'{package} {importlib.metadata.version(package)}' in table
