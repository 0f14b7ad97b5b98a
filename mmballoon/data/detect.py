"""Which format annotation files have, and which files of a folder belong to which split.

A format is recognised by the content of a file, never by its name alone.
"""

import json
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from xml.etree import ElementTree

from mmballoon.cli import UserError
from mmballoon.data.coco import is_own
from mmballoon.data.formats import parse, read_lines, yaml_files
from mmballoon.data.images import SUFFIXES, files_of
from mmballoon.data.via import as_dict, number_of

NAMES = dict(
    train=('train', 'training', 'trainval'),
    val=('val', 'valid', 'validation'),
    test=('test', 'testing'),
)
TEXTS = '.json', '.xml', '.txt', '.csv'
VIA = 'python data_tools/balloon2coco.py {file}'
# Datumaro (MIT) reads these, each tried with release 1.13.12.
DATUMARO = (
    'pip install "datumaro[cli]" && datum convert -i {folder} -if %s -f coco_instances '
    '-o new -- --save-media, then import new/annotations/*.json with new/images'
)
EXPORT = 'export it as COCO from the program that wrote it'
# (what a file is: a key of READERS, or the name of a format without a reader here; how it is written;
# the keys of its JSON object, of the first object in its JSON list, or its CSV columns; what to do)
KINDS = (
    ('labelme', dict, 'shapes', None),
    ('coco', dict, 'images annotations', None),
    ('COCO panoptic JSON', None, '', DATUMARO % 'coco_panoptic'),
    ('CreateML JSON', list, 'image annotations', EXPORT),  # Datumaro 1.13 moves its boxes
    ('Label Studio JSON', list, 'annotations data', 'in Label Studio, export it as COCO'),
    ('Label Studio JSON (short)', list, 'annotation_id', 'in Label Studio, export it as COCO'),
    ('Datumaro JSON', dict, 'items categories', DATUMARO % 'datumaro'),
    ('a VIA 3 project', dict, 'project file metadata', 'annotate with VIA 2; ' + VIA),
    ('a VIA file', dict, '_via_img_metadata', VIA),
    ('a VIA file', 'CSV', '#filename region_shape_attributes', VIA),
    ('Supervisely JSON', dict, 'size objects tags', 'in Supervisely, export it as COCO'),
    ('OpenImages CSV', 'CSV', 'ImageID LabelName', DATUMARO % 'open_images'),
    ('TensorFlow CSV', 'CSV', 'filename class xmin ymax', EXPORT),
    ('CVAT XML', None, '', DATUMARO % 'cvat'),
    ('LabelMe-web XML', None, '', DATUMARO % 'label_me'),
    ('DOTA text', None, '', EXPORT),
)


def _kind(written, keys):
    kinds = (kind for kind, how, names, _ in KINDS if how == written and {*names.split()} <= keys)
    return next(kinds, None)


def kind_of(path):
    """The first item of a row of KINDS, "voc" or "yolo" for a file; None for one without annotations."""
    suffix = path.suffix.lower()
    if suffix == '.xml':
        root = parse(path, 'XML', ElementTree.fromstring)
        if root.tag == 'annotations':  # of images or, with tracks, of a video
            return 'CVAT XML'
        is_web = root.find('object/polygon/pt') is not None and root.find('.//bndbox') is None
        return ('LabelMe-web XML' if is_web else 'voc') if root.tag == 'annotation' else None
    if suffix == '.json':
        return _kind_of_json(parse(path, 'JSON', json.loads))
    with open(path, encoding='latin-1') as file:  # numbers are ASCII in any encoding
        first = next((line for line in file if line.strip()), '')
    if suffix == '.csv':
        return _kind('CSV', {column.strip() for column in first.split(',')})
    if suffix != '.txt' or path.name == 'classes.txt':
        return None
    numbers = [number_of(word) is not None for word in first.split()]
    if first.startswith('imagesource') or (all(numbers[:8]) and numbers[8:9] == [False]):
        return 'DOTA text'
    return 'yolo' if not numbers or (len(numbers) > 1 and all(numbers[1:])) else None


def _kind_of_json(data):
    item = data[0] if isinstance(data, list) and data else data
    kind = _kind(type(data), {*as_dict(item)})
    if kind == 'labelme' and not isinstance(item['shapes'], list):
        return None
    if kind == 'coco' and isinstance(item['annotations'], list):
        panoptic = any('segments_info' in as_dict(a) for a in item['annotations'][:1])
        return 'COCO panoptic JSON' if panoptic else kind
    entries = [{*as_dict(value)} for value in as_dict(item).values()]
    is_via = entries and not kind and all({'filename', 'regions'} <= entry for entry in entries)
    return 'a VIA file' if is_via else kind


