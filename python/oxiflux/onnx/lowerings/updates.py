"""Values put into an array, or added, at indices or in a slice."""

from __future__ import annotations

import numpy as np

from ..recorded import Free
from ..writer import Op, Writer
from .elementwise import Lowering, cast

__all__ = ["UPDATES"]


def _put(g: Writer, op: Op) -> str:
    """Values in the place of a slice, or of rows by number."""
    if "ranges" in op.parameters:
        return _put_slice(g, op)
    return _at_rows(g, op, "none")


def _at_rows(g: Writer, op: Op, reduction: str) -> str:
    """Rows of the axis in the middle, which repeat along the others."""
    rows = g.node("Reshape", op[2], g.integers([1, -1, 1]))
    rows = g.node("Expand", rows, g.sizes(op.inputs[1].shape))
    return g.node("ScatterElements", op[0], rows, op[1], axis=1, reduction=reduction)


def _put_slice(g: Writer, op: Op) -> str:
    shape, ranges = op.x.shape, op.parameters["ranges"]
    whole = [
        r["start"] == 0 and r["step"] == 1 and r["length"] == n for r, n in zip(ranges, shape, strict=True)
    ]
    if all(whole):
        return op[1]
    # The axes of which there are parts come first: their places are the indices.
    parts = [axis for axis, is_whole in enumerate(whole) if not is_whole]
    order = (*parts, *(axis for axis, is_whole in enumerate(whole) if is_whole))
    places = []
    for r in (ranges[axis] for axis in parts):
        if any(isinstance(r[key], Free) for key in ("start", "step", "length")):
            raise op.fail("values are put into a slice whose place or length depends on a free axis")
        places.append(r["start"] + r["step"] * np.arange(r["length"]))
    indices = np.stack(np.meshgrid(*places, indexing="ij"), -1).astype(np.int64)
    y = g.node(
        "ScatterND",
        g.transpose(op[0], order),
        g.constant(indices),
        g.transpose(op[1], order),
        reduction="none",
    )
    return g.transpose(y, tuple(int(i) for i in np.argsort(order)))


def _put_along(g: Writer, op: Op) -> str:
    axis = op.parameters["along"]["axis"]
    return g.node("ScatterElements", op[0], op[2], op[1], axis=axis, reduction="none")


def _add_along(g: Writer, op: Op) -> str:
    """The values added to the third input, or to zeros."""
    x = op[0] if op.x.dtype == op.y.dtype else cast(g, op[0], op.y.dtype)
    zeros = len(op) < 3
    around = g.node("Expand", g.number(0, op.y.dtype), g.sizes(op.y.shape)) if zeros else op[2]
    axis = op.parameters["along"]["axis"]
    return g.node("ScatterElements", around, op[1], x, axis=axis, reduction="add")


UPDATES: dict[str, Lowering] = {
    "put": _put,
    "index_add": lambda g, op: _at_rows(g, op, "add"),
    "put_along_axis": _put_along,
    "add_along_axis": _add_along,
}
