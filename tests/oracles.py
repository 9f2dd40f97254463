"""An independent NumPy function for every element-wise operation and every reduction."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from scipy import special

from strategies import EVERYTHING, FLOATS, INTEGERS, NUMBERS


@dataclass(frozen=True)
class Oracle:
    """A NumPy function, the dtypes and values it is asked for, and the rule for the dtype of its result."""

    f: Callable
    result: str  # "float", "same", "bool", "promote", "promote float", "sum", "index"
    domain: tuple[float, float] = (-4.0, 4.0)
    dtypes: list[str] = field(default_factory=lambda: EVERYTHING)
    second: tuple[float, float] | None = None
    nonzero: str = ""  # which arguments ("a", "b") are never zero
    rtol: float = 8.0  # in units of the dtype's eps
    atol: float = 0.0  # likewise, for functions that lose digits near their zeros
    large: bool = True  # whether it is compared at the largest numbers, too


def sigmoid(x):
    return np.where(x >= 0, 1 / (1 + np.exp(-np.abs(x))), np.exp(-np.abs(x)) / (1 + np.exp(-np.abs(x))))


def softplus(x):
    return np.logaddexp(x, 0)


def hardsigmoid(x):
    return np.clip((x + 3) / 6, 0, 1)


def elu(x, alpha=1.0):
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def gelu_tanh(x):
    # x/2 (1 + tanh u) as x sigmoid(2 u), which keeps its digits where tanh u is near -1.
    return x * sigmoid(2 * math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))


erf = np.vectorize(math.erf, otypes=[float])
erfc = np.vectorize(math.erfc, otypes=[float])


def lgamma(x):
    """SciPy's; of minus infinity, where it follows the sign of its argument, that of C."""
    return np.where(x == -np.inf, np.inf, special.gammaln(x))


def real(f, domain=(-4.0, 4.0), **more):
    return Oracle(f, "float", domain, **more)


def activation(f, low=None, high=None, **more):
    """An oracle with what it is at minus and plus infinity, where the formula is infinity times 0."""

    def with_limits(x):
        y = np.where(x == -np.inf, low, f(x)) if low is not None else f(x)
        return np.where(x == np.inf, high, y) if high is not None else y

    return Oracle(with_limits, "float", dtypes=FLOATS, **more)


REAL = {
    "acos": real(np.arccos, (-1, 1)),
    "acosh": real(np.arccosh, (1, 9)),
    "asin": real(np.arcsin, (-1, 1)),
    "asinh": real(np.arcsinh),
    "atan": real(np.arctan),
    "atanh": real(np.arctanh, (-0.875, 0.875)),
    "cos": real(np.cos, large=False),
    "cosh": real(np.cosh),
    "digamma": real(special.digamma, (0.125, 9), rtol=16),
    "erf": real(erf),
    "erfc": real(erfc, rtol=16),
    "erfinv": real(special.erfinv, (-0.875, 0.875)),
    "exp": real(np.exp),
    "exp2": real(np.exp2),
    "expm1": real(np.expm1),
    "log": real(np.log, (0.125, 9)),
    "log10": real(np.log10, (0.125, 9)),
    "log1p": real(np.log1p, (-0.875, 9)),
    "log2": real(np.log2, (0.125, 9)),
    "lgamma": real(lgamma, (0.125, 9), rtol=16, atol=8),
    "logit": real(special.logit, (0.125, 0.875), atol=8),
    "polygamma": real(lambda x: np.where(x == -np.inf, np.nan, special.polygamma(2, x)), (0.125, 9), rtol=32),
    "power": real(np.square),
    "reciprocal": real(lambda x: 1 / x, nonzero="a"),
    "rsqrt": real(lambda x: 1 / np.sqrt(x), (0.125, 9)),
    "sin": real(np.sin, large=False),
    "sinc": real(lambda x: np.where(np.isinf(x), 0, np.sinc(x)), atol=8, large=False),
    "sinh": real(np.sinh),
    "sqrt": real(np.sqrt, (0, 9)),
    "tan": real(np.tan, (-1.5, 1.5), large=False),
    "tanh": real(np.tanh),
}

