"""--cfg-options reach the variables of a config's text, such as max_epochs, data_root, metainfo.classes.

Symptom:  --cfg-options max_epochs=1 changes nothing, without a word
Cause:    MMEngine merges the options into the finished config; by then its text has used its variables up
Upstream: https://github.com/open-mmlab/mmdetection/issues/8398

The file that sets and uses a variable (of several, the one that inherits from the others) is read as if
a line after it set the option's value. So all that the config computes from the variable changes, too.

No tag of a .yml config, such as ``!!python/object/apply:os.system``, is run. A config remains a program,
though, in any format: it names the functions that build a model. So use configs of people whom you trust.
"""

import ast
import difflib
import functools
import inspect
import os
import re
import sys
from pathlib import Path

import yaml
from mmengine.config import Config, DictAction, config
from mmengine.fileio.handlers import yaml_handler
from mmengine.runner import Runner

from mmballoon.cli import UserError
from mmballoon.train.rules import instead

# What MMEngine and MMDetection's scripts read of a config: the arguments of the Runner, and these.
KEYS = {
    *inspect.signature(Runner.__init__).parameters, 'activation_checkpointing', 'compile',
    'custom_imports', 'efficient_conv_bn_eval', 'find_unused_parameters', 'model_wrapper_cfg',
    'runner_type', 'strategy', 'sync_bn', 'tta_model', 'tta_pipeline',
}  # fmt: skip
_formatted = {}  # what was formatted, and how -> the result


@instead(Config, 'merge_from_dict')  # with which every script applies its --cfg-options
def _merge(merge_from_dict, cfg, options, *args, **kwargs):
    """``Config.merge_from_dict``, which first reads the file again if options name variables."""
    named = {key: value for key, value in options.items() if key.split('.')[0] not in KEYS}
    if named and cfg.filename:
        plain, (changed, left) = Config.fromfile(cfg.filename), load(cfg.filename, named)
        for key, value in changed.items():
            if cfg.get(key) == plain.get(key):  # else the caller has set it since
                cfg[key] = value
        for key in left:
            _report(key, plain)
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
        tree, setter = _parse(copy), _Setter(left)
        used.update(_names(tree)[1])
        setter.visit(tree)
        if setter.reached:
            Path(copy).write_text(ast.unparse(tree), encoding='utf-8')
        for key in setter.reached:
            if key.split('.')[0] in used:  # else only a file that this one inherits from uses it
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


class _Setter(ast.NodeTransformer):
    """Puts a line that sets the value of an option after each statement that sets its variable."""

    def __init__(self, options):
        self.options, self.reached = options, set()

    def visit_Assign(self, node):
        lines = [node]
        for key, value in self.options.items():
            name, *path = key.split('.')
            if name in _names(node)[0]:
                if isinstance(value, list) and not path and isinstance(node.value, ast.Tuple):
                    value = tuple(value)  # img_scale=640,640
                place = name + ''.join(f'[{int(k) if k.isdigit() else k!r}]' for k in path)
                lines += ast.parse(f'{place} = {value!r}').body
                self.reached.add(key)
        return lines

    visit_AnnAssign = visit_AugAssign = visit_Assign


def _parse(path):
    """The syntax tree of a config; an empty one of what is no Python."""
    try:
        return ast.parse(Path(path).read_text('utf-8') if path.endswith('.py') else '')
    except SyntaxError:  # MMEngine's own {{...}} outside of a string, or a mistake that it reports
        return ast.parse('')


def _names(tree):
    """The names that the statements of a config set, and those that they use, also as _base_.name."""
    nodes = [*ast.walk(tree)]
    names = [node for node in nodes if isinstance(node, ast.Name)]
    loops = [node.target for node in nodes if isinstance(node, (ast.For, ast.comprehension))]
    counters = {node for target in loops for node in ast.walk(target)}
    stored = {n.id for n in names if isinstance(n.ctx, ast.Store) and n not in counters}
    used = {node.id for node in names if isinstance(node.ctx, ast.Load)}
    return stored, used | {node.attr for node in nodes if isinstance(node, ast.Attribute)}


@instead(Runner, 'train')
def _note_unused(train, self):
    """Runner.train, which first says what a config sets although only its bases compute with it."""
    path = self.cfg.filename or ''
    stored, used = _names(_parse(path))
    if '_base_' in stored and (unused := sorted(stored - used - KEYS - {'_base_'})):
        self.logger.warning(
            f'{path}: sets {", ".join(unused)}, and nothing in it follows from that: what it inherits was '
            f'computed before; next: --cfg-options {unused[0]}=..., which reaches that, or set its results'
        )
    return train(self)


def keys(value, prefix=''):
    """Every key (str) inside a config, such as metainfo.classes or steps.1.prob."""
    items = enumerate(value) if isinstance(value, (list, tuple)) else ()
    for name, item in value.items() if isinstance(value, dict) else items:
        yield f'{prefix}{name}'
        yield from keys(item, f'{prefix}{name}.')


def _report(key, plain):
    """Say in one line, in the first of several processes, that an option changes nothing."""
    names = sorted({*keys(plain._cfg_dict)} - {key}, key=lambda name: (name.count('.'), name))
    same = [name for name in names if name.split('.')[-1] == key.split('.')[-1]]
    near = same or difflib.get_close_matches(key, names, 2)
    advice = f'; next: {" or ".join(near[:2])}' if near else ''
    if os.environ.get('RANK', '0') == '0':
        found = 'nothing that MMEngine reads follows from it'
        print(f'note: --cfg-options {key}: {found}{advice}', file=sys.stderr)


def _with_spaces(upstreams, text):
    """DictAction._parse_iterable, which deletes all spaces, without those inside a path or a class name."""
    outer = r'[\s,()\[\]\'"]'
    inside = re.compile(rf'(?<!{outer}) +(?!{outer}|$)')
    # For a list, upstream's function calls this one for each element.
    value = upstreams(inside.sub(lambda spaces: '\0' * len(spaces[0]), text.strip()))
    return value.replace('\0', ' ') if isinstance(value, str) else value


@instead(config, 'FormatCode')
def _once(format_code, text, **options):
    """The text of a config is formatted once, and not for each checkpoint: it takes half a second."""
    key = text, str(options)
    if key not in _formatted:
        _formatted[key] = format_code(text, **options)
    return _formatted[key]


def apply():
    """Keep spaces in options, and read YAML safely."""
    parse = functools.partial(_with_spaces, DictAction._parse_iterable)
    DictAction._parse_iterable = staticmethod(parse)
    # MMEngine reads a hundred .yml files for each config of MMDetection; this loader is ten times as fast.
    yaml_handler.Loader = getattr(yaml, 'CFullLoader', yaml.FullLoader)
