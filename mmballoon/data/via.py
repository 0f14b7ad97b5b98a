"""Read VGG Image Annotator (VIA) files of every dialect into one plain form.

VIA 1 JSON:    {key: entry}, an entry's ``regions`` a mapping {"0": region, ...}
VIA 2 JSON:    {key: entry}, ``regions`` a list
VIA 2 project: {"_via_img_metadata": {key: entry}, "_via_attributes": {...}, ...}
VIA CSV:       one line a region: filename, file_size, file_attributes, region_count, region_id,
               region_shape_attributes, region_attributes (the attributes are JSON; the header may
               start with '#')

VIA 3 (video and audio) is another format and is refused. Standard library only.
"""

import csv
import io
import json
import re
from array import array
from dataclasses import dataclass, field
from pathlib import Path

from mmballoon.data.shapes import BadShape, shape_to_polygon
from mmballoon.errors import UserError

SUFFIXES = ('.json', '.txt', '.csv')
CSV_COLUMNS = (
    'filename',
    'file_size',
    'region_count',
    'region_shape_attributes',
    'region_attributes',
)


@dataclass(slots=True)
class Region:
    """One outlined thing: VIA's name of its shape, its polygon, and its region_attributes (dict).

    The polygon is flat, x0, y0, x1, y1, ... in pixels, as geometry.py defines them, an array of
    doubles: a tenth of the memory that lists of numbers take, so that large projects fit. None: a
    shape without an area by nature.
    """

    shape: str
    polygon: array | None
    attributes: dict


@dataclass(slots=True)
class Entry:
    """One image of a VIA file: its file name, its size in bytes as VIA saw it, or None, and its
    regions in order.
    """

    filename: str
    size: int | None
    regions: list = field(default_factory=list)


def read_via(path):
    """Entries of a VIA file in file order, and its option names {attribute: {option id: name}}.

    Raises:
        UserError: not readable, not VIA, or a key or an image that stands in it twice.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding='utf-8-sig')  # with or without a BOM
    except FileNotFoundError:
        raise UserError(
            f'{path}: no such file; next: check the path, or fetch the data set with '
            'python data_tools/download_balloon.py'
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f'{path}: not readable as UTF-8 text ({error}); next: save it as UTF-8'
        ) from None
    start = text.lstrip()[:1]
    if start == '[':
        raise UserError(_not_via(path, 'a JSON list'))
    entries, options = _read_json(path, text) if start == '{' else (_read_csv(path, text), {})
    seen = set()
    for entry in entries:
        if entry.filename in seen:
            raise UserError(
                f"{path}: image '{entry.filename}' has two entries; next: keep one of them"
            )
        seen.add(entry.filename)
    return entries, options


def find_annotation(folder):
    """The VIA file (Path) of a folder: via_region_data.json, or its one .json, .txt or .csv file
    that is VIA.

    Raises:
        UserError: no such folder, no VIA file in it, or more than one.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(
            f'{folder}: no such folder; next: python data_tools/download_balloon.py, or name your data root '
            'with --data-root or BALLOON_ROOT'
        )
    if (folder / 'via_region_data.json').is_file():
        return folder / 'via_region_data.json'
    found, why = [], []
    for path in sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file()):
        try:
            read_via(path)
            found.append(path)
        except UserError as error:
            why.append(str(error))
    if len(found) == 1:
        return found[0]
    if found:
        raise UserError(
            f'{folder}: {len(found)} VIA files ({", ".join(p.name for p in found)}), expected one; '
            'next: name one on the command line'
        )
    raise UserError(
        why[0]
        if len(why) == 1
        else f'{folder}: no VIA file (.json, .txt or .csv) in it; next: export one from VIA into this folder'
    )


def _unique(pairs):
    """A dict of a JSON object in which no key stands twice: which of the two counts would be
    anybody's guess.
    """
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise UserError(f"key '{twice}' stands twice in one object; next: remove or rename one")
    return found


class _Scanner:
    """Walks through a JSON text object by object, so that a large project is never held as a
    whole.
    """

    DECODER = json.JSONDecoder(object_pairs_hook=_unique)
    SPACE = re.compile(r'[ \t\n\r]*')

    def __init__(self, text):
        self.text, self.at = text, 0

    def peek(self):
        self.at = self.SPACE.match(self.text, self.at).end()
        return self.text[self.at : self.at + 1]

    def expect(self, char):
        if self.peek() != char:
            raise json.JSONDecodeError(f"Expecting '{char}'", self.text, self.at)
        self.at += 1

    def value(self):
        """The value that starts here, decoded by the standard library."""
        self.peek()
        found, self.at = self.DECODER.raw_decode(self.text, self.at)
        return found

    def object_keys(self):
        """Keys of the object that starts here; the caller takes each one's value (or keys) before
        it asks on.
        """
        self.expect('{')
        seen = set()
        while self.peek() != '}' or seen:
            key = self.value()
            if not isinstance(key, str) or key in seen:
                _unique([(key, 0), (key, 0)])
            seen.add(key)
            self.expect(':')
            yield key
            if self.peek() == '}':
                break
            self.expect(',')
        self.expect('}')


