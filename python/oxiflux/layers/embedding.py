"""Lookup tables: a row of numbers for each of a vocabulary's labels."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from .. import _core
from .._core import DTypeError, ShapeError, Tensor
from ..init import randn32
from ..show import name_of
from ..vector import cut
from .base import Layer, check_sizes, made, named, named_any, shape_of
from .given import given_weight, is_weight, require_size

if TYPE_CHECKING:
    from ..typing import ArrayLike

__all__ = ["Embedding", "EmbeddingBag"]


class _Table(Layer):
    """A weight of a row for each label."""

    weight: Tensor

    def _set(self, count: Any, size: Any, init: Callable[[tuple[int, int]], Any]) -> None:
        """Takes the weight that is given, or makes one of these sizes."""
        name = type(self).__name__
        if is_weight(count):
            if init is not randn32:
                raise TypeError(f"{name}: the weight was given, so that init has nothing to make")
            self.weight = given_weight(name, count, "labels", "size")
        else:
            require_size(name, size=size)
            check_sizes(name, count, size)
            self.weight = made(f"{name}({count} => {size})", init, (count, size))

    def _labels(self, x: Any) -> Tensor:
        """Labels, or the one-hot rows of labels, as labels that are known to be in the table."""
        labels = x if type(x) is Tensor else _core.asarray(x)
        count = self.weight.shape[0]
        if labels.dtype == "bool":
            labels = self._from_onehot(labels, count)
        elif labels.dtype.kind not in "iu":
            raise DTypeError(f"labels are integers or one-hot rows, not {labels.dtype}")
        if not _core.are_below(labels, count):
            low, high = int(labels.min()), int(labels.max())
            wrong = low if low < 0 else high
            raise IndexError(f"label {wrong} is not between 0 and {count - 1}")
        return labels

    def _from_onehot(self, x: Tensor, count: int) -> Tensor:
        if x.shape[-1:] != (count,):
            raise ShapeError(f"expected one-hot rows of {count} on the last axis, got shape {x.shape}")
        if not _core.holds(_core.all(_core.count_nonzero(x, axis=-1) == 1)):
            raise ValueError("a one-hot row is true at one place, and not all of these are")
        return _core.argmax(x.astype(_core.uint8), axis=-1)

    def products(self, *_: Any) -> int:
        """A lookup multiplies nothing."""
        return 0

    def describe(self) -> str:
        """The layer on one line."""
        count, size = self.weight.shape
        return f"{type(self).__name__}({count} => {size}{self._options()})"

    def _options(self) -> str:
        return ""


class Embedding(_Table):
    """A row of `weight` for each label: labels of shape `(…)` become `(…, size)`.

    `Embedding(count, size, *, init=randn32, padding_idx=None)`, or `Embedding(weight, *, padding_idx=None)` of a given
    table. `weight` is `(count, size)`, made by `init`. Labels are integers from 0 to `count - 1` in any shape, or
    one-hot rows, booleans of shape `(…, count)`. The label `padding_idx`, if there is one, gives zeros, whatever
    its row holds; that row starts as zeros and gets no gradient. Raises IndexError for a label that is not in
    the table, and DTypeError for floating labels. Ref: Flux.jl, `Embedding`.

    >>> import oxiflux as flux
    >>> layer = flux.Embedding(26, 4, init=flux.identity_init(gain=22))
    >>> layer
    Embedding(26 => 4)  # 104 parameters
    >>> layer(2).tolist()
    [0.0, 0.0, 22.0, 0.0]
    >>> layer([2, 19, 0, 19, 14]).shape, layer(flux.zeros((10, 3), dtype="int64")).shape
    ((5, 4), (10, 3, 4))
    >>> bool(flux.all(layer(flux.onehotbatch("cat", "abcdefghijklmnopqrstuvwxyz")) == layer([2, 0, 19])))
    True
    >>> flux.Embedding([[1, 2], [3, 4], [5, 6]])([2, 0]).tolist()
    [[5.0, 6.0], [1.0, 2.0]]
    """

    weight: Tensor
    padding_idx: int | None

    @overload
    def __init__(
        self,
        count: int,
        size: int,
        *,
        init: Callable[[tuple[int, int]], Any] = ...,
        padding_idx: int | None = ...,
    ) -> None: ...
    @overload
    def __init__(self, count: ArrayLike, *, padding_idx: int | None = ...) -> None: ...
    def __init__(
        self,
        count: Any,
        size: Any = True,
        *,
        init: Callable[[tuple[int, int]], Any] = randn32,
        padding_idx: int | None = None,
    ) -> None:
        if is_weight(count) and size is not True:
            raise TypeError(f"Embedding: a weight has its sizes, and {size!r} was given besides")
        self._set(count, size, init)
        count = self.weight.shape[0]
        if padding_idx is not None:
            check_sizes("Embedding", padding_idx)
            if padding_idx >= count:
                raise IndexError(f"Embedding: padding_idx {padding_idx} is not between 0 and {count - 1}")
            is_padding = _core.arange(count)[:, None] == padding_idx
            self.weight = _core.where(is_padding, 0.0, self.weight)
        self.padding_idx = padding_idx

    @named
    def __call__(self, x: ArrayLike) -> Tensor:
        """The rows of the labels."""
        labels = self._labels(x)
        rows = _core.take(self.weight, labels)
        if self.padding_idx is None:
            return rows
        is_padding = _core.expand_dims(labels == self.padding_idx, -1)
        return _core.where(is_padding, 0.0, rows)

    def _options(self) -> str:
        return "" if self.padding_idx is None else f"; padding_idx={self.padding_idx}"


class EmbeddingBag(_Table):
    """One row for each bag of labels: the mean of the labels' rows, or what else `reduction` makes of them.

    `EmbeddingBag(count, size, reduction=mean, *, init=randn32)`, or `EmbeddingBag(weight, reduction=mean)` of a given
    table. `weight` is `(count, size)`, made by `init`. `reduction(rows, axis=…)` is `flux.mean`, `flux.sum`,
    `flux.max` or the like. Bags are given

    - all of a length, as labels `(…, n)`, which become `(…, size)`;
    - as a list of bags, which may differ in length, and become `(bags, size)`;
    - as the labels of all bags one after another, and the places `at` where the bags start, the first at 0;
    - one-hot, booleans of shape `(…, n, count)`.

    Raises ValueError for an empty bag, IndexError for a label that is not in the table. Ref: Flux.jl,
    `EmbeddingBag`.

    >>> import oxiflux as flux
    >>> layer = flux.EmbeddingBag(26, 3, init=flux.identity_init(gain=100))
    >>> layer
    EmbeddingBag(26 => 3)  # 78 parameters
    >>> layer([2, 2, 0, 1]).tolist()
    [25.0, 25.0, 50.0]
    >>> layer([[2, 0], [1]]).tolist()
    [[50.0, 0.0, 50.0], [0.0, 100.0, 0.0]]
    >>> layer([2, 0, 1], at=[0, 2]).tolist()
    [[50.0, 0.0, 50.0], [0.0, 100.0, 0.0]]
    >>> flux.EmbeddingBag([[1, 2], [3, 4], [5, 6]], flux.sum)([[0, 1], [2]]).tolist()
    [[4.0, 6.0], [5.0, 6.0]]
    """

    reduction: Callable[..., Tensor]

    @overload
    def __init__(
        self,
        count: int,
        size: int,
        reduction: Callable[..., Tensor] = ...,
        *,
        init: Callable[[tuple[int, int]], Any] = ...,
    ) -> None: ...
    @overload
    def __init__(self, count: ArrayLike, size: Callable[..., Tensor] = ...) -> None: ...
    @overload
    def __init__(self, count: ArrayLike, *, reduction: Callable[..., Tensor]) -> None: ...
    def __init__(
        self,
        count: Any,
        size: Any = True,
        reduction: Callable[..., Tensor] = _core.mean,
        *,
        init: Callable[[tuple[int, int]], Any] = randn32,
    ) -> None:
        if is_weight(count) and size is not True:
            if reduction is not _core.mean:
                raise TypeError(f"EmbeddingBag: a weight has its sizes, and {size!r} was given besides")
            reduction = size
        if not callable(reduction):
            raise TypeError(f"EmbeddingBag: the reduction must be a function, got {reduction!r}")
        self._set(count, size, init)
        self.reduction = reduction

    @named_any
    def __call__(self, x: ArrayLike | Sequence[Any], at: ArrayLike | None = None) -> Tensor:
        """The reduced rows of each bag."""
        if at is not None:
            labels, starts, sizes = self._split(x, at)
            if not self._adds:
                return self._ragged(labels, sizes.tolist())
            bag = _core.searchsorted(starts, _core.arange(labels.size), side="right") - 1
            return self._added(labels, bag, sizes)
        if isinstance(x, (list, tuple)) and any(shape_of(bag) for bag in x):
            bags = [self._labels(bag) for bag in x]
            if len({bag.shape for bag in bags}) > 1:
                if not all(bag.ndim == 1 for bag in bags):
                    shapes = ", ".join(str(bag.shape) for bag in bags[:4])
                    raise ShapeError(f"bags have one axis of labels, got shapes {shapes}")
                return self._ragged(_core.concat(bags), [bag.size for bag in bags])
            x = _core.stack(bags)
        labels = self._labels(x)
        if not labels.shape[-1:] > (0,):
            raise ValueError(f"a bag needs a label, got shape {labels.shape}")
        return self.reduction(_core.take(self.weight, labels), axis=-2)

    def _split(self, x: Any, at: Any) -> tuple[Tensor, Tensor, Tensor]:
        """The labels of all bags, where each begins, and how many each has."""
        labels, starts = self._labels(x), _core.asarray(at)
        starts = starts if starts.size else starts.astype(_core.int64)
        if labels.ndim != 1 or starts.ndim != 1 or starts.dtype.kind not in "iu":
            raise ShapeError(
                f"`at` goes with one axis of labels and is one axis of integers, "
                f"got shapes {labels.shape} and {starts.shape}"
            )
        starts = starts.astype(_core.int64)
        sizes = _core.concat([starts[1:], starts[:1] * 0 + labels.size]) - starts
        # Where the first is the start and none is empty, the last ends with the labels.
        fits = _core.logical_and(_core.all(_core.equal(starts[:1], 0)), _core.all(_core.greater(sizes, 0)))
        if not _core.holds(fits) or (labels.size and not starts.size):
            raise ValueError(
                f"`at` starts at 0 and rises to less than the {labels.size} labels, got {starts.tolist()}"
            )
        return labels, starts, sizes

    def _ragged(self, labels: Tensor, sizes: list[int]) -> Tensor:
        """The bags of these sizes, one after another among the labels."""
        if not all(sizes):
            raise ValueError(f"bag {sizes.index(0)} is empty")
        if self._adds:
            bag = _core.table(np.repeat(np.arange(len(sizes)), sizes))
            return self._added(labels, bag, _core.table(np.array(sizes, np.int64)))
        rows = _core.take(self.weight, labels)
        parts = cut(rows, [0, *itertools.accumulate(sizes)]) if sizes else []
        reduced = [self.reduction(part, axis=0) for part in parts]
        return _core.stack(reduced) if parts else rows.reshape((0, self.weight.shape[1]))

    @property
    def _adds(self) -> bool:
        return self.reduction is _core.mean or self.reduction is _core.sum

    def _added(self, labels: Tensor, bag: Tensor, sizes: Tensor) -> Tensor:
        """The sums or the means of bags of these sizes; each label has the number of its bag."""
        rows = _core.take(self.weight, labels)
        shape = (sizes.size, self.weight.shape[1])
        # What adds rows up is the gradient of what looks them up.
        _, add_up = _core.pullback(lambda z: _core.take(z, bag), _core.zeros(shape, dtype=rows.dtype))
        total: Tensor = add_up(rows)[0]
        return total if self.reduction is _core.sum else total / _core.expand_dims(sizes, -1)

    def _options(self) -> str:
        return "" if self.reduction is _core.mean else f", {name_of(self.reduction)}"
