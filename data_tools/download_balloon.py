"""Download the balloon dataset (61 + 13 images with VIA annotations, 38.7 MB) and verify it.

    python data_tools/download_balloon.py
    python data_tools/download_balloon.py --zip balloon_dataset.zip    take it from an archive
    python data_tools/download_balloon.py --from ~/balloon             take it from a folder

Only the images that the annotations list are taken, and each one must have the size in bytes that
its VIA entry records. The data root changes only when everything is there. The dataset is by Waleed
Abdulla, matterport/Mask_RCNN release v2.1.
"""

import contextlib
import io
import os
import sys
import urllib.error
import urllib.request
import zipfile
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path

from mmballoon.cli import UserError, report_errors
from mmballoon.data.files import added_files
from mmballoon.data.via import parse_via

URLS = (
    'https://github.com/matterport/Mask_RCNN/releases/download/v2.1/balloon_dataset.zip',
    'https://download.openmmlab.com/mmyolo/data/balloon_dataset.zip',
)
VIA_FILE = 'via_region_data.json'
SPLITS = ('train', 'val')
AGAIN = 'download the dataset again'


def collect(source):
    """{path below the data root: bytes} of the dataset, each image of the size that VIA recorded.

    source: the path of a folder or of an archive, or an archive in memory. Either holds train/ and
    val/, or a folder with these.
    """
    name = source if isinstance(source, Path) else 'the downloaded file'
    if isinstance(source, Path) and not (source.is_dir() or source.is_file()):
        raise UserError(name, 'no such file or folder', 'check the path')
    try:
        top = source if isinstance(source, Path) and source.is_dir() else zipfile.Path(source)
    except zipfile.BadZipFile as error:
        raise UserError(name, f'not a zip archive ({error})', AGAIN) from None
    roots = [top, *(child for child in top.iterdir() if child.is_dir())]
    for root in roots:
        if all((root / split / VIA_FILE).is_file() for split in SPLITS):
            break
    else:
        found = f'no train/{VIA_FILE} and val/{VIA_FILE} in it'
        raise UserError(name, found, 'pass the dataset of release v2.1')
    files = {}
    for split in SPLITS:
        folder = root / split
        files[f'{split}/{VIA_FILE}'] = read(folder / VIA_FILE)
        for entry in parse_via(folder / VIA_FILE, files[f'{split}/{VIA_FILE}'])[0]:
            image = entry.filename
            if Path(image.replace('\\', '/')).name != image:
                found = f"image '{image}' is outside its folder"
                raise UserError(folder / VIA_FILE, found, AGAIN)
            files[f'{split}/{image}'] = read(folder / image, entry.size)
    return files


def read(path, size=None):
    """The bytes of a file, which must be ``size``, where its VIA entry knows the size."""
    try:
        data = path.read_bytes()
    except (FileNotFoundError, KeyError):
        raise UserError(path, 'missing', AGAIN) from None
    except (zipfile.BadZipFile, EOFError, RuntimeError) as error:
        raise UserError(path, f'damaged ({error})', AGAIN) from None
    if size and len(data) != size:
        raise UserError(path, f'{len(data)} bytes, expected {size} (its VIA entry)', AGAIN)
    return data


def download(urls):
    """The archive from the first URL that answers, in memory, with a progress bar on a terminal."""
    from tqdm import tqdm

    for url in urls:
        file = io.BytesIO()
        try:
            with urllib.request.urlopen(url, timeout=30) as response:
                total = int(response.headers.get('Content-Length') or 0)
                with tqdm(total=total, unit='B', unit_scale=True, disable=None) as bar:
                    while chunk := response.read(1 << 18):
                        bar.update(file.write(chunk))
            if file.tell() >= total:
                return file
            print(f'{url}: ended after {file.tell()} of {total} bytes', file=sys.stderr)
        except (urllib.error.URLError, TimeoutError, ConnectionError, ValueError) as error:
            print(f'{url}: {getattr(error, "reason", error)}', file=sys.stderr)
    advice = 'download balloon_dataset.zip on another machine and pass it with --zip, or render a'
    advice += ' dataset instead: python data_tools/make_toy_balloons.py'
    raise UserError(f'the dataset cannot be downloaded (no network?); next: {advice}')


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


def main(argv=None):
    with report_errors():
        args = parse_args(argv)
        root, source = args.data_root, args.zip or args.folder
        if not source:
            with contextlib.suppress(UserError, OSError):
                collect(root)
                print(f'{root}: already complete')
                return
        files = collect(source or download(args.url))
        with added_files() as add:
            for name, data in files.items():
                add(root / name, data)
        counts = [sum(name.startswith(split) for name in files) - 1 for split in SPLITS]
        print(f'{root}: train {counts[0]} images, val {counts[1]} images, sizes verified')


if __name__ == '__main__':
    main()
