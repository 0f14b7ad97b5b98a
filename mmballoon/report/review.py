"""What --review writes: a person's annotations as a project of VIA, with what to look at, worst first."""

import html
import json
from importlib import resources
from pathlib import Path

import numpy as np

from mmballoon.cli import UserError
from mmballoon.data.images import ImageFolder
from mmballoon.data.shapes import clip_polygon, polygon_box
from mmballoon.data.via import parse_via
from mmballoon.data.via_project import STATUS, class_attribute, read_base, via_project
from mmballoon.report.split import absolute, common_folder, image_files, load_file

SAME = 1  # pixels by which the box of a region may differ from that of its annotation


def add_arguments(add):
    add('--review', type=Path, metavar='FILE', help='also write the label errors for VIA')
    add('--extend', type=Path, metavar='FILE', help='for --review: your file of VIA')
    key = dict(type=class_attribute, default='class', metavar='KEY')
    add('--class-attribute', **key, help='of --review (%(default)s)')


def check(args):
    """Refuse what --review cannot read, or would replace, before anything takes time."""
    if args.review and args.review.exists():
        raise UserError(args.review, 'exists', 'choose another --review, or move it away')
    if args.extend:
        entries = parse_via(args.extend, read_base(args.extend).encode())[0]
        for values in (region.attributes for entry in entries for region in entry.regions):
            status = values.get('status')
            status = '' if status is None else str(status).strip().casefold()
            key = 'status' if status else 'reason'  # a reason of ours is beside a status
            if values.get(key) not in (None, '') and status not in ('check', *STATUS):
                found = f'its attribute {key!r} holds {values[key]}, which --review would replace'
                raise UserError(args.extend, found, 'give this attribute another name in VIA')


def review(args, result, split, sources):
    """(text of the project, lines for a person) about ``result``, of ``numbers.measure``.

    A suspected or missed annotation gets the status ``check``. A detection without an annotation becomes
    a region with the status ``suggested``, if its score reaches the report's threshold. split: Split of
    the images. sources: the datasets (configs) whose annotations count where there is no --extend.
    """
    paths = {absolute(path): key for path, key in image_files(split).items()}
    folder, lost = common_folder(paths), 0
    if args.extend:
        base = read_base(args.extend)
    else:
        base, lost = from_coco(sources, paths, folder, args.class_attribute)
    entries, images = {}, ImageFolder(folder)
    for entry in parse_via(args.extend, base.encode())[0]:
        names = images.find(entry.filename)
        if len(names) == 1:
            entries[paths.get(absolute(folder / names[0]))] = entry
    entries.pop(None, None)
    if not entries:
        advice = 'name the file that the annotations come from'
        raise UserError(args.extend, f'none of its images is in {folder}', advice)
    boxes = {key: _boxes(entry, split.images[key]) for key, entry in entries.items()}
    titles = resources.files('mmballoon.report').joinpath(f'{args.lang}.json').read_text('utf-8')
    titles = json.loads(titles)['kinds'] | json.loads(titles)['errors']
    changes, unknown = {}, 0  # changes: {image id: {a region's number, or a new one's box: region}}
    rows = [*result['label_errors'], *result['failures']]
    for row in (row for row in rows if row['kind'] != 'double'):
        key, reason, name = row['image_id'], titles[row['kind']], split.names[row['category_id']]
        if row['score'] is not None:  # VIA shows it as HTML
            reason += f' {html.escape(name)} {row["score"]:.2f}'
        x, y, width, height = box = (row['truth'] or row)['bbox']
        of_annotation = row['truth'] or row['score'] is None
        off = abs(boxes[key] - box).max(1) if key in entries else np.array([])
        if key not in entries or (of_annotation and off.min(initial=np.inf) > SAME):
            unknown += 1
            continue
        if of_annotation:
            slot, region = off.argmin(), dict(number=int(off.argmin()), status='check')
        elif row['score'] >= result['threshold']['threshold']:
            slot, region = tuple(box), dict(label=name, status='suggested', outline=None)
            region |= dict(score=f'{row["score"]:.2f}', box=[x, y, x + width, y + height])
        else:
            continue
        changes.setdefault(key, {}).setdefault(slot, region | dict(reason=reason))
    rows = [(entries[key].filename, -1, new.values()) for key, new in changes.items()]
    shown = common_folder([path for path, key in paths.items() if key in entries])
    text = via_project(rows, list(split.names.values()), args.class_attribute, shown, base)
    marks = [region['status'] for new in changes.values() for region in new.values()]
    counts = f'{marks.count("check")} annotations to check, {marks.count("suggested")} suggestions'
    lines = [f'{counts}, in {len(changes)} of {len(entries)} images, which come first']
    if unknown:
        place = args.extend or 'the project'
        lines.append(f'note: {unknown} more are in images or regions that {place} lacks')
    if lost:
        lines.append(f'note: {lost} annotations are crowds or no single polygon: boxes in VIA')
    return text, lines


def from_coco(sources, paths, folder, class_attribute):
    """(text of a project with the annotations of datasets, how many of them VIA cannot hold whole)

    paths: the images; another link to one of them is left out.
    """
    rows, classes, lost = [], {}, 0
    for plain in sources:
        split = load_file(plain)
        classes |= dict.fromkeys(split.names.values())
        files = {absolute(path): key for path, key in image_files(split).items()}
        for path, key in files.items():
            if path not in paths:
                continue
            regions = []
            for a in split.boxes.get(key, ()):
                (x, y, width, height), outlines = a['bbox'], a.get('segmentation') or []
                single = isinstance(outlines, list) and len(outlines) == 1
                lost += bool(a.get('iscrowd') or (outlines and not single))
                box, name = [x, y, x + width, y + height], split.names[a['category_id']]
                regions.append(dict(label=name, box=box, outline=outlines[0] if single else None))
            size = path.stat().st_size if path.is_file() else -1
            rows.append((path.relative_to(folder).as_posix(), size, regions))
    return via_project(rows, list(classes), class_attribute, folder), lost


def _boxes(entry, image):
    """(R, 4): x, y, width, height of each region of VIA within the image; infinite where it has none."""
    size = image['width'], image['height']
    outlines = [clip_polygon(r.outlines[0], *size) if r.outlines else [] for r in entry.regions]
    boxes = [polygon_box(points) if points else [np.inf] * 4 for points in outlines]
    return np.array(boxes, float).reshape(-1, 4)
