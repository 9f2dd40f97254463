"""What every layer is: an object with attributes, a `__call__`, and a way to print itself."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np

from .. import _core
from .._core import DTypeError, ShapeError, Tensor
from ..functions.axes import flag
from ..hints import LAYER, Told, meant, tell
from ..init import create_bias
from ..show import Printed, name_of
from ..tree import FLOATS, is_float_array
from .unsized import Unsized, left_open, left_open_within

__all__ = ["Layer"]

Method = TypeVar("Method", bound=Callable[..., Any])

_OF_INPUT = {ShapeError, DTypeError, ValueError, TypeError, IndexError, OverflowError, MemoryError}


class Elsewhere:
    """Names that layers have in other libraries: what to write here. It is the last base: `help` ends with it."""


tell(Elsewhere, LAYER)


class Layer(Printed, Told, Elsewhere):
    """Base of the layers; a class of one's own needs only its attributes and a `__call__`.

    Every floating tensor reachable through attributes, lists, tuples and dicts is a trainable parameter; a
    method `trainable(self)` that returns names of attributes restricts them. An array of floats that is assigned to an
    attribute becomes a parameter, in float32. Assigning to a parameter keeps its dtype, and raises ShapeError for
    another shape. `describe(self)` is the layer on one line.

    >>> import oxiflux as flux
    >>> class Affine(flux.Layer):
    ...     weight: flux.Tensor
    ...     shift: flux.Tensor
    ...
    ...     def __init__(self, size_in, size_out):
    ...         self.weight = flux.glorot_uniform(size_in, size_out)
    ...         self.shift = flux.zeros(size_out)
    ...
    ...     def __call__(self, x):
    ...         return x @ self.weight + self.shift
    >>> Affine(3, 2)
    Affine(weight=(3, 2), shift=(2,))  # 8 parameters
    >>> Affine(3, 2)([[1, 2, 3]]).shape
    (1, 2)
    """

    # The place of the size among the arguments that may be None, for `autosize` to fill in.
    open_at: ClassVar[int | None] = None
    # Whether it is made of a layer, its first argument, whose size must be known for that.
    is_made_of_layer: ClassVar[bool] = False

    if TYPE_CHECKING:
        # What is known of the call of any layer: most give a tensor.
        def __call__(self, *args: Any, **options: Any) -> Tensor | Any: ...

    else:  # A class is called as its `__init__` says.

        @classmethod
        def _new(cls, args, given):  # noqa: ANN001, ANN206
            for name in _switches(cls).intersection(given):
                flag(cls.__name__, name, given[name])
            if left_open(cls, args, given):
                return Unsized(cls, cls.open_at, args, given)
            if cls.is_made_of_layer and (around := left_open_within(cls, args, given)):
                return around
            return super()._new(args, given)

    def __init_subclass__(cls, **options: Any) -> None:
        """A layer of PyTorch has a `forward`; here a call is a call."""
        super().__init_subclass__(**options)
        if "forward" in vars(cls) and not any("__call__" in vars(base) for base in cls.__mro__):
            setattr(cls, "__call__", _told_forward)  # noqa: B010 mypy takes it for a method

    def __setattr__(self, name: str, value: Any) -> None:
        old = self.__dict__.get(name)
        if type(old) is Tensor and value is not None:
            value = self._fitting(name, old, value)
        elif is_float_array(value):
            value = parameter(value)
        object.__setattr__(self, name, value)

    def _fitting(self, name: str, old: Tensor, value: Any) -> Tensor:
        """What an assignment to a parameter stores."""
        new = value if type(value) is Tensor else _core.tensor(value)
        if new.shape != old.shape:
            raise ShapeError(f"{self.describe()}: {name} has shape {old.shape}, got {new.shape}")
        return new if new.dtype == old.dtype else _core.asarray(new, old.dtype)


@functools.cache
def _switches(cls: type) -> frozenset[str]:
    """The arguments of a layer of this package that are true or false."""
    init: Any = next(vars(base)["__init__"] for base in cls.__mro__ if "__init__" in vars(base))
    if not (getattr(init, "__module__", None) or "").startswith(f"{__package__}."):
        return frozenset()
    return frozenset(name for name, kind in init.__annotations__.items() if kind == "bool")


def _told_forward(self: Layer, *args: Any, **options: Any) -> Any:
    name = type(self).__name__
    raise TypeError(f"{name}: a layer computes in __call__; rename forward to it")


def named(call: Method) -> Method:
    """Lets errors about the one input of a layer begin with the layer as it is printed."""

    @functools.wraps(call)
    def of_one(self: Layer, x: Any) -> Any:
        try:
            return call(self, x)
        except Exception as error:
            blame(error, self.describe())
            raise

    return of_one  # type: ignore[return-value]


def named_any(call: Method) -> Method:
    """`named` for several inputs and options, which takes 0.2 us to hand on instead of 0.02."""

    @functools.wraps(call)
    def of_any(self: Layer, *args: Any, **options: Any) -> Any:
        try:
            return call(self, *args, **options)
        except Exception as error:
            blame(error, self.describe())
            raise

    return of_any  # type: ignore[return-value]


def blame(error: Exception, layer: str) -> None:
    """Puts the layer in front of the message of an error about its input, in the place of an operation that only
    layers know. What other code raises stays as it is.
    """
    if type(error) in _OF_INPUT:
        message = re.sub("^(conv|conv_transpose|create_bias|dense|norm|recurrent): ", "", str(error))
        error.args = (f"{layer}: {message}",)
    elif isinstance(error, MemoryError):
        error.add_note(f"in {layer}")  # NumPy's makes its message itself.


def turned(shape: tuple[int, ...], channels: int) -> str:
    """What to write for an image whose channels are where other libraries have them, as the end of an error.

    >>> turned((2, 3, 8, 8), 3), turned((2, 8, 8, 4), 3)
    ('; channels are last here: flux.moveaxis(x, 1, -1) puts them there', '')
    """
    is_first = len(shape) > 2 and shape[1] == channels != shape[-1]
    return "; channels are last here: flux.moveaxis(x, 1, -1) puts them there" if is_first else ""


def locate(error: Exception, container: str, step: str) -> None:
    """Adds to an error from within a container which of its layers it comes from: `Chain[1]["decoder"][0]:
    …`.

    Errors of shapes and dtypes get it in their message, errors of other code in a note.
    """
    placed = getattr(error, "_place", None)
    path, message = placed or ("", str(error))
    path = step + path
    if isinstance(error, (ShapeError, DTypeError)):
        error.args = (f"{container}{path}: {message}",)
    else:
        if placed:
            error.__notes__.pop()
        error.add_note(f"in {container}{path}")
    error._place = path, message  # type: ignore[attr-defined]


def parameter(values: Any) -> Tensor:
    """Given values as a parameter: floating, and float32 unless they are a tensor of another floating
    dtype.
    """
    if type(values) is Tensor and values.dtype in FLOATS:
        return values
    return _core.tensor(values, _core.float32)


def made(layer: str, init: Any, shape: tuple[int, ...]) -> Tensor:
    """A parameter made by an initialiser, which must have heeded the shape."""
    try:
        weight = parameter(init(shape))
    except Exception as error:
        blame(error, layer)
        raise
    if weight.shape != shape:
        raise ShapeError(f"{layer}: init made a weight of shape {weight.shape}")
    return weight


def made_bias(layer: str, weight: Tensor, bias: Any, *shape: int) -> Tensor | None:
    """The bias that goes with a weight, of what the constructor was given."""
    try:
        return create_bias(weight, bias, *shape)
    except Exception as error:
        blame(error, layer)
        raise


def check_sizes(layer: str, *sizes: Any) -> None:
    """Raises ValueError unless these are sizes of axes."""
    if not all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) and n >= 0 for n in sizes):
        raise ValueError(f"{layer}: sizes are non-negative integers, got {' and '.join(map(repr, sizes))}")


def check_activation(layer: str, activation: Any) -> None:
    """Raises TypeError unless this can be called."""
    if not callable(activation):
        raise TypeError(f"{layer}: the activation must be a function, got {activation!r}{meant(activation)}")


def options(activation: Any, bias: Any) -> str:
    """What a layer prints behind its sizes: `, relu; bias=False`."""
    named = "" if activation is _core.identity else f", {name_of(activation)}"
    return named if bias is not None else f"{named}; bias=False"


def shape_of(x: Any) -> tuple[int, ...]:
    """The shape of anything that a layer can be called with."""
    return tuple(x.shape) if hasattr(x, "shape") else _core.asarray(x).shape
