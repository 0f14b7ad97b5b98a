"""From annotation files and images to COCO files: what the two converting commands share."""

import json
import os
from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random

from mmballoon.cli import UserError, plain
from mmballoon.data.coco import BEGINNING, is_own
from mmballoon.data.files import linked_images, replace_files
from mmballoon.data.images import TURNED, ImageFolder, read_size
from mmballoon.data.shapes import short
from mmballoon.data.to_coco import to_coco
from mmballoon.data.via_project import MARKS

SPLITS = ('train', 'val')
SHARES = 1, 1  # the size of an image whose coordinates are shares of its width and height
FINDINGS = MISSING, AMBIGUOUS, CHANGED, RENAMED, RESIZED, UNUSED = (
    'entries without an image',
    'ambiguous entries, which several images could be',
    'images of another size in bytes than VIA saw',
    'images found under another name',
    'images of another size than the annotations state',
    'images without an entry',
)


class Source:
    """Annotations and the folders of their images, read and matched.

    entries: with the names of the files below ``base``, and regions in pixels of these. sizes: {name:
    (width, height)}. classes: that the source lists. findings: {kind: names that do not fit}.
    """

    def __init__(self, annotation, entries, base, folders=None, options=(), classes=(), notes=()):
        self.annotation, self.base, self.options = annotation, base, dict(options)
        self.classes, self.notes, self.entries, self.sizes = list(classes), list(notes), [], {}
        for folder in folders or [base]:
            if not folder.is_dir():
                raise UserError(folder, 'no such folder', 'name the folder of the images')
        if not entries:
            raise UserError(annotation, 'no image in it', 'annotate images and export again')
        images, self.findings = ImageFolder(base, folders), {kind: [] for kind in FINDINGS}
        for entry in entries:
            names = images.find(entry.filename, entry.label)
            if len(names) > 1 and entry.pixels == SHARES:  # a label of YOLO: of one image for sure
                found = f'ambiguous: {" and ".join(names[:3])} have its name'
                raise UserError(entry.label, found, 'rename one of them, with its label')
            if len(names) != 1:
                self.findings[AMBIGUOUS if names else MISSING].append(entry.filename)
                # It may have the name of another image, which its regions do not belong to.
                self.entries.append(replace(entry, filename=str(entry.label or entry.filename)))
                continue
            (name,) = names
            if name in self.sizes:
                found = f"two entries mean the image '{name}'"
                raise UserError(annotation, found, 'remove one of them')
            self.sizes[name], turn = read_size(base / name)
            if name != entry.filename and entry.pixels != SHARES:
                self.findings[RENAMED].append(f"'{entry.filename}' as {name}")
            if entry.size and entry.size != (base / name).stat().st_size:
                self.findings[CHANGED].append(name)
            self.findings[RESIZED] += to_pixels(entry, name, self.sizes[name], turn)
            self.entries.append(replace(entry, filename=name))
        if not self.sizes:
            self._refuse(len(entries))
        regions = [region for entry in self.entries for region in entry.regions]
        outlines = [points for region in regions for points in region.outlines if points]
        if max(map(max, outlines), default=2) <= 1 and any(v % 1 for o in outlines for v in o):
            found = 'all its coordinates are below 1: shares of width and height, and not pixels?'
            raise UserError(annotation, found, 'export it with pixels')
        self.findings[UNUSED] = [name for name in images.images() if name not in self.sizes]

    def _refuse(self, count):
        """Refuse annotations of which no image is there."""
        name = (self.findings[MISSING] or self.findings[AMBIGUOUS])[0]
        last = name.replace('\\', '/').split('/')[-1]
        first = f"'{last}'" + (f", written as '{name}'" if last != name else '')
        found = f'none of its {count} images is in {self.base} (the first: {first})'
        advice = 'name their folder after the annotation file'
        if not self.findings[MISSING]:
            found, advice = f'{first} is ambiguous: several images have this name', 'rename them'
        elif '://' in name:
            advice = f'download the images, then {advice}'
        raise UserError(self.annotation, found, advice)

    def text_of(self, attributes, key):
        """The text that the attributes of a region give under ``key``, trimmed, or None without exactly one.

        The id of an option (radio button, dropdown) becomes its name. Of a checkbox group ({id: true,
        ...}), the one that is ticked counts.
        """
        value = attributes.get(key)
        if isinstance(value, dict):
            ticked = [option for option, on in value.items() if on and on != 'false']
            value = ticked[0] if len(ticked) == 1 else None
        if value is None or isinstance(value, (bool, list, dict)):
            return None
        name = str(value).strip()
        return self.options.get(key, {}).get(name, name) or None


