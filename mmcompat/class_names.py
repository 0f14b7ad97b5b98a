"""A label is a class by its name: label i is the i-th class of the config, in every file.

Symptom:  mAP far too low, and wrong names in pictures, where a file has another order, or lacks a class
Cause:    get_cat_ids returns the ids of the given names in the file's order, without those it lacks;
          datasets and metrics take the position of an id for its label
Versions: mmdet <= 3.3.0
Upstream: https://github.com/open-mmlab/mmdetection/issues/1732, 4167, 9611, 10675
Delete:   when CocoDataset and CocoMetric ask for each name by itself

A class that the file lacks gets an id that the file does not use. So it keeps its place: it has no
objects there, its AP is not counted, and it may be predicted. pycocotools' own getCatIds is as before.
LVIS has a loader of its own, and is as before: its files list all categories in one order.
"""

from mmdet.datasets.api_wrappers import COCO
from mmdet.evaluation import CocoMetric

from ._replace import repair


@repair(COCO, 'get_cat_ids')
def get_cat_ids(original, self, cat_names=(), sup_names=(), cat_ids=()):
    """The category ids (list of int) of class names, in the order of the names.

    Raises:
        ValueError: two categories of the file have one of these names.
    """
    if isinstance(cat_names, str) or not len(cat_names) or len(sup_names) or len(cat_ids):
        return original(self, cat_names, sup_names, cat_ids)
    all_ids = []
    for name in cat_names:
        ids = [key for key, category in self.cats.items() if category['name'] == name]
        if len(ids) > 1:
            where = f'categories {ids} of the annotation file'
            raise ValueError(f'{where} have the same name {name!r}')
        if not ids:
            used = [key for key in (*self.cats, *self.cat_img_map) if isinstance(key, int)]
            ids = [1 + max(used, default=0)]
            self.cats[ids[0]] = dict(id=ids[0], name=name)
        all_ids += ids
    return all_ids


@repair(CocoMetric, 'results2json')
def results2json(original, self, results, outfile_prefix):
    """Predicted labels get the ids of their names. For the rest of the metric the ids are sorted, as
    COCOeval sorts them: the AP of each class is found by the position of its id.
    """
    if getattr(self, '_coco_api', None) is None:  # LVISMetric
        return original(self, results, outfile_prefix)
    self.cat_ids = self._coco_api.get_cat_ids(cat_names=self.dataset_meta['classes'])
    files = original(self, results, outfile_prefix)
    self.cat_ids = sorted(self.cat_ids)
    return files
