"""The text of a config is formatted once.

Symptom:  half a second more for each checkpoint that is saved, and two seconds at the start of a training
Cause:    Config.pretty_text formats the whole config with yapf each time; each checkpoint holds that text
Upstream: https://github.com/open-mmlab/mmengine/blob/v0.10.7/mmengine/config/config.py (pretty_text)
"""

import functools
import json

from mmengine.config import config

from mmballoon.train.rules import instead

_formatted = {}  # what was formatted, and how -> the result


def _once(format_code, text, **options):
    key = text, json.dumps(options)
    if key not in _formatted:
        _formatted[key] = format_code(text, **options)
    return _formatted[key]


@functools.cache
def apply():
    """Replace mmengine's name of yapf's function."""
    instead(config, 'FormatCode', _once)
