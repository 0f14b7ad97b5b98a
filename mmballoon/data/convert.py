"""VIA entries to COCO, in memory."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from mmballoon.data.shapes import TINY, clip_polygon, crosses_itself, polygon_area, polygon_box
from mmballoon.data.via import Entry, Region


@dataclass
class Report:
    """What became of the images and regions.

    counts: 'images', 'without regions', 'regions', 'shape <name>', 'converted', 'clipped to the
    image', 'skipped: <reason>'. examples: {reason: where it was seen first}. left_out: names of the
    images whose regions were all skipped.
    """

    counts: Counter = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)

    def skip(self, reason: str, where: str, detail: str = ''):
        self.counts[f'skipped: {reason}'] += 1
        self.examples.setdefault(reason, where + (f' ({detail:.100})' if detail else ''))

    @property
    def skipped(self) -> int:
        return sum(n for key, n in self.counts.items() if key.startswith('skipped: '))


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
    category_ids = {name: i for i, name in enumerate(classes, start=1)}
    for entry in entries:
        size = image_sizes.get(entry.filename)
        found = []
        for number, region in enumerate(entry.regions):
            report.counts.update(['regions', f'shape {region.shape:.20}'])
            where = f"image '{entry.filename}', region {number}"
            name = class_of(region.attributes) if class_of else classes[0]
            if size is None:
                report.skip('its image is missing', where)
            elif region.problem:
                report.skip('broken', where, region.problem)
            elif name is None:
                report.skip('no single class in its attributes', where)
            elif name not in category_ids:
                report.skip(f"class '{name:.40}' not in --classes", where)
            else:
                polygon, reason = fit(region, size)
                if reason:
                    report.skip(reason, where)
                    continue
                report.counts.update(['converted'])
                report.counts['clipped to the image'] += polygon is not region.polygon
                found.append(_annotation(polygon, size, category_ids[name]))
        if size is None or (drop_empty and not entry.regions):
            continue
        if entry.regions and not found:
            report.left_out.append(entry.filename)
            continue
        report.counts.update(['images'] if found else ['images', 'without regions'])
        image_id = len(images) + 1
        images.append(dict(id=image_id, file_name=entry.filename, width=size[0], height=size[1]))
        for annotation in found:
            annotations.append(dict(id=len(annotations) + 1, image_id=image_id, **annotation))
    categories = [dict(id=i, name=name, supercategory='') for name, i in category_ids.items()]
    return dict(images=images, annotations=annotations, categories=categories), report


def fit(region: Region, size: tuple[int, int]) -> tuple[list[float], str]:
    """(the polygon of a region clipped to the image, why it is skipped or '')."""
    polygon = region.polygon
    if polygon is None:
        return [], 'a shape without area'
    distinct = len(set(zip(polygon[::2], polygon[1::2])))
    if distinct < 3 or (polygon_area(polygon) < TINY and not crosses_itself(polygon)):
        if region.shape == 'polyline' and distinct > 1:
            return [], 'a line without area'
        return [], 'fewer than 3 distinct points' if distinct < 3 else 'zero area'
    inside = clip_polygon(polygon, *size)
    if len(inside) < 6 or not all(polygon_box(inside)[2:]):
        return [], 'wholly outside the image'
    return inside, ''


def _annotation(polygon, size, category_id):
    x, y, width, height = box = polygon_box(polygon)
    area = polygon_area(polygon)
    if crosses_itself(polygon):
        # COCO's own rule: the pixels inside. It needs numpy, which other outlines do not.
        from pycocotools import mask

        area = float(mask.area(mask.frPyObjects([polygon], *size[::-1]))[0])
    return dict(
        category_id=category_id,
        bbox=box,
        area=min(area, width * height),  # a polygon that winds around twice has twice its area
        iscrowd=0,
        segmentation=[polygon],
    )
