"""From annotation files and images to COCO files: what the two converting commands share."""

import json
import os
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path

from mmballoon.cli import UserError, replace_files
from mmballoon.data.images import ImageFolder, image_size
from mmballoon.data.split import linked_images, split_entries
from mmballoon.data.to_coco import region_class, via_to_coco

SPLITS = ('train', 'val')
BEGINNING = (
    b'{"annotations":[\n'  # of the files that to_json makes: no other program breaks lines so
)


class Source:
    """Annotations and the folder of their images, read and matched.

    read: function from the annotation path to (entries, options). entries: those of the file, with
    the names of the files in the folder. sizes: {name: (width, height)}. findings: {kind: names that
    do not fit}.
    """

    def __init__(self, annotation, folder, read):
        self.annotation, self.folder = annotation, folder
        entries, self.options = read(annotation)
        if not folder.is_dir():
            raise UserError(f'{folder}: no such folder; next: name the folder of the images')
        if not entries:
            raise UserError(f'{annotation}: no image in it; next: annotate images and export again')
        images = ImageFolder(folder)
        self.entries, self.sizes = [], {}
        missing, changed, renamed = [], [], []
        for entry in entries:
            name = images.find(entry.filename)
            if name in self.sizes:
                found = f"two entries mean the image '{name}'"
                raise UserError(f'{annotation}: {found}; next: remove one of them')
            self.entries.append(replace(entry, filename=name or entry.filename))
            if name is None:
                missing.append(entry.filename)
                continue
            self.sizes[name] = image_size(folder / name)
            if name != entry.filename:
                renamed.append(f"'{entry.filename}' as {name}")
            if entry.size and entry.size != (folder / name).stat().st_size:
                changed.append(name)
        if not self.sizes:
            first, count = missing[0].replace('\\', '/').split('/')[-1], len(entries)
            first = f"'{first}'" + (f", written as '{missing[0]}'" if first != missing[0] else '')
            found = f'none of its {count} images is in {folder} (the first: {first})'
            advice = 'name their folder after the annotation file'
            if '://' in missing[0]:
                advice = f'download the images, then {advice}'
            raise UserError(f'{annotation}: {found}; next: {advice}')
        self.findings = {
            'entries without an image': missing,
            'images of another size in bytes than VIA saw': changed,
            'images found under another name': renamed,
            'images without an entry': [name for name in images.images() if name not in self.sizes],
        }
        self.incomplete = bool(missing or changed)

    def class_of(self, attributes, key):
        """The class that the attributes of a region give under ``key``, or None."""
        return region_class(attributes, key, self.options.get(key, {}))


def convert(args, load):
    """Convert what the arguments of a command name, and write the COCO files, all or none.

    load: function from (annotation, image folder or None) to a Source.
    """
    jobs = plan(args, load)
    for path in jobs:
        check_own(path)
    sources = list(dict.fromkeys(source for source, _ in jobs.values()))
    values = attribute_values(sources)
    classes = choose_classes(args, sources[0].annotation, values)
    results, reports, key = {}, {}, args.class_attribute
    for path, (source, entries) in jobs.items():
        class_of = partial(source.class_of, key=key) if key else None
        coco, report = via_to_coco(entries, source.sizes, classes, class_of, args.drop_empty)
        results[path], reports[path] = coco, report
    print(table(reports))
    check(args, [(jobs[path][0], report) for path, report in reports.items()], values)
    texts = {path: to_json(path, coco) for path, coco in results.items()}
    folders = {}
    if args.split:
        names = [[entry.filename for entry in entries] for _, entries in jobs.values()]
        folders = dict(zip([path.with_name(split) for path, split in zip(jobs, SPLITS)], names))
    with linked_images(sources[0].folder, folders):
        replace_files(texts)
    for path, coco in results.items():
        print(f'{path}: {len(coco["images"])} images, {len(coco["annotations"])} boxes')
    print(f'for the config: classes={tuple(classes)!r}')


