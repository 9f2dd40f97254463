"""How large gradients are, as a column of the table."""

from __future__ import annotations

import math
from typing import Any

from .. import _core
from .._core import Tensor
from ..functions.axes import flag
from ..functors import show_path
from .hooks import Callback, Run

__all__ = ["GradientNorm"]


class GradientNorm(Callback):
    """A callback of `fit` that logs the norm of the gradients: the root of the sum of the squares of all their numbers,
    as `ClipNorm(…, whole=True)` bounds it, before any clipping.

    The column `gradient_norm` is its mean over the steps of an epoch, `gradient_norm_max` the largest. With `each`
    there is a column for each parameter too, such as `gradient_norm/layers[0].weight`. With `log=` they are in
    TensorBoard.

    >>> import oxiflux as flux
    >>> model = {"w": flux.tensor([3.0, 4.0])}
    >>> loss = lambda m, x: ((m["w"] - x) ** 2).sum()
    >>> history = flux.fit(loss, model, [[0.0, 0.0]] * 2, flux.Descent(0.25), callbacks=flux.GradientNorm())
    >>> history["gradient_norm"], history["gradient_norm_max"]
    ([7.5], [10.0])
    """

    largest: float

    def __init__(self, each: bool = False) -> None:
        self.each = flag("GradientNorm", "each", each)
        self.largest = 0.0

    def on_epoch_begin(self, run: Run) -> None:
        self.largest = 0.0

    def on_step_end(self, run: Run) -> None:
        norms = {path: _norm(x) for path, x in _core.leaves(run.gradients)}
        total = math.hypot(*norms.values())
        self.largest = max(self.largest, total)
        run.log("gradient_norm", total)
        if self.each:
            for path, norm in norms.items():
                run.log(f"gradient_norm/{show_path(path)}", norm)

    def on_epoch_end(self, run: Run) -> None:
        run.log("gradient_norm_max", self.largest)


def _norm(x: Tensor) -> float:
    wide: Any = x if x.dtype == _core.float64 else x.astype(_core.float32)
    largest = float(_core.max(_core.abs(wide)).item()) if x.size else 0.0
    # Scaled, so that squares neither overflow nor vanish.
    return largest * math.sqrt(float(_core.square(wide / largest).sum().item())) if largest else 0.0
