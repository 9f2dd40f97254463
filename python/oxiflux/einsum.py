"""Sums of products over axes of several tensors."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from . import _core
from ._core import ShapeError, Tensor
from .functions import diagonal, result_type
from .functions.axes import axis_of
from .hints import told

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .typing import ArrayLike

__all__ = ["einsum", "tensordot"]


@told
def tensordot(
    a: ArrayLike, b: ArrayLike, /, *, axes: int | tuple[Sequence[int], Sequence[int]] = 2
) -> Tensor:
    """The sum of products over axes of both: the last `axes` of `a` with the first of `b`, or those that are named.

    >>> import oxiflux as flux
    >>> flux.tensordot(flux.zeros((2, 3)), flux.zeros((3, 4)), axes=1).shape
    (2, 4)
    """
    a, b = _core.asarray(a), _core.asarray(b)
    if isinstance(axes, int):
        if axes < 0 or axes > min(a.ndim, b.ndim):
            raise ShapeError(f"tensordot: shapes {a.shape} and {b.shape} have no {axes} axes to sum over")
        over_a, over_b = list(range(a.ndim - axes, a.ndim)), list(range(axes))
    else:
        over_a = [axis_of("tensordot", i, a.ndim) for i in axes[0]]
        over_b = [axis_of("tensordot", i, b.ndim) for i in axes[1]]
    if [a.shape[i] for i in over_a] != [b.shape[i] for i in over_b]:
        raise ShapeError(
            f"tensordot: shapes {a.shape} and {b.shape} differ along the axes {over_a} and {over_b}"
        )
    left = [i for i in range(a.ndim) if i not in over_a]
    right = [i for i in range(b.ndim) if i not in over_b]
    k = math.prod(a.shape[i] for i in over_a)
    m, n = math.prod(a.shape[i] for i in left), math.prod(b.shape[i] for i in right)
    y = _core.matmul(
        _core.reshape(_core.permute_dims(a, (*left, *over_a)), (m, k)),
        _core.reshape(_core.permute_dims(b, (*over_b, *right)), (k, n)),
    )
    return _core.reshape(y, (*(a.shape[i] for i in left), *(b.shape[i] for i in right)))


@told
def einsum(subscripts: str, /, *operands: ArrayLike) -> Tensor:
    """The sum of products that Einstein's notation describes, two operands at a time.

    Letters name axes; those that are missing after `->` are summed over, a repeated one takes the diagonal, and `...`
    stands for axes that broadcast.

    >>> import oxiflux as flux
    >>> x, y = flux.ones((2, 3)), flux.ones((3, 4))
    >>> flux.einsum("ij,jk->ik", x, y).shape
    (2, 4)
    """
    if not isinstance(subscripts, str):
        raise TypeError(
            f'einsum: subscripts such as "ij,jk->ik" come first, before the tensors; got {type(subscripts).__name__}'
        )
    tensors = _core._meet(*operands)
    inputs, output = _parse(subscripts, tensors)
    terms = [_diagonals(s, x, subscripts) for s, x in zip(inputs, tensors, strict=True)]
    letters, total = terms[0]
    for i, (more, x) in enumerate(terms[1:], 1):
        later = set(output).union(*(s for s, _ in terms[i + 1 :]))
        letters, total = _contract(letters, total, more, x, later, subscripts)
    gone = tuple(i for i, c in enumerate(letters) if c not in output)
    if gone:
        total = _core.sum(total, axis=gone)
        letters = "".join(c for c in letters if c in output)
    total = _core.astype(total, result_type(*tensors))
    return _core.permute_dims(total, tuple(letters.index(c) for c in output)) if len(output) > 1 else total


def _parse(subscripts: str, tensors: list[Tensor]) -> tuple[list[str], str]:
    """The letters of each operand and of the result, an ellipsis spelled out in capital Greek ones."""
    text = subscripts.replace(" ", "")
    left, arrow, right = text.partition("->")
    parts = left.split(",")
    if len(parts) != len(tensors):
        raise ValueError(f"einsum: {subscripts!r} describes {len(parts)} operands, got {len(tensors)}")
    spare = "ΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩ"
    inputs, widest = [], 0
    for s, x in zip(parts, tensors, strict=True):
        named = len(s.replace("...", ""))
        extra = x.ndim - named if "..." in s else 0
        if named + extra != x.ndim or extra < 0 or (named and not _is_word(s.replace("...", ""))):
            raise ShapeError(
                f"einsum: {s!r} in {subscripts!r} does not describe an operand of shape {x.shape}"
            )
        widest = max(widest, extra)
        inputs.append(s.replace("...", spare[len(spare) - extra :]))
    dots = spare[len(spare) - widest :] if widest else ""
    if arrow:
        output = right.replace("...", dots)
    else:
        every = "".join(inputs)
        output = dots + "".join(sorted(c for c in set(every) if every.count(c) == 1 and c not in dots))
    unknown = [c for c in output if not any(c in s for s in inputs)]
    if unknown or len(set(output)) != len(output) or not set(dots) <= set(output):
        raise ValueError(
            f"einsum: the result of {subscripts!r} has axes that are unknown, named twice or left out"
        )
    return inputs, output


def _is_word(text: str) -> bool:
    return text.isascii() and text.isalpha()


def _diagonals(letters: str, x: Tensor, subscripts: str) -> tuple[str, Tensor]:
    for c in sorted(set(letters)):
        while letters.count(c) > 1:
            i = letters.index(c)
            j = letters.index(c, i + 1)
            if x.shape[i] != x.shape[j]:
                raise ShapeError(
                    f"einsum: axis {c!r} of {subscripts!r} has sizes {x.shape[i]} and {x.shape[j]}"
                )
            x = diagonal(x, axis1=i, axis2=j)
            letters = letters[:i] + letters[i + 1 : j] + letters[j + 1 :] + c
    return letters, x


def _contract(a: str, x: Tensor, b: str, y: Tensor, later: set[str], subscripts: str) -> tuple[str, Tensor]:
    """Two operands as one: axes of both that nobody needs later are summed over by a batched matrix product."""
    for c in set(a) & set(b):
        i, j = x.shape[a.index(c)], y.shape[b.index(c)]
        if i != j and 1 not in (i, j):
            raise ShapeError(f"einsum: axis {c!r} of {subscripts!r} has sizes {i} and {j}")
    a, x = _sum_alone(a, x, later.union(b))
    b, y = _sum_alone(b, y, later.union(a))
    batch = [c for c in a if c in b and c in later]
    over = [c for c in a if c in b and c not in later]
    rows, columns = [c for c in a if c not in b], [c for c in b if c not in a]
    size = {c: _length(c, a, x, b, y) for c in a + b}
    x = _core.broadcast_to(x, tuple(size[c] for c in a))
    y = _core.broadcast_to(y, tuple(size[c] for c in b))
    lengths = [size[c] for c in batch]
    m, k, n = (math.prod(size[c] for c in group) for group in (rows, over, columns))
    x = _core.reshape(_core.permute_dims(x, tuple(a.index(c) for c in batch + rows + over)), (*lengths, m, k))
    y = _core.reshape(
        _core.permute_dims(y, tuple(b.index(c) for c in batch + over + columns)), (*lengths, k, n)
    )
    together = batch + rows + columns
    return "".join(together), _core.reshape(_core.matmul(x, y), tuple(size[c] for c in together))


def _length(c: str, a: str, x: Tensor, b: str, y: Tensor) -> int:
    """The length of an axis that one operand or both have, where a length of 1 broadcasts."""
    lengths = [t.shape[s.index(c)] for s, t in ((a, x), (b, y)) if c in s]
    return next((n for n in lengths if n != 1), 1)


def _sum_alone(letters: str, x: Tensor, needed: set[str]) -> tuple[str, Tensor]:
    gone = tuple(i for i, c in enumerate(letters) if c not in needed)
    return ("".join(c for c in letters if c in needed), _core.sum(x, axis=gone)) if gone else (letters, x)