def to_pixels(entry, name, size, turn):
    """Turn the coordinates of an entry into pixels of its image; returns what was done, [str] or [].

    size: (width, height) of the image as MMDetection sees it. turn: its EXIF orientation.
    """
    outlines = [points for region in entry.regions for points in region.outlines]
    other = [r for r in entry.regions if r.mask and tuple(r.mask['size']) != size[::-1]]
    # Masks state a size, too, if they agree.
    sizes = {tuple(r.mask['size'][::-1]) for r in entry.regions if r.mask}
    stated = entry.pixels or (sizes.pop() if len(sizes) == 1 else None)
    for region in other:
        if not stated:
            found = short(region.mask['size'])
            region.problem = 'broken: a mask of another size than its image', found
        region.mask = None
    lost = f', {len(other)} masks replaced by their boxes' if other else ''
    if stated in (None, size):
        return []
    width, height = stated
    done = 'scaled'
    if turn in TURNED and (width > height) != (size[0] > size[1]):
        done = 'turned by the EXIF orientation'
        for points in outlines:  # drawn on the image as it is stored
            xs, ys = points[::2], points[1::2]
            points[::2] = [height - y for y in ys] if turn in (6, 7) else ys
            points[1::2] = [width - x for x in xs] if turn in (7, 8) else xs
        width, height = height, width
    elif stated == size[::-1] and stated != SHARES:
        done = 'as they are: width and height seem exchanged'
        width, height = size
    for points in outlines:
        points[::2] = [x * size[0] / width for x in points[::2]]
        points[1::2] = [y * size[1] / height for y in points[1::2]]
    sizes = f'{stated[0]} x {stated[1]} in the annotations, {size[0]} x {size[1]} in the image'
    return [] if stated == SHARES else [f'{name} ({sizes}; boxes {done}{lost})']


def convert(args, sources, link=False):
    """Convert sources, and write the COCO files, all or none.

    sources: {COCO file: Source}, each for one split; with --split, there is only one. link: give the
    images a second name in a folder beside their COCO file.
    """
    jobs = {path: (source, source.entries) for path, source in sources.items()}
    if args.split:
        ((path, source),) = sources.items()
        present = [entry for entry in source.entries if entry.filename in source.sizes]
        if len(present) < 2:
            found = f'{len(present)} image, but a split needs 2'
            raise UserError(source.annotation, found, 'add images')
        parts = zip(SPLITS, split_entries(present, args.split, args.seed))
        jobs = {path.with_name(f'coco_{split}.json'): (source, part) for split, part in parts}
    for path in jobs:
        if path.is_file() and not is_own(path):
            advice = 'move it away, or choose another place with --data-root or --out'
            raise UserError(path, 'not written by this command', advice)
    classes, notes = choose_classes(args, list(sources.values()))
    tallies = {
        path: to_coco(source, entries, classes, args.class_attribute, args.drop_empty)
        for path, (source, entries) in jobs.items()
    }
    print(table(tallies))
    say(args, tallies.values(), notes)
    for name in classes:
        without = [path for path, tally in tallies.items() if not tally.boxes[name]]
        skipped = sum(name == of for path in without for *_, of in tallies[path].skipped)
        if without:
            files = ' and '.join(path.stem.removeprefix('coco_') for path in without)
            why = f': all its {skipped} regions were skipped' if skipped else ''
            print(plain(f"note: class '{name}' has no box in {files}{why}"))
    texts = {path: to_json(path, tally.coco) for path, tally in tallies.items()}
    images = {
        path: (source.base, [e.filename for e in entries if e.filename in source.sizes])
        for path, (source, entries) in jobs.items()
    }
    used = [{(base / name).resolve() for name in names} for base, names in images.values()]
    if shared := sum(map(len, used)) - len(set().union(*used)):
        print(f'warning: {shared} images are in several splits: results on them are not valid')
    folders = {path.with_name(path.stem.removeprefix('coco_')): images[path] for path in images}
    if not args.split:  # the images may be where they have to be
        folders = {path: item for path, item in folders.items() if link and item[0] != path}
    with linked_images(folders):
        replace_files(texts)
    for path, tally in tallies.items():
        counts = f'{len(tally.coco["images"])} images, {len(tally.coco["annotations"])} boxes'
        print(f'{path}: {counts}')
    print(f'for the config: classes={tuple(classes)!r}')


