"""A person's mistake ends in one line: ``error: where: what was found; next: what to do``.

Every other error is a bug, ours or upstream's, and keeps its traceback. Some mistakes surface deep
inside upstream. KNOWN_ERRORS lists these, each by its exception type and by the upstream function
that raises it: the text of a message is never enough to tell them from a bug.
"""

import argparse
import contextlib
import errno
import glob
import io
import json
import logging
import os
import re
import secrets
import signal
import sys
import threading
import traceback
import zipfile
from pathlib import Path

from mmballoon.packages import CORE, package_problems


class UserError(Exception):
    """A mistake: where it is (the file, the item), what was found there, and what to do.

    A message that does not fit this is given whole, as ``where``.
    """

    def __init__(self, where, found=None, advice=None):
        super().__init__(f'{where}: {found}; next: {advice}' if found else str(where))


class Terminated(KeyboardInterrupt):
    """SIGTERM: from a job scheduler, or because the machine shuts down."""


NO_ANNOTATIONS = (
    'convert the annotations first: python data_tools/download_balloon.py && '
    'python data_tools/balloon2coco.py'
)
UNSAFE = (
    'anything but tensors and log histories of MMEngine could run code, so it was refused and none '
    'of it has run; use a checkpoint from a source you trust'
)
DAMAGED = 'the checkpoint is damaged or incomplete: copy or train it again'
WRONG_CLASSES = (
    "in the config, set num_classes=len(metainfo['classes']) and write one class as a tuple: "
    "('balloon', )"
)
NO_CATEGORY = (
    "no annotation is left: metainfo['classes'] must name categories of the COCO file, and filter_cfg "
    'keep some of its images'
)
NO_IMAGE = 'not a readable image: replace it, or remove it from the annotations'
TWO_BUILDS = (
    'torch and torchvision are different builds: install both with one command, from one index '
    '(pip install --force-reinstall torch torchvision)'
)
CHECK_PATH = 'check the path (checkpoints are in work_dirs/<config name>/)'
EXPORT_PACKAGES = 'pip install -r requirements-export.txt -c constraints.txt'

# (exception types, end of the file name of the functions that raise it, these functions, what to do)
KNOWN_ERRORS = (
    ('FileNotFoundError JSONDecodeError', 'pycocotools/coco.py', '__init__', NO_ANNOTATIONS),
    ('AssertionError', 'hooks/checkpoint_hook.py', '__init__', 'correct default_hooks.checkpoint'),
    ('AssertionError', 'hooks/num_class_check_hook.py', '_check_head', WRONG_CLASSES),
    ('ValueError', 'mmengine/dataset/base_dataset.py', '_serialize_data', NO_CATEGORY),
    ('UnpicklingError', 'torch/serialization.py', 'load', UNSAFE),
    ('ValueError', 'mmcompat/checkpoint.py', 'history_getattr', UNSAFE),
    ('RuntimeError EOFError', 'torch/serialization.py', '__init__ _load _legacy_load', DAMAGED),
    ('FileNotFoundError', 'mmengine/runner/checkpoint.py', 'load_from_local', CHECK_PATH),
    ('FileNotFoundError AssertionError error', 'mmcv/transforms/loading.py', 'transform', NO_IMAGE),
    ('ValueError', 'optim/scheduler/param_scheduler.py', '__init__', 'correct its schedule'),
    ('ValueError', 'torch/utils/data/sampler.py', '__init__', 'correct its batch_size'),
    ('RuntimeError', 'torchvision/_meta_registrations.py', '<module>', TWO_BUILDS),
    ('ValueError', 'export/detector.py', '__init__', 'pass a file of tools/export_onnx.py'),
)
# Errors of the file system: the operating system says what is wrong with which path.
FILE_SYSTEM = {
    errno.EACCES: 'change its permissions, or choose another path',
    errno.EPERM: 'change its permissions, or choose another path',
    errno.EROFS: 'choose a path on a disk that can be written',
    errno.ENOSPC: 'free some space on this disk, or choose a path on another one',
    errno.ENOTDIR: 'choose a path that does not lead through a file',
    errno.EISDIR: 'name a file, not a folder',
    errno.EEXIST: 'move it away, or choose another path',
    errno.ENAMETOOLONG: 'choose a shorter name',
}


