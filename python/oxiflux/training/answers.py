"""What a callback's answer means."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _core
from .._core import Tensor

__all__ = ["ends"]


def ends(answer: Any) -> bool:
    """Whether a callback asks for the end: a truth of Python, of NumPy or of a tensor, as comparisons give them.

    >>> ends(np.float32(1) < 2), ends(_core.tensor(1.0) < 2), ends(None), ends("yes")
    (True, True, False, False)
    """
    if isinstance(answer, (bool, np.bool_)):
        return bool(answer)
    is_truth = isinstance(answer, (Tensor, np.ndarray)) and answer.size == 1 and answer.dtype == _core.bool_
    return is_truth and bool(answer)
