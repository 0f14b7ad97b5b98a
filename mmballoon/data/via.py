"""Read files of VIA (VGG Image Annotator) in every format of VIA 1 and 2.

VIA 1 JSON:    {key: entry}; the ``regions`` of an entry are a mapping {"0": region, ...}
VIA 2 JSON:    {key: entry}; ``regions`` is a list
VIA 2 project: {"_via_img_metadata": {key: entry}, "_via_attributes": {...}, ...}
one entry:     {"filename": ..., "regions": ...}, as scripts write it that split projects
VIA CSV:       one line per region: filename, file_size, file_attributes, region_count, region_id,
               region_shape_attributes, region_attributes (the last two are JSON)

VIA 3 (video and audio) has another format and is refused. Standard library only.
"""

import csv
import io
import json
import re
from dataclasses import dataclass, field
from pathlib import Path

from mmballoon.data.shapes import BadShape, shape_to_polygon
from mmballoon.errors import UserError

SUFFIXES = ('.json', '.txt', '.csv')
CSV_COLUMNS = (
    'filename', 'file_size', 'region_count', 'region_shape_attributes', 'region_attributes'
)  # fmt: skip


class NotVia(UserError):
    """A file of another format."""


@dataclass
class Region:
    """One annotated object.

    shape: the name of its shape in VIA. polygon: flat list of pixels (mmballoon/data/shapes.py), or
    None for a shape without area. attributes: its region_attributes. problem: what is broken, or ''.
    """

    shape: str
    polygon: list[float] | None
    attributes: dict
    problem: str = ''


@dataclass
class Entry:
    """One image: its file name, its size in bytes as VIA saw it (or None), and its regions."""

    filename: str
    size: int | None
    regions: list[Region] = field(default_factory=list)


def read_via(path) -> tuple[list[Entry], dict]:
    """The entries of a VIA file in file order, and its options {attribute: {option id: name}}.

    Raises:
        UserError: not readable, not VIA, or a key that occurs twice.
    """
    path = Path(path)
    try:
        text = path.read_bytes().decode('utf-8-sig')  # with or without a byte order mark
    except FileNotFoundError:
        raise UserError(
            f'{path}: no such file; next: check the path, or get the dataset with '
            'python data_tools/download_balloon.py'
        ) from None
    except UnicodeDecodeError as error:
        raise NotVia(
            f'{path}: not a text file in UTF-8 (byte {error.start}); next: name the annotation file, or '
            'save it as UTF-8'
        ) from None
    try:
        if text.lstrip()[:1] in ('{', '['):
            return _read_json(path, _parse_json(text))
        return _read_csv(path, text), {}
    except RecursionError:
        raise NotVia(f'{path}: nested too deeply; next: export it from VIA again') from None
    except (ValueError, csv.Error) as error:
        raise UserError(f'{path}: {error}; next: export it from VIA again') from None


