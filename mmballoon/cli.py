"""A person's mistake ends in one line: ``error: what was found, and where; next: what to do``.

Every other error is a bug, ours or upstream's, and keeps its traceback. Some mistakes surface deep
inside upstream. KNOWN_ERRORS lists these, each by its exception type and by the upstream function
that raises it: the text of a message is never enough to tell them from a bug.
"""

import contextlib
import errno
import filecmp
import functools
import glob
import importlib.util
import io
import logging
import os
import re
import secrets
import shutil
import signal
import sys
import sysconfig
import threading
import traceback
import zipfile
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

EXIT_STATUS = 2  # the status with which argparse ends, too
INTERRUPTED = 130  # 128 + SIGINT, as shells report it
TERMINATED = 143  # 128 + SIGTERM


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
    "no annotation is left: metainfo['classes'] in the config must name categories of the COCO file"
)
BAD_IMAGE = 'not a readable image: replace it, or remove it from the annotations'
BAD_PACKAGES = 'the installed packages do not fit together: pip install -r requirements.txt'
TWO_BUILDS = (
    'torch and torchvision are different builds: install both with one command, from one index '
    '(pip install --force-reinstall torch torchvision)'
)
EXPORT_PACKAGES = 'pip install -r requirements-export.txt -c constraints.txt'
TOO_NARROW = 'resizing leaves less than a pixel: crop the image, or correct the scale in the pipeline of the config'
CHECK_PATH = 'check the path (checkpoints are in work_dirs/<config name>/)'

