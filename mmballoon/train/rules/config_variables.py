"""--cfg-options reach the variables of a config's text, such as max_epochs, data_root, metainfo.classes.

Symptom:  --cfg-options max_epochs=1 changes nothing, without a word
Cause:    MMEngine merges the options into the finished config; by then its text has used its variables up
Upstream: https://github.com/open-mmlab/mmdetection/issues/8398

The file that sets a variable (of several, the one that inherits from the others) is read as if a
line after it set the option's value. So all that the config computes from the variable changes, too.
"""

import ast
import difflib
import functools
import inspect
import os
import sys
from pathlib import Path

from mmengine.config import Config
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
    substitute, left = Config._substitute_predefined_vars, dict(options)

    def substitute_and_set(path, copy):  # called for the file before those that it inherits from
        substitute(path, copy)
        if path.endswith('.py'):
            text, found = set_variables(Path(copy).read_text(encoding='utf-8'), left)
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


def set_variables(text, options):
    """The text of a config with a line after each top-level assignment that an option is for.

    Returns (text, set of the options that were for this text).
    """
    lines, found = text.splitlines(), set()
    try:
        statements = ast.parse(text).body
    except SyntaxError:  # MMEngine's own {{...}} outside of a string, or a mistake that it reports
        return text, found
    for statement in reversed([item for item in statements if isinstance(item, ast.Assign)]):
        names = {target.id for target in statement.targets if isinstance(target, ast.Name)}
        for key, value in options.items():
            name, *path = key.split('.')
            if name in names:
                place = name + ''.join(f'[{int(k) if k.isdigit() else k!r}]' for k in path)
                lines.insert(statement.end_lineno, f'{place} = {value!r}')
                found.add(key)
    return '\n'.join(lines) + '\n', found


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


@functools.cache
def apply():
    """Replace ``Config.merge_from_dict``, with which every script applies its --cfg-options."""
    instead(Config, 'merge_from_dict', merge)
