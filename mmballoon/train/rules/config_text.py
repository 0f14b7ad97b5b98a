"""The text of a config is formatted once.

Symptom:  half a second more for each checkpoint that is saved, and two seconds at the start of a training
Cause:    Config.pretty_text formats the whole config with yapf each time; each checkpoint holds that text
Upstream: https://github.com/open-mmlab/mmengine/blob/v0.10.7/mmengine/config/config.py (pretty_text)
"""

import functools
import json

from mmengine.config import config


def _once(format_code):
    """yapf's FormatCode, which remembers its last results."""
    remembered = functools.lru_cache(8)(
        lambda text, options: format_code(text, **json.loads(options))
    )

    @functools.wraps(format_code)
    def wrapped(text, **options):
        return remembered(text, json.dumps(options))

    return wrapped


def apply():
    """Replace mmengine's name of yapf's function."""
    if not hasattr(config.FormatCode, '__wrapped__'):
        config.FormatCode = _once(config.FormatCode)
