"""--cfg-options reach the variables of a config's text, such as max_epochs, data_root, metainfo.classes.

Symptom:  --cfg-options max_epochs=1 changes nothing, without a word
Cause:    MMEngine merges the options into the finished config; by then its text has used its variables up
Upstream: https://github.com/open-mmlab/mmdetection/issues/8398

The file that sets and uses a variable (of several, the one that inherits from the others) is read as if
a line after it set the option's value. So all that the config computes from the variable changes, too.
"""

import ast
import difflib
import functools
import inspect
import os
import re
import sys
from pathlib import Path

from mmengine.config import Config, DictAction
from mmengine.runner import Runner

from mmballoon.cli import UserError
from mmballoon.train.rules import instead

# What MMEngine and MMDetection's scripts read of a config: the arguments of the Runner, and these.
KEYS = {
    *inspect.signature(Runner.__init__).parameters, 'activation_checkpointing', 'compile',
    'custom_imports', 'efficient_conv_bn_eval', 'find_unused_parameters', 'model_wrapper_cfg',
    'runner_type', 'strategy', 'sync_bn', 'tta_model', 'tta_pipeline',
}  # fmt: skip


def merge(merge_from_dict, cfg, options, *args, **kwargs):
    """``Config.merge_from_dict``, which first reads the file again if options name variables."""
    named = {key: value for key, value in options.items() if key.split('.')[0] not in KEYS}
    if named and cfg.filename:
        plain, (changed, left) = Config.fromfile(cfg.filename), load(cfg.filename, named)
        for key, value in changed.items():
            if cfg.get(key) == plain.get(key):  # else the caller has set it since
                cfg[key] = value
        for key in left:
            report(key, plain)
    merge_from_dict(cfg, options, *args, **kwargs)


def load(filename, options):
    """The Config of a file in which each variable has the value of its option, {key: value}.

    Returns (Config, the options that name no variable).

    Raises:
        UserError: an option does not fit the variable, or what the config computes from it.
    """
    substitute, left, used = Config._substitute_predefined_vars, dict(options), set()

    def substitute_and_set(path, copy):  # called for the file before those that it inherits from
        substitute(path, copy)
        if path.endswith('.py'):
            text, found = set_variables(Path(copy).read_text(encoding='utf-8'), left, used)
            Path(copy).write_text(text, encoding='utf-8')
            for key in found:
                del left[key]

    Config._substitute_predefined_vars = staticmethod(substitute_and_set)
    try:
        return Config.fromfile(filename), left
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        given = ' '.join(f'{key}={value}' for key, value in options.items())
        found = f'{type(error).__name__}: {error}'
        raise UserError(f'--cfg-options {given}', found, 'correct the option') from None
    finally:
        Config._substitute_predefined_vars = staticmethod(substitute)


def set_variables(text, options, used):
    """The text of a config with a line after each assignment that an option is for.

    used: what the files that inherit from this one use; those of this text are added. Returns (text, set
    of the options that were for this text).
    """
    lines, found = text.splitlines(), set()
    assigned, own = variables(text)
    used |= own
    for statement, names in assigned:
        first = lines[statement.lineno - 1]
        indent = first[: len(first) - len(first.lstrip())]
        for key, value in options.items():
            name, *path = key.split('.')
            if name in names:
                if isinstance(value, list) and not path and isinstance(statement.value, ast.Tuple):
                    value = tuple(value)  # img_scale=640,640
                place = name + ''.join(f'[{int(k) if k.isdigit() else k!r}]' for k in path)
                lines.insert(statement.end_lineno, f'{indent}{place} = {value!r}')
                if name in used:  # else only a file that this one inherits from computes with it
                    found.add(key)
    return '\n'.join(lines) + '\n', found


def variables(text):
    """([(statement, the names that it sets)], last one first; the names that are used) of a config's text."""
    try:
        nodes = [*ast.walk(ast.parse(text))]
    except SyntaxError:  # MMEngine's own {{...}} outside of a string, or a mistake that it reports
        return [], set()
    assigned = [n for n in nodes if isinstance(n, (ast.Assign, ast.AnnAssign, ast.AugAssign))]
    assigned = [(statement, _names(ast.walk(statement), ast.Store)) for statement in assigned]
    inherited = {n.attr for n in nodes if isinstance(n, ast.Attribute)}  # _base_.max_epochs
    used = _names(nodes, ast.Load) | inherited
    return sorted(assigned, key=lambda pair: -pair[0].lineno), used


def _names(nodes, context):
    return {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, context)}


def _note_unused(train, self):
    """Runner.train, which first says what a config sets although only its bases compute with it."""
    path = Path(self.cfg.filename or '')
    assigned, used = variables(path.read_text(encoding='utf-8') if path.suffix == '.py' else '')
    names = {name for _, names in assigned for name in names}
    if '_base_' in names and (unused := sorted(names - used - KEYS - {'_base_'})):
        self.logger.warning(
            f'{path}: sets {", ".join(unused)}, and nothing in it follows from that: what it inherits was '
            f'computed before; next: --cfg-options {unused[0]}=..., which reaches that, or set its results'
        )
    return train(self)


def flatten(value, prefix=''):
    """{'metainfo.classes': ('balloon',), ...}: every value inside a config, by its key."""
    items = value.items() if hasattr(value, 'items') else ()
    if isinstance(value, (list, tuple)):
        items = [(str(index), item) for index, item in enumerate(value)]
    flat = {prefix: value} if prefix else {}
    for name, item in items:
        flat.update(flatten(item, f'{prefix}.{name}' if prefix else name))
    return flat


def report(key, plain):
    """Say in one line, in the first of several processes, that an option changes nothing."""
    names = sorted({*flatten(plain)} - {key}, key=lambda name: (name.count('.'), name))
    same = [name for name in names if name.split('.')[-1] == key.split('.')[-1]]
    near = same or difflib.get_close_matches(key, names, 2)
    advice = f'; next: {" or ".join(near[:2])}' if near else ''
    if os.environ.get('RANK', '0') == '0':
        found = 'nothing that MMEngine reads follows from it'
        print(f'note: --cfg-options {key}: {found}{advice}', file=sys.stderr)


def parse(upstreams, text):
    """DictAction._parse_iterable, which deletes all spaces, without those inside a path or a class name."""
    outer = r'[\s,()\[\]\'"]'
    kept = re.sub(
        rf'(?<!{outer}) +(?!{outer}|$)', lambda spaces: '\0' * len(spaces[0]), text.strip()
    )
    value = upstreams(kept)  # for a list, it calls this function for each element
    return value.replace('\0', ' ') if isinstance(value, str) else value


@functools.cache
def apply():
    """Replace ``Config.merge_from_dict``, with which every script applies its --cfg-options."""
    DictAction._parse_iterable = staticmethod(functools.partial(parse, DictAction._parse_iterable))
    instead(Config, 'merge_from_dict', merge)
    instead(Runner, 'train', _note_unused)