ACTIVATIONS = {
    "celu": activation(elu),
    "elu": activation(elu),
    "gelu": activation(gelu_tanh, low=0.0, rtol=64, large=False),
    "gelu_erf": activation(lambda x: 0.5 * x * erfc(-x / math.sqrt(2)), low=0.0, atol=8, large=False),
    "gelu_tanh": activation(gelu_tanh, low=0.0, rtol=64, large=False),
    "hardshrink": activation(lambda x: np.where(abs(x) > 0.5, x, 0 * x), large=False),
    "hardsigmoid": activation(hardsigmoid),
    "hardswish": activation(lambda x: x * hardsigmoid(x), low=0.0, large=False),
    "hardtanh": activation(lambda x: np.clip(x, -1, 1)),
    "identity": activation(np.positive),
    "leakyrelu": activation(lambda x: np.where(x > 0, x, 0.01 * x)),
    "lisht": activation(lambda x: x * np.tanh(x)),
    "logcosh": activation(lambda x: np.logaddexp(x, -x) - math.log(2), atol=8),
    "logsigmoid": activation(lambda x: -softplus(-x)),
    "mish": activation(lambda x: x * np.tanh(softplus(x)), low=0.0, large=False),
    "relu": activation(lambda x: np.maximum(x, 0)),
    "relu6": activation(lambda x: np.clip(x, 0, 6)),
    "selu": activation(lambda x: 1.0507009873554805 * elu(x, 1.6732632423543772), large=False),
    "sigmoid": activation(sigmoid),
    "sigmoid_fast": activation(sigmoid, rtol=16),
    "softplus": activation(softplus),
    "softshrink": activation(lambda x: np.sign(x) * np.maximum(np.abs(x) - 0.5, 0), large=False),
    "softsign": activation(lambda x: x / (1 + np.abs(x)), low=-1.0, high=1.0, large=False),
    "gelu_sigmoid": activation(lambda x: x * sigmoid(1.702 * x), low=0.0, large=False),
    "swish": activation(lambda x: x * sigmoid(x), low=0.0, large=False),
    "tanh_fast": activation(np.tanh, rtol=16),
    "tanhshrink": activation(lambda x: x - np.tanh(x), atol=8, large=False),
    "thresholdrelu": activation(lambda x: np.where(x <= 1, 0, x), large=False),
    "trelu": activation(lambda x: np.where(x <= 1, 0, x), large=False),
}

SAME = {
    "abs": Oracle(np.abs, "same", dtypes=NUMBERS),
    "ceil": Oracle(np.ceil, "same", dtypes=NUMBERS),
    "floor": Oracle(np.floor, "same", dtypes=NUMBERS),
    "negative": Oracle(np.negative, "same", dtypes=NUMBERS),
    "round": Oracle(np.round, "same", dtypes=NUMBERS),
    "sign": Oracle(np.sign, "same", dtypes=NUMBERS),
    "square": Oracle(np.square, "same", dtypes=NUMBERS),
    "trigamma": real(lambda x: np.where(x == -np.inf, np.nan, special.polygamma(1, x)), (0.125, 9), rtol=16),
    "trunc": Oracle(np.trunc, "same", dtypes=NUMBERS),
    "bitwise_invert": Oracle(np.invert, "same", dtypes=[*INTEGERS, "bool"]),
}

TESTS = {
    "isfinite": Oracle(np.isfinite, "bool"),
    "isinf": Oracle(np.isinf, "bool"),
    "isnan": Oracle(np.isnan, "bool"),
    "logical_not": Oracle(np.logical_not, "bool"),
    "signbit": Oracle(np.signbit, "bool", dtypes=FLOATS),
}

UNARY = REAL | ACTIVATIONS | SAME | TESTS

