"""Entries with regions to COCO, in memory."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from mmballoon.data import shapes
from mmballoon.data.shapes import Skip, short
from mmballoon.data.via import Entry


@dataclass
class Tally:
    """What became of the images and regions of one COCO file.

    counts: {line of the table: number}. skipped: {reason: number of regions}. examples: {reason: the
    first such region}. left_out: names of the images whose regions were all skipped. classes: {name:
    number of regions}, before any of them was skipped; boxes: after it. suggested: {image: number}.
    """

    counts: Counter = field(default_factory=Counter)
    skipped: Counter = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    classes: Counter = field(default_factory=Counter)
    boxes: Counter = field(default_factory=Counter)
    suggested: Counter = field(default_factory=Counter)


def attribute_text(attributes: dict, key: str, options: dict) -> str | None:
    """The text that the attributes of a region give under ``key``, or None without exactly one.

    Text is trimmed. The id of an option (radio button, dropdown) becomes its name, from ``options``
    ({id: name}). Of a checkbox group ({id: true, ...}) the one that is ticked counts.
    """
    value = attributes.get(key)
    if isinstance(value, dict):
        ticked = [option for option, on in value.items() if on and on != 'false']
        value = ticked[0] if len(ticked) == 1 else None
    if value is None or isinstance(value, (bool, list, dict)):
        return None
    name = str(value).strip()
    return options.get(name, name) or None


def to_coco(
    entries: Iterable[Entry],
    image_sizes: dict[str, tuple[int, int]],
    classes: list[str],
    text_of: Callable[[dict, str], str | None],
    class_attribute: str | None = None,
    drop_empty: bool = False,
) -> tuple[dict, Tally]:
    """COCO (dict) of entries, and a Tally.

    Image and annotation ids count from 1 in the order of the entries, category ids in the order of
    ``classes``. An image without regions is kept as a negative, unless ``drop_empty``. An image whose
    regions were all skipped is left out: it would be a wrong negative. Regions that a person has
    marked as wrong (their attribute ``status``, if it is not that of the class) are no regions.

    image_sizes: {file name: (width, height) in pixels}; entries without one are skipped.
    text_of: function from the attributes of a region and a key to a text or None.
    class_attribute: the key of the class; by default every region has the first class.
    """
    tally, images, annotations = Tally(), [], []
    for entry in entries:
        size, kept = image_sizes.get(entry.filename), []
        status = [set() for _ in entry.regions]
        if class_attribute != 'status':
            status = [_status(region.attributes, text_of) for region in entry.regions]
        wrong = sum('wrong' in marks for marks in status)
        tally.counts['left out: regions whose status is wrong'] += wrong
        tally.suggested[entry.filename] += sum('suggested' in marks for marks in status)
        for number, region in enumerate(entry.regions):
            if 'wrong' in status[number]:
                continue
            tally.counts.update(['regions', f'  shape {region.shape:.20}'])
            name = text_of(region.attributes, class_attribute) if class_attribute else classes[0]
            tally.classes[name] += 1
            try:
                kept.append(_annotation(region, size, name, classes))
            except Skip as skip:
                reason, value = (*skip.args, '')[:2]
                where = f"image '{entry.filename}', region {number}"
                tally.skipped[reason] += 1
                tally.examples.setdefault(reason, f'{where}, found {value}' if value else where)
                continue
            tally.counts['converted'] += 1
            tally.boxes[name] += 1
            # clip_polygon gives back the very list that it was given where nothing is cut off.
            parts = kept[-1]['segmentation'] if region.mask is None else region.outlines
            if any(part not in region.outlines for part in parts):
                tally.counts['  clipped to the image'] += 1
        if size is None or (drop_empty and len(entry.regions) == wrong):
            continue
        if len(entry.regions) > wrong and not kept:
            tally.left_out.append(entry.filename)
            continue
        tally.counts.update(['images'] if kept else ['images', '  without regions'])
        image_id = len(images) + 1
        images.append(dict(id=image_id, file_name=entry.filename, width=size[0], height=size[1]))
        for annotation in kept:
            annotations.append(dict(id=len(annotations) + 1, image_id=image_id, **annotation))
    categories = [dict(id=i, name=name, supercategory='') for i, name in enumerate(classes, 1)]
    return dict(images=images, annotations=annotations, categories=categories), tally


def _status(attributes, text_of):
    """The id and the text of a region's status (set), in lower case: people can translate the texts."""
    marks = attributes.get('status'), text_of(attributes, 'status')
    return {str(mark).strip().casefold() for mark in marks}


def _annotation(region, size, name, classes):
    """COCO annotation (dict, without its ids) of a region; its outlines are clipped to the image.

    Raises:
        Skip: the region has no box in this image, or no class.
    """
    if size is None:
        raise Skip('its image is missing')
    if region.problem:
        raise Skip(*region.problem)
    if name is None:
        raise Skip('no single class in its attributes')
    if name not in classes:
        raise Skip(f'class {short(name)} not in --classes')
    if region.mask:
        box, area, outline = _of_mask(region.mask)
    else:
        box, area, outline = _of_outlines(region, size)
    return dict(
        category_id=classes.index(name) + 1,
        bbox=box,
        area=min(area, box[2] * box[3]),  # a polygon that winds around twice has twice its area
        iscrowd=int(region.crowd),
        segmentation=outline,
    )


def _of_mask(mask):
    from pycocotools import mask as coco_mask

    encoded = dict(mask, counts=mask['counts'].encode())
    area, box = float(coco_mask.area(encoded)), [float(v) for v in coco_mask.toBbox(encoded)]
    if not area:
        raise Skip('zero area')
    return box, area, mask


def _of_outlines(region, size):
    """(box, area, outlines) of a region. Parts without an area in the image are left out.

    Raises:
        Skip: no part is left; the reason is that of the first part.
    """
    parts, skips, crosses = [], [], False
    for polygon in region.outlines:
        try:
            crosses |= _crosses(polygon, region.shape)
            part = shapes.clip_polygon(polygon, *size)
            if len(part) < 6 or not all(shapes.polygon_box(part)[2:]):
                raise Skip('wholly outside the image')
            parts.append(part)
        except Skip as skip:
            skips.append(skip)
    if not parts:
        raise skips[0]
    x, y, width, height = shapes.polygon_box([value for part in parts for value in part])
    if crosses or len(parts) > 1:
        # COCO's own rule: the pixels inside. It needs numpy, which other outlines do not.
        from pycocotools import mask

        area = float(mask.area(mask.merge(mask.frPyObjects(parts, *size[::-1]))))
    else:
        area = shapes.polygon_area(parts[0])
    if area < shapes.TINY:
        raise Skip('zero area')
    return [x, y, width, height], area, parts


def _crosses(polygon, shape):
    """Whether a polygon crosses itself. Raises Skip where it has no area."""
    distinct = len({*zip(polygon[::2], polygon[1::2])})
    crosses = shapes.crosses_itself(polygon)
    if distinct < 3 or (shapes.polygon_area(polygon) < shapes.TINY and not crosses):
        if shape == 'polyline' and distinct > 1:
            raise Skip('a line without area')
        raise Skip('fewer than 3 distinct points' if distinct < 3 else 'zero area')
    return crosses
