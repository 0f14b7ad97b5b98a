"""Progress bars over anything that has a length.

Symptom:  TypeError: "tasks" must be a tuple object or a sequence object, but got <class 'dict_values'>
Cause:    mmengine asks for a Sequence, though it needs a length and iteration only; MMDetection's
          video_demo.py passes a VideoReader, MMYOLO's balloon2coco.py a dict's values
Versions: mmengine <= 0.10.7
Upstream: https://github.com/open-mmlab/mmengine/blob/v0.10.7/mmengine/utils/progressbar.py
Delete:   when mmengine accepts what has a length
"""

from collections.abc import Sequence

from mmengine.utils import progressbar

from ._replace import repair


def _with_length(tasks):
    if isinstance(tasks, (tuple, Sequence)):  # a tuple is (tasks, their number)
        return tasks
    try:
        return iter(tasks), len(tasks)
    except TypeError:
        return tasks  # upstream refuses it


@repair(progressbar, 'track_iter_progress', everywhere=True)
def track_iter_progress(track, tasks, *args, **kwargs):
    return track(_with_length(tasks), *args, **kwargs)


@repair(progressbar, 'track_progress', everywhere=True)
@repair(progressbar, 'track_parallel_progress', everywhere=True)
def track_progress(track, func, tasks, *args, **kwargs):
    return track(func, _with_length(tasks), *args, **kwargs)