def plan(args, load):
    """{COCO file to write: (Source, its entries for this file)}"""
    if not args.annotation:
        root = args.data_root or data_root()
        sources = {root / f'coco_{split}.json': load(root / split, None) for split in SPLITS}
        return {path: (source, source.entries) for path, source in sources.items()}
    source = load(args.annotation, args.images)
    folder = source.folder.resolve()
    root = args.data_root or data_root(folder.parent)
    if not args.split:
        return {args.out or root / f'coco_{folder.name}.json': (source, source.entries)}
    present = [entry for entry in source.entries if entry.filename in source.sizes]
    if len(present) < 2:
        found = f'{len(present)} image, but a split needs 2'
        raise UserError(f'{source.annotation}: {found}; next: add images')
    parts = zip(SPLITS, split_entries(present, args.split, args.seed))
    return {root / f'coco_{split}.json': (source, entries) for split, entries in parts}


def data_root(default='data/balloon'):
    return Path(os.environ.get('BALLOON_ROOT') or default)


def check_own(path):
    """Refuse to replace a file that ``to_json`` did not write."""
    if path.is_file():
        with open(path, 'rb') as file:
            if file.read(len(BEGINNING)) != BEGINNING:
                advice = 'move it away, or choose another place with --data-root or --out'
                raise UserError(f'{path}: not written by this command; next: {advice}')


def attribute_values(sources):
    """{region attribute: set of the classes in it} over all regions."""
    found = {}
    for source in sources:
        for region in (region for entry in source.entries for region in entry.regions):
            for key in region.attributes:
                found.setdefault(key, set()).add(source.class_of(region.attributes, key))
    return {key: classes - {None} for key, classes in found.items()}


def choose_classes(args, file, values):
    if args.classes or not args.class_attribute:
        return args.classes or [args.class_name]
    if args.class_attribute not in values:
        found = f"no region has a class in its attribute '{args.class_attribute}'"
        seen = f'attributes seen: {", ".join(sorted(values)) or "none"}'
        advice = 'name one of them, or drop --class-attribute'
        raise UserError(f'{file}: {found} ({seen}); next: {advice}')
    return sorted(values[args.class_attribute])


# The beginnings of the lines of the table, from the last one.
LINES = (
    'images left', 'skipped', '  clipped', 'converted', '  shape', 'regions', '  without', 'images'
)  # fmt: skip


def table(reports):
    """Table (str) of what became of images and regions; one column per file."""
    columns = []
    for report in reports.values():
        left_out = {'images left out: all their regions skipped': len(report.left_out)}
        skipped = {f'skipped: {reason}': n for reason, n in report.skipped.items()}
        columns.append(Counter(report.counts | skipped | left_out))
    labels = {label for column in columns for label in +column}
    labels = sorted(labels, key=lambda label: ([label.startswith(line) for line in LINES], label))
    rows = [('', [path.stem.removeprefix('coco_') for path in reports])]
    rows += [(label, [column[label] for column in columns]) for label in labels]
    width = max(len(label) for label in labels)
    cells = [f'{label:{width}}' + ''.join(f'  {c!s:>9}' for c in counts) for label, counts in rows]
    return '\n'.join(cells)


# Beginning of a reason -> what to do where it is the most common one.
LIKELY_CAUSES = {
    'no single class': 'is --class-attribute the right attribute?',
    'class ': 'does --classes name all classes?',
    'wholly outside': 'are these the images that were annotated, at the same size?',
    'its image is missing': 'is this the folder of the images that were annotated?',
    'a shape without area': 'points have no box: draw rectangles or polygons',
    'a line without area': 'a line has no box: draw rectangles or polygons',
    'broken': 'was the file written by another program than VIA?',
}


