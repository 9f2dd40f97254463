"""Items put together into batches and taken apart, padded and cut, as arrays or tensors."""

from __future__ import annotations

import numbers
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from .. import _core
from .._core import ShapeError, Tensor
from ..hints import told
from .items import count, item, numobs

__all__ = ["batch", "batch_sequence", "batchseq", "chunk", "rpad_constant", "unbatch"]


@told
def batch(items: Iterable[Any]) -> Any:
    """Items put together along a new first axis.

    Arrays, tensors, PyTorch's too, numbers and lists of numbers are stacked; tuples and dicts give a tuple or dict of
    batches; anything else, such as text, stays a list. Items of different shapes raise ShapeError. Ref: MLUtils.jl,
    `batch`.

    >>> batch([[1, 2, 3], [4, 5, 6]])
    array([[1, 2, 3],
           [4, 5, 6]])
    >>> batch([{"x": [1, 2], "name": "a"}, {"x": [3, 4], "name": "b"}])
    {'x': array([[1, 2],
           [3, 4]]), 'name': ['a', 'b']}
    """
    items = list(items)
    if not items:
        raise ValueError("batch: there are no items")
    first = items[0]
    if isinstance(first, dict):
        if any(not isinstance(x, dict) or x.keys() != first.keys() for x in items):
            raise ValueError("batch: the dicts have different keys")
        return {key: batch([x[key] for x in items]) for key in first}
    if isinstance(first, tuple):
        if any(not isinstance(x, tuple) or len(x) != len(first) for x in items):
            raise ValueError("batch: the tuples have different lengths")
        parts = [batch(part) for part in zip(*items, strict=True)]
        return first._make(parts) if hasattr(first, "_make") else tuple(parts)
    if any(isinstance(x, Tensor) for x in items):
        items = [_core.asarray(x) for x in items]
        _equal_shapes(items)
        return _core.stack(items)
    if not all(isinstance(x, (np.ndarray, np.generic, numbers.Real, list)) or _is_torch(x) for x in items):
        return items
    arrays = [_array(x) for x in items]
    if any(x is None or x.dtype.kind not in "biufcmM" for x in arrays):
        return items
    _equal_shapes(arrays)
    return np.stack(arrays)  # type: ignore[arg-type]


@told
def unbatch(data: Any) -> list[Any]:
    """The items of a batch in a list; the reverse of `batch`. Ref: MLUtils.jl, `unbatch`.

    >>> import numpy as np
    >>> unbatch((np.arange(4).reshape(2, 2), ["a", "b"]))
    [(array([0, 1]), 'a'), (array([2, 3]), 'b')]
    """
    return [item(data, i) for i in range(numobs(data))]


@told
def batchseq(seqs: Iterable[Any], val: Any = 0) -> list[Any]:
    """Sequences of different lengths as one sequence of batches, the short ones padded with `val`.

    Item `t` of the result holds item `t` of every sequence; characters are padded with a character. Ref: MLUtils.jl,
    `batchseq`.

    >>> [x.tolist() for x in batchseq([[1, 2, 3], [4, 5]])]
    [[1, 4], [2, 5], [3, 0]]
    >>> [x.tolist() for x in batchseq(["abc", "de"], "_")]
    [['a', 'd'], ['b', 'e'], ['c', '_']]
    """
    together = _padded("batchseq", seqs, val)
    return [together[:, t] for t in range(together.shape[1])]


@told
def batch_sequence(seqs: Iterable[Any], pad: Any = 0) -> Any:
    """Sequences of different lengths as one array, the short ones padded with `pad` at their end.

    `n` sequences of shapes `(length, …)` give an array of shape `(n, longest, …)`, or a tensor if one of them is one;
    characters are padded with a character. No sequence raises ValueError, other sizes behind the first axis raise
    ShapeError. Ref: MLUtils.jl, `batch_sequence`, where the axes are in the reverse order.

    >>> batch_sequence([[1, 2, 3], [10, 20]])
    array([[ 1,  2,  3],
           [10, 20,  0]])
    >>> import numpy as np
    >>> batch_sequence([np.ones((3, 2)), np.ones((5, 2))], pad=-1).shape
    (2, 5, 2)
    """
    return _padded("batch_sequence", seqs, pad)


def _padded(caller: str, seqs: Iterable[Any], val: Any) -> Any:
    """Sequences put together along a new first axis, the short ones padded."""
    arrays = [x if isinstance(x, Tensor) else np.asarray(list(x) if isinstance(x, str) else x) for x in seqs]
    if not arrays:
        raise ValueError(f"{caller}: there are no sequences")
    longest = max(count(caller, x) for x in arrays)
    if len(shapes := dict.fromkeys(tuple(x.shape[1:]) for x in arrays)) > 1:
        raise ShapeError(
            f"{caller}: the items of the sequences have different shapes: {', '.join(map(str, shapes))}"
        )
    padded = [rpad_constant(x, longest, val, axis=0) for x in arrays]
    are_text = all(not isinstance(x, Tensor) and x.dtype.kind in "USO" for x in padded)
    return np.stack(padded) if are_text else batch(padded)


