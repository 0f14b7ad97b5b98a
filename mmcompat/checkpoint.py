"""torch's safe loader reads what MMEngine writes, and nothing else.

Symptom:  UnpicklingError: Unsupported global: GLOBAL mmengine.logging.history_buffer.HistoryBuffer
Cause:    torch >= 2.6 loads with weights_only=True; MMEngine's checkpoints also hold log histories:
          HistoryBuffer, numpy arrays and scalars, and getattr, with which Python pickles the names
          of HistoryBuffer's methods
Versions: mmengine <= 0.10.7 with torch >= 2.6
Upstream: https://github.com/open-mmlab/mmengine/pull/1670 (unreleased; it turns the safety off)
Delete:   when an mmengine release loads its own checkpoints with weights_only=True

The safety stays on: a checkpoint that holds any other object is refused before its code can run.
"""

import numpy as np
import torch
from mmengine.logging import HistoryBuffer


def history_getattr(obj, name):
    """``getattr`` for unpickling: HistoryBuffer's public methods and nothing else.

    Raises:
        torch's UnpicklingError by way of ValueError: any other object or name.
    """
    if obj is not HistoryBuffer or name not in ('min', 'max', 'current', 'mean'):
        raise ValueError(f'refused: getattr({obj!r}, {name!r}) inside a checkpoint')
    return getattr(obj, name)


def _allow():
    reconstruct, scalar = np.empty(0).__reduce__()[0], np.float64().__reduce__()[0]
    allowed = [np.ndarray, np.dtype, *{type(np.dtype(code)) for code in '?bBhHiIlLqQefd'}]
    for module in ('numpy.core.multiarray', 'numpy._core.multiarray'):  # of numpy 1 and of numpy 2
        allowed += [(reconstruct, f'{module}._reconstruct'), (scalar, f'{module}.scalar')]
    allowed += [(history_getattr, 'builtins.getattr'), HistoryBuffer]
    torch.serialization.add_safe_globals(allowed)


if HistoryBuffer not in torch.serialization.get_safe_globals():
    _allow()
