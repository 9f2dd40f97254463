"""Derivatives of Python functions of tensors, and of models."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import _core
from ._core import ShapeError, Tensor, stop_gradient
from .tree import FLOATS, fmap, show_path

__all__ = [
    "checkpoint",
    "custom_gradient",
    "diaghessian",
    "gradcheck",
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


def gradient(f: Callable[..., Any], *args: Any) -> tuple[Any, ...]:
    """The gradient of the number `f(*args)` with respect to each argument.

    An argument is anything that holds tensors; its gradient mirrors it: a tensor for a tensor, a number for a number, a
    list for a list, an object with the same attributes for a layer; None where `f` does not depend on it, for integers
    in arrays and containers, which are labels and indices, and for a part that refers back to what holds it. A tensor
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


def withgradient(f: Callable[..., Any], *args: Any) -> tuple[Any, tuple[Any, ...]]:
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


def pullback(f: Callable[..., Any], *args: Any) -> tuple[Any, Callable[..., tuple[Any, ...]]]:
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


def jacobian(f: Callable[..., Any], *args: Any) -> tuple[Any, ...]:
    """The derivative of every number of the tensor `f(*args)` by every number of each argument.

    For an argument of shape `in` it has the shape `out + in`; for a model it is a tree of these. None where
    `f` does not depend on the argument. One backward pass for each number of the result.

    >>> import oxiflux as flux
    >>> flux.jacobian(lambda x: x**2, flux.tensor([1.0, 2.0]))[0].tolist()
    [[2.0, 0.0], [0.0, 4.0]]
    """
    return withjacobian(f, *args)[1]


def withjacobian(f: Callable[..., Any], *args: Any) -> tuple[Tensor, tuple[Any, ...]]:
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


def hessian(f: Callable[[Any], Any], x: Any) -> Tensor:
    """The second derivatives of the number `f(x)` by a tensor `x`: shape `x.shape + x.shape`.

    >>> import oxiflux as flux
    >>> flux.hessian(lambda x: x[0] ** 2 * x[1], flux.tensor([2.0, 3.0])).tolist()
    [[6.0, 4.0], [4.0, 0.0]]
    """
    x = _float_tensor("hessian", x)
    return _or_zeros(jacobian(lambda z: _or_zeros(gradient(f, z)[0], z), x)[0], x, x.shape + x.shape)


def diaghessian(f: Callable[..., Any], *args: Any) -> tuple[Tensor, ...]:
    """The diagonal of the `hessian` for each tensor among the arguments, in its shape.

    >>> import oxiflux as flux
    >>> flux.diaghessian(lambda x: (x**3).sum(), flux.tensor([1.0, 2.0]))[0].tolist()
    [6.0, 12.0]
    """
    args = tuple(_float_tensor("diaghessian", x) for x in args)
    diagonals = []
    for i, x in enumerate(args):

        def slope(z: Tensor, i: int = i) -> Tensor:
            rest = [*args[:i], z, *args[i + 1 :]]
            return _or_zeros(gradient(f, *rest)[i], z)

        g, back = pullback(slope, x)
        places = [np.unravel_index(n, x.shape) for n in range(x.size)]
        numbers = [_or_zeros(back(dg)[0], x)[place] for dg, place in zip(_units(g), places, strict=True)]
        diagonals.append(_core.reshape(_core.stack(numbers), x.shape) if numbers else x)
    return tuple(diagonals)


def jvp(f: Callable[..., Any], args: Sequence[Any], tangents: Sequence[Any]) -> tuple[Tensor, Tensor]:
    """The value `y = f(*args)` and its change when the arguments change by `tangents`, the Jacobian times
    them.

    `f` is called once. It takes two backward passes: `dy -> back(dy)` is linear, and its own pullback is the Jacobian.

    >>> import oxiflux as flux
    >>> y, dy = flux.jvp(lambda x: x**2, [flux.tensor([1.0, 2.0])], [flux.tensor([1.0, 10.0])])
    >>> dy.tolist()
    [2.0, 40.0]
    """
    args = [_float_tensor("jvp", x) for x in args]
    tangents = [_core.asarray(t) for t in tangents]
    if [x.shape for x in args] != [t.shape for t in tangents]:
        raise ShapeError(
            f"jvp: arguments {[x.shape for x in args]} and tangents {[t.shape for t in tangents]} differ"
        )
    y, back = pullback(f, *args)
    if not isinstance(y, Tensor):
        raise TypeError(f"jvp: the function must give a tensor, got a {type(y).__name__}")

    def paired(dy: Tensor) -> Tensor:
        grads = back(dy)
        terms = [(g * t.astype(g.dtype)).sum() for g, t in zip(grads, tangents, strict=True) if g is not None]
        return sum(terms, start=0 * dy.sum())

    return y, _or_zeros(gradient(paired, _core.zeros_like(y))[0], y)


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