# (exception type, end of the file name of the function that raises it, that function, what to do)
KNOWN_ERRORS = (
    ('FileNotFoundError', 'pycocotools/coco.py', '__init__', NO_ANNOTATIONS),
    ('JSONDecodeError', 'pycocotools/coco.py', '__init__', 'convert the annotations again'),
    ('AssertionError', 'hooks/num_class_check_hook.py', '_check_head', WRONG_CLASSES),
    ('ValueError', 'mmengine/dataset/base_dataset.py', '_serialize_data', NO_CATEGORY),
    ('UnpicklingError', 'torch/serialization.py', 'load', UNSAFE),
    ('ValueError', 'mmcompat/checkpoint.py', 'history_getattr', UNSAFE),
    ('RuntimeError', 'torch/serialization.py', '__init__', DAMAGED),
    ('RuntimeError', 'torch/serialization.py', '_load', DAMAGED),
    ('EOFError', 'torch/serialization.py', '_legacy_load', DAMAGED),
    ('FileNotFoundError', 'mmengine/runner/checkpoint.py', 'load_from_local', CHECK_PATH),
    ('FileNotFoundError', 'mmengine/utils/path.py', 'check_file_exist', CHECK_PATH),
    ('FileNotFoundError', 'mmcv/transforms/loading.py', 'transform', BAD_IMAGE),
    ('AssertionError', 'mmcv/transforms/loading.py', 'transform', BAD_IMAGE),
    ('error', 'mmcv/transforms/loading.py', 'transform', BAD_IMAGE),  # cv2.error
    ('SyntaxError', 'mmengine/config/config.py', '_validate_py_syntax', 'correct the config there'),
    ('JSONDecodeError', 'mmengine/config/config.py', 'fromfile', 'correct the config there'),
    ('OSError', 'mmengine/config/config.py', 'fromfile', 'pass a .py, .yml or .json config'),
    ('AssertionError', 'mmdet/.mim/tools/test.py', 'main', 'name the file of --out with .pkl'),
    ('error', 'mmcv/image/geometric.py', 'imresize', TOO_NARROW),  # cv2.error
    ('AssertionError', 'mmdet/__init__.py', '<module>', BAD_PACKAGES),
    ('AssertionError', 'mmyolo/__init__.py', '<module>', BAD_PACKAGES),
    ('RuntimeError', 'torchvision/_meta_registrations.py', '<module>', TWO_BUILDS),
)
BUILDERS = (
    'from_cfg|__init__|build_|register_|set_randomness|wrap_model|scale_lr'  # methods of Runner
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
        signal.signal(signal.SIGTERM, functools.partial(_terminate, os.getpid()))
    try:
        yield
    except (Exception, KeyboardInterrupt) as error:
        interrupt = _interrupt(error)
        if interrupt:
            _leave_signals_alone()
            training = Path(sys.argv[0]).name == 'train.py'
            saved = '; every finished epoch is saved, and --resume continues from there'
            print(f'\nstopped{saved if training else ""}', file=sys.stderr)
            status = TERMINATED if isinstance(interrupt, Terminated) else INTERRUPTED
            raise SystemExit(status) from None
        line = None if os.environ.get('DEBUG') else explain(error)
        if line is None:
            raise
        # File names can hold line breaks and other control characters.
        line = re.sub(r'[\x00-\x1f\x7f]', lambda match: repr(match[0])[1:-1], line)
        print(f'error: {line}', file=sys.stderr)
        raise SystemExit(EXIT_STATUS) from None


def explain(error):
    """The line (str) for a known mistake, or None for an error that needs its traceback."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, ModuleNotFoundError):
        package = (error.name or '').split('.')[0]
        if package in ('onnx', 'onnxruntime', 'onnxscript'):
            return f'{package} is not installed; next: {EXPORT_PACKAGES}'
        if package in REQUIREMENTS:
            return problems(REQUIREMENTS) or f'{error}; next: {BAD_PACKAGES}'
    types = {cls.__name__ for cls in type(error).__mro__}
    functions = _functions(error)
    for exception, file, function, hint in KNOWN_ERRORS:
        if exception in types and any(
            f.endswith(file) and name == function for f, name in functions
        ):
            return f'{_found(error)}; next: {hint}'
    if isinstance(error, OSError) and error.errno in FILE_SYSTEM:
        file = error.filename or _file_in_use(error)
        if file:
            return f'{file}: {error.strerror}; next: {FILE_SYSTEM[error.errno]}'
    if _is_in_config(error):
        return f'{type(error).__name__}: {_found(error)}; next: correct the config (DEBUG=1 shows where)'
    return None


def _is_in_config(error):
    """Whether upstream refused a config: while MMEngine read it, or while it built what it names.

    Errors in modules of one's own, which a config imports or names, are none of these.
    """
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    functions = _functions(error)
    imports = any(name == 'import_modules_from_strings' for _, name in functions)
    if imports or isinstance(error, (ImportError, OSError, SystemError)):
        return False  # SystemError: Python itself is at fault
    if any(file.endswith('mmengine/config/config.py') for file, _ in functions):
        return True
    if isinstance(error, (MemoryError, RuntimeError)):
        return False  # a full memory or a device, and no setting
    built = [
        i
        for i, (file, name) in enumerate(functions)
        if file.endswith('mmengine/registry/build_functions.py')
        or (file.endswith('mmengine/runner/runner.py') and re.match(BUILDERS, name))
    ]
    if not built:
        return False
    # Compiled modules have no absolute path. A patch may stand between, but not fail itself.
    installed = tuple(sysconfig.get_path(name) for name in ('stdlib', 'purelib', 'platlib'))
    patches = tuple(str(Path(__file__).parent / name) for name in ('train', '../mmcompat'))
    *between, last = [frame.f_code.co_filename for frame in frames[built[-1] :]]
    return all(
        file.startswith(installed) or not os.path.isabs(file)
        for file in (*(file for file in between if not file.startswith(patches)), last)
    )


def _file_in_use(error):
    """The file that was open when an error of the file system occurred that does not name it."""
    for frame, _ in reversed(list(traceback.walk_tb(error.__traceback__))):
        for value in frame.f_locals.values():
            if isinstance(value, io.IOBase) and isinstance(getattr(value, 'name', None), str):
                return value.name
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
    """What upstream found: the line of its message that says so, with the file that it was
    opening.
    """
    text = str(error)
    lines = [line.strip() for line in text.splitlines() if line.strip()] or [type(error).__name__]
    found = lines[-1] if 'Original Traceback' in text else lines[0]
    if 'UnpicklingError' in type(error).__name__:  # torch's text recommends to turn its safety off
        name = re.search(r'GLOBAL (\S+)', text)
        found = f'holds {name[1]}' if name else 'is not a checkpoint'
    found = re.sub(r'^\[Errno \d+\] ', '', found)[:300].rstrip('.')
    file = _opened_file(error)
    return f'{file}: {found}' if file and file not in found else found


def _opened_file(error):
    """The file or URL that upstream was opening: its loaders know it, but their errors often do not
    name it.
    """
    for frame, _ in reversed(list(traceback.walk_tb(error.__traceback__))):
        if frame.f_code.co_name in ('load_from_http', 'load_from_local', 'fromfile'):
            return str(frame.f_locals.get('filename'))
    return None


def _terminate(main_process, signum, frame):
    if os.getpid() != main_process:  # a forked data-loader worker
        os._exit(TERMINATED)
    raise Terminated


def _leave_signals_alone():
    """Let the process end in peace: a second SIGTERM, or the end of a data-loader worker, of which
    torch makes an error, would add a traceback to the line.
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


# ---- Files


@contextlib.contextmanager
def atomic_write(path, mode='wb'):
    """Open a temporary file beside ``path``; when the block ends well, it takes the name ``path``.

    mode: of ``open``; text is UTF-8 on every system.
    """
    path = Path(path)
    part = _part(path)
    try:
        with open(part, mode, encoding=None if 'b' in mode else 'utf-8') as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
        _sync_folder(path.parent)
    except BaseException as error:
        with contextlib.suppress(OSError):  # an error here would hide the first one
            part.unlink()
        if isinstance(error, OSError):  # for a full disk, the system does not say of which file
            error.filename = error.filename or str(path)
        raise


def _part(path):
    """A name beside ``path`` that no other file has, neither a person's nor another process's."""
    return path.with_name(f'.{path.name}.{secrets.token_hex(4)}.part')


def _sync_folder(folder):
    """Put the names in a folder on the disk: without it, a new name can be lost with the power."""
    if os.name == 'posix':  # Windows cannot open a folder
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def replace_files(contents):
    """Write several files, {path: bytes}: all of them or none.

    If one of them cannot be written, those before it get back what they had.
    """
    old = {}
    try:
        for path in contents:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists():
                part = _part(path)
                _link(path, part)
                old[path] = part
        try:
            with contextlib.ExitStack() as stack:  # at its end, the files get their names
                for path, data in contents.items():
                    stack.enter_context(atomic_write(path)).write(data)
        except BaseException:
            for path in contents:
                with contextlib.suppress(OSError):  # an error here would hide the first one
                    os.replace(old[path], path) if path in old else path.unlink()
            raise
    finally:
        for part in old.values():
            part.unlink(missing_ok=True)


def _link(source, path):
    """Give a file a second name, or copy it where that is not possible."""
    try:
        os.link(source, path)
    except OSError:
        shutil.copy2(source, path)


@contextlib.contextmanager
def added_files():
    """Give a function add(path, content), for bytes or the path of a file to link to.

    It replaces nothing: a file that is there already must have this content. If the block fails,
    what was added goes again.
    """
    made = []

    def add(path, content):
        if is_same(path, content):
            return
        if os.path.lexists(path):
            advice = 'move it away, or choose another folder'
            raise UserError(f'{path}: a file with another content is there; next: {advice}')
        for folder in reversed([path.parent, *path.parent.parents]):
            if not folder.exists():
                folder.mkdir()
                made.append(folder)
        made.append(path)
        if isinstance(content, bytes):
            with atomic_write(path) as file:
                file.write(content)
        else:
            _link(content, path)

    try:
        yield add
    except BaseException:
        for path in reversed(made):
            with contextlib.suppress(OSError):  # an error here would hide the first one
                path.rmdir() if path.is_dir() else path.unlink()
        raise


def is_same(path, content):
    """Whether a file has this content: bytes, or those of another file (Path)."""
    if not path.is_file():
        return False
    if isinstance(content, bytes):
        return path.stat().st_size == len(content) and path.read_bytes() == content
    return path.samefile(content) or filecmp.cmp(path, content, shallow=False)


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
    '.jpg',
    '.jpeg',
    '.jfif',
    '.png',
    '.ppm',
    '.bmp',
    '.pgm',
    '.tif',
    '.tiff',
    '.webp',
)


