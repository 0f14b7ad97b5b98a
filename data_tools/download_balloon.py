"""Download the balloon dataset (61 + 13 images with VIA annotations, 38.7 MB) and verify it.

    python data_tools/download_balloon.py
    python data_tools/download_balloon.py --zip balloon_dataset.zip    take it from an archive
    python data_tools/download_balloon.py --from ~/balloon             take it from a folder

Only the images that the annotations list are taken, and each one must have the size in bytes that
its VIA entry records. The data root changes only when everything is there. The dataset is by Waleed
Abdulla, matterport/Mask_RCNN release v2.1.
"""

import io
import os
import sys
import urllib.error
import urllib.request
import zipfile
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path

from mmballoon.cli import UserError, added_files, report_errors
from mmballoon.data.via import parse_via, read_via

URLS = (
    'https://github.com/matterport/Mask_RCNN/releases/download/v2.1/balloon_dataset.zip',
    'https://download.openmmlab.com/mmyolo/data/balloon_dataset.zip',
)
VIA_FILE = 'via_region_data.json'
SPLITS = ('train', 'val')


def open_source(source):
    """The folder that holds train/ and val/: a Path, or a zipfile.Path inside an archive.

    source: the path of a folder or an archive, or an archive in memory.
    """
    name = source if isinstance(source, Path) else 'the downloaded file'
    if isinstance(source, Path) and not (source.is_dir() or source.is_file()):
        raise UserError(f'{name}: no such file or folder; next: check the path')
    try:
        is_folder = isinstance(source, Path) and source.is_dir()
        top = source if is_folder else zipfile.Path(source)
    except zipfile.BadZipFile as error:
        raise UserError(f'{name}: not a zip archive ({error}); next: download it again') from None
    for root in (top, *(child for child in top.iterdir() if child.is_dir())):
        if all((root / split / VIA_FILE).is_file() for split in SPLITS):
            return root
    found = f'no train/{VIA_FILE} and val/{VIA_FILE} in it'
    raise UserError(f'{name}: {found}; next: pass the dataset of release v2.1')


def install(source, root):
    """Copy both splits from ``source`` to ``root``, verified; all or nothing, and nothing is replaced.

    Returns {split: number of images}.
    """
    counts, files = {}, {}
    for split in SPLITS:
        data = read(source / split / VIA_FILE)
        entries, _ = parse_via(source / split / VIA_FILE, data)
        files[root / split / VIA_FILE] = data
        counts[split] = len(entries)
        for entry in entries:
            name = entry.filename
            if Path(name.replace('\\', '/')).name != name:
                found = f"image '{name}' is outside its folder"
                advice = 'download the dataset again'
                raise UserError(f'{source / split / VIA_FILE}: {found}; next: {advice}')
            files[root / split / name] = read(source / split / name, entry.size)
    with added_files() as add:
        for path, data in files.items():
            add(path, data)
    return counts


def read(path, size=None):
    """The bytes of a file, which must be ``size``, where its VIA entry knows the size."""
    try:
        data = path.read_bytes()
    except (FileNotFoundError, KeyError):
        raise UserError(f'{path}: missing; next: download the dataset again') from None
    except (zipfile.BadZipFile, EOFError, RuntimeError) as error:
        raise UserError(f'{path}: damaged ({error}); next: download it again') from None
    if size and len(data) != size:
        found = f'{len(data)} bytes, expected {size} (its VIA entry)'
        raise UserError(f'{path}: {found}; next: download the dataset again')
    return data


def is_complete(root):
    """Whether both splits are there, with every image at its recorded size."""
    try:
        for split in SPLITS:
            for entry in read_via(root / split / VIA_FILE)[0]:
                size = (root / split / entry.filename).stat().st_size
                if entry.size and size != entry.size:
                    return False
    except (UserError, OSError):
        return False
    return True


def download(urls):
    """The archive from the first URL that answers (a file in memory)."""
    for url in urls:
        try:
            return fetch(url)
        except (urllib.error.URLError, TimeoutError, ConnectionError, ValueError) as error:
            print(f'{url}: {getattr(error, "reason", error)}', file=sys.stderr)
    advice = 'download balloon_dataset.zip on another machine and pass it with --zip, or render a'
    advice += ' dataset instead: python data_tools/make_toy_balloons.py'
    raise UserError(f'the dataset cannot be downloaded (no network?); next: {advice}')


def fetch(url):
    """What a URL holds (a file in memory), with a progress bar on a terminal."""
    from tqdm import tqdm

    file = io.BytesIO()
    with urllib.request.urlopen(url, timeout=30) as response:
        total = int(response.headers.get('Content-Length') or 0)
        with tqdm(total=total, unit='B', unit_scale=True, disable=None) as bar:
            while chunk := response.read(1 << 18):
                bar.update(file.write(chunk))
    if file.tell() < total:
        raise ConnectionError(f'ended after {file.tell()} of {total} bytes')
    return file


def parse_args(argv=None):
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    root = Path(os.environ.get('BALLOON_ROOT') or 'data/balloon')
    about = 'target (default: %(default)s)'
    parser.add_argument('--data-root', type=Path, default=root, help=about)
    add = parser.add_mutually_exclusive_group().add_argument
    add('--zip', type=Path, metavar='FILE', help='take the dataset from an archive')
    add('--from', type=Path, metavar='DIR', dest='folder', help='take the dataset from a folder')
    add('--url', nargs='+', default=URLS, help='addresses to try, in this order')
    return parser.parse_args(argv)


def run(args):
    root, source = args.data_root, args.zip or args.folder
    if not source:
        if is_complete(root):
            print(f'{root}: already complete')
            return
        source = download(args.url)
    counts = install(open_source(source), root)
    numbers = ', '.join(f'{split} {count} images' for split, count in counts.items())
    print(f'{root}: {numbers}, sizes verified')


def main(argv=None):
    with report_errors():
        run(parse_args(argv))


if __name__ == '__main__':
    main()
