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
import shutil
import sys
import urllib.request
import zipfile
from pathlib import Path

from tqdm import tqdm

from mmballoon.cli import UserError, make_parser, report_errors
from mmballoon.data.files import added_files
from mmballoon.data.via import parse_via

URLS = (
    'https://github.com/matterport/Mask_RCNN/releases/download/v2.1/balloon_dataset.zip',
    'https://download.openmmlab.com/mmyolo/data/balloon_dataset.zip',
)
VIA_FILE = 'via_region_data.json'
SPLITS = ('train', 'val')
AGAIN = 'download the dataset again, or correct the path'


def collect(source):
    """{path below the data root: bytes} of the dataset, each image of the size that VIA recorded.

    source: the path of a folder or of an archive, or an archive in memory. Either holds train/ and
    val/, or a folder with these.
    """
    name, files = source if isinstance(source, Path) else 'the downloaded file', {}
    if isinstance(source, Path) and not (source.is_dir() or source.is_file()):
        raise UserError(name, 'no such file or folder', AGAIN)
    try:
        top = source if isinstance(source, Path) and source.is_dir() else zipfile.Path(source)
        roots = [top, *(child for child in top.iterdir() if child.is_dir())]
        roots = [r for r in roots if all((r / split / VIA_FILE).is_file() for split in SPLITS)]
        if not roots:
            raise UserError(name, f'no train/{VIA_FILE} and val/{VIA_FILE} in it', AGAIN)
        for split in SPLITS:
            via, folder = roots[0] / split / VIA_FILE, roots[0] / split
            files[f'{split}/{VIA_FILE}'] = via.read_bytes()
            for entry in parse_via(via, files[f'{split}/{VIA_FILE}'])[0]:
                image, size = entry.filename, entry.size
                if Path(image.replace('\\', '/')).name != image:
                    raise UserError(via, f"image '{image}' is outside its folder", AGAIN)
                files[f'{split}/{image}'] = data = (folder / image).read_bytes()
                if size and len(data) != size:
                    found = f'{len(data)} bytes, expected {size} (its VIA entry)'
                    raise UserError(folder / image, found, AGAIN)
    except (KeyError, FileNotFoundError) as error:  # of an archive, of a folder
        raise UserError(name, f'incomplete ({error})', AGAIN) from None
    except (zipfile.BadZipFile, EOFError, RuntimeError) as error:  # RuntimeError: with a password
        raise UserError(name, f'not a whole zip archive ({error})', AGAIN) from None
    return files


def download(urls):
    """The archive from the first URL that answers, in memory, with a progress bar on a terminal."""
    for url in urls:
        file = io.BytesIO()
        try:
            with urllib.request.urlopen(url, timeout=30) as response:
                total = int(response.headers.get('Content-Length') or 0)
                with tqdm.wrapattr(response, 'read', total, disable=None) as body:
                    shutil.copyfileobj(body, file)
            if file.tell() >= total:
                return file
            print(f'{url}: ended after {file.tell()} of {total} bytes', file=sys.stderr)
        except (OSError, ValueError) as error:  # ValueError: not an address
            print(f'{url}: {error}', file=sys.stderr)
    advice = 'download balloon_dataset.zip on another machine and pass it with --zip, or render a'
    advice += ' dataset instead: python data_tools/make_toy_balloons.py'
    raise UserError('the dataset', 'it cannot be downloaded (no network?)', advice)


def parse_args(argv=None):
    parser = make_parser(__doc__)
    root = Path(os.environ.get('BALLOON_ROOT') or 'data/balloon')
    parser.add_argument('--data-root', type=Path, default=root, help='target (%(default)s)')
    add = parser.add_mutually_exclusive_group().add_argument
    add('--zip', type=Path, metavar='FILE', dest='source', help='take it from an archive')
    add('--from', type=Path, metavar='DIR', dest='source', help='take it from a folder')
    add('--url', nargs='+', default=URLS, help='addresses to try, in this order')
    return parser.parse_args(argv)


def main(argv=None):
    with report_errors():
        args = parse_args(argv)
        if not args.source:
            with contextlib.suppress(UserError, OSError):
                collect(args.data_root)
                print(f'{args.data_root}: already complete')
                return
        files = collect(args.source or download(args.url))
        with added_files() as add:
            for name, data in files.items():
                add(args.data_root / name, data)
        counts = [sum(name.startswith(split) for name in files) - 1 for split in SPLITS]
        print(f'{args.data_root}: train {counts[0]} images, val {counts[1]} images, sizes verified')


if __name__ == '__main__':
    main()
