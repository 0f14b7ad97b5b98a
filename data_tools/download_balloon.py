"""Download the balloon dataset (61 + 13 images with VIA annotations, 38.7 MB) and verify it.

    python data_tools/download_balloon.py                              an interrupted download is continued
    python data_tools/download_balloon.py --zip balloon_dataset.zip    take it from an archive
    python data_tools/download_balloon.py --from ~/balloon             take it from a folder

Only the images that the annotations list are taken, and each one must have the size in bytes that
its VIA entry records. The data root changes only when everything is there. The dataset is by Waleed
Abdulla, matterport/Mask_RCNN release v2.1.
"""

import os
import shutil
import sys
import urllib.error
import urllib.request
import zipfile
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path

from mmballoon.cli import UserError, replace_folder, report_errors
from mmballoon.data.via import read_via

URLS = (
    'https://github.com/matterport/Mask_RCNN/releases/download/v2.1/balloon_dataset.zip',
    'https://download.openmmlab.com/mmyolo/data/balloon_dataset.zip',
)
VIA_FILE = 'via_region_data.json'
SPLITS = ('train', 'val')


def open_source(path):
    """The folder that holds train/ and val/: a Path, or a zipfile.Path inside an archive."""
    if path.is_dir():
        top = path
    elif path.is_file():
        try:
            top = zipfile.Path(path)
        except zipfile.BadZipFile as error:
            found = f'not a zip archive ({error})'
            raise UserError(f'{path}: {found}; next: download it again') from None
    else:
        raise UserError(f'{path}: no such file or folder; next: check the path')
    for root in (top, *(child for child in top.iterdir() if child.is_dir())):
        if all((root / split / VIA_FILE).is_file() for split in SPLITS):
            return root
    found = f'no train/{VIA_FILE} and val/{VIA_FILE} in it'
    raise UserError(f'{path}: {found}; next: pass the dataset of release v2.1')


def install(source, root):
    """Copy both splits from ``source`` to ``root``, verified; all or nothing.

    Returns {split: number of images}.
    """
    part = root / 'incoming.part'
    shutil.rmtree(part, ignore_errors=True)
    try:
        counts = {}
        for split in SPLITS:
            (part / split).mkdir(parents=True)
            copy(source / split / VIA_FILE, part / split / VIA_FILE)
            try:
                entries, _ = read_via(part / split / VIA_FILE)
            except UserError as error:
                raise UserError(str(error).replace(str(part), str(source))) from None
            for entry in entries:
                name = entry.filename
                if Path(name.replace('\\', '/')).name != name:
                    found = f"image '{name}' is outside its folder"
                    advice = 'download the dataset again'
                    raise UserError(f'{source / split / VIA_FILE}: {found}; next: {advice}')
                copy(source / split / name, part / split / name, entry.size)
            counts[split] = len(entries)
        for split in SPLITS:
            replace_folder(part / split, root / split)
        return counts
    finally:
        shutil.rmtree(part, ignore_errors=True)
        if not any(root.iterdir()):
            root.rmdir()


def copy(source, target, size=None):
    """Copy a file that must have ``size`` bytes, where its VIA entry knows the size."""
    try:
        data = source.read_bytes()
    except (FileNotFoundError, KeyError):
        raise UserError(f'{source}: missing; next: download the dataset again') from None
    except (zipfile.BadZipFile, EOFError, RuntimeError) as error:
        raise UserError(f'{source}: damaged ({error}); next: download it again') from None
    if size and len(data) != size:
        found = f'{len(data)} bytes, expected {size} (its VIA entry)'
        raise UserError(f'{source}: {found}; next: download the dataset again')
    target.write_bytes(data)


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


def download(urls, target):
    """Fetch the first URL that answers to ``target`` (Path); a part that is there is continued."""
    part = target.with_name(target.name + '.part')
    target.parent.mkdir(parents=True, exist_ok=True)
    for url in urls:
        try:
            fetch(url, part)
        except (urllib.error.URLError, TimeoutError, ConnectionError, ValueError) as error:
            print(f'{url}: {getattr(error, "reason", error)}', file=sys.stderr)
            continue
        os.replace(part, target)
        return
    advice = 'download balloon_dataset.zip on another machine and pass it with --zip, or render a'
    advice += ' dataset instead: python data_tools/make_toy_balloons.py'
    raise UserError(f'the dataset cannot be downloaded (no network?); next: {advice}')


def fetch(url, part):
    """Append to ``part`` (Path) what it lacks of ``url``, with a progress bar on a terminal.

    Raises:
        ConnectionError: the download ended early. What arrived is kept for the next call.
    """
    from tqdm import tqdm

    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={'Range': f'bytes={have}-'} if have else {})
    try:
        response = urllib.request.urlopen(request, timeout=30)
    except urllib.error.HTTPError as error:
        if error.code != 416 or not have:  # 416: the server has no bytes behind those that we have
            raise
        part.unlink()
        return fetch(url, part)
    with response:
        if response.status != 206:  # the server ignores the range and sends everything
            have = 0
        total = have + int(response.headers.get('Content-Length') or 0)
        bar = tqdm(initial=have, total=total, unit='B', unit_scale=True, disable=None)
        with open(part, 'ab' if have else 'wb') as file, bar:
            while chunk := response.read(1 << 18):
                file.write(chunk)
                bar.update(len(chunk))
    if part.stat().st_size < total:
        raise ConnectionError(f'ended after {part.stat().st_size} of {total} bytes')


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
    archive = root.with_name('balloon_dataset.zip')
    if not source:
        if is_complete(root):
            print(f'{root}: already complete')
            return
        download(args.url, archive)
    try:
        counts = install(open_source(source or archive), root)
    finally:
        if not source:
            archive.unlink()
    numbers = ', '.join(f'{split} {count} images' for split, count in counts.items())
    print(f'{root}: {numbers}, sizes verified')


def main(argv=None):
    with report_errors():
        run(parse_args(argv))


if __name__ == '__main__':
    main()