def _decoded(path, decode, item=''):
    """decode(), its complaints as UserError with the file and the item."""
    try:
        return decode()
    except UserError as error:
        message = str(error)
        raise UserError(
            message if message.startswith(str(path)) else f'{path}: {item}{message}'
        ) from None
    except RecursionError:
        raise UserError(
            f'{path}: {item}nested too deeply for a VIA file; next: export it from VIA again'
        ) from None
    except ValueError as error:
        raise UserError(
            f'{path}: {item}not valid JSON ({error}); next: export it from VIA again'
        ) from None


def _read_json(path, text):
    return _decoded(path, lambda: _scan(path, _Scanner(text)))


def _scan(path, scanner):
    entries, other, project = [], {}, False
    for key in scanner.object_keys():
        if key == '_via_img_metadata':
            project = True
            entries = [_entry(path, name, scanner.value()) for name in scanner.object_keys()]
            continue
        value = scanner.value()
        if isinstance(value, dict) and 'filename' in value and 'regions' in value:
            entries.append(_entry(path, key, value))
        else:
            other[key] = value
    if scanner.peek():
        raise json.JSONDecodeError('Extra data', scanner.text, scanner.at)
    if project:
        about = _get(other, '_via_attributes', 'region')
        return entries, {
            name: {str(k): str(v) for k, v in a['options'].items()}
            for name, a in about.items()
            if isinstance(a, dict) and isinstance(a.get('options'), dict)
        }
    if other:
        coco, via3 = (
            {'images', 'annotations'} <= other.keys(),
            {'project', 'file', 'metadata'} <= other.keys(),
        )
        raise UserError(
            _not_via(
                path,
                'COCO JSON, which needs no conversion'
                if coco
                else 'a VIA 3 project'
                if via3
                else 'other JSON',
            )
        )
    return entries, {}


def _not_via(path, what):
    return (
        f'{path}: this is {what}, expected a VIA 1 or 2 file; next: in VIA 2, Annotation > Export Annotations '
        '(as json), or Project > Save'
    )


def _get(data, *keys):
    """A nested dict, or {} where a level is missing or no dict."""
    for key in keys:
        data = data.get(key) if isinstance(data, dict) else None
    return data if isinstance(data, dict) else {}


def _entry(path, key, value):
    if (
        not isinstance(value, dict)
        or not isinstance(value.get('filename'), str)
        or not value['filename']
    ):
        raise UserError(f"{path}: entry '{key}' has no file name; next: export it from VIA again")
    regions = value.get('regions') or []
    if isinstance(regions, dict):
        regions = list(regions.values())
    name = value['filename']
    if not isinstance(regions, list):
        raise UserError(
            f"{path}: image '{name}': regions are a {type(regions).__name__}, expected a list or a mapping; "
            'next: export it from VIA again'
        )
    return Entry(
        name, _size(value.get('size')), [_region(path, name, i, r) for i, r in enumerate(regions)]
    )


def _region(path, name, number, region):
    shape = region.get('shape_attributes') if isinstance(region, dict) else None
    if not isinstance(shape, dict) or not isinstance(shape.get('name'), str):
        raise UserError(
            f"{path}: image '{name}', region {number}: no shape; next: delete or redraw it in VIA"
        )
    try:
        polygon = shape_to_polygon(shape)
    except BadShape as error:
        raise UserError(
            f"{path}: image '{name}', region {number}: {error}; next: redraw it in VIA"
        ) from None
    attributes = region.get('region_attributes')
    return Region(shape['name'], polygon, attributes if isinstance(attributes, dict) else {})


def _size(value):
    """Bytes (int), or None where VIA did not know them, as for images behind a URL."""
    try:
        return int(value) if int(value) > 0 else None
    except (TypeError, ValueError, OverflowError):
        return None


def _read_csv(path, text):
    csv.field_size_limit(1 << 26)  # a long polygon is one field
    reader, entries = csv.DictReader(io.StringIO(text.lstrip().removeprefix('#'), newline='')), {}
    try:
        if not set(CSV_COLUMNS) <= set(reader.fieldnames or ()):
            raise UserError(
                f'{path}: neither VIA JSON nor VIA CSV (columns {", ".join(CSV_COLUMNS)}); '
                'next: export it from VIA again'
            )
        for line, row in enumerate(reader, start=2):
            _add_row(path, f'line {line}: ', row, entries)
    except csv.Error as error:
        raise UserError(
            f'{path}: not valid CSV ({error}); next: export it from VIA again'
        ) from None
    return list(entries.values())


def _add_row(path, item, row, entries):
    name = row['filename']
    if not name or any(row[column] is None for column in CSV_COLUMNS):
        raise UserError(f'{path}: {item}too few fields; next: export it from VIA again')
    entry = entries.setdefault(name, Entry(name, _size(row['file_size'])))
    shape, attributes = (
        _decoded(path, lambda c=column: json.loads(row[c] or '{}', object_pairs_hook=_unique), item)
        for column in ('region_shape_attributes', 'region_attributes')
    )
    if shape or row['region_count'].strip() not in ('', '0'):
        entry.regions.append(
            _region(
                path,
                name,
                len(entry.regions),
                dict(shape_attributes=shape, region_attributes=attributes),
            )
        )
