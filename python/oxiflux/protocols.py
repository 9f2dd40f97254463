"""What Python, NumPy and the array API standard ask of a tensor beyond arithmetic: formats, roundings, `np.exp(t)`,
`np.mean(t)`, its namespace.

A function of NumPy that this package has gives a tensor and is recorded in a gradient. Every other one, and one with
options that are not known here (`out=`, `where=`), gets the values as arrays and gives what NumPy gives.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import numpy as np

from . import _core, functions, linalg
from ._core import DType, Tensor, asarray, stop_gradient
from .einsum import einsum, tensordot
from .standard import VERSIONS

__all__: list[str] = []

Function = Callable[..., Any]

# NumPy's name of a function of elements, where ours is another.
_NAMES = {
    "absolute": "abs", "arccos": "acos", "arccosh": "acosh", "arcsin": "asin", "arcsinh": "asinh",
    "arctan": "atan", "arctan2": "atan2", "arctanh": "atanh", "conjugate": "positive", "fabs": "abs",
    "invert": "bitwise_invert", "left_shift": "bitwise_left_shift", "power": "pow",
    "right_shift": "bitwise_right_shift", "rint": "round", "true_divide": "divide",
}  # fmt: skip
_OF_ELEMENTS: dict[np.ufunc, Function] = {
    ufunc: _ours
    for name, ufunc in vars(np).items()
    if isinstance(ufunc, np.ufunc)
    for module in (_core, functions)
    if (_ours := getattr(module, _NAMES.get(name, name), None)) is not None
}
_REDUCED = {
    "add": "sum", "multiply": "prod", "maximum": "max", "minimum": "min", "logical_and": "all", "logical_or": "any",
}  # fmt: skip


class _ElsewhereError(Exception):
    """Raised where NumPy itself is to do what was asked."""


def _of_elements(self: Tensor, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
    """`np.exp(t)`, `array + t`, `array += t` and the like."""
    if method == "__call__" and not options:
        ours = _OF_ELEMENTS.get(ufunc)
        if ours is not None:
            return ours(*inputs)
    name = ufunc.__name__
    if (
        method == "reduce"
        and name in _REDUCED
        and options.keys() <= {"axis", "keepdims"}
        and len(inputs) == 1
    ):
        options.setdefault("axis", 0)
        return getattr(_core, _REDUCED[name])(inputs[0], **options)
    if any(isinstance(out, Tensor) for out in options.get("out", ())) or (
        method == "at" and inputs[0] is self
    ):
        raise TypeError(f"np.{name}: nothing is written into a tensor; take the result, or assign t[...] = …")
    return getattr(ufunc, method)(*_arrays(inputs), **_arrays(options))


def _of_arrays(self: Tensor, function: Function, types: Any, args: Any, options: Any) -> Any:
    """`np.mean(t)`, `np.concatenate([t, t])` and the like."""
    ours = _functions().get(function)
    if ours is not None:
        try:
            return ours(*args, **options)
        except _ElsewhereError:
            pass
    if isinstance(options.get("out"), Tensor):
        raise TypeError(f"np.{function.__name__}: nothing is written into a tensor; take the result")
    return function(*_arrays(args), **_arrays(options))


def _arrays(x: Any) -> Any:
    """The same with arrays for tensors."""
    if isinstance(x, Tensor):
        return x.numpy()
    if type(x) in (list, tuple):
        return type(x)(_arrays(item) for item in x)
    return {key: _arrays(value) for key, value in x.items()} if type(x) is dict else x


def _functions() -> dict[Function, Function]:
    """Ours for NumPy's, made when it is first asked for."""
    if not _OURS:
        for home, by_name in ((np, _BY_NAME), (np.linalg, _OF_MATRICES)):
            _OURS.update({getattr(home, name): ours for name, ours in by_name.items() if hasattr(home, name)})
    return _OURS


_OURS: dict[Function, Function] = {}


def _only(*given: Any) -> None:
    """Leaves to NumPy what has options beyond ours."""
    if any(g is not None for g in given):
        raise _ElsewhereError