def split_entries(entries, fraction, seed):
    """(train, val) entries, with the same share of images for each number of regions.

    fraction: the share of train, from 0 to 1.

    Images are sorted by their number of regions, in random order where it is equal, and then dealt
    out in turn. Each split gets at least one image.
    """
    order = sorted(entries, key=lambda entry: (len(entry.regions), entry.filename))
    rng = Random(seed)
    order.sort(key=lambda entry: (len(entry.regions), rng.random()))
    offset, val_share = rng.random(), 1 - fraction
    sums = [int(i * val_share + offset) for i in range(len(order) + 1)]
    in_val = [after > before for before, after in zip(sums, sums[1:])]
    if not any(in_val):
        in_val[rng.randrange(len(order))] = True
    if all(in_val):
        in_val[rng.randrange(len(order))] = False
    val_names = {entry.filename for entry, chosen in zip(order, in_val) if chosen}
    train = [entry for entry in entries if entry.filename not in val_names]
    return train, [entry for entry in entries if entry.filename in val_names]


def data_root(args, default='data/balloon'):
    return args.data_root or Path(os.environ.get('BALLOON_ROOT') or default)


def choose_classes(args, sources):
    """(class names in the order of their ids, lines for a person)"""
    values = {}  # region attribute -> how often it has each text, or None where it has no single one
    for source in sources:
        regions = [region for entry in source.entries for region in entry.regions]
        for key in dict.fromkeys(key for region in regions for key in region.attributes):
            texts = [source.text_of(region.attributes, key) for region in regions]
            values.setdefault(key, Counter()).update(texts)
    key, notes = args.class_attribute, []
    if key:
        lists = [source.classes or source.options.get(key, {}).values() for source in sources]
        known = dict.fromkeys(name for names in lists for name in names)
        if key not in values and not known and not args.classes:
            found = f"no region has a class in its attribute '{key}'"
            seen = f'attributes seen: {", ".join(sorted(values)) or "none"}'
            advice = 'name one of them, or drop --class-attribute' if values else 'pass --classes'
            raise UserError(sources[0].annotation, f'{found} ({seen})', advice)
        others = sorted(values.get(key, {}).keys() - {None, *known})
        return args.classes or [*known, *others], notes
    name, values = args.class_name, {k: v for k, v in values.items() if k not in MARKS}
    for key, counts in values.items():
        texts = sorted(counts.keys() - {None})
        advice = f'for a class each, pass --class-attribute {key}'
        if len(texts) == 1 and None not in counts and len(values) == 1 and name is None:
            name = texts[0]
            advice = 'so is the class; --class-name gives it another name'
        if texts:
            notes.append(f'{listed(f"values of attribute {key!r}", texts, most=8)}; {advice}')
    return [name or 'balloon'], notes


# The lines of the table, in order; longer lines that begin with one of these stand behind it.
LINES = (
    'images', '  without', 'regions', '  shape', 'converted', '  clipped', 'skipped', 'left out'
)  # fmt: skip


def table(tallies):
    """Table (str) of what became of images and regions; one column per file."""
    columns = [tally.counts for tally in tallies.values()]
    labels = {label for column in columns for label in column}
    labels = [label for line in LINES for label in sorted(labels) if label.startswith(line)]
    rows = [('', [path.stem.removeprefix('coco_') for path in tallies])]
    rows += [(plain(label), [column[label] for column in columns]) for label in labels]
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
    'broken: the numbers': 'export them as shares of the width and height, not in pixels',
    'broken': 'correct this region, or export the file again',
}