def list_images(inputs):
    """Paths (list of str) of all images among files, folders (not their subfolders) and glob
    patterns, each read once.

    Raises:
        UserError: a path that is not there, a folder without images, a file that is no image, or two
            images of one name, whose results would overwrite each other.
    """
    found = []
    for item in inputs:
        path = Path(item)
        if path.is_dir():
            images = sorted(p for p in path.iterdir() if p.suffix.lower() in IMG_EXTENSIONS)
        elif path.is_file():
            images = [path]
        else:
            images = sorted(match for match in map(Path, glob.glob(item)) if match.is_file())
        if not images:
            raise UserError(f'{item}: no such image, or no image in it; next: check the path')
        found += images
    names = {}
    for path in found:
        if names.setdefault(path.stem, path) != path:
            raise UserError(
                f'{names[path.stem]} and {path} would have results of one name; next: run them one by one, '
                'with an --out-dir each'
            )
    found = list(names.values())
    broken = [path for path in found if not _decodes(path)]
    if broken:
        more = f' (and {len(broken) - 1} more of {len(found)} files)' if len(broken) > 1 else ''
        raise UserError(
            f'{broken[0]}: not a readable image{more}; next: replace it or leave it out'
        )
    return [str(path) for path in found]


def _decodes(path):
    import cv2
    from mmcv import imread

    try:
        return imread(str(path)) is not None
    except (cv2.error, OSError, ValueError):
        return False