def _summed(reduce: Function) -> Function:
    def run(
        a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, **more: Any
    ) -> Any:
        _only(out, *more)
        return reduce(asarray(a), axis=axis, keepdims=keepdims, dtype=dtype)

    return run


def _mean(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, **more: Any
) -> Any:
    _only(out, *more)
    x = asarray(a) if dtype is None else asarray(a).astype(dtype)
    return _core.mean(x, axis=axis, keepdims=keepdims)


def _spread(reduce: Function) -> Function:
    def run(
        a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: float = 0, keepdims: Any = False,
        *, correction: float | None = None, **more: Any,
    ) -> Any:  # fmt: skip
        _only(out, *more)
        x = asarray(a) if dtype is None else asarray(a).astype(dtype)
        return reduce(x, axis=axis, keepdims=keepdims, correction=ddof if correction is None else correction)

    return run


def _chosen(reduce: Function) -> Function:
    def run(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False, **more: Any) -> Any:
        _only(out, *more)
        return reduce(asarray(a), axis=axis, keepdims=keepdims)

    return run


def _running(scan: Function) -> Function:
    def run(a: Any, axis: int | None = None, dtype: Any = None, out: Any = None) -> Any:
        _only(out)
        x = asarray(a)
        x, axis = (x.ravel(), 0) if axis is None else (x, axis)
        return scan(x, axis=axis, dtype=dtype)

    return run


def _ordered(order: Function) -> Function:
    def run(a: Any, axis: int | None = -1, **more: Any) -> Any:
        _only(*more)
        x = asarray(a)
        return order(_core.reshape(x, (-1,)), axis=0) if axis is None else order(x, axis=axis)

    return run


def _like(make: Function) -> Function:
    def run(a: Any, *value: Any, dtype: Any = None, shape: Any = None, **more: Any) -> Any:
        _only(shape, *more)
        return make(asarray(a), *value, dtype=dtype)

    return run


def _reshape(a: Any, shape: Any = None, order: str = "C", **more: Any) -> Tensor:
    if shape is None or order != "C" or more:
        raise _ElsewhereError
    return asarray(a).reshape(shape)


def _ravel(a: Any, order: str = "C") -> Tensor:
    _only(None if order in "CK" else order)
    return asarray(a).ravel()


def _transpose(a: Any, axes: Any = None) -> Tensor:
    return asarray(a).transpose() if axes is None else asarray(a).transpose(axes)


def _rounded(a: Any, decimals: int = 0, out: Any = None) -> Tensor:
    _only(out)
    return asarray(a).round(decimals)


def _clip(a: Any, a_min: Any = None, a_max: Any = None, out: Any = None, *, min: Any = None, max: Any = None,
          **more: Any) -> Tensor:  # fmt: skip
    _only(out, *more)
    return asarray(a).clip(a_min if min is None else min, a_max if max is None else max)


def _dot(a: Any, b: Any, out: Any = None) -> Tensor:
    _only(out)
    a, b = _together(a, b)
    if a.ndim == 0 or b.ndim == 0:
        return _core.multiply(a, b)
    return _core.matmul(a, b) if b.ndim < 3 else tensordot(a, b, axes=((-1,), (-2,)))


def _together(a: Any, b: Any) -> tuple[Tensor, Tensor]:
    """Two as tensors; an array takes the type of the tensor, as in an operation."""
    if isinstance(a, Tensor):
        return a, b if isinstance(b, Tensor) else _weak(b, a)
    return _weak(a, b), b


def _weak(given: Any, like: Tensor) -> Tensor:
    x = asarray(given)
    return x.astype(like.dtype) if {x.dtype.kind, like.dtype.kind} == {"f"} else x


def _cross(a: Any, b: Any, *axes: Any, axis: int = -1, **more: Any) -> Tensor:
    _only(*axes, *more)
    a, b = _together(a, b)
    _only(None if a.shape[axis] == b.shape[axis] == 3 else axis)  # NumPy takes vectors in the plane too.
    return functions.cross(a, b, axis=axis)


