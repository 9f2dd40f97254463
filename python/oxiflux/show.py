"""How models print: one line with a count of parameters, or a table of the layers with totals."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from . import _core
from ._core import Tensor
from .functors import CALLABLES

__all__ = ["Printed", "bytes_of", "describe", "generic", "html", "name_of", "parts", "text"]

# Where comments begin: on a line of their own, and in a table, as in Flux.
_LINE_COLUMN = 20
_COMMENT_COLUMN = 40
_TOTAL_COLUMN = 20
_LONGEST_VALUE = 60
_BRACKETS: dict[type, tuple[str, str]] = {list: ("[", "]"), tuple: ("(", ")"), dict: ("{", "}")}


class Printed:
    """What a layer is for printing: it can say itself on one line, and shows as a line or a table of its
    parts.
    """

    def describe(self) -> str:
        """The layer on one line: its class, simple attributes and shapes of its tensors, unless a subclass
        says more.

        >>> import oxiflux as flux
        >>> flux.Dense(2, 3, flux.relu).describe()
        'Dense(2 => 3, relu)'
        """
        return generic(self)

    def __repr__(self) -> str:
        return text(self)

    def _repr_html_(self) -> str:
        return html(self)


class _Row(NamedTuple):
    """A line of a table: how deep it is, what it says, and the count in its comment."""

    depth: int
    text: str
    comment: str


def text(model: Any) -> str:
    """What `repr` gives: `Dense(1 => 1)       # 2 parameters`, or for what holds layers a table of them.

    >>> import oxiflux as flux
    >>> print(text(flux.Chain(enc=flux.Dense(2, 3), act=flux.relu, dec=flux.Dense(3, 2))))
    Chain(
      enc = Dense(2 => 3),                  # 9 parameters
      act = relu,
      dec = Dense(3 => 2),                  # 8 parameters
    )                   # Total: 4 arrays, 17 parameters, 68 bytes.
    """
    if short := _unwalkable(model):
        return short
    rows = list(_rows(model))
    if len(rows) == 1:
        comment = _comment(model, " non-trainable")
        gap = max(2, _LINE_COLUMN - len(rows[0].text)) if comment else 0
        return rows[0].text + " " * gap + comment
    lines = []
    for depth, line, comment in rows[:-1]:
        line = "  " * depth + line + ("" if line[-1] in "([{" else ",")
        gap = max(2, _COMMENT_COLUMN - len(line)) if comment else 0
        lines.append(line + " " * gap + comment)
    closing = rows[-1].text
    return "\n".join([*lines, closing + _total(model, len(closing))])


def _unwalkable(model: Any) -> str:
    """What is shown of a model that is too deep to be walked by recursion, or holds itself; empty for others."""
    try:
        _core.leaves(model)
    except ValueError as error:
        return f"{type(model).__name__}(…)  # {error}"
    return ""


def html(model: Any) -> str:
    """What a notebook shows: the same lines as an HTML table.

    >>> import oxiflux as flux
    >>> html(flux.Dense(2, 3)).startswith("<table")
    True
    """
    from html import escape

    if short := _unwalkable(model):
        return f"<table><tr><td>{escape(short)}</td></tr></table>"
    rows = list(_rows(model))
    if len(rows) == 1:
        rows = [_Row(0, rows[0].text, _comment(model, " non-trainable"))]
    cell = '<td style="text-align:left;font-family:monospace;padding-left:{}em">{}</td>'
    lines = [
        f"<tr>{cell.format(1 + 2 * depth, escape(line))}{cell.format(1, escape(comment[2:]))}</tr>"
        for depth, line, comment in rows
    ]
    total = " ".join(part.strip(" #") for part in _total(model, 1).splitlines())
    caption = f'<caption style="caption-side:bottom">{escape(total)}</caption>' if total else ""
    return f"<table>{caption}{''.join(lines)}</table>"


def describe(x: Any) -> str:
    """Anything that may be a part of a model, on one line.

    >>> import oxiflux as flux
    >>> describe(flux.relu), describe(flux.zeros((3, 4))), describe([flux.Dense(2, 3), 0.5])
    ('relu', 'float32 tensor (3, 4)', '[Dense(2 => 3), 0.5]')
    """
    if isinstance(x, Printed):
        # A class that says how it is represented is taken at its word.
        return _own_line(x) if type(x).__repr__ is Printed.__repr__ else repr(x)
    if isinstance(x, (Tensor, np.ndarray)):
        return f"{x.dtype} {'tensor' if isinstance(x, Tensor) else 'array'} {tuple(x.shape)}"
    if isinstance(x, (type, *CALLABLES)) or (callable(x) and isinstance(getattr(x, "__name__", None), str)):
        return name_of(x)
    if isinstance(x, dict):
        return f"{{{', '.join(f'{key!r}: {describe(value)}' for key, value in x.items())}}}"
    if isinstance(x, (list, tuple)):
        inner = ", ".join(map(describe, x))
        return f"[{inner}]" if isinstance(x, list) else f"({inner}{',' * (len(x) == 1)})"
    if _core.children(x):
        return generic(x)
    shown = repr(x)
    return shown if len(shown) <= _LONGEST_VALUE else shown[: _LONGEST_VALUE - 1] + "…"


def _own_line(x: Printed) -> str:
    """What a layer says of itself; one of this package may have something else than tensors in their places."""
    try:
        return x.describe()
    except Exception:
        if not type(x).describe.__module__.startswith(__package__):
            raise
        return generic(x)


def name_of(f: Any) -> str:
    """The name of a function as it is printed, with its arguments if some are fixed.

    >>> import functools, oxiflux as flux
    >>> name_of(flux.relu), name_of(functools.partial(flux.leakyrelu, a=0.2))
    ('relu', 'leakyrelu(a=0.2)')
    """
    if isinstance(f, functools.partial):
        given = [*map(describe, f.args), *(f"{key}={describe(value)}" for key, value in f.keywords.items())]
        return f"{name_of(f.func)}({', '.join(given)})"
    return getattr(f, "__name__", None) or describe(f)


def generic(x: Any) -> str:
    """An object by its class and attributes: `Affine(weight=(3, 2), activation=relu)`; a tensor that is not trained
    says that it is a tensor.

    >>> from types import SimpleNamespace
    >>> generic(SimpleNamespace(scale=0.5))
    'SimpleNamespace(scale=0.5)'
    """
    trained = {key for key, _ in _core.children(x, trainable=True) or []}
    given = [
        f"{key}={tuple(value.shape) if isinstance(value, Tensor) and key in trained else describe(value)}"
        for key, value in _core.children(x) or []
        if not str(key).startswith("_")
    ]
    return f"{type(x).__name__}({', '.join(given)})"


def _rows(x: Any, depth: int = 0, name: str | None = None) -> Iterator[_Row]:
    """The lines of a table; a container's last one is its closing bracket."""
    label = "" if name is None else f"{name} = "
    listed = parts(x)
    if listed is None:
        yield _Row(depth, label + describe(x), _comment(x))
        return
    opening, closing = _BRACKETS.get(type(x)) or (f"{type(x).__name__}(", ")")
    yield _Row(depth, label + opening, "")
    for key, part in listed:
        yield from _rows(part, depth + 1, key)
    yield _Row(depth, closing, "")


