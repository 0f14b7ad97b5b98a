"""The images that a config tests on, with its classes by name, and detections on them."""

import os
from pathlib import Path

from mmballoon.cli import UserError
from mmballoon.data import coco
from mmballoon.data.coco import datasets
from mmballoon.train.rules.classes import class_names


def annotation_file(plain):
    return Path(plain.get('data_root') or '', plain.ann_file)


def load_split(dataset):
    """Split of a dataset in a config; a ConcatDataset gives the images of all its datasets.

    ``names`` {category id: name} are the config's classes in its order, which is that of the network's
    labels. A class that the file lacks gets an id of its own; the file's other categories are left out.
    """
    splits = [_load_classes(plain) for plain in datasets(dataset)]
    return splits[0] if len(splits) == 1 else _merge(splits)


def load_file(plain):
    """Split of a plain dataset, with all categories of its file."""
    folder = Path(plain.get('data_root') or '', plain.data_prefix.img)
    return coco.load(annotation_file(plain), folder)


def _load_classes(plain):
    split = load_file(plain)
    classes = class_names(plain) or list(split.names.values())
    words = [key for key in (*split.images, *split.names) if not isinstance(key, int)]
    if words:
        advice = 'python data_tools/import_annotations.py gives it numbers'
        raise UserError(annotation_file(plain), f'an id is no number ({words[0]!r})', advice)
    ids = {name: key for key, name in split.names.items()}
    if not ids.keys() & set(classes):
        advice = "make metainfo['classes'] in the config name categories of this file"
        raise UserError(annotation_file(plain), f'no category named {", ".join(classes)}', advice)
    free = 1 + max(split.names, default=0)
    split.left_out = {key for key, name in split.names.items() if name not in classes}
    boxes, split.boxes = split.boxes, {}
    for key, annotations in boxes.items():
        named = [(split.names[a['category_id']], a) for a in annotations]
        kept = [dict(a, category_id=ids[name]) for name, a in named if name in classes]
        if kept:
            split.boxes[key] = kept
    split.names = {ids.get(name, free + i): name for i, name in enumerate(classes)}
    return split


def _merge(splits):
    """One Split of several with the same classes; its folder is the one that holds all images.

    Where two of them use the same image id, all images get new ids, which none of them uses. A file that
    is listed twice, with the same boxes, is one image.
    """
    keys = [key for split in splits for key in split.images]
    first_free = max(keys) + 1 if len(set(keys)) < len(keys) else None
    merged = coco.Split('+'.join(split.name for split in splits), None, {}, {}, splits[0].names)
    ids, files = {name: key for key, name in merged.names.items()}, {}
    for split in splits:
        if ids.keys() != set(split.names.values()):
            found = f'its classes are {", ".join(split.names.values())}, and {", ".join(ids)} in another dataset'
            raise UserError(split.folder, found, "give both the same metainfo['classes']")
        for old, image in split.images.items():
            path = absolute(split.folder / image['file_name'])
            file = path.resolve()
            key = old if first_free is None else first_free + len(merged.images)
            boxes = [(a, ids[split.names[a['category_id']]]) for a in split.boxes.get(old, ())]
            boxes = [dict(a, image_id=key, category_id=category) for a, category in boxes]
            if file in files:
                if _corners(boxes) != _corners(merged.boxes.get(files[file], ())):
                    advice = 'keep one of its entries'
                    raise UserError(path, 'is listed twice, with other boxes', advice)
                continue
            files[file], merged.images[key] = key, dict(image, id=key, file_name=path)
            if boxes:
                merged.boxes[key] = boxes
        merged.problems += split.problems
        merged.left_out |= split.left_out
    merged.folder = common_folder([image['file_name'] for image in merged.images.values()])
    for image in merged.images.values():
        image['file_name'] = image['file_name'].relative_to(merged.folder).as_posix()
    return merged


def _corners(boxes):
    return sorted((a['category_id'], *a['bbox']) for a in boxes)


def image_files(split):
    """{path: image id} of the images, in their order."""
    return {split.folder / image['file_name']: key for key, image in split.images.items()}


def absolute(path):
    """A path without links to folders; a link to a file keeps its name."""
    return path.parent.resolve() / path.name


def common_folder(paths):
    return Path(os.path.commonpath([path.parent for path in paths]))


def to_coco(split):
    """COCO (dict); every annotation has an id from 1, an area and iscrowd."""
    annotations = []
    for a in split.annotations:
        usual = dict(area=a['bbox'][2] * a['bbox'][3], iscrowd=0)
        annotations.append(usual | a | dict(id=len(annotations) + 1))
    categories = [dict(id=key, name=name) for key, name in split.names.items()]
    return dict(images=list(split.images.values()), annotations=annotations, categories=categories)


def to_results(split, detections, classes):
    """COCO result dicts of detections by image.

    Args:
        detections: {image id: (boxes (K, 4), x1 y1 x2 y2 in pixels, scores (K), labels (K))}, arrays.
        classes: names of the labels; a detection of a class that the split does not have is left out.
    """
    ids = {name: key for key, name in split.names.items()}
    rows = []
    for key, columns in detections.items():
        for (x1, y1, x2, y2), score, label in zip(*(column.tolist() for column in columns)):
            if classes[label] in ids:
                row = dict(image_id=key, category_id=ids[classes[label]], score=score)
                rows.append(row | dict(bbox=[x1, y1, x2 - x1, y2 - y1]))
    return rows