@contextlib.contextmanager
def report_errors():
    """End the process with one line for a known mistake (status 2) and an interrupt.

    The status is 130 on Ctrl-C and 143 on SIGTERM. Every other error passes through. DEBUG=1 in the
    environment shows the traceback of a mistake as well.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, 'reconfigure'):
            stream.reconfigure(errors='backslashreplace')  # a terminal that cannot show a character
    logging.raiseExceptions = False  # on a full disk, each line of a log would print a traceback
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    except (Exception, KeyboardInterrupt) as error:
        interrupt = _interrupt(error)
        if interrupt:
            _leave_signals_alone()
            training = Path(sys.argv[0]).name == 'train.py'
            saved = '; every finished epoch is saved, and --resume continues from there'
            print(f'\nstopped{saved if training else ""}', file=sys.stderr)
            # 128 + the number of the signal, as shells report it
            raise SystemExit(143 if isinstance(interrupt, Terminated) else 130) from None
        line = None if os.environ.get('DEBUG') else explain(error)
        if line is None:
            raise
        print(f'error: {plain(line)}', file=sys.stderr)
        raise SystemExit(2) from None  # as argparse does


def plain(line):
    """A line for the screen; names can hold line breaks and other control characters, which are escaped."""
    return re.sub(r'[\x00-\x1f\x7f-\x9f]', lambda match: repr(match[0])[1:-1], line)


def explain(error):
    """The line (str) for a known mistake, or None for an error that needs its traceback."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, ModuleNotFoundError):
        package = (error.name or '').split('.')[0]
        if package == 'openvino':
            return 'openvino is not installed; next: pip install openvino'
        if package in ('onnx', 'onnxruntime', 'onnxscript'):
            return f'{package} is not installed; next: {EXPORT_PACKAGES}'
        return package_problems()
    types = {cls.__name__ for cls in type(error).__mro__}
    functions = _functions(error)
    if functions[-1][0].endswith('/mmdet/__init__.py'):  # it asserts its own ranges
        return package_problems()
    upstreams = re.search(r'/mm(det|yolo|engine/visualization)/', functions[-1][0])
    if isinstance(error, ImportError) and upstreams:
        advice = 'install this package, or leave out what needs it in the config'
        return f'{_found(error)}; next: {advice}'
    for exceptions, file, names, advice in KNOWN_ERRORS:
        here = any(path.endswith(file) and name in names.split() for path, name in functions)
        if here and types & set(exceptions.split()):
            return f'{_found(error)}; next: {advice}'
    if isinstance(error, OSError) and error.errno in FILE_SYSTEM:
        file = error.filename or _file_in_use(error)
        if file:
            return f'{file}: {error.strerror}; next: {FILE_SYSTEM[error.errno]}'
    frames = traceback.extract_tb(error.__traceback__)
    lines = [f.line or '' for f in frames if not f.filename.endswith('mmengine/config/config.py')]
    loader = re.search(r'(?:cfg|config)\.(\w+_dataloader)', lines[-1])
    if loader and re.search(f"NoneType|attribute '{loader[1]}'", str(error)):
        advice = 'add it to the config, such as test_dataloader = val_dataloader'
        return f'the config has no {loader[1]}; next: {advice}'
    if _is_in_config(error, functions, lines[-1]):
        return f'{type(error).__name__}: {_found(error)}; next: correct the config (DEBUG=1 shows where)'
    return None


def _is_in_config(error, functions, line):
    """Whether MMEngine refused a config: while it read it, or while it built what the config names."""
    if isinstance(error, (ImportError, SystemError)):  # SystemError: Python is at fault
        return False
    if any(name == 'import_modules_from_strings' for _, name in functions):  # modules of one's own
        return False
    read = any(file.endswith('mmengine/config/config.py') for file, _ in functions)
    refused = functions[-1][0].endswith('mmengine/runner/runner.py') and line.startswith('raise')
    return read or refused or '/mmengine/registry/' in functions[-1][0]


def _file_in_use(error):
    """The file that was open when an error of the file system occurred that does not name it."""
    for frame, _ in reversed(list(traceback.walk_tb(error.__traceback__))):
        for value in frame.f_locals.values():
            name = getattr(value, 'name', None) if isinstance(value, io.IOBase) else None
            if isinstance(name, str) and not name.startswith('<'):  # <stderr>
                return name
    return None


def _functions(error):
    """[(file name, function name)] of the functions that an error passed through.

    An error in a data-loader worker arrives as a text that holds the worker's traceback.
    """
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    functions = [(frame.f_code.co_filename, frame.f_code.co_name) for frame in frames]
    if 'Original Traceback' in str(error):
        functions += re.findall(r'File "(.+?)", line \d+, in (\S+)', str(error))
    return [(file.replace(os.sep, '/'), name) for file, name in functions]