def parts(x: Any) -> list[tuple[str | None, Any]] | None:
    """What is listed below `x`: its layers and what is beside them; None for what fits on its line.

    >>> import oxiflux as flux
    >>> parts(flux.Dense(2, 3)) is None, parts(flux.Chain(flux.Dense(2, 3)))
    (True, [(None, Dense(2 => 3)  # 9 parameters)])
    """
    if hasattr(type(x), "_shown"):
        listed: list[tuple[str | None, Any]] = x._shown()
    else:
        is_line = isinstance(x, CALLABLES) or (isinstance(x, Printed) and _speaks_for_itself(type(x)))
        kids = None if is_line else _core.children(x)
        if not kids:
            return None
        is_named = not isinstance(x, (list, tuple))
        listed = [(str(key) if is_named else None, kid) for key, kid in kids if not str(key).startswith("_")]
    return None if all(_is_leaflike(part) for _, part in listed) else listed


def _speaks_for_itself(layer: type[Printed]) -> bool:
    return layer.describe is not Printed.describe or layer.__repr__ is not Printed.__repr__


def _is_leaflike(x: Any) -> bool:
    # A function may have captured layers, but it is its name that is printed.
    kids = None if isinstance(x, CALLABLES) else _core.children(x)
    return kids is None or (isinstance(x, (list, tuple, dict)) and all(_is_leaflike(kid) for _, kid in kids))


def _comment(x: Any, unit: str = "") -> str:
    trainable, other = _tensors(x)
    if not trainable:
        return ""
    count = sum(t.size for t in trainable)
    more = f", plus {sum(t.size for t in other):_}{unit}" if other else ""
    return f"# {count:_} parameter{'s' * (count != 1)}{more}{_warning(trainable)}"


def _total(model: Any, used: int) -> str:
    """The totals behind the last bracket of a table, for more than two arrays."""
    trainable, other = _tensors(model)
    if len(trainable) <= 2:
        return ""
    count, size = sum(t.size for t in trainable), bytes_of(sum(t.nbytes for t in [*trainable, *other]))
    if not other:
        return f"{'':{_TOTAL_COLUMN - used}}# Total: {len(trainable)} arrays, {count:_} parameters, {size}."
    column = _TOTAL_COLUMN // 2
    first = f"{'':{column - used}}# Total: {len(trainable)} trainable arrays, {count:_} parameters,"
    more = sum(t.size for t in other)
    return f"{first}\n{'':{column}}# plus {len(other)} non-trainable, {more:_} parameters, {size}."


def _tensors(x: Any) -> tuple[list[Tensor], list[Tensor]]:
    """The trainable tensors and the others."""
    trainable = [t for _, t in _core.leaves(x, trainable=True)]
    known = {id(t) for t in trainable}
    return trainable, [t for _, t in _core.leaves(x) if id(t) not in known]


def _warning(tensors: list[Tensor]) -> str:
    """What is suspicious about parameters: that they are all zero, or not finite."""
    # What is printed leaves no gradient's path.
    constants = [_core.stop_gradient(t) for t in tensors]
    arrays = [(t.astype("float32") if t.dtype == "bfloat16" else t).numpy() for t in constants]
    if not any(a.any() for a in arrays):
        return "  (all zero)" if any(a.size for a in arrays) else ""
    if any(np.isnan(a).any() for a in arrays):
        return "  (some NaN)"
    return "  (some Inf)" if any(np.isinf(a).any() for a in arrays) else ""


def bytes_of(n: float) -> str:
    """A number of bytes in powers of 1024.

    >>> bytes_of(1536)
    '1.5 KiB'
    """
    for unit in ("bytes", "KiB", "MiB", "GiB", "TiB"):
        if n < 1024 or unit == "TiB":
            break
        n /= 1024
    return f"{n} bytes" if unit == "bytes" else f"{n:.1f} {unit}"
