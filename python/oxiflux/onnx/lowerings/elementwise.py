"""Operations on each element: a line each."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from ..writer import DTYPES, Op, Writer

__all__ = ["ELEMENTWISE", "Lowering", "Term", "activated", "cast", "formula", "node"]

# Gives the names of the results, or of the only one.
Lowering: TypeAlias = Callable[[Writer, Op], "str | tuple[str, ...]"]


class Term:
    """A value in a formula; numbers take its type."""

    g: Writer
    name: str
    dtype: str

    def __init__(self, g: Writer, name: str, dtype: str) -> None:
        self.g, self.name, self.dtype = g, name, dtype

    def do(self, kind: str, *others: Term | float, **attributes: Any) -> Term:
        """A node of which this is the first input."""
        return Term(self.g, self.g.node(kind, self.name, *map(self._named, others), **attributes), self.dtype)

    def _named(self, other: Term | float) -> str:
        return other.name if isinstance(other, Term) else self.g.number(other, self.dtype)

    def _number(self, other: float) -> Term:
        return Term(self.g, self._named(other), self.dtype)

    def where(self, yes: Term | float, no: Term | float, like: Term) -> Term:
        """One or the other, by these truth values."""
        return Term(self.g, self.g.node("Where", self.name, like._named(yes), like._named(no)), like.dtype)

    def __add__(self, other: Term | float) -> Term:
        return self.do("Add", other)

    def __mul__(self, other: Term | float) -> Term:
        return self.do("Mul", other)

    def __sub__(self, other: Term | float) -> Term:
        return self.do("Sub", other)

    def __truediv__(self, other: Term | float) -> Term:
        return self.do("Div", other)

    def __rsub__(self, other: float) -> Term:
        return self._number(other).do("Sub", self)

    def __rtruediv__(self, other: float) -> Term:
        return self._number(other).do("Div", self)

    def __pow__(self, other: Term | float) -> Term:
        return self.do("Pow", other)

    def __neg__(self) -> Term:
        return self.do("Neg")

    def __radd__(self, other: float) -> Term:
        return self + other

    def __rmul__(self, other: float) -> Term:
        return self * other


def node(kind: str, **attributes: Any) -> Lowering:
    """One node with the same inputs. One input is taken in the layout in which it is there."""

    def lowered(g: Writer, op: Op) -> str:
        def one(x: str) -> str:
            return str(g.node(kind, x, **attributes))

        if len(op) == 1:
            return each(g, op[0], one)
        return pair(g, op, kind)

    return lowered


def each(g: Writer, name: str, f: Callable[[str], str]) -> str:
    """`f` of each element: of the transposed form, if there is one, so that transposes come to stand side by side."""
    forms = g.transposed.get(name, {})
    if not forms:
        return f(name)
    order, other = next(iter(forms.items()))
    return g.transpose(f(other), tuple(int(i) for i in np.argsort(order)))


def pair(g: Writer, op: Op, kind: str) -> str:
    """A node of two inputs that broadcast, in the transposed form that both have."""
    names = op.all()
    rank = len(op.y.shape)
    orders = [
        set(g.transposed.get(n, {})) if len(x.shape) == rank else set()
        for n, x in zip(names, op.inputs, strict=True)
    ]
    if len(names) != 2 or not any(orders):
        return g.node(kind, *names)
    scalars = [x.size == 1 and len(x.shape) == 0 for x in op.inputs]
    vectors = [len(x.shape) == 1 and op.array(i) is not None and rank > 2 for i, x in enumerate(op.inputs)]
    for order in set.union(*orders):
        if all(order in o or s or v for o, s, v in zip(orders, scalars, vectors, strict=True)):
            inputs = []
            for i, name in enumerate(names):
                if order in orders[i]:
                    inputs.append(g.transposed[name][order])
                else:
                    inputs.append(_along(op, i, order.index(rank - 1) - rank) if vectors[i] else name)
            return g.transpose(g.node(kind, *inputs), tuple(int(i) for i in np.argsort(order)))
    return g.node(kind, *names)


def _along(op: Op, i: int, axis: int) -> str:
    """A vector along an axis that is counted from the end."""
    shape = [-1, *[1] * (-1 - axis)]
    return op.folded(
        i, lambda a: a.reshape(shape), lambda x: op.writer.node("Reshape", x, op.writer.integers(shape))
    )


def formula(f: Callable[..., Term]) -> Lowering:
    """The formula of the inputs, and of the parameters as keywords."""

    def lowered(g: Writer, op: Op) -> str:
        dtype = op.x.dtype
        if len(op) == 1:
            return each(g, op[0], lambda x: f(Term(g, x, dtype), **op.parameters).name)
        return f(*(Term(g, x, dtype) for x in op.all()), **op.parameters).name

    return lowered


def cast(g: Writer, x: str, dtype: str) -> str:
    """The values as another element type."""
    return g.node("Cast", x, to=DTYPES[dtype])


def _expm1(x: Term) -> Term:
    return (x * 0.5).do("Tanh") * (x.do("Exp") + 1.0)


def _log1p(x: Term) -> Term:
    small = x.do("Abs").do("Less", 0.1)
    near = small.where(x, 0.0, x)
    return small.where((near / (near + 2.0)).do("Atanh") * 2.0, (x + 1.0).do("Log"), x)


def _sinc(x: Term) -> Term:
    is_zero = x.do("Equal", 0.0)
    turned = is_zero.where(1.0, x, x) * math.pi
    return is_zero.where(1.0, turned.do("Sin") / turned, x)


def _gelu(x: Term) -> Term:
    if x.g.opset >= 20:
        return x.do("Gelu", approximate="tanh")
    return x * ((x + x * x * x * 0.044715) * (2 * math.sqrt(2 / math.pi))).do("Sigmoid")


def _gelu_erf(x: Term) -> Term:
    return x.do("Gelu") if x.g.opset >= 20 else x * 0.5 * ((x * math.sqrt(0.5)).do("Erf") + 1.0)


def _clipped(low: float, high: float) -> Callable[[Term], Term]:
    return lambda x: x.do("Clip", low, high)


def _of_floats(g: Writer, op: Op) -> str:
    """Mod has the sign of the divisor for integers alone."""
    if op.x.dtype.startswith(("int", "uint")):
        return g.node("Mod", *op.all())
    a, b = (Term(g, x, op.x.dtype) for x in op.all())
    return (a - (a / b).do("Floor") * b).name


def _is_negative(x: Term) -> Term:
    """Whether there is a minus, also before a zero."""
    return x.do("Less", 0.0).do("Or", (1.0 / x).do("Less", 0.0))


def _copysign(x: Term, sign: Term) -> Term:
    size = x.do("Abs")
    return _is_negative(sign).where(-size, size, x)


def _atan2(y: Term, x: Term) -> Term:
    rise, run = y.do("Abs"), x.do("Abs")
    # Of two zeros or two infinities there is no quotient.
    alike = rise.do("Equal", 0.0).where(0.0, 1.0, x)
    angle = rise.do("Equal", run).where(alike, rise / run, x).do("Atan")
    return _copysign(_is_negative(x).where(math.pi - angle, angle, x), y)


def _nan_to_num(x: Term, nan: float, posinf: float, neginf: float) -> Term:
    up = x.do("IsInf", detect_negative=0).where(posinf, x, x)
    down = up.do("IsInf", detect_positive=0).where(neginf, up, x)
    return down.do("IsNaN").where(nan, down, x)


def _prelu(g: Writer, op: Op) -> str:
    """PRelu broadcasts the slope alone."""
    if op.x.shape == op.y.shape:
        return pair(g, op, "PRelu")
    x, slope = (Term(g, name, op.x.dtype) for name in op.all())
    return x.do("Less", 0.0).where(x * slope, x, x).name


def _divided(g: Writer, op: Op) -> str:
    a, b = (Term(g, x, op.x.dtype) for x in op.all())
    if op.x.dtype.startswith("float"):
        return (a / b).do("Floor").name
    return ((a - a.do("Mod", b)) / b).name


UNARY: dict[str, Callable[..., Term]] = {
    "square": lambda x: x * x,
    "rsqrt": lambda x: 1.0 / x.do("Sqrt"),
    "power": lambda x, exponent: x**exponent,
    "exp2": lambda x: (x * math.log(2)).do("Exp"),
    "expm1": _expm1,
    "log1p": _log1p,
    "log2": lambda x: x.do("Log") * (1 / math.log(2)),
    "log10": lambda x: x.do("Log") * (1 / math.log(10)),
    "logit": lambda x: (x / (1.0 - x)).do("Log"),
    "sinc": _sinc,
    "erfc": lambda x: 1.0 - x.do("Erf"),
    "relu6": _clipped(0, 6),
    "leakyrelu": lambda x, a: x.do("LeakyRelu", alpha=a),
    "trelu": lambda x, theta: x.do("ThresholdedRelu", alpha=theta),
    "thresholdrelu": lambda x, theta: x.do("ThresholdedRelu", alpha=theta),
    "elu": lambda x, alpha: x.do("Elu", alpha=alpha),
    "celu": lambda x, alpha: (
        (x / alpha).do("Elu", alpha=1.0) * alpha if alpha > 0 else x.do("Elu", alpha=alpha)
    ),
    "hardsigmoid": lambda x: x.do("HardSigmoid", alpha=1 / 6, beta=0.5),
    "logsigmoid": lambda x: -(-x).do("Softplus"),
    "hardtanh": _clipped(-1, 1),
    "tanhshrink": lambda x: x - x.do("Tanh"),
    "softshrink": lambda x, lambd: x.do("Shrink", lambd=lambd, bias=lambd),
    "hardshrink": lambda x, lambd: x.do("Shrink", lambd=lambd, bias=0.0),
    "logcosh": lambda x: x.do("Abs") + (x.do("Abs") * -2.0).do("Softplus") - math.log(2),
    "swish": lambda x: x * x.do("Sigmoid"),
    "lisht": lambda x: x * x.do("Tanh"),
    "gelu": _gelu,
    "gelu_tanh": _gelu,
    "gelu_erf": _gelu_erf,
    "gelu_sigmoid": lambda x: x * (x * 1.702).do("Sigmoid"),
    "nan_to_num": _nan_to_num,
}

BINARY: dict[str, Callable[..., Term]] = {
    "fmod": lambda a, b: a.do("Mod", b, fmod=1),
    "xlogy": lambda a, b: a.do("Equal", 0.0).where(0.0, a * b.do("Log"), a),
    "xlog1py": lambda a, b: a.do("Equal", 0.0).where(0.0, a * _log1p(b), a),
    "copysign": _copysign,
    "atan2": _atan2,
    "hypot": lambda a, b: (a * a + b * b).do("Sqrt"),
    "logaddexp": lambda a, b: a.do("Max", b) + (-(a - b).do("Abs")).do("Softplus") - 0.0,
    "lerp": lambda a, b, weight: a + weight * (b - a),
    "not_equal": lambda a, b: a.do("Equal", b).do("Not"),
}

# What has a node of its own, of the same inputs.
NODES = {
    "abs": "Abs", "negative": "Neg", "sqrt": "Sqrt", "reciprocal": "Reciprocal", "exp": "Exp", "log": "Log",
    "sin": "Sin", "cos": "Cos", "tan": "Tan", "asin": "Asin", "acos": "Acos", "atan": "Atan", "sinh": "Sinh",
    "cosh": "Cosh", "asinh": "Asinh", "acosh": "Acosh", "atanh": "Atanh",
    "erf": "Erf", "identity": "Identity", "relu": "Relu",
    "selu": "Selu", "sigmoid": "Sigmoid", "sigmoid_fast": "Sigmoid", "tanh": "Tanh", "tanh_fast": "Tanh",
    "softsign": "Softsign", "softplus": "Softplus", "hardswish": "HardSwish", "mish": "Mish",
    "add": "Add", "subtract": "Sub", "multiply": "Mul", "divide": "Div", "pow": "Pow", "maximum": "Max",
    "minimum": "Min", "fmax": "Max", "fmin": "Min",
    "equal": "Equal", "less": "Less", "less_equal": "LessOrEqual", "greater": "Greater",
    "greater_equal": "GreaterOrEqual",
    "logical_and": "And", "logical_or": "Or", "logical_xor": "Xor", "logical_not": "Not", "bitwise_and": "BitwiseAnd",
    "bitwise_or": "BitwiseOr", "bitwise_xor": "BitwiseXor", "bitwise_invert": "BitwiseNot",
    "floor": "Floor", "ceil": "Ceil", "round": "Round", "sign": "Sign", "isnan": "IsNaN", "isinf": "IsInf",
    "where": "Where",
}  # fmt: skip

ELEMENTWISE: dict[str, Lowering] = {
    **{name: node(kind) for name, kind in NODES.items()},
    **{name: formula(f) for name, f in {**UNARY, **BINARY}.items()},
    "prelu": _prelu,
    "remainder": _of_floats,
    "floor_divide": _divided,
    "signbit": formula(_is_negative),
    "trunc": formula(lambda x: x.do("Sign") * x.do("Abs").do("Floor")),
    "isfinite": formula(lambda x: (x - x).do("IsNaN").do("Not")),
    "bitwise_left_shift": lambda g, op: g.node("BitShift", *op.all(), direction="LEFT"),
    "bitwise_right_shift": lambda g, op: g.node("BitShift", *op.all(), direction="RIGHT"),
    "astype": lambda g, op: each(g, op[0], lambda x: cast(g, x, op.y.dtype)),
    "own": lambda g, op: op[0] if op.x.dtype == op.y.dtype else cast(g, op[0], op.y.dtype),
}


def activated(g: Writer, name: str, activation: dict[str, Any] | None, dtype: str) -> str:
    """A value with the activation that an operation does to its result."""
    if activation is None or activation["function"] == "identity":
        return name
    parameters = {key: value for key, value in activation.items() if key != "function"}
    function = str(activation["function"])
    if function in NODES:
        return g.node(NODES[function], name)
    return UNARY[function](Term(g, name, dtype), **parameters).name
