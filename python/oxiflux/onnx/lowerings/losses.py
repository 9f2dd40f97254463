"""Losses that are one operation."""

from __future__ import annotations

from ..writer import Op, Writer
from .elementwise import Lowering, Term, formula

__all__ = ["LOSSES"]


def _logitcrossentropy(g: Writer, op: Op) -> str:
    """Of labels: the logarithms of softmax that they name, with the other sign."""
    labels = g.node("Unsqueeze", op[1], g.integers([-1]))
    logs = g.node("LogSoftmax", op[0], axis=-1)
    found = g.node("Neg", g.node("GatherElements", logs, labels, axis=len(op.x.shape) - 1))
    if op.parameters["mean"]:
        return g.node("ReduceMean", found, keepdims=0)
    return g.node("Squeeze", found, g.integers([-1]))


def _mean(f: str) -> Lowering:
    def lowered(g: Writer, op: Op) -> str:
        a, b = (Term(g, x, op.x.dtype) for x in op.all())
        difference = a - b
        each = difference * difference if f == "square" else difference.do("Abs")
        return each.do("ReduceMean", keepdims=0).name

    return lowered


def _distances(g: Writer, op: Op) -> str:
    """The lengths of the differences of all rows of one and all rows of the other."""
    a, b = (g.node("Unsqueeze", op[i], g.integers([axis])) for i, axis in ((0, -2), (1, -3)))
    axes = g.integers([-1])
    return g.node("Sqrt", g.node("ReduceSumSquare", g.node("Sub", a, b), axes, keepdims=0))


LOSSES: dict[str, Lowering] = {
    "logitcrossentropy": _logitcrossentropy,
    "logitbinarycrossentropy_each": formula(lambda x, y: (-x).do("Softplus") + (1.0 - y) * x),
    "mse": _mean("square"),
    "mae": _mean("abs"),
    "distances": _distances,
}
