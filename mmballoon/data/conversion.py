"""From annotation files and images to COCO files: what the two converting commands share."""

import json
import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

from mmballoon.data.convert import region_class, via_to_coco
from mmballoon.data.images import ImageFolder, image_size
from mmballoon.data.split import link_images, split_entries
from mmballoon.errors import UserError


class Source:
    """Annotations and the folder of their images, read and matched.

    entries: those of the file, with the names of the files in the folder. sizes: {name: (width,
    height)}. notes: lines about names and files that do not fit.
    """

    def __init__(self, annotation, folder, read):
        self.annotation, self.folder = annotation, folder
        entries, self.options = read(annotation)
        if not entries:
            raise UserError(f'{annotation}: no image in it; next: annotate images and export again')
        images = ImageFolder(folder)
        self.entries, self.sizes = [], {}
        self.missing, self.changed, renamed = [], [], []
        for entry in entries:
            name = images.find(entry.filename)
            if name in self.sizes:
                raise UserError(
                    f"{annotation}: two entries mean the image '{name}'; next: remove one of them"
                )
            if name is None:
                self.missing.append(entry.filename)
                self.entries.append(entry)
                continue
            if name != entry.filename:
                renamed.append(f"'{entry.filename}' as {name}")
            path = folder / name
            self.entries.append(replace(entry, filename=name))
            self.sizes[name] = image_size(path)
            if entry.size and entry.size != path.stat().st_size:
                self.changed.append(name)
        if not self.sizes:
            raise UserError(
                f'{annotation}: none of its {len(entries)} images is in {folder} (the first: '
                f"'{entries[0].filename}'); next: name their folder after the annotation file"
            )
        unlisted = [name for name in images.images() if name not in self.sizes]
        findings = {
            'entries without an image': self.missing,
            'images found under another name': renamed,
            'images of another size in bytes than VIA saw': self.changed,
            'images without an entry': unlisted,
        }
        self.notes = [listed(what, names) for what, names in findings.items() if names]

    def class_of(self, key):
        """Function from the attributes of a region to its class under ``key``."""
        options = self.options.get(key, {})
        return lambda attributes: region_class(attributes, key, options)

    def values(self):
        """{attribute: set of its values} over all regions, for attributes with text."""
        found = {}
        for entry in self.entries:
            for region in entry.regions:
                for key in region.attributes:
                    value = self.class_of(key)(region.attributes)
                    if value:
                        found.setdefault(key, set()).add(value)
        return found


def listed(what, names, most=5):
    """'2 entries without an image: a.jpg, b.jpg'."""
    more = f' and {len(names) - most} more' if len(names) > most else ''
    return f'{len(names)} {what}: {", ".join(names[:most])}{more}'


def plan(args, load):
    """(data root, {file to write: (Source, entries)}, {split: entries} whose images are to be linked)."""
    if not args.annotation:
        root = args.data_root or Path(os.environ.get('BALLOON_ROOT') or 'data/balloon')
        sources = {split: load(root / split) for split in ('train', 'val')}
        jobs = {root / f'coco_{split}.json': (s, s.entries) for split, s in sources.items()}
        return root, jobs, {}
    source = load(args.annotation, args.images)
    root = args.data_root or source.folder.resolve().parent
    if not args.split:
        out = args.out or root / f'coco_{source.folder.resolve().name}.json'
        return root, {out: (source, source.entries)}, {}
    present = [entry for entry in source.entries if entry.filename in source.sizes]
    if len(present) < 2:
        raise UserError(
            f'{source.annotation}: {len(present)} image, but a split needs 2; next: add images'
        )
    splits = dict(zip(('train', 'val'), split_entries(present, args.split, args.seed)))
    jobs = {root / f'coco_{name}.json': (source, part) for name, part in splits.items()}
    return root, jobs, splits


def choose_classes(args, sources):
    if args.classes or not args.class_attribute:
        return args.classes or [args.class_name]
    values = [source.values() for source in sources]
    names = set().union(*(found.get(args.class_attribute, ()) for found in values))
    if not names:
        seen = sorted(
            {key for s in sources for e in s.entries for r in e.regions for key in r.attributes}
        )
        raise UserError(
            f"{sources[0].annotation}: no region has a class in its attribute '{args.class_attribute}' "
            f'(attributes seen: {", ".join(seen) or "none"}); next: name one of them, or drop '
            '--class-attribute'
        )
    return sorted(names)