def custom_gradient(f: Callable[..., tuple[Any, Callable[[Tensor], Any]]]) -> Callable[..., Tensor]:
    """Gives a Python function a gradient of its own: `f(*args)` returns its value and the pullback.

    The pullback takes the gradient that comes in for the value to one gradient for each argument: a sequence with
    None where there is none, or a single tensor if there is one argument. The gradient of a list, a dict or a layer
    mirrors it, as those that `gradient` gives do, and a dict may stand for an object. Made of tensor operations on the
    arguments, it can be differentiated too. What computes the value is not recorded, and may leave tensors for NumPy.
    A gradient of another shape than its argument, or of a tensor that the argument does not have, raises ShapeError.

    >>> import oxiflux as flux
    >>> @flux.custom_gradient
    ... def straight_through(x):
    ...     return flux.round(x), lambda g: g
    >>> flux.gradient(lambda x: straight_through(x).sum(), flux.tensor([0.2, 1.7]))[0].tolist()
    [1.0, 1.0]
    """
    name = getattr(f, "__name__", type(f).__name__)

    @functools.wraps(f)
    def wrapped(*args: Any) -> Tensor:
        found = [(i, path, x) for i, arg in enumerate(args) for path, x in _checked(arg)]
        with _core.paused():
            value, pullback = f(*args)

        def back(g: Tensor) -> list[Tensor | None]:
            grads = pullback(g)
            count = len(grads) if isinstance(grads, (tuple, list)) else None
            if len(args) == 1 and (count is None or (count > 1 and isinstance(args[0], (tuple, list)))):
                grads, count = (grads,), 1
            if count != len(args):
                raise ValueError(
                    f"custom_gradient: {count or 1} gradients for {len(args)} arguments of {name}"
                )
            for i, (grad, arg) in enumerate(zip(grads, args, strict=True)):
                _mirrors(f"the gradient of argument {i} of {name}", grad, arg)
            return [_at(grads[i], path) for i, path, _ in found]

        return _core.custom(_core.asarray(value), [x for _, _, x in found], back)

    return wrapped


def _mirrors(what: str, grad: Any, arg: Any) -> None:
    """Raises ShapeError unless a gradient that a custom rule gave fits its argument."""
    if grad is None or isinstance(arg, (int, float)):
        return
    if isinstance(arg, (Tensor, np.ndarray)):
        if not isinstance(grad, (Tensor, np.ndarray, int, float)):
            raise ShapeError(f"custom_gradient: {what} is a {type(grad).__name__}, the argument a tensor")
        if (shape := tuple(np.shape(grad))) != tuple(arg.shape):
            raise ShapeError(f"custom_gradient: {what} has shape {shape}, the argument {tuple(arg.shape)}")
        return
    kids, theirs = dict(_core.children(arg) or []), _core.children(grad)
    if theirs is None:
        raise ShapeError(
            f"custom_gradient: {what} is a {type(grad).__name__}, the argument a {type(arg).__name__}: give a gradient "
            "of the same structure, or None"
        )
    for key, part in theirs:
        if part is not None and key not in kids:
            raise ShapeError(f"custom_gradient: {what} has {key}, which the argument has not")
        if part is not None:
            _mirrors(f"{what}.{key}", part, kids[key])


def checkpoint(f: Callable[..., Tensor], *args: Any) -> Tensor:
    """`f(*args)` without keeping what its gradient needs: the gradient computes `f` again. Time for memory.

    Gradients reach the arguments and, if `f` is a layer, its parameters; a tensor that `f` takes from
    elsewhere, such as a variable around it, counts as a constant. Random numbers are the same the second
    time. Ref: Chen et al., "Training deep nets with sublinear memory cost", 2016.

    >>> import oxiflux as flux
    >>> block = flux.Chain(flux.Dense(2, 8, flux.tanh), flux.Dense(8, 2))
    >>> x = flux.rand(5, 2)
    >>> g = flux.gradient(lambda m: flux.checkpoint(m, x).sum(), block)[0]
    >>> g.layers[1].bias.tolist()
    [5.0, 5.0]
    """
    tree = (f, args)
    inputs = [tensor for _, tensor in _core.leaves(tree) if tensor.dtype in FLOATS]
    generator = _core.default_generator()
    before = generator.get_state()
    with _core.paused(inputs):
        value = f(*args)

    def call(tensors: list[Tensor]) -> Tensor:
        given = {id(old): new for old, new in zip(inputs, tensors, strict=True)}
        g, xs = fmap(lambda x: given.get(id(x), x), tree)
        y: Tensor = g(*xs)
        return y

    def back(dy: Tensor) -> list[Tensor | None]:
        now = generator.get_state()
        generator.set_state(before)
        try:
            grads: list[Tensor | None] = pullback(call, inputs)[1](dy)[0]
            return grads
        finally:
            generator.set_state(now)

    return _core.custom(value, inputs, back)


