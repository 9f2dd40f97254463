"""What NumPy says of a call, where it has a function of the same meaning."""

import numpy as np

import oracles
import oxiflux as flux

from .calls import Call

# Functions of the array API whose arguments NumPy understands as they are.
SAME = [
    "abs", "all", "any", "argmax", "argmin", "clip", "concat", "count_nonzero", "diff", "expand_dims", "flip",
    "matmul", "matrix_transpose", "max", "mean", "min", "moveaxis", "nonzero", "outer", "permute_dims", "prod",
    "repeat", "reshape", "roll", "searchsorted", "sort", "squeeze", "stack", "std", "sum", "swapaxes", "take",
    "take_along_axis",
    "tensordot", "tile", "tril", "triu", "var", "vecdot", "where",
]  # fmt: skip
LARGEST = 1 << 20  # elements that are compared
RELATIVE = {"float32": 2e-5, "float64": 1e-11}


# Functions of numbers with real results, of which NumPy would compute those of small integers in float16.
REAL = {
    f"flux.{name}": row.f
    for table in [oracles.REAL, oracles.ACTIVATIONS]
    for name, row in table.items()
    if row.large and name not in SAME and name != "power"
}
FUNCTIONS = {f"flux.{name}": getattr(np, name) for name in SAME} | REAL | {"flux.power": np.power}


def _arrays(value):
    """The argument as NumPy takes it, in float64 where it is floating."""
    if isinstance(value, flux.Tensor):
        value = flux.astype(value, "float64").numpy() if value.dtype.kind == "f" else value.numpy()
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        return np.asarray(value, np.float64)
    if isinstance(value, (list, tuple)):
        return type(value)(_arrays(v) for v in value)
    return value


def _moderate(value):
    """Whether float32 has what float64 has: huge numbers overflow earlier, or lose digits by cancellation."""
    try:
        numbers = np.asarray(value, np.float64)
    except Exception:
        return True
    sizes = np.abs(numbers[np.isfinite(numbers)])
    return numbers.size <= 10_000 and not ((sizes > 1e4) | ((sizes > 0) & (sizes < 1e-30))).any()


def disagrees(call: Call, arguments, value):
    """A sentence if NumPy, in float64, computes something else of the same arguments."""
    f = FUNCTIONS.get(call.name)
    if f is None or not isinstance(value, flux.Tensor) or str(value.dtype) not in RELATIVE:
        return None
    # The oracles have the defaults only, and without an axis NumPy takes elements of all.
    if (call.name in REAL and "=" in call.text) or (call.name == "flux.take" and "axis=" not in call.text):
        return None
    try:
        scope = {name: _arrays(given) for name, given in arguments.items()}
        if not all(map(_moderate, scope.values())):
            return None
        if "correction=" in call.text and not all(np.size(given) for given in scope.values()):
            return None  # NumPy divides nothing by -correction
        if call.name in REAL:
            scope = {name: np.asarray(given, np.float64) for name, given in scope.items()}
        expected = np.asarray(eval(call.text.replace(call.name + "(", "f(", 1), {"f": f, "flux": np}, scope))
    except Exception:
        return None  # NumPy takes other arguments, or fails where this does not
    if expected.dtype.kind not in "biuf":
        return None
    if "correction=" in call.text:
        # Where the correction leaves no elements NumPy divides by 0; the array standard's variance is NaN.
        expected = np.where(np.isinf(expected), np.nan, expected)
    if value.shape != expected.shape:
        return f"shape {value.shape}, NumPy has {expected.shape}"
    if value.size > LARGEST:
        return None
    got = value.numpy()
    tolerance, expected = RELATIVE[str(value.dtype)], expected.astype(got.dtype)
    if np.allclose(got, expected, rtol=tolerance, atol=tolerance, equal_nan=True):
        return None
    at = np.argmax(~np.isclose(got, expected, rtol=tolerance, atol=tolerance, equal_nan=True))
    return f"{got.flat[at]!r} where NumPy has {expected.flat[at]!r}"
