"""Entries with regions to COCO, in memory."""

from collections import Counter
from dataclasses import dataclass, field

from mmballoon.data import shapes
from mmballoon.data.shapes import Skip, short


@dataclass
class Tally:
    """One COCO file (dict) of a Source, and what became of its images and regions.

    counts: {line of the table: number}. boxes: {class: number}. skipped: [(reason, place, class)] of
    regions. left_out: names of the images whose regions were all skipped. suggested: {image: number}.
    """

    source: object
    coco: dict = field(default_factory=dict)
    counts: Counter = field(default_factory=Counter)
    boxes: Counter = field(default_factory=Counter)
    skipped: list[tuple] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    suggested: Counter = field(default_factory=Counter)


def to_coco(source, entries, classes, class_attribute=None, drop_empty=False) -> Tally:
    """COCO of some entries of a Source, in a Tally.

    Image and annotation ids count from 1 in the order of the entries, category ids in the order of
    ``classes``. An image without regions is kept as a negative, unless ``drop_empty``. An image whose
    regions were all skipped is left out: it would be a wrong negative. Regions that a person has
    marked as wrong (their attribute ``status``, if it is not that of the class) are no regions.

    class_attribute: the key of the class; by default every region has the first class.
    """
    tally, images, annotations = Tally(source), [], []
    key, text_of = class_attribute, source.text_of
    for entry in entries:
        size, kept, count = source.sizes.get(entry.filename), [], len(entry.regions)
        for number, region in enumerate(entry.regions):
            # The id of a status and its text: people can translate the texts.
            marks = region.attributes.get('status'), text_of(region.attributes, 'status')
            marks = {str(mark).strip().casefold() for mark in marks if key != 'status'}
            tally.suggested[entry.filename] += 'suggested' in marks
            if 'wrong' in marks:
                count -= 1
                tally.counts['left out: regions whose status is wrong'] += 1
                continue
            tally.counts.update(['regions', f'  shape {region.shape:.20}'])
            name = text_of(region.attributes, key) if key else classes[0]
            try:
                kept.append(_annotation(region, size, name, classes))
            except Skip as skip:
                reason, value = (*skip.args, '')[:2]  # not every Skip says what the file has there
                where = f"image '{entry.filename}', region {number}"
                where += f', found {value}' if value else ''
                tally.skipped.append((reason, where, name))
                tally.counts[f'skipped: {reason}'] += 1
                continue
            tally.counts['converted'] += 1
            tally.boxes[name] += 1
            # clip_polygon gives back the very list that it was given where nothing is cut off.
            parts = kept[-1]['segmentation'] if region.mask is None else region.outlines
            if any(part not in region.outlines for part in parts):
                tally.counts['  clipped to the image'] += 1
        if size is None or (drop_empty and not count):
            continue
        if count and not kept:
            tally.left_out.append(entry.filename)
            tally.counts['left out: images with all regions skipped'] += 1
            continue
        tally.counts.update(['images'] if kept else ['images', '  without regions'])
        image_id = len(images) + 1
        images.append(dict(id=image_id, file_name=entry.filename, width=size[0], height=size[1]))
        for annotation in kept:
            annotations.append(dict(id=len(annotations) + 1, image_id=image_id, **annotation))
    categories = [dict(id=i, name=name, supercategory='') for i, name in enumerate(classes, 1)]
    tally.coco = dict(images=images, annotations=annotations, categories=categories)
    if total := tally.suggested.total():
        tally.coco['info'] = dict(description=f'with {total} suggestions that nobody reviewed')
    return tally


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
        from pycocotools import mask

        encoded, outline = dict(region.mask, counts=region.mask['counts'].encode()), region.mask
        area, box = float(mask.area(encoded)), [float(v) for v in mask.toBbox(encoded)]
    else:
        box, area, outline = _of_outlines(region, size)
    if area < shapes.TINY:
        raise Skip('zero area')
    return dict(
        category_id=classes.index(name) + 1,
        bbox=box,
        area=min(area, box[2] * box[3]),  # a polygon that winds around twice has twice its area
        iscrowd=int(region.crowd),
        segmentation=outline,
    )


def _of_outlines(region, size):
    """(box, area, outlines) of a region. Parts without an area in the image are left out.

    Raises:
        Skip: no part is left; the reason is that of the first part.
    """
    parts, reasons, crosses = [], [], False
    for polygon in region.outlines:
        distinct = len({*zip(polygon[::2], polygon[1::2])})
        crossing = shapes.crosses_itself(polygon)
        if distinct < 3 or (shapes.polygon_area(polygon) < shapes.TINY and not crossing):
            is_line = region.shape == 'polyline' and distinct > 1
            reason = 'fewer than 3 distinct points' if distinct < 3 else 'zero area'
            reasons.append('a line without area' if is_line else reason)
            continue
        crosses |= crossing
        part = shapes.clip_polygon(polygon, *size)
        if len(part) < 6 or not all(shapes.polygon_box(part)[2:]):
            reasons.append('wholly outside the image')
        else:
            parts.append(part)
    if not parts:
        raise Skip(reasons[0])
    x, y, width, height = shapes.polygon_box([value for part in parts for value in part])
    if crosses or len(parts) > 1:
        # COCO's own rule: the pixels inside. It needs numpy, which other outlines do not.
        from pycocotools import mask

        area = float(mask.area(mask.merge(mask.frPyObjects(parts, *size[::-1]))))
    else:
        area = shapes.polygon_area(parts[0])
    return [x, y, width, height], area, parts