def _found(error):
    """What upstream found: the line of its message that says so, with the file that it was opening."""
    text = str(error)
    lines = [line.strip() for line in text.splitlines() if line.strip()] or [type(error).__name__]
    found = lines[-1] if 'Original Traceback' in text else lines[0]
    if 'UnpicklingError' in type(error).__name__:  # torch's text recommends to turn its safety off
        name = re.search(r'GLOBAL (\S+)', text)
        found = f'holds {name[1]}' if name else 'is not a checkpoint'
    found = re.sub(r'^\[Errno \d+\] ', '', found)[:300].rstrip('.')
    for frame, _ in reversed(list(traceback.walk_tb(error.__traceback__))):
        # Upstream's loaders know the file or URL, but their errors often do not name it.
        if frame.f_code.co_name in ('load_from_http', 'load_from_local', 'fromfile'):
            file = str(frame.f_locals.get('filename'))
            return found if file in found else f'{file}: {found}'
    return found


def _terminate(signum, frame):
    raise Terminated


def _end_on_sigterm():
    """In a forked process, SIGTERM ends it at once. Python would call a handler only after the process has
    got the lock that it waits for, so that a pool which ends its workers could wait forever.
    """
    if signal.getsignal(signal.SIGTERM) is _terminate:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


if hasattr(os, 'register_at_fork'):  # not on Windows
    os.register_at_fork(after_in_child=_end_on_sigterm)


def _leave_signals_alone():
    """Let no signal add a traceback to the line while the process ends: neither a second SIGTERM, nor
    the end of a data-loader worker, which torch reports as an error.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if hasattr(signal, 'SIGCHLD'):  # not on Windows
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def _interrupt(error):
    """The interrupt that caused an error, or None: some of upstream's functions catch everything."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error


# ---- Commands and files


def make_parser(description):
    """An ArgumentParser that shows the description, a docstring, with the line breaks that it has."""
    keep = argparse.RawDescriptionHelpFormatter
    return argparse.ArgumentParser(description=description, formatter_class=keep)


@contextlib.contextmanager
def atomic_write(path, mode='wb'):
    """Open a temporary file beside ``path``; when the block ends well, it takes the name ``path``.

    The folder is made if it is missing. mode: of ``open``; text is UTF-8 on every system.
    """
    path = Path(path)
    if path.exists() and not (path.is_file() or path.is_dir()):  # such as /dev/null
        raise UserError(path, 'is no file', 'name one')
    path.parent.mkdir(parents=True, exist_ok=True)
    # A name that no other file has, neither a person's nor another process's
    temporary = path.with_name(f'.{path.name}.{secrets.token_hex(4)}.part')
    encoding = None if 'b' in mode else 'utf-8'
    file = open(temporary, mode.replace('w', 'x'), encoding=encoding)  # noqa: SIM115
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        if os.name == 'posix':  # Windows cannot open a folder
            _sync_folder(path.parent)
    except BaseException as error:
        with contextlib.suppress(OSError):  # an error here would hide the first one
            temporary.unlink()
        if isinstance(error, OSError):  # for a full disk, the system does not say of which file
            error.filename = error.filename or str(path)
        raise


def _sync_folder(path):
    """Write to the disk which names a folder holds: without it, a new name can be lost with the power."""
    with contextlib.suppress(PermissionError):  # it may be written, but not read
        folder = os.open(path, os.O_RDONLY)
        try:
            os.fsync(folder)
        except OSError as error:
            if error.errno != errno.EINVAL:  # some network file systems cannot do this
                raise
        finally:
            os.close(folder)


def check_ours(path, mark):
    """Refuse to replace a file in which ``mark`` (text), that our commands write, is not found.

    Raises:
        UserError: the file was made by something else.
    """
    if path.exists() and not (path.is_file() and mark.encode() in path.read_bytes()):
        advice = 'move it away, or choose another folder'
        raise UserError(path, 'not written by this command', advice)


