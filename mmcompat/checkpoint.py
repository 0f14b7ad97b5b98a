"""Let torch's safe loader read what MMEngine writes, and nothing else.

Symptom:  _pickle.UnpicklingError: ... Unsupported global: GLOBAL mmengine.logging.history_buffer.HistoryBuffer
Cause:    torch >= 2.6 loads with weights_only=True; MMEngine's checkpoints also hold log histories: HistoryBuffer,
          numpy arrays and scalars, and getattr, with which Python pickles the names of
          HistoryBuffer's methods.
Versions: mmengine <= 0.10.7 with torch >= 2.6
Upstream: https://github.com/open-mmlab/mmengine/pull/1670 (main, unreleased: turns the safety off)
Delete:   when an mmengine release loads its own checkpoints with weights_only=True

The safety stays on: a checkpoint holding any other object is refused before any of its code can
run.
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


def apply():
    """Allow, by name, the harmless classes that MMEngine's checkpoints contain."""
    reconstruct, scalar = np.empty(0).__reduce__()[0], np.float64().__reduce__()[0]
    allowed = [
        HistoryBuffer,
        np.ndarray,
        np.dtype,
        (history_getattr, 'builtins.getattr'),
        *{type(np.dtype(code)) for code in '?bBhHiIlLqQefd'},
    ]
    for module in ('numpy.core.multiarray', 'numpy._core.multiarray'):  # of numpy 1 and of numpy 2
        allowed += [(reconstruct, f'{module}._reconstruct'), (scalar, f'{module}.scalar')]
    torch.serialization.add_safe_globals(allowed)


apply()
