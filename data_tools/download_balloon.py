"""Fetch the balloon data set (61 + 13 photographs with VIA annotations, 38.7 MB) into data/balloon,
verified.

    python data_tools/download_balloon.py                              downloads (an interrupted download goes on)
    python data_tools/download_balloon.py --zip balloon_dataset.zip    an archive already at hand
    python data_tools/download_balloon.py --from ~/balloon             a folder that holds train/ and val/

Only what the annotations list is taken, and each image must have the byte size that its VIA entry
records; the data root changes once everything is there. The data: Waleed Abdulla,
matterport/Mask_RCNN release v2.1.
"""

import argparse
import os
import shutil
import sys
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

from mmballoon.data.via import read_via
from mmballoon.errors import UserError, report_errors

URLS = (
    'https://github.com/matterport/Mask_RCNN/releases/download/v2.1/balloon_dataset.zip',
    'https://download.openmmlab.com/mmyolo/data/balloon_dataset.zip',
)
VIA_FILE = 'via_region_data.json'
SPLITS = ('train', 'val')
MAX_MEMBER = 64 << 20  # bytes; the largest photograph has 2 MB


class FolderSource:
    """A folder with train/ and val/, or with balloon/train and balloon/val."""

    def __init__(self, folder):
        self.name = str(folder)
        roots = [
            root
            for root in (folder, folder / 'balloon')
            if all((root / s / VIA_FILE).is_file() for s in SPLITS)
        ]
        if not roots:
            raise UserError(
                f'{folder}: no train/{VIA_FILE} and val/{VIA_FILE} in it; next: name the folder above them'
            )
        self.root = roots[0]

    def copy(self, split, name, target):
        path = self.root / split / name
        if not path.is_file():
            raise UserError(
                f'{path}: missing, though {split}/{VIA_FILE} lists it; next: get the data set again'
            )
        shutil.copyfile(path, target)


class ZipSource:
    """The release's archive: train/ and val/ under any one folder."""

    def __init__(self, path):
        self.name = str(path)
        if not path.is_file():
            raise UserError(f'{path}: no such file; next: check the path given to --zip')
        try:
            self.zip = zipfile.ZipFile(path)
        except zipfile.BadZipFile as error:
            raise UserError(
                f'{path}: no intact zip archive ({error}); next: download it again'
            ) from None
        found = [
            n
            for n in self.zip.namelist()
            if n.endswith(f'train/{VIA_FILE}') and not n.startswith('__MACOSX')
        ]
        if not found:
            raise UserError(
                f'{path}: no train/{VIA_FILE} in it; next: pass the balloon_dataset.zip of release v2.1'
            )
        self.prefix = found[0].removesuffix(f'train/{VIA_FILE}')

    def copy(self, split, name, target):
        member = f'{self.prefix}{split}/{name}'
        try:
            if self.zip.getinfo(member).file_size > MAX_MEMBER:
                raise UserError(
                    f'{self.name}: {member} unpacks to more than {MAX_MEMBER >> 20} MiB; next: get the '
                    'archive again from its source'
                )
            with self.zip.open(member) as source, open(target, 'wb') as file:
                shutil.copyfileobj(source, file)
        except KeyError:
            raise UserError(
                f'{self.name}: {member} is missing; next: download the archive again'
            ) from None
        except (zipfile.BadZipFile, EOFError, OSError, RuntimeError) as error:
            raise UserError(
                f'{self.name}: {member} is damaged ({error}); next: download the archive again'
            ) from None


def install(source, root):
    """Copy both splits to ``root``, verified, and return {split: number of images}. All or
    nothing.
    """
    part, counts = root / 'incoming.part', {}
    shutil.rmtree(part, ignore_errors=True)
    try:
        for split in SPLITS:
            (part / split).mkdir(parents=True)  # and with it the root
            source.copy(split, VIA_FILE, part / split / VIA_FILE)
            counts[split] = fill(source, split, part / split)
        for split in SPLITS:
            shutil.rmtree(root / split, ignore_errors=True)
            (part / split).rename(root / split)
    finally:
        shutil.rmtree(part, ignore_errors=True)
        if not any(root.iterdir()):
            root.rmdir()
    return counts


