"""torch's safe loader reads what MMEngine writes, and nothing else.

Symptom:  UnpicklingError: Unsupported global: GLOBAL mmengine.logging.history_buffer.HistoryBuffer
Cause:    torch >= 2.6 loads with weights_only=True; MMEngine's checkpoints also hold log histories, the
          dicts inside metainfo, and two functions of OneCycleLR, pickled as getattr with their names
Versions: mmengine <= 0.10.7 with torch >= 2.6
Upstream: https://github.com/open-mmlab/mmengine/pull/1670 (unreleased; it turns the safety off)
Delete:   when an mmengine release loads its own checkpoints with weights_only=True

The safety stays on: a checkpoint that holds any other object is refused before its code can run.
"""

import numpy as np
import torch
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer
from mmengine.optim.scheduler.param_scheduler import OneCycleParamScheduler

METHODS = {
    HistoryBuffer: ('min', 'max', 'current', 'mean'),
    OneCycleParamScheduler: ('_annealing_cos', '_annealing_linear'),
}


def history_getattr(obj, name):
    """``getattr`` for unpickling: HistoryBuffer's statistics, OneCycleLR's curves, and nothing else.

    Raises:
        torch's UnpicklingError by way of ValueError: any other object or name.
    """
    if not any(obj is owner and name in names for owner, names in METHODS.items()):
        raise ValueError(f'refused: getattr({obj!r}, {name!r}) inside a checkpoint')
    return getattr(obj, name)


def _allow():
    reconstruct, scalar = np.empty(0).__reduce__()[0], np.float64().__reduce__()[0]
    allowed = [np.ndarray, np.dtype, *{type(np.dtype(code)) for code in '?bBhHiIlLqQefd'}]
    for module in ('numpy.core.multiarray', 'numpy._core.multiarray'):  # of numpy 1 and of numpy 2
        allowed += [(reconstruct, f'{module}._reconstruct'), (scalar, f'{module}.scalar')]
    allowed += [(history_getattr, 'builtins.getattr'), *METHODS, ConfigDict]
    torch.serialization.add_safe_globals(allowed)


if HistoryBuffer not in torch.serialization.get_safe_globals():
    _allow()
