"""Derivatives of Python functions of tensors, and of models."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple, overload

import numpy as np

from . import _core
from ._core import ShapeError, Tensor, stop_gradient
from .functors import fmap
from .tree import FLOATS

if TYPE_CHECKING:
    from .typing import ArrayLike, Arrays, OfOne, OfTwo

__all__ = [
    "diaghessian",
    "gradient",
    "hessian",
    "ignore_derivatives",
    "jacobian",
    "jvp",
    "pullback",
    "stop_gradient",
    "withgradient",
    "withjacobian",
]

# A gradient mirrors its argument, so it is given the type of that; arrays and numbers come to the function as tensors.
# The signatures with `OfOne` and `OfTwo` are for functions with defaults that fit none of the others.
Arguments = TypeVarTuple("Arguments")
Value = TypeVar("Value", bound="Tensor | float | tuple[Any, ...]")
Result = TypeVar("Result")
First = TypeVar("First")
Second = TypeVar("Second")
Number = Tensor | float


@overload
def gradient(f: Callable[[Tensor], Number], x: Arrays, /) -> tuple[Tensor]: ...
@overload
def gradient(f: Callable[[Tensor], Number], x: float, /) -> tuple[float]: ...
@overload
def gradient(f: Callable[[Tensor, Tensor], Number], x: Arrays, y: Arrays, /) -> tuple[Tensor, Tensor]: ...
@overload
def gradient(f: Callable[[Tensor, Tensor], Number], x: float, y: float, /) -> tuple[float, float]: ...
@overload
def gradient(
    f: Callable[[Tensor, Tensor, Tensor], Number], x: Arrays, y: Arrays, z: Arrays, /
) -> tuple[Tensor, Tensor, Tensor]: ...
@overload
def gradient(f: Callable[[*Arguments], Number], /, *args: *Arguments) -> tuple[*Arguments]: ...  # type: ignore[overload-overlap]
@overload
def gradient(f: OfOne[First, Number], x: First, /) -> tuple[First]: ...
@overload
def gradient(f: OfTwo[First, Second, Number], x: First, y: Second, /) -> tuple[First, Second]: ...
def gradient(f: Callable[..., Any], *args: Any) -> tuple[Any, ...]:  # type: ignore[misc]
    """The gradient of the number `f(*args)` with respect to each argument.

    An argument is anything that holds tensors; its gradient mirrors it: a tensor for a tensor, a number for a number, a
    list for a list, an object with the same attributes for a layer; None where `f` does not depend on it, for integers
    in arrays and containers, which are labels and indices, for numbers in objects, which are options, and for a part
    that refers back to what holds it. A tensor
    that occurs twice in one argument is one variable; each argument has its own, even if two are one object.

    Inside `f` a tensor that depends on the arguments can be printed and compared; to read it as a number or an array
    (`item`, `float`, `tolist`, `numpy`, …) raises ValueError unless it is wrapped in `ignore_derivatives`, because what
    is computed from there would count as constant. For the same reason another thread that computes with it gets an
    error. Raises ShapeError unless `f` gives a single number, TypeError if the arguments hold numbers and none that can
    be differentiated by, and ValueError for a container that holds itself and for more than 256 levels.

    >>> import oxiflux as flux
    >>> flux.gradient(lambda x: (x**2).sum(), flux.tensor([1.0, 2.0]))[0].tolist()
    [2.0, 4.0]
    >>> grads = flux.gradient(lambda m: m([[1.0, 2.0]]).sum(), flux.Dense(2, 3))
    >>> grads[0].weight.shape, grads[0].bias.tolist()
    ((2, 3), [1.0, 1.0, 1.0])
    """
    if not args:
        raise _nothing("gradient", f)
    try:
        return _core.gradient(f, *args)
    except TypeError:
        _refuse("gradient", f)
        raise


@overload
def withgradient(f: Callable[[Tensor], Value], x: Arrays, /) -> tuple[Value, tuple[Tensor]]: ...
@overload
def withgradient(f: Callable[[Tensor], Value], x: float, /) -> tuple[Value, tuple[float]]: ...
@overload
def withgradient(
    f: Callable[[Tensor, Tensor], Value], x: Arrays, y: Arrays, /
) -> tuple[Value, tuple[Tensor, Tensor]]: ...
@overload
def withgradient(
    f: Callable[[Tensor, Tensor], Value], x: float, y: float, /
) -> tuple[Value, tuple[float, float]]: ...
@overload
def withgradient(
    f: Callable[[Tensor, Tensor, Tensor], Value], x: Arrays, y: Arrays, z: Arrays, /
) -> tuple[Value, tuple[Tensor, Tensor, Tensor]]: ...
@overload
def withgradient(  # type: ignore[overload-overlap]
    f: Callable[[*Arguments], Value], /, *args: *Arguments
) -> tuple[Value, tuple[*Arguments]]: ...
@overload
def withgradient(f: OfOne[First, Value], x: First, /) -> tuple[Value, tuple[First]]: ...
@overload
def withgradient(
    f: OfTwo[First, Second, Value], x: First, y: Second, /
) -> tuple[Value, tuple[First, Second]]: ...
def withgradient(f: Callable[..., Any], *args: Any) -> tuple[Any, tuple[Any, ...]]:  # type: ignore[misc]
    """The value `f(*args)` and its gradient with respect to each argument.

    `f` may give a tuple whose first item is the number to differentiate; the value is then the tuple.

    >>> import oxiflux as flux
    >>> value, grads = flux.withgradient(lambda x: (x**3).sum(), flux.tensor([1.0, 2.0]))
    >>> value.item(), grads[0].tolist()
    (9.0, [3.0, 12.0])
    """
    if not args:
        raise _nothing("withgradient", f)
    try:
        return _core.withgradient(f, *args)
    except TypeError:
        _refuse("withgradient", f)
        raise


@overload
def pullback(
    f: Callable[[Tensor], Result], x: Arrays, /
) -> tuple[Result, Callable[[Any], tuple[Tensor]]]: ...
@overload
def pullback(f: Callable[[Tensor], Result], x: float, /) -> tuple[Result, Callable[[Any], tuple[float]]]: ...
@overload
def pullback(
    f: Callable[[Tensor, Tensor], Result], x: Arrays, y: Arrays, /
) -> tuple[Result, Callable[[Any], tuple[Tensor, Tensor]]]: ...
@overload
def pullback(  # type: ignore[overload-overlap]
    f: Callable[[*Arguments], Result], /, *args: *Arguments
) -> tuple[Result, Callable[[Any], tuple[*Arguments]]]: ...
@overload
def pullback(f: OfOne[First, Result], x: First, /) -> tuple[Result, Callable[[Any], tuple[First]]]: ...
def pullback(f: Callable[..., Any], *args: Any) -> tuple[Any, Callable[..., tuple[Any, ...]]]:  # type: ignore[misc]
    """The value `y = f(*args)` and a function `back`: `back(dy)` is `dy` times the Jacobian of each argument.

    `dy` has the shape of `y`, and `back` can be called again.

    >>> import oxiflux as flux
    >>> y, back = flux.pullback(lambda x: x * x, flux.tensor([1.0, 2.0]))
    >>> back(flux.tensor([1.0, 10.0]))[0].tolist()
    [2.0, 40.0]
    """
    if not args:
        raise _nothing("pullback", f)
    try:
        return _core.pullback(f, *args)
    except TypeError:
        _refuse("pullback", f)
        raise


def _nothing(name: str, f: Any) -> Exception:
    """The error of a function without an argument to differentiate by."""
    if not callable(f):
        return TypeError(_not_a_function(name, f))
    return TypeError(
        f"{name}: give what to differentiate by as an argument of the function: "
        f"{name}(lambda m: loss(m(x), y), model)"
    )


def _refuse(name: str, f: Any) -> None:
    """Raises the error of what was given in place of a function; only what has failed is looked at."""
    if not callable(f):
        raise TypeError(_not_a_function(name, f)) from None


def _not_a_function(name: str, f: Any) -> str:
    return (
        f"{name}: expected a function, got {type(f).__name__}: it has been computed already; write "
        f"{name}(lambda m: loss(m(x), y), model)"
    )


@overload
def jacobian(f: Callable[[Tensor], Tensor], x: Arrays | float, /) -> tuple[Tensor]: ...
@overload
def jacobian(f: Callable[[Tensor, Tensor], Tensor], x: Arrays, y: Arrays, /) -> tuple[Tensor, Tensor]: ...
@overload
def jacobian(f: Callable[[*Arguments], Tensor], /, *args: *Arguments) -> tuple[*Arguments]: ...  # type: ignore[overload-overlap]
@overload
def jacobian(f: OfOne[First, Tensor], x: First, /) -> tuple[First]: ...
def jacobian(f: Callable[..., Any], *args: Any) -> tuple[Any, ...]:  # type: ignore[misc]
    """The derivative of every number of the tensor `f(*args)` by every number of each argument.

    For an argument of shape `in` it has the shape `out + in`; for a model it is a tree of these. None where
    `f` does not depend on the argument. One backward pass for each number of the result.

    >>> import oxiflux as flux
    >>> flux.jacobian(lambda x: x**2, flux.tensor([1.0, 2.0]))[0].tolist()
    [[2.0, 0.0], [0.0, 4.0]]
    """
    grads: tuple[Any, ...] = withjacobian(f, *args)[1]
    return grads


@overload
def withjacobian(f: Callable[[Tensor], Tensor], x: Arrays | float, /) -> tuple[Tensor, tuple[Tensor]]: ...
@overload
def withjacobian(
    f: Callable[[Tensor, Tensor], Tensor], x: Arrays, y: Arrays, /
) -> tuple[Tensor, tuple[Tensor, Tensor]]: ...
@overload
def withjacobian(  # type: ignore[overload-overlap]
    f: Callable[[*Arguments], Tensor], /, *args: *Arguments
) -> tuple[Tensor, tuple[*Arguments]]: ...
@overload
def withjacobian(f: OfOne[First, Tensor], x: First, /) -> tuple[Tensor, tuple[First]]: ...
def withjacobian(f: Callable[..., Any], *args: Any) -> tuple[Tensor, tuple[Any, ...]]:  # type: ignore[misc]
    """The value `f(*args)` and its `jacobian`.

    >>> import oxiflux as flux
    >>> y, (j,) = flux.withjacobian(lambda x: x[0] * x, flux.tensor([2.0, 3.0]))
    >>> y.tolist(), j.tolist()
    ([4.0, 6.0], [[4.0, 0.0], [3.0, 2.0]])
    """
    y, back = pullback(f, *args)
    if not isinstance(y, Tensor):
        raise TypeError(f"jacobian: the function must give a tensor, got a {type(y).__name__}")
    rows = [back(dy) for dy in _units(y)]
    if not rows:
        return y, tuple(
            _zip_map(
                lambda g: _core.zeros(
                    y.shape + getattr(g, "shape", ()), dtype=getattr(g, "dtype", _core.float32)
                ),
                g,
            )
            for g in back(y)
        )
    return y, tuple(_zip_map(lambda *g: _stacked(g, y.shape), *grads) for grads in zip(*rows, strict=True))


@overload
def hessian(f: Callable[[Tensor], Number], x: ArrayLike) -> Tensor: ...
@overload
def hessian(f: OfOne[Tensor, Number], x: ArrayLike) -> Tensor: ...  # type: ignore[overload-cannot-match]
def hessian(f: Callable[..., Number], x: ArrayLike) -> Tensor:
    """The second derivatives of the number `f(x)` by a tensor `x`: shape `x.shape + x.shape`.

    >>> import oxiflux as flux
    >>> flux.hessian(lambda x: x[0] ** 2 * x[1], flux.tensor([2.0, 3.0])).tolist()
    [[6.0, 4.0], [4.0, 0.0]]
    """
    x = _float_tensor("hessian", x)
    return or_zeros(jacobian(lambda z: or_zeros(gradient(f, z)[0], z), x)[0], x, x.shape + x.shape)


def diaghessian(f: Callable[..., Number], *args: ArrayLike) -> tuple[Tensor, ...]:
    """The diagonal of the `hessian` for each tensor among the arguments, in its shape.

    >>> import oxiflux as flux
    >>> flux.diaghessian(lambda x: (x**3).sum(), flux.tensor([1.0, 2.0]))[0].tolist()
    [6.0, 12.0]
    """
    xs = tuple(_float_tensor("diaghessian", x) for x in args)
    diagonals = []
    for i, x in enumerate(xs):

        def slope(z: Tensor, i: int = i) -> Tensor:
            rest = [*xs[:i], z, *xs[i + 1 :]]
            return or_zeros(gradient(f, *rest)[i], z)

        g, back = pullback(slope, x)
        places = [np.unravel_index(n, x.shape) for n in range(x.size)]
        numbers = [or_zeros(back(dg)[0], x)[place] for dg, place in zip(_units(g), places, strict=True)]
        diagonals.append(_core.reshape(_core.stack(numbers), x.shape) if numbers else x)
    return tuple(diagonals)


def jvp(
    f: Callable[..., Tensor], args: Sequence[ArrayLike], tangents: Sequence[ArrayLike]
) -> tuple[Tensor, Tensor]:
    """The value `y = f(*args)` and its change when the arguments change by `tangents`, the Jacobian times
    them.

    `f` is called once. It takes two backward passes: `dy -> back(dy)` is linear, and its own pullback is the Jacobian.

    >>> import oxiflux as flux
    >>> y, dy = flux.jvp(lambda x: x**2, [flux.tensor([1.0, 2.0])], [flux.tensor([1.0, 10.0])])
    >>> dy.tolist()
    [2.0, 40.0]
    """
    xs = [_float_tensor("jvp", x) for x in args]
    directions = [_core.asarray(t) for t in tangents]
    if [x.shape for x in xs] != [t.shape for t in directions]:
        raise ShapeError(
            f"jvp: arguments {[x.shape for x in xs]} and tangents {[t.shape for t in directions]} differ"
        )
    y, back = pullback(f, *xs)
    if not isinstance(y, Tensor):
        raise TypeError(f"jvp: the function must give a tensor, got a {type(y).__name__}")

    def paired(dy: Tensor) -> Tensor:
        grads: tuple[Tensor | None, ...] = back(dy)
        terms = [
            (g * t.astype(g.dtype)).sum() for g, t in zip(grads, directions, strict=True) if g is not None
        ]
        return sum(terms, start=0 * dy.sum())

    return y, or_zeros(gradient(paired, _core.zeros_like(y))[0], y)


def ignore_derivatives(x: Any) -> Any:
    """What `x` is, or what the function `x()` gives, as a constant: nothing is differentiated through it.

    >>> import oxiflux as flux
    >>> flux.gradient(lambda x: (x * flux.ignore_derivatives(x)).sum(), flux.tensor([3.0]))[0].tolist()
    [3.0]
    >>> squared = lambda x: x * flux.ignore_derivatives(lambda: x**2)
    >>> flux.gradient(lambda x: squared(x).sum(), flux.tensor([3.0]))[0].tolist()
    [9.0]
    """
    is_function = isinstance(
        x, (types.FunctionType, types.BuiltinFunctionType, types.MethodType, functools.partial)
    )
    if not is_function:
        return fmap(stop_gradient, x)
    with _core.paused():
        return fmap(stop_gradient, x())


def _units(y: Tensor) -> list[Tensor]:
    """For each number of `y` the tensor like it that is 1 there and 0 elsewhere."""
    eye = _core.eye(y.size, dtype=y.dtype)
    return [_core.reshape(eye[i], y.shape) for i in range(y.size)]


def _zip_map(f: Callable[..., Any], *trees: Any) -> Any:
    """Gradients of one structure, joined leaf by leaf; where some are None all of them are seen by `f`."""
    one = next((t for t in trees if t is not None), None)
    given = [t for t in trees if t is not None]
    if one is None:
        return None
    if isinstance(one, dict):
        return {key: _zip_map(f, *(None if t is None else t[key] for t in trees)) for key in one}
    if isinstance(one, (list, tuple)):
        items = [_zip_map(f, *(None if t is None else t[i] for t in trees)) for i in range(len(one))]
        if isinstance(one, list):
            return items
        return type(one)._make(items) if hasattr(one, "_make") else tuple(items)
    if isinstance(one, types.SimpleNamespace):
        keys = dict.fromkeys(key for t in given for key in vars(t))
        return types.SimpleNamespace(
            **{
                key: _zip_map(f, *(None if t is None else getattr(t, key, None) for t in trees))
                for key in keys
            }
        )
    return f(*trees)


def _stacked(rows: Sequence[Tensor | float | None], out: tuple[int, ...]) -> Tensor:
    """Rows of a Jacobian as one tensor; a missing row is zeros."""
    one = _core.asarray(next(row for row in rows if row is not None))
    full = [_core.zeros_like(one) if row is None else _core.asarray(row) for row in rows]
    return _core.reshape(_core.stack(full), out + one.shape)


def or_zeros(g: Tensor | None, x: Tensor, shape: tuple[int, ...] | None = None) -> Tensor:
    return _core.zeros(x.shape if shape is None else shape, dtype=x.dtype) if g is None else g


def _float_tensor(name: str, x: Any) -> Tensor:
    # An integer that is an argument itself is a number to differentiate by, as in `gradient`.
    is_number = isinstance(x, (int, np.integer)) and not isinstance(x, bool)
    t = x if isinstance(x, Tensor) else _core.asarray(float(x) if is_number else x)
    if t.dtype not in FLOATS:
        raise TypeError(f"{name}: needs floating tensors, got {t.dtype}")
    return t
