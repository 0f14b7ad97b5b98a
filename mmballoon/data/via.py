"""Read files of VIA (VGG Image Annotator) in every format of VIA 1 and 2. Standard library only.

VIA 1 JSON:    {key: entry}; the ``regions`` of an entry are a mapping {"0": region, ...}
VIA 2 JSON:    {key: entry}; ``regions`` is a list
VIA 2 project: {"_via_img_metadata": {key: entry}, "_via_attributes": {...}, ...}
one entry:     {"filename": ..., "regions": ...}, as scripts write it that split projects
VIA CSV:       one line per region, with the columns CSV_COLUMNS and others; the last two are JSON

VIA 3 (video and audio) has another format and is refused.
"""

import csv
import html
import io
import json
import math
import re
from dataclasses import dataclass, field
from pathlib import Path

from mmballoon.cli import UserError
from mmballoon.data.shapes import Skip, shape_to_polygon

SUFFIXES = ('.json', '.txt', '.csv')
CSV_COLUMNS = (
    'filename', 'file_size', 'region_count', 'region_shape_attributes', 'region_attributes'
)  # fmt: skip
MARKS = b'\xff\xfe', b'\xfe\xff'  # the first bytes of a file in UTF-16
AGAIN = 'export it from VIA again'


class OtherJson(UserError):
    """JSON of another program."""


class NotAnnotations(UserError):
    """Neither JSON nor CSV of VIA."""


@dataclass
class Region:
    """One annotated object.

    shape: the name of its shape in VIA. attributes: its region_attributes. outlines: its polygons in
    pixels (mmballoon/data/shapes.py), most often one. mask: its run lengths (dict, COCO's RLE), which
    count in place of the outlines.
    problem: why there is no outline (args of a Skip). crowd: not to be counted as found or missed.
    """

    shape: str
    attributes: dict
    outlines: list[list[float]] = field(default_factory=list)
    mask: dict | None = None
    problem: tuple = ()
    crowd: bool = False


@dataclass
class Entry:
    """One image: its file name, its size in bytes as VIA saw it (or None), and its regions.

    pixels: (width, height) of the image that the coordinates are for, if the file states them; they
    are (1, 1) where coordinates are shares of both. label: the annotation file of this image alone.
    """

    filename: str
    size: int | None = None
    regions: list[Region] = field(default_factory=list)
    pixels: tuple | None = None
    label: Path | None = None


def read_via(path) -> tuple[list[Entry], dict]:
    """The entries of a VIA file in file order, and its options {attribute: {option id: name}}."""
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        advice = 'check the path, or get the dataset with python data_tools/download_balloon.py'
        raise UserError(path, 'no such file', advice) from None
    return parse_via(path, data)


def parse_via(path, data: bytes) -> tuple[list[Entry], dict]:
    """What read_via gives, of the bytes of a file that is called ``path``."""
    try:
        text = data.decode('utf-8-sig')  # with or without a byte order mark
    except UnicodeDecodeError as error:
        found, advice = f'not in UTF-8 (byte {error.start})', 'save it as UTF-8'
        start = data.decode('utf-16', 'replace') if data[:2] in MARKS else data.decode('latin-1')
        if re.match(r'\s*(\{|#?filename.file_size)', start):
            raise UserError(path, found, advice) from None
        if b'\0' in data and data[:2] not in MARKS:  # nor in UTF-16
            found, advice = 'not a text file', 'name the annotation file'
        raise NotAnnotations(path, found, advice) from None
    try:
        if text.lstrip()[:1] in ('{', '['):
            return _read_json(path, parse_json(text))
        return _read_csv(path, text), {}
    except RecursionError:
        raise UserError(path, 'nested too deeply', AGAIN) from None
    except (ValueError, csv.Error) as error:
        raise UserError(path, error, AGAIN) from None


def find_annotation(folder) -> Path:
    """The VIA file of a folder: via_region_data.json, or its only .json, .txt or .csv file that is VIA."""
    folder = Path(folder)
    if not folder.is_dir():
        advice = 'python data_tools/download_balloon.py, or name your data root with --data-root'
        raise UserError(folder, 'no such folder', f'{advice} or BALLOON_ROOT')
    valid, refused = [], []
    for path in sorted(folder.iterdir()):
        hidden = path.name.startswith('.')  # macOS adds files that start with ._
        if hidden or path.suffix.lower() not in SUFFIXES or not path.is_file():
            continue
        try:
            read_via(path)
            valid.append(path)
        except NotAnnotations:
            continue
        except UserError as error:
            refused.append(error)
    default = folder / 'via_region_data.json'
    if default.is_file():
        others = ', '.join(path.name for path in valid if path != default)
        if others:
            print(f'note: {default} is read, and not {others} beside it')
        return default
    if len(valid) == 1:
        return valid[0]
    if valid:
        names = ', '.join(path.name for path in valid)
        raise UserError(folder, f'{len(valid)} VIA files ({names})', 'name one of them')
    if refused:  # a broken VIA file says more than a file of another program
        raise min(refused, key=lambda error: isinstance(error, OtherJson))
    what = f'no VIA file ({", ".join(SUFFIXES)}) in it'
    raise UserError(folder, what, 'export one into this folder')