def is_whole(path):
    """Whether a checkpoint file is a complete archive whose parts have their checksums."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (OSError, zipfile.BadZipFile, EOFError):
        return False


# ---- Images and devices

# Those of mmdet's DetInferencer, and what Windows calls JPEG files of the web
IMG_EXTENSIONS = (
    '.jpg', '.jpeg', '.jfif', '.png', '.ppm', '.bmp', '.pgm', '.tif', '.tiff', '.webp'
)  # fmt: skip


def list_images(inputs, decode=True, out=None):
    """Paths (list of str) of all images among files, folders (not their subfolders) and glob
    patterns, each read once.

    decode: read all of them, so that a file that is no image is known before the work begins. out:
    folder of the pictures that will be drawn, under the names of the images.

    Raises:
        UserError: a path that is not there, a folder without images, a file that is no image, two
            images of one name, whose results would overwrite each other, or an image in ``out``.
    """
    names = {}
    for item in inputs:
        path = Path(item)
        if path.is_dir():
            images = [p for p in path.iterdir() if p.suffix.lower() in IMG_EXTENSIONS]
        else:
            matches = [path] if path.is_file() else map(Path, glob.glob(item))
            images = [match for match in matches if match.is_file()]
        if not images:
            raise UserError(item, 'no such image, or no image in it', 'check the path')
        for image in sorted(images):
            if names.setdefault(image.stem, image) != image:
                reason = f'would have results of the same name as {names[image.stem]}'
                raise UserError(image, reason, 'run them one by one, with an --out-dir each')
            if out and image.resolve().parent == Path(out).resolve():
                raise UserError(image, 'its result could replace it', 'choose another --out-dir')
            if decode:
                read_image(image)
    return [str(image) for image in names.values()]


def read_image(path):
    """An image as MMDetection reads it: (height, width, 3) uint8, BGR, upright.

    Raises:
        UserError: a file that is no image.
    """
    import cv2
    import numpy as np

    try:
        image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        image = None
    if image is None:
        found = 'not a readable image: OpenCV cannot decode it'
        raise UserError(path, found, 'replace it or leave it out')
    return image


def picture_suffix(path):
    """The suffix (str) of a picture drawn on an image: its own, or .jpg where OpenCV writes it not in colour."""
    import cv2

    suffix = Path(path).suffix
    # The suffix alone: OpenCV 5 crashes on a name that is not in UTF-8.
    in_colour = cv2.haveImageWriter(f'image{suffix}') and suffix.lower() not in ('.pgm', '.pbm')
    return suffix if in_colour else '.jpg'


def score_thresholds(text):
    """The type of --pred-score-thr: a function of class names that returns a minimum score for each.

    text: a number, or a file of tools/report.py (report.json), whose classes are matched by name. A
    class without a threshold there has that of all classes together.

    Raises:
        ArgumentTypeError: neither. The function raises a UserError if the file has none of the classes.
    """
    with contextlib.suppress(ValueError):
        number = float(text)
        return lambda classes: [number] * len(classes)
    try:
        report = json.loads(Path(text).read_text(encoding='utf-8'))
        common = float(report['threshold']['threshold'])
        own = {name: float(score) for name, score in report['thresholds'].items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        found = 'no number, and no file with thresholds of classes'
        advice = 'pass a number, or report.json of tools/report.py'
        raise argparse.ArgumentTypeError(f'{text}: {found}; next: {advice}') from None

    def by_name(classes):
        if not own.keys() & set(classes):
            found = f'has thresholds of {", ".join(own) or "no class"}, not of {", ".join(classes)}'
            raise UserError(text, found, 'pass the report about this model, or a number')
        return [own.get(name, common) for name in classes]

    return by_name


def count_boxes(file, scores, labels, thresholds):
    """A line (str): how many boxes of an image have at least the minimum score of their class."""
    kept = sum(score >= thresholds[label] for score, label in zip(scores, labels))
    limit = f'{thresholds[0]:g} or more' if len(set(thresholds)) == 1 else "its class's or more"
    highest = max(scores, default=0)
    return plain(f'{file}: {kept} boxes with a score of {limit} (highest {highest:.2f})')


def pick_device(device=None):
    """The device asked for, else CUDA where there is one, else the CPU (str)."""
    import torch

    if device is None:
        return 'cuda:0' if torch.cuda.is_available() else 'cpu'
    try:
        torch.empty(0, device=device)
    except (AssertionError, RuntimeError) as error:  # AssertionError: a torch without CUDA
        found = str(error).split('. ')[0].splitlines()[0]
        raise UserError(f'--device {device}', found, '--device cpu, or leave it out') from None
    return device


# oneDNN's switch ONEDNN_MAX_CPU_ISA: the values that leave bfloat16 out.
WITHOUT_BFLOAT16 = ('SSE41', 'AVX', 'AVX2', 'AVX2_VNNI', 'AVX512_CORE', 'AVX512_CORE_VNNI')


def fast_bfloat16():
    """Whether this CPU has instructions for bfloat16, and oneDNN may use them."""
    import torch

    if os.environ.get('ONEDNN_MAX_CPU_ISA', 'DEFAULT').upper() in WITHOUT_BFLOAT16:
        return False
    names = ('_is_avx512_bf16_supported', '_is_amx_tile_supported')
    return any(getattr(torch.cpu, name, bool)() for name in names)


def check_packages():
    """Raise a UserError where the packages that MMDetection needs do not fit."""
    line = package_problems(CORE)
    if line:
        raise UserError(line)
