"""A person's mistake in one line: what was found, where, and what to do next. Anything else keeps its traceback."""
import contextlib
import os
import pickle
import re
import sys
import traceback
import urllib.error
from pathlib import Path


class Mistake(Exception):
    """A mistake whose message already says the file, the item, what was found and what to do next."""


CONVERT = 'python data_tools/download_balloon.py && python data_tools/balloon2coco.py'
# What to do next, by the first pattern found in upstream's «ExceptionName: message».
HINTS = (
    (r'No such file or directory: .*coco_\w+\.json', f'convert the annotations first: {CONVERT}'),
    (r'URLError|HTTPError|ConnectionError|IncompleteRead|timed out|RemoteDisconnected',
     'without a network, pass a copy of these weights (--cfg-options load_from=PATH) or train without them '
     '(--cfg-options load_from=None)'),
    (r'num_classes.*does not matches|should be a tuple',
     "in the config, set num_classes=len(metainfo['classes']) and write one class as a tuple: ('balloon', )"),
    (r'need at least one array to concatenate|num_samples should be a positive integer',
     "no annotation is left: the config's metainfo['classes'] must name categories that the COCO file has"),
    (r'UnpicklingError|refused: getattr',
     'anything but tensors and MMEngine\'s log history could run code: refused, nothing of it has run. Get it from a '
     'source you trust'),
    (r'PytorchStreamReader|EOFError|unexpected EOF|[Ii]nvalid magic number|not a ZIP',
     'the checkpoint is damaged or incomplete: get or train it again'),
    (r'failed to load image|imdecode|cannot identify image',
     'not a readable image: replace it, or take it out of the annotations'),
    (r'No such file or directory|can not be found|[Ff]ile not found|does not exist',
     'check the path (checkpoints lie in work_dirs/<config name>/)'),
    (r'JSONDecodeError|ConfigParsingError|SyntaxError|Only py/yml/yaml/json', 'mend the file there'),
    (r'MMCV==|MMDetection==|MMEngine==|operator torchvision::nms|ModuleNotFoundError',
     'the packages are missing or do not fit together: run make setup, then use .venv/bin/python'),
)


def explain(error):
    """The one line (str) for a known mistake, or None for an error that deserves its traceback."""
    if isinstance(error, Mistake):
        return str(error)
    text = f'{type(error).__name__}: {error}'
    hint = next((hint for pattern, hint in HINTS if re.search(pattern, text)), None)
    if hint is None:
        return None
    # An error out of a data-loader worker carries that process's whole traceback; its last line is the message.
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    found, where = lines[-1] if 'Original Traceback' in str(error) else lines[0], _opened(error)
    if isinstance(error, pickle.UnpicklingError):  # torch's own text advises to switch the safety off
        name = re.search(r'GLOBAL (\S+)', str(error))
        found = f'holds {name[1]}' if name else 'is no checkpoint'
    found = re.sub(r'^\[Errno \d+\] ', '', found)[:300].rstrip('.')
    return f'{where + ": " if where and where not in found else ""}{found}; next: {hint}'


def _opened(error):
    """The file or URL that upstream was opening as it failed: its loaders know it, their errors often do not say it."""
    for frame, _ in reversed(list(traceback.walk_tb(error.__traceback__))):
        if frame.f_code.co_name in ('load_from_http', 'load_from_local', 'fromfile'):
            return str(frame.f_locals.get('filename'))
    return None


@contextlib.contextmanager
def one_line():
    """End the process with one line on stderr: status 1 on a known mistake, 130 on Ctrl-C. Else stay out of the way.

    DEBUG=1 in the environment shows the traceback all the same.
    """
    try:
        yield
    except (Mistake, OSError, RuntimeError, ValueError, TypeError, AssertionError, EOFError, SyntaxError, ImportError,
            KeyboardInterrupt, pickle.UnpicklingError, urllib.error.URLError) as error:
        if _interrupted(error):
            resume = '; every finished epoch is saved, and --resume goes on from there'
            print(f'\nstopped{resume if Path(sys.argv[0]).name == "train.py" else ""}', file=sys.stderr)
            raise SystemExit(130) from None
        line = None if os.environ.get('DEBUG') else explain(error)
        if line is None:
            raise
        raise SystemExit(f'error: {line}') from None


def _interrupted(error):
    """Whether Ctrl-C is at the root of an error: some of upstream's catch everything and raise something else."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None