def check(args, results, values):
    """Print what a person should know, and refuse what cannot be meant.

    results: [(Source, Report)]. values: from attribute_values.
    """
    first, skipped = {}, Counter()
    for source, report in results:
        skipped += report.skipped
        for reason, where in report.examples.items():
            first.setdefault(reason, f'skipped, {reason}: first in {source.annotation}, {where}')
    notes, sources = [*first.values()], dict.fromkeys(source for source, _ in results)
    for source in sources:
        notes += [listed(what, names) for what, names in source.findings.items() if names]
    file = results[0][0].annotation
    if args.strict and (skipped or any(source.incomplete for source in sources)):
        found = [f'{skipped.total()} regions skipped', *notes] if skipped else notes
        raise UserError(f'{file}: {"; ".join(found)}; next: correct these, or drop --strict')
    for source, report in results:
        regions = report.counts['regions']
        if regions and not report.counts['converted']:
            reason, cause = likely_cause(report.skipped)
            found = f'{reason}, first {report.examples[reason]}'
            what = f'all {regions} regions were skipped ({found})'
            raise UserError(f'{source.annotation}: {what}; next: {cause}')
    left_out = [name for _, report in results for name in report.left_out]
    if left_out:
        notes.append(listed('images left out', left_out))
    for key, classes in values.items():
        if len(classes) > 1 and not args.class_attribute:
            what = listed(f"values of attribute '{key}'", sorted(classes), most=8)
            notes.append(f'{what}; for a class each, pass --class-attribute {key}')
    for note in notes:
        print(f'note: {note}')
    regions = sum(report.counts['regions'] for _, report in results)
    if skipped.total() > regions / 2:
        reason, cause = likely_cause(skipped)
        print(f'warning: {skipped.total()} of {regions} regions skipped ({reason}): {cause}')


def likely_cause(skipped):
    """(the most common reason, what to do about it)"""
    reason = max(skipped, key=skipped.get)
    causes = [cause for start, cause in LIKELY_CAUSES.items() if reason.startswith(start)]
    return reason, causes[0] if causes else 'look at this region'


def listed(what, names, most=5):
    """'2 entries without an image: a.jpg, b.jpg'."""
    more = f' and {len(names) - most} more' if len(names) > most else ''
    return f'{len(names)} {what}: {", ".join(names[:most])}{more}'


def to_json(path, coco):
    """COCO JSON (bytes) for the file ``path``, with one annotation or image per line."""
    encode = json.JSONEncoder(ensure_ascii=False, separators=(',', ':')).encode
    text = BEGINNING.decode() + ',\n'.join(encode(a) for a in coco['annotations'])
    text += '],\n"images":[\n' + ',\n'.join(encode(image) for image in coco['images'])
    text += '],\n"categories":' + encode(coco['categories']) + '}\n'
    try:
        return text.encode('utf-8')
    except UnicodeEncodeError as error:
        near = text[error.start - 20 : error.end + 20].encode('ascii', 'backslashreplace').decode()
        found = f'a name has an invalid character (near {near})'
        raise UserError(f'{path}: {found}; next: correct it in the annotations') from None


def add_arguments(parser):
    """The arguments that both commands take."""
    add = parser.add_argument
    add(
        '--data-root',
        type=Path,
        help='for the COCO files (default: $BALLOON_ROOT, or above the images)',
    )
    add('--out', type=Path, help='file to write (default: DATA_ROOT/coco_<image folder>.json)')
    add('--classes', nargs='+', metavar='NAME', help='in the order of their ids (default: sorted)')
    add('--split', type=float, metavar='SHARE', help='link this share to train/, the rest to val/')
    add('--seed', type=int, default=0, help='random seed of the split (%(default)s)')
    add('--drop-empty', action='store_true', help='leave out images without regions')
    add('--strict', action='store_true', help='write nothing if anything is skipped or missing')


def check_arguments(parser, args):
    if args.split is not None and (not 0 < args.split < 1 or not args.annotation or args.out):
        parser.error('--split takes a number between 0 and 1, annotations, and no --out')
    if args.out and not args.annotation:
        parser.error('--out needs annotations')
    if args.classes and len(set(args.classes)) < len(args.classes):
        parser.error('--classes takes different names')