def _joined(join: Function) -> Function:
    def run(arrays: Any, axis: int | None = 0, out: Any = None, **more: Any) -> Any:
        _only(out, *more)
        like = next(a for a in arrays if isinstance(a, Tensor))
        return join([a if isinstance(a, Tensor) else _weak(a, like) for a in arrays], axis=axis)

    return run


def _where(condition: Any, *chosen: Any) -> Any:
    return _core.where(condition, *chosen) if chosen else _core.nonzero(asarray(condition))


def _take(a: Any, indices: Any, axis: int | None = None, out: Any = None, mode: str = "raise") -> Tensor:
    _only(out, None if mode == "raise" else mode)
    return _core.take(asarray(a).ravel(), indices, 0) if axis is None else _core.take(a, indices, axis)


def _flip(m: Any, axis: Any = None) -> Tensor:
    return _core.flip(asarray(m), axis=axis)


def _repeat(a: Any, repeats: Any, axis: int | None = None) -> Tensor:
    return functions.repeat(a, repeats, axis=axis)


def _swapaxes(a: Any, axis1: int, axis2: int) -> Tensor:
    return functions.swapaxes(a, axis1, axis2)


def _einsum(*operands: Any, **more: Any) -> Tensor:
    _only(*more)
    return einsum(*operands)


_BY_NAME: dict[str, Function] = {
    "sum": _summed(_core.sum),
    "mean": _mean,
    "prod": _summed(_core.prod),
    "std": _spread(_core.std),
    "var": _spread(_core.var),
    **{
        name: _chosen(getattr(_core, name.removeprefix("a") if name in ("amax", "amin") else name))
        for name in ("max", "min", "amax", "amin", "any", "all", "argmax", "argmin")
    },
    "cumsum": _running(_core.cumulative_sum),
    "cumprod": _running(_core.cumulative_prod),
    "sort": _ordered(_core.sort),
    "argsort": _ordered(_core.argsort),
    "zeros_like": _like(_core.zeros_like),
    "ones_like": _like(_core.ones_like),
    "full_like": _like(_core.full_like),
    "empty_like": _like(_core.empty_like),
    "concatenate": _joined(_core.concat),
    "stack": _joined(_core.stack),
    "reshape": _reshape,
    "ravel": _ravel,
    "transpose": _transpose,
    "squeeze": lambda a, axis=None: asarray(a).squeeze(axis),
    "expand_dims": lambda a, axis: _core.expand_dims(a, axis),
    "swapaxes": _swapaxes,
    "moveaxis": lambda a, source, destination: functions.moveaxis(a, source, destination),
    "round": _rounded,
    "around": _rounded,
    "clip": _clip,
    "dot": _dot,
    "cross": _cross,
    "kron": lambda a, b: functions.kron(*_together(a, b)),
    "outer": lambda a, b: functions.outer(*(x.ravel() for x in _together(a, b))),
    "einsum": _einsum,
    "tensordot": lambda a, b, axes=2: tensordot(*_together(a, b), axes=axes),
    "where": _where,
    "take": _take,
    "flip": _flip,
    "roll": lambda a, shift, axis=None: functions.roll(a, shift, axis),
    "repeat": _repeat,
    "tile": lambda A, reps: functions.tile(A, reps if isinstance(reps, tuple) else (reps,)),
    "broadcast_to": lambda array, shape, subok=False: _core.broadcast_to(array, shape),
    "copy": lambda a, order="K", subok=False: asarray(a).copy(),
    "shape": lambda a: a.shape,
    "ndim": lambda a: a.ndim,
    "size": lambda a, axis=None: a.size if axis is None else a.shape[axis],
}


def _of_floats(ours: Function, *known: str) -> Function:
    """A function of matrices of floats, with the options that both have; NumPy takes integers too."""

    def run(*args: Any, **options: Any) -> Any:
        if not options.keys() <= {*known} or any(isinstance(a, Tensor) and a.dtype.kind != "f" for a in args):
            raise _ElsewhereError
        return ours(*_together(*args) if len(args) == 2 and ours is linalg.solve else args, **options)

    return run


def _qr(a: Any, mode: str = "reduced") -> Any:
    _only(None if mode in ("reduced", "complete") else mode)
    return _of_floats(linalg.qr, "mode")(a, mode=mode)