def say(args, tallies, notes):
    """Print what a person should know, and refuse a result that cannot be right. notes: more lines."""
    sources = dict.fromkeys(tally.source for tally in tallies)
    file, unseen = next(iter(sources)).annotation, sum((t.suggested for t in tallies), Counter())
    if unseen and not args.accept_suggestions:
        found = f'{unseen.total()} suggestions in {len(unseen)} images are not reviewed'
        found += f' ({", ".join(list(unseen)[:5])})'
        raise UserError(file, found, 'set their status to ok or wrong, or --accept-suggestions')
    skipped = [(r, f'{t.source.annotation}, {place}') for t in tallies for r, place, _ in t.skipped]
    first = dict(reversed(skipped))  # {reason: the first place}
    lines = [f'skipped, {reason}: first in {first[reason]}' for reason in dict(skipped)]
    for source in sources:
        lines += [listed(what, names) for what, names in source.findings.items() if names]
    absent = [source.findings[kind] for source in sources for kind in (MISSING, AMBIGUOUS, CHANGED)]
    if args.strict and (skipped or any(absent)):
        found = [f'{len(skipped)} regions skipped', *lines] if skipped else lines
        raise UserError(file, '; '.join(found), 'correct these, or drop --strict')
    for tally in tallies:
        regions = tally.counts['regions']
        if regions and not tally.counts['converted']:
            reason, cause = likely_cause(tally.skipped)
            place = next(place for other, place, _ in tally.skipped if other == reason)
            found = f'all {regions} regions were skipped ({reason}, first {place})'
            raise UserError(tally.source.annotation, found, cause)
    if left_out := [name for tally in tallies for name in tally.left_out]:
        lines.append(listed('images left out', left_out))
    for line in dict.fromkeys([*lines, *notes, *(n for source in sources for n in source.notes)]):
        print(f'note: {plain(line)}')
    regions = sum(tally.counts['regions'] for tally in tallies)
    clipped = sum(tally.counts['  clipped to the image'] for tally in tallies)
    if clipped > regions / 2:
        cause = 'are they in pixels, and boxes of COCO x, y, width, height?'
        print(f'warning: {clipped} of {regions} regions leave the image: {cause}')
    if len(skipped) > regions / 2:
        reason, cause = likely_cause(skipped)
        print(f'warning: {len(skipped)} of {regions} regions skipped ({reason}): {cause}')


def likely_cause(skipped):
    """(the most common reason, what to do about it)"""
    reason = Counter(reason for reason, *_ in skipped).most_common(1)[0][0]
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
    info = f'"info":{encode(coco["info"])},' if 'info' in coco else ''
    text += f'],\n{info}"categories":' + encode(coco['categories']) + '}\n'
    try:
        return text.encode('utf-8')
    except UnicodeEncodeError as error:
        near = text[error.start - 20 : error.end + 20].encode('ascii', 'backslashreplace').decode()
        found = f'a name has an invalid character (near {near})'
        raise UserError(path, found, 'correct it in the annotations') from None


def parse_arguments(parser, argv):
    """Add the arguments that both commands take, and parse; options may stand between the paths."""
    add = parser.add_argument
    add('--data-root', type=Path, help='for the COCO files ($BALLOON_ROOT, or above the images)')
    add('--out', type=Path, help='file to write (default: DATA_ROOT/coco_<image folder>.json)')
    add('--classes', nargs='+', metavar='NAME', help='in the order of their ids')
    add('--split', type=float, metavar='SHARE', help='link this share to train/, the rest to val/')
    add('--seed', type=int, default=0, help='random seed of the split (%(default)s)')
    add('--drop-empty', action='store_true', help='leave out images without regions')
    add('--accept-suggestions', action='store_true', help='take regions that nobody has reviewed')
    add('--strict', action='store_true', help='write nothing if anything is skipped or missing')
    args = parser.parse_intermixed_args(argv)
    if args.split is not None and (not 0 < args.split < 1 or not args.annotation or args.out):
        parser.error('--split takes a number between 0 and 1, annotations, and no --out')
    if args.out and not args.annotation:
        parser.error('--out needs annotations')
    if args.classes and len(set(args.classes)) < len(args.classes):
        parser.error('--classes takes different names')
    return args