ARITHMETIC = {
    "add": Oracle(np.add, "promote"),
    "fmax": Oracle(np.fmax, "promote"),
    "fmin": Oracle(np.fmin, "promote"),
    "fmod": Oracle(np.fmod, "promote", dtypes=NUMBERS, nonzero="b"),
    "floor_divide": Oracle(np.floor_divide, "promote", dtypes=NUMBERS, nonzero="b"),
    "maximum": Oracle(np.maximum, "promote"),
    "minimum": Oracle(np.minimum, "promote"),
    "multiply": Oracle(np.multiply, "promote"),
    "pow": Oracle(np.power, "promote", (0.125, 4), NUMBERS, second=(0, 3), rtol=16),
    "remainder": Oracle(np.remainder, "promote", dtypes=NUMBERS, nonzero="b"),
    "subtract": Oracle(np.subtract, "promote", dtypes=NUMBERS),
}

REAL_PAIRS = {
    "atan2": Oracle(np.arctan2, "promote float"),
    "copysign": Oracle(np.copysign, "promote float", dtypes=FLOATS),
    "divide": Oracle(np.divide, "promote float", nonzero="b"),
    "hypot": Oracle(np.hypot, "promote float"),
    "logaddexp": Oracle(np.logaddexp, "promote float", atol=8),
    "prelu": Oracle(lambda x, a: np.where(x > 0, x, a * x), "promote float", dtypes=FLOATS),
    "xlog1py": Oracle(special.xlog1py, "promote float", second=(-0.875, 4)),
    "xlogy": Oracle(special.xlogy, "promote float", second=(0.125, 4), atol=8),
    "nextafter": Oracle(np.nextafter, "promote float", dtypes=FLOATS, rtol=0),
}

COMPARISONS = {
    "equal": Oracle(np.equal, "bool"),
    "greater": Oracle(np.greater, "bool"),
    "greater_equal": Oracle(np.greater_equal, "bool"),
    "less": Oracle(np.less, "bool"),
    "less_equal": Oracle(np.less_equal, "bool"),
    "not_equal": Oracle(np.not_equal, "bool"),
    "logical_and": Oracle(np.logical_and, "bool"),
    "logical_or": Oracle(np.logical_or, "bool"),
    "logical_xor": Oracle(np.logical_xor, "bool"),
}

BITS = {
    "bitwise_and": Oracle(np.bitwise_and, "promote", dtypes=[*INTEGERS, "bool"]),
    "bitwise_left_shift": Oracle(np.left_shift, "promote", dtypes=INTEGERS, second=(0, 7)),
    "bitwise_or": Oracle(np.bitwise_or, "promote", dtypes=[*INTEGERS, "bool"]),
    "bitwise_right_shift": Oracle(np.right_shift, "promote", dtypes=INTEGERS, second=(0, 7)),
    "bitwise_xor": Oracle(np.bitwise_xor, "promote", dtypes=[*INTEGERS, "bool"]),
}

BINARY = ARITHMETIC | REAL_PAIRS | COMPARISONS | BITS


REDUCTIONS = {
    "all": Oracle(np.all, "bool"),
    "any": Oracle(np.any, "bool"),
    "argmax": Oracle(np.argmax, "index", dtypes=NUMBERS),
    "argmin": Oracle(np.argmin, "index", dtypes=NUMBERS),
    "count_nonzero": Oracle(np.count_nonzero, "index"),
    "max": Oracle(np.max, "same", dtypes=NUMBERS),
    "mean": Oracle(np.mean, "float", rtol=16, atol=64),
    "min": Oracle(np.min, "same", dtypes=NUMBERS),
    "prod": Oracle(np.prod, "sum", (-2, 2), rtol=1024),
    "std": Oracle(np.std, "float", rtol=64, atol=64),
    "nansum": Oracle(np.nansum, "sum", rtol=16, atol=4096),
    "sum": Oracle(np.sum, "sum", rtol=16, atol=4096),
    "var": Oracle(np.var, "float", rtol=64, atol=64),
}

ORACLES = UNARY | BINARY | REDUCTIONS