def table(reports):
    """Table (str) of what became of images and regions; one column per file."""
    order = ('images', 'without', 'regions', 'shape', 'converted', 'clipped', 'skipped:')
    keys = {key for report in reports.values() for key in report.counts}
    rows = [('', [path.stem.removeprefix('coco_') for path in reports])]
    for key in sorted(keys, key=lambda key: (order.index(key.split(' ')[0]), key)):
        indent = '' if key in ('images', 'regions', 'converted') or key[:4] == 'skip' else '  '
        rows.append((indent + key, [report.counts[key] for report in reports.values()]))
    if any(report.left_out for report in reports.values()):
        counts = [len(report.left_out) for report in reports.values()]
        rows.append(('images left out: all their regions skipped', counts))
    width = max(len(label) for label, _ in rows)
    return '\n'.join(
        f'{label:{width}}' + ''.join(f'  {str(count):>9}' for count in counts)
        for label, counts in rows
    )


LIKELY_CAUSES = {
    'no single class in its attributes': 'is --class-attribute the right attribute?',
    'wholly outside the image': 'are these the images that were annotated, at the same size?',
    'a shape without area': 'points have no box: draw rectangles or polygons',
    'broken': 'was the file written by another program than VIA?',
}


def check(args, sources, reports):
    """Print what a person should know, and refuse what cannot be meant.

    Raises:
        UserError: nothing was converted; or, with --strict, anything was skipped.
    """
    file = sources[0].annotation
    counts = sum((report.counts for report in reports), Counter())
    regions, skipped = counts['regions'], sum(report.skipped for report in reports)
    examples = {reason: where for report in reports for reason, where in report.examples.items()}
    notes = [f'skipped, {reason}: first {where}' for reason, where in examples.items()]
    notes += [note for source in sources for note in source.notes]
    if args.strict and (skipped or any(s.missing or s.changed for s in sources)):
        found = '; '.join([f'{skipped} regions skipped', *notes])
        raise UserError(f'{file}: {found}; next: correct these, or drop --strict')
    reason = max(examples, key=lambda reason: counts[f'skipped: {reason}'], default='')
    cause = LIKELY_CAUSES.get(reason, 'look at the first of these regions')
    if regions and skipped == regions:
        raise UserError(
            f'{file}: all {regions} regions were skipped ({reason}, first {examples[reason]}); '
            f'next: {cause}'
        )
    left_out = [name for report in reports for name in report.left_out]
    if left_out:
        notes.append(listed('images left out', left_out))
    if not args.class_attribute:
        for key, values in sources[0].values().items():
            if len(values) > 1:
                what = listed(f"values of attribute '{key}'", sorted(values), most=8)
                notes.append(f'{what}; for a class each, pass --class-attribute {key}')
    for note in notes:
        print(f'note: {note}')
    if skipped > regions / 2:
        print(f'warning: {skipped} of {regions} regions skipped ({reason}): {cause}')


def write(path, coco):
    """Write COCO JSON to ``path``.part, one annotation or image per line; return that path."""
    part = path.with_name(path.name + '.part')
    part.parent.mkdir(parents=True, exist_ok=True)
    encode = json.JSONEncoder(ensure_ascii=False, separators=(',', ':')).encode
    text = '{"annotations":[\n' + ',\n'.join(encode(a) for a in coco['annotations'])
    text += '],\n"images":[\n' + ',\n'.join(encode(image) for image in coco['images'])
    text += '],\n"categories":' + encode(coco['categories']) + '}\n'
    try:
        part.write_bytes(text.encode('utf-8'))
    except UnicodeEncodeError as error:
        name = text[error.start - 20 : error.end + 20].encode('ascii', 'backslashreplace').decode()
        raise UserError(
            f'{path}: a name has an invalid character (near {name}); next: correct it in VIA'
        ) from None
    return part


def convert(args, load):
    """Convert what the arguments of a command name, and write the COCO files, all or none.

    load: function from (annotation, image folder or None) to a Source.

    Raises:
        UserError: anything that cannot be converted.
    """
    root, jobs, splits = plan(args, load)
    sources = list(dict.fromkeys(source for source, _ in jobs.values()))
    classes = choose_classes(args, sources)
    results, reports = {}, {}
    for path, (source, entries) in jobs.items():
        class_of = source.class_of(args.class_attribute) if args.class_attribute else None
        results[path], reports[path] = via_to_coco(
            entries, source.sizes, classes, class_of, args.drop_empty
        )
    print(table(reports))
    check(args, sources, list(reports.values()))
    try:
        parts = {path: write(path, coco) for path, coco in results.items()}
        for name, entries in splits.items():
            source = sources[0]
            link_images(source.folder, [entry.filename for entry in entries], root / name)
        for path, part in parts.items():
            os.replace(part, path)
    finally:
        for path in jobs:
            path.with_name(path.name + '.part').unlink(missing_ok=True)
    for path, coco in results.items():
        print(f'{path}: {len(coco["images"])} images, {len(coco["annotations"])} boxes')
    print(f'for the config: classes={tuple(classes)!r}')


def add_arguments(parser):
    """The arguments that both commands take."""
    add = parser.add_argument
    add('--data-root', type=Path, help='for the COCO files (default: the folder above the images)')
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
