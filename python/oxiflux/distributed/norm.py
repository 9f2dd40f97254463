"""BatchNorm whose statistics are those of the batch of all ranks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import _core
from .._core import Tensor
from ..custom import custom_gradient
from ..layers import BatchNorm
from ..layers.base import named
from .summing import summed
from .world import world

__all__ = ["SyncBatchNorm"]


class SyncBatchNorm(BatchNorm):
    """`BatchNorm` whose mean and variance are those of the rows of all ranks, so that a training on several equals that
    of one process. Options, modes and errors are those of `BatchNorm`.

    In training mode each call is one in which all ranks meet; in test mode none does. It is printed and saved as what
    it is, and loads what a BatchNorm has saved.

    >>> import oxiflux as flux
    >>> _ = flux.distributed.initialize()
    >>> layer = flux.trainmode(flux.distributed.SyncBatchNorm(2))
    >>> layer([[1.0, 0.0], [3.0, 2.0]]).numpy().round(3).tolist()
    [[-1.0, -1.0], [1.0, 1.0]]
    """

    @named
    def __call__(self, x: Any) -> Tensor:
        """The normalised input; in training mode the running statistics take the batch of all ranks into account."""
        w = world("SyncBatchNorm")
        if w.comm is None or not self.is_active():
            return super().__call__(x)
        shape = self._shape_of(x, 2)
        given = x if isinstance(x, Tensor) else _core.tensor(x)
        wide = given.astype(_core.float32) if given.dtype.itemsize == 2 else given
        rows, axes = math.prod(shape[:-1]), tuple(range(len(shape) - 1))
        # Rows that a rank has been given for want of its own do not count.
        counts = not (w.share is not None and w.share[0] == 0)
        total = int(w.meet("SyncBatchNorm", rows * counts)[:, 0].sum())
        if total < 2:
            raise ValueError(f"training needs more than one value for each channel, got {total} on all ranks")
        mean = _summed(_core.sum(wide, axis=axes) * float(counts)) / total
        centred = wide - mean
        var = _summed(_core.sum(centred * centred, axis=axes) * float(counts)) / total
        y = centred / _core.sqrt(var + self.eps)
        if self.gamma is not None and self.beta is not None:
            y = y * self.gamma + self.beta
        if self.mu is not None and self.var is not None:
            mu, variance = _core.stop_gradient(mean), _core.stop_gradient(var)
            _core.track(self.mu, self.var, mu, variance, self.momentum, total / (total - 1))
        return self.activation(y.astype(given.dtype) if y.dtype != given.dtype and given is not wide else y)


@custom_gradient
def _summed(x: Any) -> Any:
    """The sum over ranks, whose gradient is the sum over ranks of theirs."""
    return _sum_of_all(x), _weighted_sum_of_all


def _weighted_sum_of_all(dy: Tensor) -> Tensor:
    """The sum of gradients of all ranks' losses, each of which will count by the rows of its rank."""
    w = world("SyncBatchNorm")
    mine, total = w.share or (1, w.size)
    if mine * w.size == total:
        return _sum_of_all(dy)
    # What becomes of a rank's own gradient counts by its rows as a whole.
    return _sum_of_all(dy * mine) / max(mine, 1)


def _sum_of_all(x: Tensor) -> Tensor:
    return _core.from_numpy(
        np.asarray(summed(world("SyncBatchNorm"), f"SyncBatchNorm of {x.shape}", x.numpy()))
    )