def gradcheck(
    f: Callable[..., Any],
    *args: Any,
    eps: float = 1e-6,
    rtol: float = 1e-5,
    atol: float = 1e-7,
    order: int = 1,
) -> bool:
    """Whether the gradients of `f` agree with central differences in float64, `(f(x + eps) - f(x - eps)) /
    2eps`.

    Checked are all numbers of the floating arguments, and all parameters of models, against a fixed random
    weighting of the result, and with `order=2` the gradient of the gradient too. Returns True; a disagreement
    raises AssertionError with the place and both numbers.

    >>> import oxiflux as flux
    >>> flux.gradcheck(lambda x: flux.sin(x) * x, [0.3, 1.2], order=2)
    True
    >>> flux.gradcheck(lambda model, x: model(x), flux.Dense(2, 3, flux.tanh), [0.3, 1.2])
    True
    """
    # What is one object in two arguments stays so: each is differentiated by on its own.
    made = {id(x): x if callable(x) or _core.leaves(x) else _core.asarray(x) for x in args}
    given = tuple(made[id(x)] for x in args)
    xs = fmap(lambda t: t.astype(_core.float64) if t.dtype in FLOATS else t, given)
    rng = np.random.default_rng(0)
    weights = _core.tensor(rng.uniform(0.5, 1.5, _core.asarray(f(*xs)).shape))

    def weighted(*z: Any) -> Tensor:
        total: Tensor = (f(*z) * weights).sum()
        return total

    _compare(weighted, xs, eps, rtol, atol, "first")
    if order >= 2:
        directions = [
            [(path, _core.tensor(rng.uniform(0.5, 1.5, t.shape))) for path, t in _checked(x)] for x in xs
        ]

        def directional(*z: Any) -> Tensor:
            slopes = [
                (slope * direction).sum()
                for grad, ways in zip(gradient(weighted, *z), directions, strict=True)
                for path, direction in ways
                if (slope := _at(grad, path)) is not None
            ]
            return sum(slopes, start=_core.sum(weights) * 0)

        _compare(directional, xs, eps, rtol, atol, "second")
    return True


def _checked(x: Any) -> list[tuple[tuple[Any, ...], Tensor]]:
    """The tensors of an argument that it is differentiated by, with their paths."""
    return [(path, t) for path, t in _core.leaves(x, trainable=True) if t.dtype in FLOATS]


def _at(grad: Any, path: tuple[Any, ...]) -> Any:
    """The part of a gradient at a path; None where there is none."""
    for key in path:
        grad = dict(_core.children(grad) or []).get(key)
    return grad


def _with(x: Any, old: Tensor, new: Tensor) -> Any:
    """An argument with another tensor in the place of one of its own."""
    return fmap(lambda t: new if t is old else t, x)


def _compare(
    f: Callable[..., Tensor],
    xs: tuple[Any, ...],
    eps: float,
    rtol: float,
    atol: float,
    order: str,
) -> None:
    """Checks each partial derivative of a number."""
    try:
        grads = gradient(f, *xs)
    except ShapeError as error:
        raise AssertionError(f"gradcheck: no {order} derivative: {error}") from error
    for i, x in enumerate(xs):
        for path, t in _checked(x):
            name = f"argument {i}" + (f".{show_path(path)}" if path else "")
            g = _or_zeros(_at(grads[i], path), t).numpy()
            if g.shape != t.shape:
                raise AssertionError(f"gradcheck: {name} has shape {t.shape} and its gradient {g.shape}")
            for place in np.ndindex(t.shape):
                ends = []
                for step in (eps, -eps):
                    moved = np.array(t.numpy())
                    moved[place] += step
                    ends.append(float(f(*xs[:i], _with(x, t, _core.tensor(moved)), *xs[i + 1 :])))
                difference = (ends[0] - ends[1]) / (2 * eps)
                if not abs(g[place] - difference) <= atol + rtol * abs(difference):
                    where = f"{name}{list(map(int, place)) if place else ''}"
                    raise AssertionError(
                        f"gradcheck: {order} derivative by {where} is {g[place]:.10g}, "
                        f"differences give {difference:.10g}"
                    )


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


def _or_zeros(g: Tensor | None, x: Tensor, shape: tuple[int, ...] | None = None) -> Tensor:
    return _core.zeros(x.shape if shape is None else shape, dtype=x.dtype) if g is None else g


def _float_tensor(name: str, x: Any) -> Tensor:
    # An integer that is an argument itself is a number to differentiate by, as in `gradient`.
    is_number = isinstance(x, (int, np.integer)) and not isinstance(x, bool)
    t = x if isinstance(x, Tensor) else _core.asarray(float(x) if is_number else x)
    if t.dtype not in FLOATS:
        raise TypeError(f"{name}: needs floating tensors, got {t.dtype}")
    return t
