"""Read VGG Image Annotator (VIA) files of every dialect into one plain form.

VIA 1 JSON:    {key: entry}, an entry's ``regions`` a mapping {"0": region, ...}
VIA 2 JSON:    {key: entry}, ``regions`` a list
VIA 2 project: {"_via_img_metadata": {key: entry}, "_via_attributes": {...}, ...}
VIA CSV:       one line a region: filename, file_size, file_attributes, region_count, region_id,
               region_shape_attributes, region_attributes (the attributes are JSON; the header may start with '#')

VIA 3 (video and audio) is another format and is refused. Standard library only.
"""
import csv
import io
import json
from dataclasses import dataclass, field
from pathlib import Path

SUFFIXES = ('.json', '.txt', '.csv')
CSV_COLUMNS = ('filename', 'file_size', 'region_count', 'region_shape_attributes', 'region_attributes')


class BadInput(Exception):
    """A person's mistake: a message that names the file, the item, what was found and what to do."""


@dataclass
class Entry:
    """One image of a VIA file: its file name, its size in bytes as VIA saw it, or None, and its regions in order.

    A region is a dict(shape=VIA's shape_attributes, attributes=VIA's region_attributes), both dicts as VIA wrote them.
    """
    filename: str
    size: int | None
    regions: list = field(default_factory=list)


def read_via(path):
    """Entries of a VIA file in file order, and its option names {attribute: {option id: name}}.

    Raises:
        BadInput: not readable, not VIA, or a key or an image that stands in it twice.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding='utf-8-sig')  # with or without a BOM
    except FileNotFoundError:
        raise BadInput(f'{path}: no such file; next: check the path, or fetch the data set with '
                       'python data_tools/download_balloon.py') from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f'{path}: not readable as UTF-8 text ({error}); next: save it as UTF-8') from None
    if text.lstrip()[:1] not in ('{', '['):
        entries, options = _read_csv(path, text), {}
    else:
        entries, options = _read_json(path, _loads(text, path))
    seen = set()
    for entry in entries:
        if entry.filename in seen:
            raise BadInput(f"{path}: image '{entry.filename}' has two entries; next: keep one of them")
        seen.add(entry.filename)
    return entries, options


def find_annotation(folder):
    """The VIA file (Path) of a folder: via_region_data.json, or its one .json, .txt or .csv file that is VIA.

    Raises:
        BadInput: no such folder, no VIA file in it, or more than one.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise BadInput(f'{folder}: no such folder; next: python data_tools/download_balloon.py, or name your data root '
                       'with --data-root or BALLOON_ROOT')
    if (folder / 'via_region_data.json').is_file():
        return folder / 'via_region_data.json'
    found, why = [], []
    for path in sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file()):
        try:
            read_via(path)
            found.append(path)
        except BadInput as error:
            why.append(str(error))
    if len(found) == 1:
        return found[0]
    if found:
        raise BadInput(f'{folder}: {len(found)} VIA files ({", ".join(p.name for p in found)}), expected one; '
                       'next: name one on the command line')
    raise BadInput(why[0] if len(why) == 1 else
                   f'{folder}: no VIA file (.json, .txt or .csv) in it; next: export one from VIA into this folder')


def _loads(text, path, item=''):
    """json.loads that refuses a key standing twice in one object: which of the two counts is anybody's guess."""
    def unique(pairs):
        found = dict(pairs)
        if len(found) != len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise BadInput(f"{path}: {item}key '{twice}' stands twice in one object; next: remove or rename one")
        return found
    try:
        return json.loads(text, object_pairs_hook=unique)
    except RecursionError:
        raise BadInput(f'{path}: {item}nested too deeply for a VIA file; next: export it from VIA again') from None
    except ValueError as error:
        raise BadInput(f'{path}: {item}not valid JSON ({error}); next: export it from VIA again') from None


def _read_json(path, data):
    if isinstance(data, dict) and isinstance(data.get('_via_img_metadata'), dict):
        region_attributes = _get(data, '_via_attributes', 'region')
        options = {name: {str(k): str(v) for k, v in about['options'].items()}
                   for name, about in region_attributes.items()
                   if isinstance(about, dict) and isinstance(about.get('options'), dict)}
        return [_entry(path, key, value) for key, value in data['_via_img_metadata'].items()], options
    what = None
    if isinstance(data, list):
        what = 'a JSON list'
    elif 'images' in data and 'annotations' in data:
        what = 'COCO JSON, which needs no conversion'
    elif {'project', 'file', 'metadata'} <= data.keys():
        what = 'a VIA 3 project'
    elif not all(isinstance(v, dict) and 'filename' in v and 'regions' in v for v in data.values()):
        what = 'other JSON'
    if what:
        raise BadInput(f'{path}: this is {what}, expected a VIA 1 or 2 file; next: in VIA 2, '
                       'Annotation > Export Annotations (as json), or Project > Save')
    return [_entry(path, key, value) for key, value in data.items()], {}


def _get(data, *keys):
    """A nested dict, or {} where a level is missing or no dict."""
    for key in keys:
        data = data.get(key) if isinstance(data, dict) else None
    return data if isinstance(data, dict) else {}


def _entry(path, key, value):
    if not isinstance(value, dict) or not isinstance(value.get('filename'), str) or not value['filename']:
        raise BadInput(f"{path}: entry '{key}' has no file name; next: export it from VIA again")
    regions = value.get('regions') or []
    if isinstance(regions, dict):
        regions = list(regions.values())
    name = value['filename']
    if not isinstance(regions, list):
        raise BadInput(f"{path}: image '{name}': regions are a {type(regions).__name__}, expected a list or a mapping; "
                       'next: export it from VIA again')
    return Entry(name, _size(value.get('size')), [_region(path, name, i, r) for i, r in enumerate(regions)])


def _region(path, name, number, region):
    shape = region.get('shape_attributes') if isinstance(region, dict) else None
    if not isinstance(shape, dict) or not isinstance(shape.get('name'), str):
        raise BadInput(f"{path}: image '{name}', region {number}: no shape; next: delete or redraw it in VIA")
    attributes = region.get('region_attributes')
    return dict(shape=shape, attributes=attributes if isinstance(attributes, dict) else {})


def _size(value):
    """Bytes (int), or None where VIA did not know them, as for images behind a URL."""
    try:
        return int(value) if int(value) > 0 else None
    except (TypeError, ValueError, OverflowError):
        return None


def _read_csv(path, text):
    try:
        rows = list(csv.DictReader(io.StringIO(text.lstrip().removeprefix('#'), newline='')))
    except csv.Error as error:
        raise BadInput(f'{path}: not valid CSV ({error}); next: export it from VIA again') from None
    if not rows or not set(CSV_COLUMNS) <= set(rows[0]):
        raise BadInput(f'{path}: neither VIA JSON nor VIA CSV (columns {", ".join(CSV_COLUMNS)}); '
                       'next: export it from VIA again')
    entries = {}
    for line, row in enumerate(rows, start=2):
        name, item = row['filename'], f'line {line}: '
        if not name or any(row[column] is None for column in CSV_COLUMNS):
            raise BadInput(f'{path}: {item}too few fields; next: export it from VIA again')
        entry = entries.setdefault(name, Entry(name, _size(row['file_size'])))
        shape = _loads(row['region_shape_attributes'] or '{}', path, item)
        if shape or row['region_count'].strip() not in ('', '0'):
            attributes = _loads(row['region_attributes'] or '{}', path, item)
            entry.regions.append(_region(path, name, len(entry.regions),
                                         dict(shape_attributes=shape, region_attributes=attributes)))
    return list(entries.values())