def parse_json(text):
    """JSON in which no key of an object may occur twice: it would be unclear which one counts."""
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        raise ValueError(f'not valid JSON ({error})') from None


def _unique(pairs):
    values = dict(pairs)
    if len(values) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"key '{twice}' occurs twice in one object")
    return values


def _read_json(path, data):
    options, other = {}, None
    if not isinstance(data, dict):
        other = 'a JSON list'
    elif '_via_img_metadata' in data:
        options, data = _options(data), data['_via_img_metadata']
        other = None if isinstance(data, dict) else 'a project without images'
    elif 'filename' in data and 'regions' in data:
        data = {'the only entry': data}
    elif {'images', 'annotations'} <= data.keys():
        other = 'COCO JSON, which needs no conversion'
    elif {'project', 'file', 'metadata'} <= data.keys():
        other = 'a VIA 3 project'
    elif not all('filename' in as_dict(value) for value in data.values()):
        other = 'other JSON'
    if other:
        advice = 'in VIA 2, Annotation > Export Annotations (as json); for other formats: python '
        advice += 'data_tools/import_annotations.py'
        raise OtherJson(path, f'this is {other}, expected a VIA 1 or 2 file', advice)
    return [_entry(key, value) for key, value in data.items()], options


def as_dict(value):
    return value if isinstance(value, dict) else {}


def _options(project):
    """{attribute: {option id: name}} of a project; an option without a description is its own name.

    VIA shows a description as HTML, so that a name with special characters has them escaped.
    """
    options = {}
    for name, attribute in as_dict(as_dict(project.get('_via_attributes')).get('region')).items():
        items = as_dict(as_dict(attribute).get('options')).items()
        texts = [(str(key).strip(), html.unescape(str(value)).strip()) for key, value in items]
        options[name] = {key: value or key for key, value in texts}
    return options


def _entry(key, value):
    name = as_dict(value).get('filename')
    if not isinstance(name, str) or not name:
        raise ValueError(f"entry '{key}' has no file name")
    regions = value.get('regions') or []
    if isinstance(regions, dict):  # VIA 1
        regions = list(regions.values())
    if not isinstance(regions, list):
        found = f'regions are of type {type(regions).__name__}, expected a list or a mapping'
        raise ValueError(f"image '{name}': {found}")
    regions = map(as_dict, regions)
    regions = [make_region(r.get('shape_attributes'), r.get('region_attributes')) for r in regions]
    return Entry(name, positive(value.get('size')), regions)


def make_region(shape, attributes) -> Region:
    """Region of the shape_attributes and region_attributes of VIA."""
    name, attributes = as_dict(shape).get('name'), as_dict(attributes)
    if not isinstance(name, str):
        return Region('none', attributes, problem=('broken: it has no shape',))
    try:
        return Region(name, attributes, [shape_to_polygon(shape)])
    except Skip as skip:
        return Region(name, attributes, problem=skip.args)


def number_of(value):
    """A float, or None for what is no number."""
    try:
        return float(value)
    except (OverflowError, TypeError, ValueError):
        return None


def positive(value):
    """A whole number above 0 (int), or None: programs write 0, -1 or nothing for what they do not know."""
    number = number_of(value) or 0
    return int(number) or None if 0 < number < math.inf else None


def _read_csv(path, text):
    csv.field_size_limit(1 << 26)  # a long polygon is one field
    start = text[: len(text) - len(text.lstrip())].count('\n')
    text = text.lstrip().removeprefix('#')
    delimiter = ';' if text.startswith('filename;') else ','  # Excel's in many languages
    reader = csv.DictReader(io.StringIO(text, newline=''), delimiter=delimiter)
    if not set(CSV_COLUMNS) <= set(reader.fieldnames or ()):
        what = f'neither VIA JSON nor VIA CSV (columns {", ".join(CSV_COLUMNS)})'
        raise NotAnnotations(path, what, AGAIN)
    # VIA writes {"Label":undefined} for an attribute that was never set.
    entries, undefined = {}, re.compile(r'(?<=:)\s*undefined(?=\s*[,}])')
    for row in reader:
        name, size, count, *texts = (row[column] for column in CSV_COLUMNS)
        try:
            if not name or None in (size, count, *texts):
                raise ValueError('too few fields')
            if None in row:
                raise ValueError('too many fields (a file name with a comma needs quotation marks)')
            shape, attributes = (parse_json(undefined.sub('null', text or '{}')) for text in texts)
        except ValueError as error:
            raise ValueError(f'line {start + reader.line_num}: {error}') from None
        entry = entries.setdefault((name, size), Entry(name, positive(size)))  # as in VIA's keys
        if shape or count.strip() not in ('', '0'):
            entry.regions.append(make_region(shape, attributes))
    return list(entries.values())
