"""Projects of VIA 2 with suggested regions, which VIA opens with "Load" and balloon2coco.py converts.

The format is what VIA 2 saves, and what it asks for when it opens a project (ox-vgg/via,
via-2.x.y/src/via.js, project_open_parse_json_file). VIA shows the texts of options as HTML, so that
characters which could be read as HTML are escaped there; the id of an option is never shown.
"""

import html
import json
import re

from mmballoon.data.via import read_via

SPACE = re.compile(r'\s*')
STATUS = 'suggested', 'ok', 'wrong'  # of a region: ok and wrong are what a person decides
PROJECT = '_via_settings', '_via_img_metadata', '_via_attributes'


def via_project(images, classes, class_attribute, folder, base=None):
    """The text of a project (str).

    images: [(file name below ``folder``, size in bytes, [region])] in the order in which VIA shows them;
    a region has ``label`` (class name), ``score`` (or None), ``status``, ``box`` [x1, y1, x2, y2] and
    ``outline`` [x0, y0, x1, y1, ...] (or None), in pixels. classes: names for the dropdown. folder: of
    the images (Path). base: file of VIA (Path) whose images come last, each as it is there.

    Raises:
        UserError: ``base`` is no file of VIA.
    """
    settings, attributes, entries = _read_base(base) if base else ({}, {}, {})
    core = settings.setdefault('core', {})
    # VIA puts this text before each file name. As an address it works wherever VIA's page lies.
    core['default_filepath'] = core.get('default_filepath') or f'{folder.resolve().as_uri()}/'
    settings.setdefault('project', {}).setdefault('name', 'suggestions')
    regions = attributes.setdefault('region', {})
    attributes.setdefault('file', {})
    ids = _class_options(regions, class_attribute, [*classes, *_texts(entries, class_attribute)])
    if 'status' not in regions:
        options = {name: name for name in STATUS}  # a region that a person draws is ok
        regions['status'] = dict(type='radio', options=options, default_options={'ok': True})
    regions.setdefault('score', dict(type='text', description='', default_value=''))
    new = {f'{name}{size}': (name, size, found) for name, size, found in images}
    texts = {key: _entry(*image, class_attribute, ids) for key, image in new.items()} | entries
    metadata = ',\n'.join(f'{_dump(key)}:{text}' for key, text in texts.items())
    return (
        f'{{"_via_settings":{_dump(settings)},\n"_via_img_metadata":{{\n{metadata}}},\n'
        f'"_via_attributes":{_dump(attributes)},\n"_via_data_format_version":"2.0.10",\n'
        f'"_via_image_id_list":{_dump(list(texts))}}}\n'
    )


def _dump(value):
    return json.dumps(value, ensure_ascii=False, separators=(',', ':'))


def _read_base(path):
    """(settings, attributes, {key: text of the entry}) of a file of VIA 1 or 2."""
    read_via(path)  # refuses what is no file of VIA
    parts = dict(_members(path.read_text(encoding='utf-8-sig')))
    is_project = all(name in parts for name in PROJECT)
    entries = dict(_members(parts['_via_img_metadata'])) if is_project else parts
    for key, text in entries.items():
        entry = json.loads(text)
        if isinstance(entry.get('regions'), dict) or 'file_attributes' not in entry:  # VIA 1
            values = entry.get('regions') or {}
            values = list(values.values()) if isinstance(values, dict) else values
            entry = dict(size=-1, file_attributes={}) | entry | dict(regions=values)
            entries[key] = _dump(entry)
    if not is_project:
        return {}, {}, entries
    return json.loads(parts[PROJECT[0]]), json.loads(parts[PROJECT[2]]), entries


def _members(text):
    """[(key, text of the value)] of a JSON object: texts, so that a value keeps its bytes."""
    decode = json.JSONDecoder().raw_decode
    found, at = [], SPACE.match(text, text.index('{') + 1).end()
    while text[at] != '}':
        key, at = decode(text, at)
        start = SPACE.match(text, text.index(':', at) + 1).end()
        at = decode(text, start)[1]
        found.append((key, text[start:at]))
        at = SPACE.match(text, at).end()
        at = SPACE.match(text, at + 1).end() if text[at] == ',' else at
    return found


def _class_options(regions, attribute, classes):
    """{class name: what a region's attribute is set to}; adds what is missing to the project.

    An attribute of the project that has options keeps them and their kind. One of text becomes a
    dropdown: VIA then selects the option whose id is the text.
    """
    known = regions.setdefault(attribute, dict(type='dropdown', description=''))
    if known.get('type') not in ('dropdown', 'radio', 'image', 'checkbox'):
        known['type'] = 'dropdown'
    options = known.setdefault('options', {})
    ids = {html.unescape(text or key): key for key, text in options.items()}
    for name in classes:
        if name not in ids and name not in options:
            options[name] = html.escape(name)
            ids[name] = name
    known.setdefault('default_options', {ids[classes[0]]: True} if len(ids) == 1 else {})
    return {n: {key: True} if known['type'] == 'checkbox' else key for n, key in ids.items()}


def _texts(entries, attribute):
    """The values (str) that an attribute has in the regions of a person's own entries, each once."""
    regions = [region for text in entries.values() for region in json.loads(text)['regions']]
    values = [(region.get('region_attributes') or {}).get(attribute) for region in regions]
    return list(dict.fromkeys(value for value in values if value and isinstance(value, str)))


def _entry(name, size, found, class_attribute, ids):
    regions = [
        dict(
            shape_attributes=_shape(region),
            region_attributes={
                class_attribute: ids[region['label']],
                'status': region['status'],
                'score': '' if region['score'] is None else f'{region["score"]:.2f}',
            },
        )
        for region in found
    ]
    return _dump(dict(filename=name, size=size, regions=regions, file_attributes={}))


def _shape(region):
    """shape_attributes: a polygon where there is an outline, else a rect; in hundredths of a pixel."""
    outline = [round(float(value), 2) for value in region['outline'] or ()]
    if outline:
        return dict(name='polygon', all_points_x=outline[::2], all_points_y=outline[1::2])
    x1, y1, x2, y2 = (round(float(value), 2) for value in region['box'])
    width, height = round(x2 - x1, 2), round(y2 - y1, 2)
    return dict(name='rect', x=x1, y=y1, width=width, height=height)