def detect(path, wanted=None):
    """(key of READERS, annotation files) of a file or folder; ``wanted`` is the key that was asked for.

    Raises:
        UserError: nothing to read; the line names what is there instead.
    """
    if not path.exists():
        raise UserError(path, 'no such file or folder', 'check the path')
    if path.is_file() and zipfile.is_zipfile(path):
        raise UserError(path, 'an archive', 'unpack it, and name the folder')
    if path.is_file() and wanted:
        return wanted, [path]
    error, files = None, {}
    for file in files_of(path, TEXTS):
        try:
            kind = kind_of(file)
        except UserError as broken:
            error = error or broken
            continue
        files.setdefault(kind, []).append(file)
        if kind in ('voc', 'labelme', 'yolo') and wanted in (None, kind):
            same = files_of(path, (file.suffix.lower(),))
            # Beside the labels of YOLO lie other text files. read_labelme leaves other files out itself.
            return kind, [f for f in same if kind != 'yolo' or kind_of(f) == kind]
    coco = files.get('coco', [])
    if len(coco) == 1:
        return 'coco', coco
    if coco:
        names = ', '.join(file.name for file in coco[:5])
        raise UserError(path, f'{len(coco)} COCO files ({names})', 'name one of them')
    for kind, _, _, advice in KINDS:
        if advice and kind in files:
            file = files[kind][0]
            advice = advice.format(folder=quote(str(file.parent)), file=quote(str(file)))
            raise UserError(file, f'this is {kind}, which is not read here', advice)
    if error:
        raise error
    what = 'no .xml (Pascal VOC), .json (LabelMe) or .txt (YOLO) files, and no COCO file'
    what = 'no annotations that are known here' if path.is_file() else what
    raise UserError(path, what, 'name the folder of the annotations')


# ---- whole datasets


@dataclass
class SplitFiles:
    """The annotation files of a split, their format (key of READERS) and the folders of its images.

    names: of a YAML file that divides the dataset: (path, mapping), see ``yaml_files``; or None.
    """

    format: str
    files: list[Path]
    folders: list[Path]
    names: tuple | None = None


def find_splits(path) -> dict[str, SplitFiles]:
    """{'train', 'val' or 'test': SplitFiles} of a dataset as tools export it; empty if it is not divided.

    path: its folder, or a YAML file of YOLO.
    """
    if path.is_file():
        return _from_yaml(path.parent, path)
    splits = _from_yaml(path)
    for find in (_in_lists, _in_folders):
        splits = splits or {split: files for split in NAMES if (files := find(path, split))}
    return splits if 'train' in splits else {}


def _from_yaml(root, chosen=None):
    """Ultralytics: a YAML file with names, and with the images of each split."""
    files = [item for item in yaml_files(root) if item[1].keys() & NAMES.keys()]
    files = [item for item in files if chosen in (None, item[0])]
    if chosen and not files:
        raise UserError(chosen, 'no class names with the images of train and val', 'add them')
    if any(about != files[0][1] for _, about in files):
        found = ', '.join(path.name for path, _ in files)
        raise UserError(root, f'{len(files)} files divide it ({found})', 'name one of them')
    splits = {}
    for path, about in files[:1]:
        for split in NAMES:
            places = about.get(split) or []
            places = [places] if isinstance(places, str) else list(map(str, places))
            resolved = [_resolve(root, str(about.get('path', '')), place) for place in places]
            if None in resolved and split != 'test':
                found = f'{split}: {places[resolved.index(None)]} is not there'
                raise UserError(path, found, 'correct the path in this file')
            images = [place for place in resolved if place]
            if images:
                splits[split] = _yolo_split(root, images, (path, about))
    return splits


def _resolve(root, base, place):
    """The path that a YAML file or a list means by ``place``: relative to ``base``, or to ``root`` with
    fewer and fewer folders in front, but not without that of a split; None if none of these exists.
    """
    place = place.replace('\\', '/')
    parts = [part for part in Path(place).parts if part not in ('..', '.')]
    of_split = [i for i, part in enumerate(parts) if part.casefold() in sum(NAMES.values(), ())]
    last = of_split[-1] if of_split else len(parts) - 1
    shorter = [root.joinpath(*parts[i:]) for i in range(last + 1)]
    existing = [path for path in (root / base / place, *shorter) if path.exists()]
    if place.startswith('..') and len({path.resolve() for path in existing}) > 1:
        # Roboflow writes ../train for train, and another dataset can have a train beside this one.
        found = f'{place} could be {" or ".join(map(str, existing))}'
        raise UserError(root, found, 'correct this path')
    return existing[0] if existing else None


