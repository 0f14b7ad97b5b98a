"""Small VIA files with answers worked out on paper, in every dialect."""

import contextlib
import csv
import io
import json

from PIL import Image

POLYGON = dict(
    name='polygon', all_points_x=[10, 20, 20, 10, 10], all_points_y=[10, 10, 20, 20, 10]
)  # area 100, closed
RECT = dict(name='rect', x=5, y=6, width=7, height=8)  # area 56
CIRCLE = dict(name='circle', cx=50, cy=40, r=10)  # area 314.16
ELLIPSE = dict(name='ellipse', cx=50, cy=40, rx=20, ry=10)  # area 628.32
POLYLINE = dict(
    name='polyline', all_points_x=[0, 30, 0], all_points_y=[0, 0, 40]
)  # closed: area 600
POINT = dict(name='point', cx=3, cy=4)


def polygon(*points):
    xs, ys = zip(*points)
    return dict(name='polygon', all_points_x=list(xs), all_points_y=list(ys))


def entry(filename, *regions, size=None):
    """(filename, size, [(shape, attributes)]): the dialect-free form that the writers below
    take.
    """
    return filename, size, [r if isinstance(r, tuple) else (r, {}) for r in regions]


def _json(entries, regions_as):
    return {
        f'{name}{size or -1}': dict(
            filename=name,
            size=size or -1,
            file_attributes={},
            regions=regions_as([dict(shape_attributes=s, region_attributes=a) for s, a in regions]),
        )
        for name, size, regions in entries
    }


def via1(entries, **_):
    return json.dumps(_json(entries, lambda regions: {str(i): r for i, r in enumerate(regions)}))


def via2(entries, **_):
    return json.dumps(_json(entries, list))


def project(entries, options=None):
    """A VIA 2 project; options: {attribute: {option id: name}}."""
    about = {key: dict(type='radio', options=names) for key, names in (options or {}).items()}
    return json.dumps(
        {
            '_via_settings': {},
            '_via_img_metadata': _json(entries, list),
            '_via_attributes': {'region': about, 'file': {}},
            '_via_data_format_version': '2.0.10',
        }
    )


def via_csv(entries, **_):
    out = io.StringIO(newline='')
    writer = csv.writer(out)
    writer.writerow(
        [
            '#filename',
            'file_size',
            'file_attributes',
            'region_count',
            'region_id',
            'region_shape_attributes',
            'region_attributes',
        ]
    )
    for name, size, regions in entries:
        for i, (shape, attributes) in enumerate(regions):
            writer.writerow(
                [name, size or -1, '{}', len(regions), i, json.dumps(shape), json.dumps(attributes)]
            )
        if not regions:
            writer.writerow([name, size or -1, '{}', 0, 0, '{}', '{}'])
    return out.getvalue()


DIALECTS = {'via1.json': via1, 'via2.json': via2, 'project.json': project, 'via.csv': via_csv}


def save_image(path, width=100, height=80, orientation=None, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new('RGB', (width, height), (90, 120, 200))
    if orientation:
        exif = Image.Exif()
        exif[0x0112] = orientation
        options['exif'] = exif
    image.save(path, **options)


MUTATIONS = ('', '"', '{', ']', ',', ':', '-', '9', 'null', '1e999', '\0', 'é', '\n', 'β')
MUTATIONS += ('9' * 400, '\\ud800', '[' * 40, '{"a":' * 40, '<a>', 'nan', '-1')


def mutate(rng, text):
    """The text with one to three places changed."""
    text = list(text)
    for _ in range(rng.randint(1, 3)):
        i = rng.randrange(len(text))
        text[i : i + rng.randint(0, 4)] = rng.choice([*MUTATIONS, rng.choice(text)])
    return ''.join(text)


WEIRD = [None, True, -1, 10**400, 1e308, 'x', '\ud800', [], {}, [[1, 2], [3, 4]]]
WEIRD += [{'name': 'rect'}, '\n', [[[[[[]]]]]]]


def with_every_value_replaced(tree):
    """Copies of a JSON tree, in each of which one value is replaced by a weird one."""
    for place in list(_places(tree))[1:]:
        for weird in WEIRD:
            copy = json.loads(json.dumps(tree))
            parent = copy
            for key in place[:-1]:
                parent = parent[key]
            parent[place[-1]] = weird
            yield copy


def _places(tree, path=()):
    yield path
    if isinstance(tree, (dict, list)):
        for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from _places(value, (*path, key))


def outcome(main, args, out):
    """The status of a command that must write ``out``, or end in one line and write nothing.

    Its terminal shows ASCII or the characters of Windows only, as PYTHONIOENCODING=ascii or cp1252.
    """
    out.unlink(missing_ok=True)
    encoding, status = ('ascii', 'cp1252')[len(str(args)) % 2], 0
    streams = [io.TextIOWrapper(io.BytesIO(), encoding=encoding) for _ in range(2)]
    with contextlib.redirect_stdout(streams[0]), contextlib.redirect_stderr(streams[1]):
        try:
            main(args)
        except SystemExit as stop:
            status = stop.code
        streams[1].flush()
    err = streams[1].buffer.getvalue().decode(encoding)
    assert status in (0, 2) and out.exists() == (status == 0), (status, err)
    assert [line[:7] for line in err.splitlines()] == ['error: '] * (status == 2), err
    assert status == 2 or json.loads(out.read_text(encoding='utf-8'))['images']
    return status