def _svd(a: Any, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False) -> Any:
    _only(hermitian or None)
    if not compute_uv:
        return _of_floats(linalg.svdvals)(a)
    return _of_floats(linalg.svd, "full_matrices")(a, full_matrices=full_matrices)


# Not among them are `eigh`, `eigvalsh` and `cholesky`, of which NumPy's read one triangle and ours the mean of both.
_OF_MATRICES: dict[str, Function] = {
    "det": _of_floats(linalg.det),
    "inv": _of_floats(linalg.inv),
    "matrix_norm": _of_floats(linalg.matrix_norm, "ord", "keepdims"),
    "matrix_power": lambda a, n: _of_floats(linalg.matrix_power)(a, n),
    "norm": _of_floats(linalg.norm, "ord", "axis", "keepdims"),
    "pinv": _of_floats(linalg.pinv, "rtol"),
    "qr": _qr,
    "slogdet": _of_floats(linalg.slogdet),
    "solve": _of_floats(linalg.solve),
    "svd": _svd,
    "svdvals": _of_floats(linalg.svdvals),
    "vector_norm": _of_floats(linalg.vector_norm, "axis", "keepdims", "ord"),
}


def _format(self: Tensor, spec: str) -> str:
    """The only number in a format of Python's, or every number of a larger tensor."""
    if not spec:
        return str(self)
    x = stop_gradient(self)  # What is printed leaves no gradient's path.
    x = x.astype(_core.float32) if x.dtype == _core.bfloat16 else x
    if x.size == 1:
        return format(x.item(), spec)
    each: Any = {"all": lambda n: format(n.item(), spec)}
    return np.array2string(x.numpy(), separator=", ", formatter=each)


def _round(self: Tensor, decimals: int | None = None) -> Any:
    """The only number rounded, as Python's numbers are, or a tensor of rounded ones."""
    return round(self.item(), decimals) if self.size == 1 else self.round(decimals or 0)


def _reversed(self: Tensor) -> Iterator[Tensor]:
    return reversed(list(self))


def _divmod(self: Tensor, other: Any) -> tuple[Any, Any]:
    return self // other, self % other


def _rdivmod(self: Tensor, other: Any) -> tuple[Any, Any]:
    return other // self, other % self


def _numpy_dtype(self: DType) -> np.dtype[Any]:
    """The type as NumPy has it, which makes a `dtype=` of NumPy take it."""
    return _core.empty((), dtype=self).numpy().dtype


def _format_dtype(self: DType, spec: str) -> str:
    return format(str(self), spec)


def _complex(self: Tensor) -> complex:
    """The only number as a complex one."""
    return complex(self.item())


def _namespace(self: Tensor, /, *, api_version: str | None = None) -> ModuleType:
    """The functions of tensors, as the array API standard has them: this package."""
    if api_version not in (None, *VERSIONS):
        known = ", ".join(VERSIONS)
        raise ValueError(f"__array_namespace__: oxiflux has the versions {known}, not {api_version}")
    return sys.modules[__package__]


def _to_device(self: Tensor, device: str, /, *, stream: object = None) -> Tensor:
    """The tensor itself, for there is one device."""
    if device != "cpu":
        raise ValueError(f'to_device: tensors are on the "cpu" and nowhere else, got {device!r}')
    if stream is not None:
        raise ValueError("to_device: there are no streams on the CPU; leave stream out")
    return self


_METHODS: dict[type, dict[str, Any]] = {
    Tensor: {
        "__array_namespace__": _namespace,
        "__array_ufunc__": _of_elements,
        "__array_function__": _of_arrays,
        "__complex__": _complex,
        "__format__": _format,
        "__round__": _round,
        "__reversed__": _reversed,
        "__divmod__": _divmod,
        "__rdivmod__": _rdivmod,
        "to_device": _to_device,
    },
    DType: {"dtype": property(_numpy_dtype), "__format__": _format_dtype},
}
for _cls, _methods in _METHODS.items():
    for _name, _method in _methods.items():
        setattr(_cls, _name, _method)
