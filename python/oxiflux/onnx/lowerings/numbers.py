"""Products, sums over axes, and orders."""

from __future__ import annotations

from ..recorded import Free
from ..writer import DTYPES, Op, Writer
from .elementwise import Lowering, Term, activated, cast

__all__ = ["NUMBERS"]


def _reduced(kind: str) -> Lowering:
    def lowered(g: Writer, op: Op) -> str:
        x = op[0] if op.x.dtype == op.y.dtype else cast(g, op[0], op.y.dtype)
        return over_axes(g, kind, x, op.parameters["axes"], op.parameters["keepdims"])

    return lowered


def over_axes(g: Writer, kind: str, x: str, axes: tuple[int, ...], keepdims: bool) -> str:
    """A reduction over axes, of the transposed form if there is one and the axes are kept or the spatial ones go."""
    if not axes:
        return x
    return g.node(kind, x, g.integers(axes), keepdims=int(keepdims))


def _spread(g: Writer, op: Op) -> str:
    """The variance, or its root."""
    axes, what = op.parameters["axes"], op.parameters["what"]
    x = Term(g, op[0], op.x.dtype)
    centred = x - x.do("ReduceMean", Term(g, g.integers(axes), "int64"), keepdims=1)
    squares = Term(
        g, over_axes(g, "ReduceMean", (centred * centred).name, axes, op.parameters["keepdims"]), op.x.dtype
    )
    if what["correction"] != 0:
        n = 1
        for axis in axes:
            length = op.x.shape[axis]
            if isinstance(length, Free):
                raise op.fail("a corrected variance is taken along a free axis; use corrected=False")
            n *= length
        squares = squares * (n / (n - what["correction"]))
    return (squares.do("Sqrt") if what["root"] else squares).name


def _truths(counted: bool) -> Lowering:
    def lowered(g: Writer, op: Op) -> str:
        numbers = cast(g, op[0], "int64")
        kind = "ReduceSum" if counted else "ReduceMax"
        found = over_axes(g, kind, numbers, op.parameters["axes"], op.parameters["keepdims"])
        return found if counted else cast(g, found, "bool")

    return lowered


def _argextreme(kind: str) -> Lowering:
    def lowered(g: Writer, op: Op) -> str:
        axes, keepdims = op.parameters["axes"], op.parameters["keepdims"]
        if len(axes) == 1:
            return g.node(kind, op[0], axis=axes[0], keepdims=int(keepdims))
        flat = g.node("Reshape", op[0], g.integers([-1]))
        return g.reshape(g.node(kind, flat, axis=0, keepdims=0), (), op.y.shape)

    return lowered


def _argsort(g: Writer, op: Op) -> str:
    axis = op.parameters["axis"]
    n, largest = g.size(op.x.shape[axis]), int(op.parameters["descending"])
    return str(g.node("TopK", op[0], n, outputs=2, axis=axis, largest=largest)[1])


def _argfirst(g: Writer, op: Op) -> str:
    p = op.parameters
    return str(
        g.node("TopK", op[0], g.size(p["k"]), outputs=2, axis=p["axis"], largest=int(p["descending"]))[1]
    )


def _cumulative(g: Writer, op: Op) -> str:
    x = op[0] if op.x.dtype == op.y.dtype else cast(g, op[0], op.y.dtype)
    return g.node("CumSum", x, g.number(op.parameters["axis"], "int64"))


def _cumulative_product(g: Writer, op: Op) -> str:
    """One product after the other along the axis: `Scan` runs a graph of its own for each."""
    dtype, axis, rank = op.y.dtype, op.parameters["axis"], len(op.y.shape)
    x = op[0] if op.x.dtype == dtype else cast(g, op[0], dtype)
    names = [g.fresh(name) for name in ("before", "factor", "after", "product")]
    before, factor, after, product = names
    info = [g.helper.make_tensor_value_info(name, DTYPES[dtype], [None] * (rank - 1)) for name in names]
    nodes = [
        g.helper.make_node("Mul", [before, factor], [after]),
        g.helper.make_node("Identity", [after], [product]),
    ]
    body = g.helper.make_graph(nodes, "product", info[:2], info[2:])
    rest = [n for i, n in enumerate(op.y.shape) if i != axis]
    one = g.node("Expand", g.number(1, dtype), g.sizes(rest))
    options = {"num_scan_inputs": 1, "scan_input_axes": [axis], "scan_output_axes": [axis]}
    return str(g.node("Scan", one, x, outputs=2, body=body, **options)[1])


def _without(what: str) -> Lowering:
    def lowered(g: Writer, op: Op) -> str:
        raise NotImplementedError(f"{op.name} has no counterpart in ONNX{what}")

    return lowered


def _dense(g: Writer, op: Op) -> str:
    x, weight = op[0], op[1]
    if len(op.x.shape) == 2:
        y = g.node("Gemm", *op.all())
    else:
        y = g.node("MatMul", x, weight)
        y = g.node("Add", y, op[2]) if len(op) > 2 else y
    return activated(g, y, op.parameters["activation"], op.y.dtype)


NUMBERS: dict[str, Lowering] = {
    "sum": _reduced("ReduceSum"),
    "mean": _reduced("ReduceMean"),
    "max": _reduced("ReduceMax"),
    "min": _reduced("ReduceMin"),
    "var": _spread,
    "std": _spread,
    "any": _truths(counted=False),
    "count_nonzero": _truths(counted=True),
    "argmax": _argextreme("ArgMax"),
    "argmin": _argextreme("ArgMin"),
    "argsort": _argsort,
    "argfirst": _argfirst,
    "cumulative_sum": _cumulative,
    "cumulative_prod": _cumulative_product,
    # What it gives is needed by what follows alone, which ONNX has whole or not at all.
    "lu_factor": lambda g, op: ("", ""),
    "det": lambda g, op: g.node("Det", op[0]),
    **dict.fromkeys(
        ("inv", "solve", "slogdet"), _without(", which of linear algebra has det and matmul alone")
    ),
    "matmul": lambda g, op: g.node("MatMul", *op.all()),
    "softmax": lambda g, op: g.node("Softmax", op[0], axis=-1),
    "logsoftmax": lambda g, op: g.node("LogSoftmax", op[0], axis=-1),
    "logsumexp": lambda g, op: g.node("ReduceLogSumExp", op[0], g.integers([-1]), keepdims=0),
    "dense": _dense,
}
