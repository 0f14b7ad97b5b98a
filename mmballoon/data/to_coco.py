"""VIA entries to COCO, in memory."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from mmballoon.data import shapes
from mmballoon.data.shapes import Skip, short
from mmballoon.data.via import Entry


@dataclass
class Report:
    """What became of the images and regions.

    counts: {line of the table: number}. skipped: {reason: number of regions}. examples: {reason: the
    first such region}. left_out: names of the images whose regions were all skipped.
    """

    counts: Counter = field(default_factory=Counter)
    skipped: Counter = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)


def region_class(attributes: dict, key: str, options: dict) -> str | None:
    """The class name that the attributes of a region give under ``key``, or None without exactly one.

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


def via_to_coco(
    entries: Iterable[Entry],
    image_sizes: dict[str, tuple[int, int]],
    classes: list[str],
    class_of: Callable[[dict], str | None] | None = None,
    drop_empty: bool = False,
) -> tuple[dict, Report]:
    """COCO (dict) of VIA entries, and a Report.

    Image and annotation ids count from 1 in the order of the entries, category ids in the order of
    ``classes``. An image without regions is kept as a negative, unless ``drop_empty``. An image whose
    regions were all skipped is left out: it would be a wrong negative.

    image_sizes: {file name: (width, height) in pixels}; entries without one are skipped.
    class_of: function from the attributes of a region to a class name or None; by default every
        region has the first class.
    """
    report, images, annotations = Report(), [], []
    for entry in entries:
        size, found = image_sizes.get(entry.filename), []
        for number, region in enumerate(entry.regions):
            report.counts.update(['regions', f'  shape {region.shape:.20}'])
            try:
                name = class_of(region.attributes) if class_of else classes[0]
                found.append(_annotation(region, size, name, classes))
            except Skip as skip:
                reason, *found_there = skip.args
                report.skipped[reason] += 1
                details = ''.join(f', found {value}' for value in found_there)
                where = f"image '{entry.filename}', region {number}{details}"
                report.examples.setdefault(reason, where)
                continue
            report.counts['converted'] += 1
            if found[-1]['segmentation'][0] is not region.polygon:
                report.counts['  clipped to the image'] += 1
        if size is None or (drop_empty and not entry.regions):
            continue
        if entry.regions and not found:
            report.left_out.append(entry.filename)
            continue
        report.counts.update(['images'] if found else ['images', '  without regions'])
        image_id = len(images) + 1
        images.append(dict(id=image_id, file_name=entry.filename, width=size[0], height=size[1]))
        for annotation in found:
            annotations.append(dict(id=len(annotations) + 1, image_id=image_id, **annotation))
    categories = [dict(id=i, name=name, supercategory='') for i, name in enumerate(classes, 1)]
    return dict(images=images, annotations=annotations, categories=categories), report


def _annotation(region, size, name, classes):
    """COCO annotation (dict, without its ids) of a region; its polygon is clipped to the image.

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
    distinct = len(set(zip(region.polygon[::2], region.polygon[1::2])))
    crosses = shapes.crosses_itself(region.polygon)
    if distinct < 3 or (shapes.polygon_area(region.polygon) < shapes.TINY and not crosses):
        if region.shape == 'polyline' and distinct > 1:
            raise Skip('a line without area')
        raise Skip('fewer than 3 distinct points' if distinct < 3 else 'zero area')
    polygon = shapes.clip_polygon(region.polygon, *size)
    if len(polygon) < 6 or not all(shapes.polygon_box(polygon)[2:]):
        raise Skip('wholly outside the image')
    x, y, width, height = shapes.polygon_box(polygon)
    area = shapes.polygon_area(polygon)
    if crosses:
        # COCO's own rule: the pixels inside. It needs numpy, which other outlines do not.
        from pycocotools import mask

        area = float(mask.area(mask.frPyObjects([polygon], *size[::-1]))[0])
    return dict(
        category_id=classes.index(name) + 1,
        bbox=[x, y, width, height],
        area=min(area, width * height),  # a polygon that winds around twice has twice its area
        iscrowd=0,
        segmentation=[polygon],
    )