def find_annotation(folder) -> Path:
    """The VIA file of a folder: via_region_data.json, or its only .json, .txt or .csv file that is VIA.

    Raises:
        UserError: no such folder, no VIA file in it, or more than one.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(
            f'{folder}: no such folder; next: python data_tools/download_balloon.py, or name your '
            'data root with --data-root or BALLOON_ROOT'
        )
    if (folder / 'via_region_data.json').is_file():
        return folder / 'via_region_data.json'
    found, broken = [], []
    for path in sorted(folder.iterdir()):
        hidden = path.name.startswith('.')  # macOS adds files that start with ._
        if hidden or path.suffix.lower() not in SUFFIXES or not path.is_file():
            continue
        try:
            read_via(path)
            found.append(path)
        except NotVia:
            continue
        except UserError as error:
            broken.append(error)
    if len(found) == 1:
        return found[0]
    if found:
        names = ', '.join(path.name for path in found)
        raise UserError(f'{folder}: {len(found)} VIA files ({names}); next: name one of them')
    if broken:
        raise broken[0]
    raise UserError(
        f'{folder}: no VIA file (.json, .txt or .csv) in it; next: export one from VIA into this folder'
    )


def _parse_json(text):
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        raise ValueError(f'not valid JSON ({error})') from None


def _unique(pairs):
    """A dict of a JSON object, in which no key may occur twice: it is unclear which one counts."""
    found = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"key '{key}' occurs twice in one object")
        found[key] = value
    return found


def _read_json(path, data):
    options = {}
    if not isinstance(data, dict):
        raise NotVia(_not_via(path, 'a JSON list'))
    if '_via_img_metadata' in data:
        options = _options(data)
        data = data['_via_img_metadata']
        if not isinstance(data, dict):
            raise NotVia(_not_via(path, 'a project without images'))
    elif 'filename' in data and 'regions' in data:
        data = {'the only entry': data}
    elif {'images', 'annotations'} <= data.keys():
        raise NotVia(_not_via(path, 'COCO JSON, which needs no conversion'))
    elif {'project', 'file', 'metadata'} <= data.keys():
        raise NotVia(_not_via(path, 'a VIA 3 project'))
    elif not all(isinstance(v, dict) and 'filename' in v for v in data.values()):
        raise NotVia(_not_via(path, 'other JSON'))
    return [_entry(key, value) for key, value in data.items()], options


def _not_via(path, what):
    return (
        f'{path}: this is {what}, expected a VIA 1 or 2 file; next: in VIA 2, Annotation > Export '
        'Annotations (as json), or Project > Save'
    )


def _options(project):
    """{attribute: {option id: name}} of a project; an option without a description is its own name."""
    attributes = project.get('_via_attributes')
    attributes = attributes.get('region') if isinstance(attributes, dict) else None
    found = {}
    for name, attribute in (attributes if isinstance(attributes, dict) else {}).items():
        options = attribute.get('options') if isinstance(attribute, dict) else None
        if isinstance(options, dict):
            texts = [(str(key).strip(), str(value).strip()) for key, value in options.items()]
            found[name] = {key: value or key for key, value in texts}
    return found


def _entry(key, value):
    name = value.get('filename') if isinstance(value, dict) else None
    if not isinstance(name, str) or not name:
        raise ValueError(f"entry '{key}' has no file name")
    regions = value.get('regions') or []
    if isinstance(regions, dict):
        regions = list(regions.values())
    if not isinstance(regions, list):
        kind = type(regions).__name__
        raise ValueError(
            f"image '{name}': regions are of type {kind}, expected a list or a mapping"
        )
    return Entry(name, _size(value.get('size')), [_region(region) for region in regions])


def _region(region):
    region = region if isinstance(region, dict) else {}
    shape, attributes = region.get('shape_attributes'), region.get('region_attributes')
    attributes = attributes if isinstance(attributes, dict) else {}
    if not isinstance(shape, dict) or not isinstance(shape.get('name'), str):
        return Region('none', None, attributes, 'it has no shape')
    try:
        return Region(shape['name'], shape_to_polygon(shape), attributes)
    except BadShape as error:
        return Region(shape['name'], None, attributes, str(error))


def _size(value):
    """Bytes (int), or None if VIA did not know them, as for images behind a URL."""
    try:
        return int(value) if int(value) > 0 else None
    except (TypeError, ValueError, OverflowError):
        return None


def _read_csv(path, text):
    csv.field_size_limit(1 << 26)  # a long polygon is one field
    reader = csv.DictReader(io.StringIO(text.lstrip().removeprefix('#'), newline=''))
    if not set(CSV_COLUMNS) <= set(reader.fieldnames or ()):
        raise NotVia(
            f'{path}: neither VIA JSON nor VIA CSV (columns {", ".join(CSV_COLUMNS)}); next: export it '
            'from VIA again'
        )
    entries = {}
    for row in reader:
        try:
            _add_row(row, entries)
        except ValueError as error:
            raise ValueError(f'line {reader.line_num}: {error}') from None
    return list(entries.values())


def _add_row(row, entries):
    if not row['filename'] or any(row[column] is None for column in CSV_COLUMNS):
        raise ValueError('too few fields')
    if None in row:
        raise ValueError('too many fields (a file name with a comma needs quotation marks)')
    entry = entries.setdefault(row['filename'], Entry(row['filename'], _size(row['file_size'])))
    shape = _parse_field(row['region_shape_attributes'])
    attributes = _parse_field(row['region_attributes'])
    if shape or row['region_count'].strip() not in ('', '0'):
        entry.regions.append(_region(dict(shape_attributes=shape, region_attributes=attributes)))


def _parse_field(text):
    # VIA writes {"Label":undefined} for an attribute that was never set
    return _parse_json(re.sub(r'(?<=:)\s*undefined(?=\s*[,}])', 'null', text or '{}'))