@told
def rpad_constant(
    x: Any, n: int | Sequence[int], val: Any = 0, *, axis: int | Sequence[int] | None = None
) -> Any:
    """`x` padded with `val` at the end of the given axes, of all by default, to at least `n` in each.

    `n` is one number for all these axes, or one for each. Ref: MLUtils.jl, `rpad_constant`.

    >>> rpad_constant([1, 2], 4, -1)
    array([ 1,  2, -1, -1])
    >>> rpad_constant([[1, 2], [3, 4]], 3, axis=0)
    array([[1, 2],
           [3, 4],
           [0, 0]])
    """
    if not isinstance(x, Tensor):
        x = np.asarray(x)
    axes = range(x.ndim) if axis is None else [axis] if isinstance(axis, (int, np.integer)) else list(axis)
    sizes = [n] * len(axes) if isinstance(n, (int, np.integer)) else list(n)
    if len(sizes) != len(axes):
        raise ShapeError(f"rpad_constant: {len(sizes)} sizes for {len(axes)} axes")
    for a, size in zip(axes, sizes, strict=True):
        if not -x.ndim <= a < x.ndim:
            raise IndexError(f"rpad_constant: there is no axis {a} in shape {tuple(x.shape)}")
        missing = size - x.shape[a]
        if missing > 0:
            shape = list(x.shape)
            shape[a] = missing
            if isinstance(x, Tensor):
                x = _holding(x, val)
                x = _core.concat([x, _core.full(tuple(shape), val, dtype=x.dtype)], axis=a)
            else:
                x = np.concatenate([x, _filled(shape, val, x.dtype)], axis=a)
    return x


@told
def chunk(
    x: Any, n: int | Sequence[int] | None = None, *, size: int | Sequence[int] | None = None, axis: int = 0
) -> Any:
    """A list of consecutive parts of `x`: `n` of them, or parts of `size`, the last one perhaps smaller.

    A list for `size` gives the size of each part. A list for `n`, of the length of the axis and in ascending order,
    gives for each item the number of its part. Ref: MLUtils.jl, `chunk`.

    >>> chunk(range(10), 3)
    [range(0, 4), range(4, 8), range(8, 10)]
    >>> chunk([1, 2, 3, 4, 5], size=2)
    [[1, 2], [3, 4], [5]]
    >>> chunk([1, 2, 3, 4, 5], [0, 1, 1, 3, 3])
    [[1], [2, 3], [], [4, 5]]
    """
    is_array = hasattr(x, "shape")
    if not is_array and axis != 0:
        raise ValueError(f"chunk: a {type(x).__name__} has no axis {axis}")
    if is_array and not -x.ndim <= axis < x.ndim:
        raise IndexError(f"chunk: there is no axis {axis} in shape {tuple(x.shape)}")
    axis = axis % x.ndim if is_array else 0
    length = x.shape[axis] if is_array else len(x)
    before = (slice(None),) * axis
    bounds = _bounds(n, size, length)
    cuts = [slice(a, b) for a, b in pairwise(bounds)]
    return [x[(*before, c)] if is_array else x[c] for c in cuts]


def _bounds(n: int | Sequence[int] | None, size: int | Sequence[int] | None, length: int) -> list[int]:
    """Where the parts of `chunk` begin and end."""
    if (n is None) == (size is None):
        raise TypeError("chunk: give either the number of parts or their size")
    n, size = _python(n), _python(size)
    if isinstance(n, int):
        if n < 1:
            raise ValueError(f"chunk: there must be at least 1 part, got {n}")
        size = max(1, -(-length // n))
    elif n is not None:
        numbers_ = np.asarray(n)
        if numbers_.shape != (length,) or (np.diff(numbers_) < 0).any() or (numbers_ < 0).any():
            raise ValueError(
                f"chunk: the numbers of the parts must be {length} in ascending order, got {n!r}"
            )
        size = np.bincount(numbers_).tolist()
    if isinstance(size, int):
        if size < 1:
            raise ValueError(f"chunk: the size must be at least 1, got {size}")
        return [*range(0, length, size), length]
    sizes = [int(s) for s in size or []]
    if sum(sizes) != length or any(s < 0 for s in sizes):
        raise ShapeError(f"chunk: the sizes {sizes} do not add up to {length}")
    return [0, *np.cumsum(sizes).tolist()]


def _python(n: Any) -> Any:
    """An integer of NumPy as Python's."""
    return int(n) if isinstance(n, np.integer) else n


def _filled(shape: list[int], val: Any, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """An array of one value, whose type holds it whole: longer text than there is, or a fraction among integers."""
    if dtype.kind not in "biuf":
        return np.full(
            shape, val, dtype=None if dtype.kind in "US" and isinstance(val, (str, bytes)) else dtype
        )
    if not isinstance(val, (bool, int, float, np.number, np.bool_)):
        raise TypeError(f"rpad_constant: numbers of type {dtype} cannot be padded with {val!r}")
    is_whole = float(val).is_integer() if dtype.kind in "iu" else dtype.kind == "b" and val in (0, 1)
    return np.full(shape, val, dtype=dtype if is_whole else np.result_type(dtype, val))


def _holding(x: Tensor, val: Any) -> Tensor:
    """The tensor in a dtype that holds a value whole, as `_filled` makes it of an array."""
    if x.dtype.kind not in "biu" or not isinstance(val, (int, float, np.number)):
        return x
    if not float(val).is_integer():
        return x.astype(_core.float32)
    return x.astype(_core.int64) if x.dtype.kind == "b" and val not in (0, 1) else x


def _array(x: Any) -> np.ndarray[Any, Any] | None:
    """The item as an array, or None for a ragged list."""
    if _is_torch(x):
        x = x.detach().cpu()
        x = x.float() if str(x.dtype) == "torch.bfloat16" else x  # which NumPy has not
    try:
        return np.asarray(x)
    except ValueError:
        return None


def _is_torch(x: Any) -> bool:
    """Whether it is a tensor of PyTorch, which need not be imported for that."""
    return hasattr(x, "detach") and hasattr(x, "numpy")


def _equal_shapes(arrays: Sequence[Any]) -> None:
    shapes = dict.fromkeys(tuple(x.shape) for x in arrays)
    if len(shapes) > 1:
        raise ShapeError(f"batch: the items have different shapes: {', '.join(map(str, shapes))}")