def fill(source, split, folder):
    """Copy a split's images as its VIA file lists them; return their number."""
    entries, _ = read_via(folder / VIA_FILE)
    for entry in entries:
        if Path(entry.filename.replace('\\', '/')).name != entry.filename:
            raise UserError(
                f"{source.name}: {split}/{VIA_FILE}: image '{entry.filename}' leads out of its folder; "
                'next: get the data set from its source'
            )
        source.copy(split, entry.filename, folder / entry.filename)
        check_size(folder, entry, f'{source.name}: {split}/{entry.filename}')
    return len(entries)


def check_size(folder, entry, label):
    size = (folder / entry.filename).stat().st_size
    if entry.size and size != entry.size:
        raise UserError(
            f'{label}: {size} bytes, expected {entry.size} (its VIA entry); next: get the data set again'
        )


def is_complete(root):
    """Whether both splits are there with every image at its recorded size."""
    try:
        for split in SPLITS:
            for entry in read_via(root / split / VIA_FILE)[0]:
                check_size(root / split, entry, '')
    except (UserError, OSError):
        return False
    return True


def download(urls, target):
    """Fetch the first URL that answers to ``target`` (Path); what is there of it already is kept
    and continued.
    """
    part = target.with_name(target.name + '.part')
    target.parent.mkdir(parents=True, exist_ok=True)
    errors = []
    for url in urls:
        try:
            fetch(url, part)
            os.replace(part, target)
            return
        except (OSError, urllib.error.URLError, ValueError) as error:
            errors.append(f'{url}: {getattr(error, "reason", error)}')
            print(f'\r{errors[-1]}', file=sys.stderr)
    raise UserError(
        'the data set cannot be fetched (no network?); next: download balloon_dataset.zip elsewhere and '
        'pass it with --zip, or render a set instead: python data_tools/make_toy_balloons.py'
    )


def fetch(url, part):
    """Append to ``part`` what it still lacks of ``url``, with a progress bar on a terminal.

    Raises:
        OSError: refused, timed out, or cut off before the announced length; what came stays for the
        next try.
    """
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={'Range': f'bytes={have}-'} if have else {})
    try:
        response = urllib.request.urlopen(request, timeout=30)
    except urllib.error.HTTPError as error:
        if (
            error.code == 416 and have
        ):  # nothing lies behind what is there: complete, or another file's rest
            part.unlink()
            return fetch(url, part)
        raise
    with response:
        if response.status != 206:  # the server sends it all again
            have = 0
        total = have + int(response.headers.get('Content-Length') or 0)
        with open(part, 'ab' if have else 'wb') as file:
            while chunk := response.read(1 << 18):
                file.write(chunk)
                have += len(chunk)
                if sys.stderr.isatty() and total:
                    print(
                        f'\r{"#" * (40 * have // total):40} {have >> 20}/{total >> 20} MiB',
                        end='',
                        file=sys.stderr,
                    )
    if have < total:
        raise OSError(f'cut off after {have} of {total} bytes; run the command again to go on')


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--data-root',
        type=Path,
        default=Path(os.environ.get('BALLOON_ROOT') or 'data/balloon'),
        help='where train/ and val/ go ($BALLOON_ROOT, or data/balloon)',
    )
    group = parser.add_mutually_exclusive_group()
    group.add_argument('--zip', type=Path, metavar='FILE', help='take the set from this archive')
    group.add_argument(
        '--from', type=Path, metavar='DIR', dest='folder', help='take the set from this folder'
    )
    group.add_argument(
        '--url', nargs='+', default=URLS, help='addresses to try in turn (release, then mirror)'
    )
    return parser.parse_args(argv)


def run(args):
    root, archive = args.data_root, args.data_root.with_name('balloon_dataset.zip')
    if not args.zip and not args.folder:
        if is_complete(root):
            print(f'{root}: already complete')
            return
        download(args.url, archive)
    try:
        source = FolderSource(args.folder) if args.folder else ZipSource(args.zip or archive)
        counts = install(source, root)
    finally:
        if not args.zip and not args.folder:
            archive.unlink()
    print(
        f'{root}: '
        + ', '.join(f'{split} {n} images' for split, n in counts.items())
        + ', sizes verified'
    )


def main(argv=None):
    with report_errors():
        run(parse_args(argv))


if __name__ == '__main__':
    main()
