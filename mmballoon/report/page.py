"""Puts the numbers, plots and images of the report into its template."""

import json
from importlib import resources

import numpy as np

from mmballoon.data.coco import STRIDES, network_sizes
from mmballoon.report import numbers, pictures

FILES = resources.files(__package__)
MAX_CARDS = 60  # failures that are shown; the JSON holds all of them


def plots(result, text):
    """{name: SVG} of the plots."""
    rows, best = result['threshold']['rows'], result['threshold']['best']
    drawn = {}
    if rows:
        scores = [row['score'] for row in rows]
        lines = [(name, scores, [row[name] for row in rows]) for name in ('precision', 'recall')]
        lines.append(('F1', scores, [row['f1'] for row in rows]))
        mark = best and best['score']
        drawn['threshold'] = pictures.line_plot(lines, 'score threshold', '', mark)
        x = np.linspace(0, 1, 101)
        lines = [
            (f'IoU {iou}', x, result['curves'][f'pr@{iou}']) for iou in ('0.50', '0.75', '0.90')
        ]
        drawn['pr'] = pictures.line_plot(lines, 'recall', 'precision')
        bins = [b for b in result['calibration']['bins'] if b['count']]
        lines = [
            ('detections', [b['avg_confidence'] for b in bins], [b['avg_accuracy'] for b in bins]),
            ('perfectly calibrated', [0, 1], [0, 1]),
        ]
        drawn['calibration'] = pictures.line_plot(lines, 'score', 'fraction of hits')
    return drawn


def images(part, result, side):
    """[{...}] of one card per image, lowest F1 first; boxes [x, y, width, height] in pixels."""
    cards = []
    for key, image in part.images.items():
        counts = result['per_image'].get(key, dict(tp=0, fp=0, fn=0, f1=None))
        if not counts['tp'] + counts['fp'] + counts['fn']:
            counts = dict(counts, f1=1.0)  # nothing to find and nothing found
        card = dict(id=key, name=image['file_name'], width=image['width'], height=image['height'])
        card.update(counts, truth=[a['bbox'] for a in part.boxes.get(key, ())])
        card['found'] = [d for d in result['shown'] if d['image_id'] == key]
        card['url'] = pictures.data_url(part.folder / image['file_name'], side)
        cards.append(card)
    return sorted(cards, key=lambda card: (card['f1'], card['name']))


def crop(failure, image):
    """[x, y, width, height] around a failure's boxes, in pixels, with room on every side."""
    boxes = [box for box in (failure['box'], failure['truth']) if box]
    left, top = min(b[0] for b in boxes), min(b[1] for b in boxes)
    right, bottom = max(b[0] + b[2] for b in boxes), max(b[1] + b[3] for b in boxes)
    side = min(max(1.8 * max(right - left, bottom - top), 64), max(image['width'], image['height']))
    return [(left + right - side) / 2, (top + bottom - side) / 2, side, side]


def object_sizes(part, img_size):
    """[(range, objects)]: the objects by the network's strides, in pixels of its input."""
    edges = (0, *STRIDES, 64, 128, 256, float('inf'))
    sizes = np.array(network_sizes(part, img_size))
    return [
        (low, high, int(((sizes >= low) & (sizes < high)).sum()))
        for low, high in zip(edges, edges[1:])
    ]


def render(result, part, lang):
    """The page (str) in ``lang``, 'en' or 'zh'. Names of files and classes are escaped as text."""
    from jinja2 import Environment
    from markupsafe import Markup

    def read(name):
        return (FILES / name).read_text(encoding='utf-8')

    text = json.loads(read(f'{lang}.json'))
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters['figure'] = lambda value: '–' if value is None else f'{value:.3f}'
    environment.filters['boxes'] = lambda box: ' '.join(f'{v:.1f}' for v in box)
    cards = images(part, result, 960 if len(part.images) <= 60 else 360)
    by_id = {card['id']: card for card in cards}
    shown = result['failures'][:MAX_CARDS]
    for failure in shown:
        failure['view'] = crop(failure, by_id[failure['image_id']])
    return environment.from_string(read('template.html')).render(
        t=text,
        lang=lang,
        r=result,
        cards=cards,
        by_id=by_id,
        names=part.names,
        shown=shown,
        kinds=numbers.KINDS,
        sizes=object_sizes(part, result['made']['img_size']),
        plots={name: Markup(svg) for name, svg in plots(result, text).items()},
        style=Markup(read('style.css')),
        script=Markup(read('script.js')),
        curve=[
            [row[k] for k in ('score', 'tp', 'fp', 'fn')] for row in result['threshold']['rows']
        ],
    )
