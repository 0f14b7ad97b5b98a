"""Projects of VIA 2 with suggested regions, which VIA opens with "Load" and balloon2coco.py converts.

The format is what VIA 2 saves, and what it asks for when it opens a project (ox-vgg/via,
via-2.x.y/src/via.js, project_open_parse_json_file). VIA shows the texts of options as HTML, so that
characters which could be read as HTML are escaped there; the id of an option is never shown.
"""

import html
import json
import re
from argparse import ArgumentTypeError

from mmballoon.cli import UserError
from mmballoon.data.via import AGAIN, parse_via, read_via

SPACE = re.compile(r'\s*')
STATUS = 'suggested', 'ok', 'wrong'  # of a region: ok and wrong are what a person decides
MARKS = 'status', 'score', 'reason'  # attributes that our commands give a region besides its class
PARTS = '_via_settings', '_via_img_metadata', '_via_attributes'  # that VIA asks for


def via_project(images, classes, class_attribute, folder, base='{}'):
    """The text of a project (str).

    images: [(file name below ``folder``, size in bytes, [region])] in the order in which VIA shows them.
    A region has ``label`` (class name), ``box`` [x1, y1, x2, y2] and ``outline`` [x0, y0, x1, y1, ...]
    (or None) in pixels, and may have ``status``, ``score`` and ``reason``. A region with ``number`` (from
    0) is one that its image has in ``base``, and gets only these. classes: names for the dropdown.
    folder: of the images (Path). base: the text of a JSON file of VIA. Its images that are not in
    ``images`` come last; their entries keep their bytes.
    """
    settings, attributes, entries = _read(base)
    core = settings.setdefault('core', {})
    # VIA puts this text before each file name. As an address it works wherever VIA's page lies.
    core['default_filepath'] = core.get('default_filepath') or f'{folder.resolve().as_uri()}/'
    settings.setdefault('project', {}).setdefault('name', 'suggestions')
    attributes.setdefault('file', {})
    described, known = attributes.setdefault('region', {}), parse_via(folder, base.encode())[0]
    texts = [region.attributes.get(class_attribute) for entry in known for region in entry.regions]
    ids = _class_ids(described, class_attribute, [*classes, *texts])
    _describe(described, [region for _, _, regions in images for region in regions])
    keys, changed = {entry.filename: key for entry, key in zip(known, entries)}, {}
    for name, size, regions in images:
        key, entry = f'{name}{size}', dict(filename=name, size=size, regions=[], file_attributes={})
        while key in entries:  # of another file name
            key += '-'
        if name in keys:
            key, entry = keys[name], json.loads(entries[keys[name]])
        for region in regions:
            values = {k: str(region[k]) for k in MARKS if k in region}
            if 'number' not in region:
                values = {class_attribute: ids[region['label']], **values}
                entry['regions'].append(dict(shape_attributes=_shape(region)))
            target = entry['regions'][region.get('number', -1)]
            target['region_attributes'] = {**(target.get('region_attributes') or {}), **values}
        changed[key] = _dump(entry)
    entries = changed | {key: text for key, text in entries.items() if key not in changed}
    metadata = ',\n'.join(f'{_dump(key)}:{text}' for key, text in entries.items())
    return (
        f'{{"_via_settings":{_dump(settings)},\n"_via_img_metadata":{{\n{metadata}}},\n'
        f'"_via_attributes":{_dump(attributes)},\n"_via_data_format_version":"2.0.10",\n'
        f'"_via_image_id_list":{_dump(list(entries))}}}\n'
    )


def class_attribute(name):
    """The type of --class-attribute where a project is written."""
    if name in MARKS:
        found = f'{name} is an attribute that suggestions have besides the class'
        raise ArgumentTypeError(f'{found}; next: give the one of your classes another name in VIA')
    return name


def read_base(path):
    """The text of a JSON file of VIA, to be extended.

    Raises:
        UserError: it is no file of VIA, or CSV.
    """
    read_via(path)
    text = path.read_text(encoding='utf-8-sig')
    if not text.lstrip().startswith('{'):
        raise UserError(path, 'CSV, expected JSON', f'{AGAIN}, as json')
    return text


def _dump(value):
    return json.dumps(value, ensure_ascii=False, separators=(',', ':'))


def _read(text):
    """(settings, attributes, {key: text of the entry}) of JSON of VIA 1 or 2."""
    members = dict(_members(text))
    is_project = all(name in members for name in PARTS)
    settings, images, attributes = map(members.get, PARTS) if is_project else ('{}', text, '{}')
    entries = dict(_members(images))
    if 'filename' in entries:  # a file with a single entry
        entries = {json.loads(entries['filename']): text.strip()}
    for key, entry in entries.items():
        entry = json.loads(entry)
        if not isinstance(entry.get('regions'), list) or 'file_attributes' not in entry:  # VIA 1
            regions = entry.get('regions') or []
            regions = list(regions.values()) if isinstance(regions, dict) else regions
            entries[key] = _dump(dict(size=-1, file_attributes={}) | entry | dict(regions=regions))
    return json.loads(settings), json.loads(attributes), entries


def _members(text):
    """[(key, text of the value)] of a JSON object: texts, so that a value keeps its bytes."""
    decode = json.JSONDecoder().raw_decode
    members, at = [], SPACE.match(text, text.index('{') + 1).end()
    while text[at] != '}':
        key, at = decode(text, at)
        start = SPACE.match(text, text.index(':', at) + 1).end()
        at = decode(text, start)[1]
        members.append((key, text[start:at]))
        at = SPACE.match(text, at).end()
        at = SPACE.match(text, at + 1).end() if text[at] == ',' else at
    return members


def _class_ids(described, attribute, classes):
    """{class name: what a region's attribute is set to}; adds what is missing to the project.

    An attribute of the project that has options keeps them and their kind. One of text becomes a
    dropdown: VIA then selects the option whose id is the text.
    """
    known = described.setdefault(attribute, dict(type='dropdown', description=''))
    if known.get('type') not in ('dropdown', 'radio', 'image', 'checkbox'):
        known['type'] = 'dropdown'
    options = known.setdefault('options', {})
    ids = {html.unescape(text or key): key for key, text in options.items()}
    for name in classes:
        if name and isinstance(name, str) and name not in ids and name not in options:
            options[name] = html.escape(name)
            ids[name] = name
    known.setdefault('default_options', dict.fromkeys(ids.values(), True) if len(ids) == 1 else {})
    ids = {key: key for key in options} | ids  # a class may be called as an id is
    return {n: {key: True} if known['type'] == 'checkbox' else key for n, key in ids.items()}


def _describe(described, regions):
    """Add the attributes besides the class to a project, where it lacks them."""
    kind = dict(type='radio', description='', options={}, default_options={'ok': True})  # drawn: ok
    options = described.setdefault('status', kind).get('options', {})
    for status in (*STATUS, *(region['status'] for region in regions if 'status' in region)):
        options.setdefault(status, status)
    for name in ('score', 'reason'):
        if any(name in region for region in regions):
            described.setdefault(name, dict(type='text', description='', default_value=''))


def _shape(region):
    """shape_attributes: a polygon where there is an outline, else a rect; in thousandths of a pixel."""
    if region['outline']:
        points = [round(float(value), 3) for value in region['outline']]
        return dict(name='polygon', all_points_x=points[::2], all_points_y=points[1::2])
    x1, y1, x2, y2 = region['box']
    x, y, width, height = (round(float(value), 3) for value in (x1, y1, x2 - x1, y2 - y1))
    return dict(name='rect', x=x, y=y, width=width, height=height)