def pick_device(device=None):
    """The device asked for, else CUDA where there is one, else the CPU (str)."""
    import torch

    if device is None:
        return 'cuda:0' if torch.cuda.is_available() else 'cpu'
    try:
        torch.empty(0, device=device)
    except (AssertionError, RuntimeError) as error:  # AssertionError: a torch without CUDA
        found = str(error).split('. ')[0].splitlines()[0]
        raise UserError(
            f'--device {device}: {found}; next: --device cpu, or leave it out'
        ) from None
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


# ---- Installed packages

# Module -> its line of requirements.txt (tests/mmballoon/test_environment.py compares them).
REQUIREMENTS = {
    'numpy': 'numpy>=1.26',
    'torch': 'torch>=2.6',
    'torchvision': 'torchvision',
    'mmengine': 'mmengine>=0.10.4,<0.11',
    'mmcv': 'mmcv-lite>=2.0.1,<2.1',
    'mmdet': 'mmdet>=3.0.0,<3.4',
    'mmyolo': 'mmyolo>=0.5.0,<0.7',
    'pytorch_grad_cam': 'grad-cam>=1.4.8',
    'pycocotools': 'pycocotools>=2.0.8',
    'cv2': 'opencv-python>=4.10',
    'PIL': 'pillow',
    'matplotlib': 'matplotlib',
    'tqdm': 'tqdm',
    'hotcoco': 'hotcoco',
    'jinja2': 'jinja2',
    'distutils': 'setuptools',
}
CORE = ('numpy', 'torch', 'torchvision', 'mmengine', 'mmcv', 'mmdet')  # what the patches need
MMCV_ALONE = 'mmcv-lite>=2.0.1,<2.2'  # the range of MMDetection, where MMYOLO is not installed
OTHER_NAMES = {'mmcv': 'mmcv', 'mmengine': 'mmengine-lite'}  # other packages with the same module


def check_packages():
    """Raise a UserError where the packages that the patches need do not fit."""
    line = problems(CORE)
    if line:
        raise UserError(line)


def problems(modules):
    """The line (str) that says, package by package, what is wrong and what to install, or None."""
    found, remove, install = [], [], []
    for module in modules:
        problem = _problem(module)
        if problem:
            found.append(problem[0])
            remove += problem[1]
            install += problem[2]
    if not found:
        return None
    uninstall = f'pip uninstall -y {" ".join(remove)} && ' if remove else ''
    quoted = ' '.join(f'"{package}"' for package in dict.fromkeys(install))
    return f'{", ".join(found)}; next: {uninstall}pip install {quoted}'


def _problem(module):
    """(what is wrong, packages to remove, packages to install), or None if the module fits."""
    requirement = REQUIREMENTS[module]
    install = [requirement, 'torchvision'] if module == 'torch' else [requirement]
    if not _exists(module):
        return f'{module} is not installed', [], install
    from packaging.requirements import Requirement  # mmcv and matplotlib need it as well

    wanted = Requirement(MMCV_ALONE if module == 'mmcv' and not _exists('mmyolo') else requirement)
    names = [wanted.name, OTHER_NAMES.get(module)]
    versions = {name: _version(name) for name in names if name and _version(name)}
    if len(set(versions.values())) > 1:
        both = ' and '.join(f'{name} {found}' for name, found in versions.items())
        return f'{both} are installed into one folder', list(versions), install
    for name, found in versions.items():
        if not wanted.specifier.contains(found, prereleases=True):
            remove = [name] if name != wanted.name else []
            return f'{name} {found} is installed, expected {wanted.specifier}', remove, install
    if module == 'torchvision' and versions:
        return _other_torch(versions['torchvision'])
    return None


def _other_torch(torchvision):
    """Each release of torchvision is compiled for one release of torch."""
    from packaging.requirements import Requirement

    torch = _version('torch')
    for needed in map(Requirement, requires('torchvision') or []):
        if needed.name == 'torch' and torch and not needed.specifier.contains(torch, True):
            found = (
                f'torchvision {torchvision} is for torch {needed.specifier}, found torch {torch}'
            )
            return found, [], [f'torch=={torch.partition("+")[0]}', 'torchvision']
    return None


def _exists(module):
    return importlib.util.find_spec(module) is not None


def _version(package):
    try:
        return version(package)
    except PackageNotFoundError:
        return None