def _child(folder, *names):
    """The file or folder of the first of these names, in upper or lower case, in a folder; or None."""
    there = {path.name.casefold(): path for path in sorted(folder.glob('*'))}
    return next((there[name] for name in names if name in there), None)


def _yolo_split(root, places, names=None):
    """SplitFiles of folders of images, or of text files that list images. names: see ``SplitFiles``."""
    files, folders = [], []
    for place in places:
        if place.is_dir():
            files += [f for f in files_of(_labels_of(place), ('.txt',)) if kind_of(f) == 'yolo']
            folders.append(place)
            continue
        images = {line: _resolve(root, '', line) for line in read_lines(place) if line}
        missing = [line for line, image in images.items() if not image]
        _refuse_missing(place, missing, f'of its {len(images)} images are not there')
        files += [_labels_of(image.parent) / f'{image.stem}.txt' for image in images.values()]
        folders += [image.parent for image in images.values()]
    return SplitFiles(
        'yolo', [f for f in files if f.is_file()], list(dict.fromkeys(folders)), names
    )


def _refuse_missing(path, names, what):
    if names:
        found = f'{len(names)} {what}: {names[0]}'
        raise UserError(path, found, 'add them, or take them off the list')


def _labels_of(folder):
    """The folder of the labels of a folder of images: "labels" for the last "images" in its path."""
    head, images, tail = str(folder).rpartition('images')
    labels = Path(f'{head}labels{tail}')
    return labels if images and labels.is_dir() else folder


def _in_lists(root, split):
    """SplitFiles of CVAT's YOLO (train.txt lists images) or Pascal VOC (ImageSets/Main/train.txt lists stems)."""
    lists = [f'{name}.txt' for name in NAMES[split]]
    voc, yolo = _child(root / 'ImageSets/Main', *lists), _child(root, *lists)
    if voc:
        files = [root / f'Annotations/{line}.xml' for line in read_lines(voc) if line]
        # The lists of one class add 1, 0 or -1 to the name of an image.
        short = [f.with_name(re.sub(r'\s+-?[01]\.xml$', '.xml', f.name)) for f in files]
        files = [f if f.is_file() else s for f, s in zip(files, short)]
        missing = [file.stem for file in files if not file.is_file()]
        _refuse_missing(voc, missing, 'images without a file in Annotations')
        return SplitFiles('voc', files, [root / 'JPEGImages'])
    return _yolo_split(root, [yolo]) if yolo and (root / 'obj.names').is_file() else None


def _in_folders(root, split):
    """SplitFiles of a folder below the root or below its images/ and labels/, or of COCO's own layout."""
    folders = [*sorted(root.iterdir()), *sorted(root.glob('images/*'))]
    folders = [path for path in folders if path.is_dir()]
    places = [path for path in folders if path.name.casefold() in NAMES[split]]
    inner = [path / 'images' if (path / 'images').is_dir() else path for path in places]
    labels = {path: _labels_of(folder) for path, folder in zip(places, inner)}
    labels = {path: folder for path, folder in labels.items() if files_of(folder, TEXTS)}
    if len(labels) > 1:
        found = f'several folders of {split} ({", ".join(path.name for path in labels)})'
        raise UserError(root, found, 'move all but one away, or join them')
    if labels:
        ((images, folder),) = labels.items()
        return SplitFiles(*detect(folder), [images])
    files = [*root.glob('*.json'), *root.glob('annotations/*.json')]
    files = [f for f in files if {*re.findall('[a-z]+', f.stem.casefold())} & {*NAMES[split]}]
    files = [file for file in files if not is_own(file) and kind_of(file) == 'coco']
    if len(files) > 1:
        found = f'{len(files)} COCO files of {split} ({", ".join(file.name for file in files)})'
        raise UserError(root, found, 'move all but one away')
    if not files:
        return None
    target, common = root / split, _child(root, 'images') or root
    images = [path for path in folders if path.name.casefold().startswith(split)]
    # The images in ``target`` may be links to others, which this command made.
    names = [path.relative_to(target) for path in files_of(target, SUFFIXES)]
    if images != [target] or all((common / name).is_file() for name in names):
        images = [path for path in images if path != target] or [common]
    return SplitFiles('coco', files, images)
