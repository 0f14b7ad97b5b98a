"""Data flows one way through the rooms of the house, and the rooms of data know nothing of torch."""

import ast

from conftest import ROOT

# From the bottom up: a room imports only what is in the lines before its own.
ROOMS = [
    {'mmcompat', 'mmballoon.packages', 'mmballoon.colors', 'mmballoon.weights'}, {'mmballoon.cli'},
    {'mmballoon.data', 'mmballoon.video'}, {'mmballoon.render'},
    {'mmballoon.train', 'mmballoon.inference'}, {'mmballoon.upstream'},
    {'mmballoon.explain', 'mmballoon.report'}, {'mmballoon.export'}, {'mmballoon.suggest'}, {'tools', 'data_tools'},
]  # fmt: skip
LEVEL = {room: level for level, rooms in enumerate(ROOMS) for room in rooms}
HEAVY = {'torch', 'torchvision', 'mmengine', 'mmcv', 'mmdet', 'mmyolo', 'mmcompat'}


def imported(path):
    """Full names of the modules that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module
            yield from (f'{node.module}.{alias.name}' for alias in node.names)


def room(module):
    parts = module.split('.')
    return '.'.join(parts[: 2 if parts[0] == 'mmballoon' else 1])


def test_every_arrow_goes_one_way():
    arrows = 0
    for path in [
        path
        for top in ('mmcompat', 'mmballoon', 'tools', 'data_tools')
        for path in (ROOT / top).rglob('*.py')
    ]:
        here = room('.'.join(path.relative_to(ROOT).with_suffix('').parts))
        names = {name for name in imported(path) if room(name) in LEVEL and room(name) != here}
        if here == 'mmballoon.__init__':
            assert not names
            continue
        arrows += len(names)
        wrong = [name for name in names if LEVEL[room(name)] >= LEVEL[here]]
        assert not wrong, f'{path} imports {wrong}'
        if here in ('mmballoon.data', 'mmballoon.render', 'mmballoon.video', 'data_tools'):
            heavy = HEAVY & {name.split('.')[0] for name in imported(path)}
            assert not heavy, f'{path} imports {heavy}'
    assert arrows > 30  # they were found
