"""Initialisers of parameters: each is called with a shape, or with its options alone to be called with a
shape later.

    init((3, 2))    init(3, 2)    init(gain=2)((3, 2))    init((3, 2), rng=generator)

All give float32 tensors and draw from the default generator, which `seed` sets, unless they get one of their
own. Weights are laid out `(in, out)` and `(*kernel, in, out)`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, overload

import numpy as np

from . import _core
from ._core import DTypeError, Generator, ShapeError, Tensor
from .hints import refuse, told

if TYPE_CHECKING:
    from .typing import ArrayLike

__all__ = [
    "create_bias",
    "glorot_normal",
    "glorot_uniform",
    "identity_init",
    "kaiming_normal",
    "kaiming_uniform",
    "lecun_normal",
    "nfan",
    "ones32",
    "orthogonal",
    "rand32",
    "rand_like",
    "randn32",
    "randn_like",
    "sparse_init",
    "truncated_normal",
    "zeros32",
]

Shape = tuple[int, ...]

# The standard deviation of a standard normal variable that is known to lie between -2 and 2.
_STD_WITHIN_2 = 0.8796256610342398


Options = ParamSpec("Options")


class _Initialiser(Protocol[Options]):
    """With a shape a tensor, and with options alone the same function with these options."""

    @overload
    def __call__(
        self, shape: int | Sequence[int], /, *args: Options.args, **options: Options.kwargs
    ) -> Tensor: ...
    @overload
    def __call__(self, a: int, b: int, /, *args: Options.args, **options: Options.kwargs) -> Tensor: ...
    @overload
    def __call__(
        self, a: int, b: int, c: int, /, *args: Options.args, **options: Options.kwargs
    ) -> Tensor: ...
    @overload
    def __call__(
        self, a: int, b: int, c: int, d: int, /, *args: Options.args, **options: Options.kwargs
    ) -> Tensor: ...
    @overload
    def __call__(
        self, a: int, b: int, c: int, d: int, e: int, /, *args: Options.args, **options: Options.kwargs
    ) -> Tensor: ...
    @overload
    def __call__(self, *args: Options.args, **options: Options.kwargs) -> _Initialiser[Options]: ...


def _initialiser(draw: Callable[Concatenate[Shape, Options], Tensor]) -> _Initialiser[Options]:
    """Lets `draw(shape, **options)` be called with the shape's numbers, or with options only."""
    code = draw.__code__
    known = code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount]

    @functools.wraps(draw)
    def init(*shape: int | Sequence[int], **options: Any) -> Any:
        if options:
            refuse(draw.__name__, options, known)
            gain = options.get("gain", 1)
            if not hasattr(gain, "__float__"):
                raise TypeError(f"{draw.__name__}: gain must be a number, got {gain!r}")
        if not shape:
            return functools.partial(init, **options)
        return draw(_shape(draw.__name__, shape), **options)  # type: ignore[call-arg]

    return init  # type: ignore[return-value]


def _shape(name: str, shape: tuple[Any, ...]) -> Shape:
    numbers = tuple(shape[0]) if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape
    if not all(isinstance(n, (int, np.integer)) and n >= 0 for n in numbers):
        raise ShapeError(f"{name}: a shape is made of non-negative integers, got {numbers}")
    return tuple(int(n) for n in numbers)


def generator(rng: Generator | None) -> Generator:
    """The given generator of random numbers, or the default one."""
    if rng is None:
        return _core.default_generator()
    if not isinstance(rng, Generator):
        raise TypeError(
            f"rng is a generator, made by flux.Generator(seed), or None; got {type(rng).__name__}"
        )
    return rng


@told
def nfan(*shape: int | Sequence[int]) -> tuple[int, int]:
    """`(fan_in, fan_out)` of a weight: how many inputs an output sums over, and how many outputs an input
    reaches.

    A matrix is `(in, out)`; of `(*kernel, in, out)` both are multiplied by the size of the kernel; a vector
    of `n` counts as `(1, n)`.

    >>> import oxiflux as flux
    >>> flux.nfan(10, 20), flux.nfan((3, 3, 2, 10))
    ((10, 20), (18, 90))
    """
    numbers = _shape("nfan", shape)
    *kernel, fan_in, fan_out = (1,) * (2 - len(numbers)) + numbers
    size = math.prod(kernel)
    return size * fan_in, size * fan_out


@_initialiser
def glorot_uniform(shape: Shape, *, gain: float = 1, rng: Generator | None = None) -> Tensor:
    """Uniform in `[-x, x]` with `x = gain * sqrt(6 / (fan_in + fan_out))`.

    Ref: Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010.

    >>> import oxiflux as flux
    >>> w = flux.glorot_uniform(100, 50)
    >>> w.shape, bool(abs(w).max() <= 0.2)
    ((100, 50), True)
    """
    return _uniform(shape, gain * math.sqrt(6 / max(1, sum(nfan(shape)))), rng)


@_initialiser
def glorot_normal(shape: Shape, *, gain: float = 1, rng: Generator | None = None) -> Tensor:
    """Normal with mean 0 and standard deviation `gain * sqrt(2 / (fan_in + fan_out))`.

    Ref: Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010.

    >>> import oxiflux as flux
    >>> flux.glorot_normal(gain=2)(100, 50).shape
    (100, 50)
    """
    return _normal(shape, gain * math.sqrt(2 / max(1, sum(nfan(shape)))), rng)


@_initialiser
def kaiming_uniform(shape: Shape, *, gain: float = math.sqrt(2), rng: Generator | None = None) -> Tensor:
    """Uniform in `[-x, x]` with `x = gain * sqrt(3 / fan_in)`.

    Ref: He et al., "Delving deep into rectifiers", 2015.

    >>> import oxiflux as flux
    >>> bool(abs(flux.kaiming_uniform(100, 10)).max() <= 0.245)
    True
    """
    return _uniform(shape, gain * math.sqrt(3 / max(1, nfan(shape)[0])), rng)


@_initialiser
def kaiming_normal(shape: Shape, *, gain: float = math.sqrt(2), rng: Generator | None = None) -> Tensor:
    """Normal with mean 0 and standard deviation `gain / sqrt(fan_in)`.

    Ref: He et al., "Delving deep into rectifiers", 2015.

    >>> import oxiflux as flux
    >>> flux.kaiming_normal(100, 10).shape
    (100, 10)
    """
    return _normal(shape, gain / math.sqrt(max(1, nfan(shape)[0])), rng)


@_initialiser
def lecun_normal(shape: Shape, *, gain: float = 1, rng: Generator | None = None) -> Tensor:
    """Normal with mean 0, cut off at two deviations and scaled to a standard deviation of `gain * sqrt(1 / fan_in)`.

    Ref: LeCun et al., "Efficient BackProp", 1998. Goes with `selu`: Klambauer et al., 2017.

    >>> import oxiflux as flux
    >>> flux.Dense(10, 1000, flux.selu, init=flux.lecun_normal).weight.shape
    (10, 1000)
    """
    if not gain > 0:
        raise ValueError(f"lecun_normal: gain must be positive, got {gain}")
    std = gain * math.sqrt(1 / max(1, nfan(shape)[0])) / _STD_WITHIN_2
    weight: Tensor = truncated_normal(shape, std=std, lo=-2 * std, hi=2 * std, rng=rng)
    return weight


@_initialiser
def truncated_normal(
    shape: Shape,
    *,
    mean: float = 0,
    std: float = 1,
    lo: float = -2,
    hi: float = 2,
    rng: Generator | None = None,
) -> Tensor:
    """Normal with the given mean and standard deviation, on condition that the value lies in `[lo, hi]`.

    `x = mean + std * sqrt(2) * erfinv(2u - 1)` with `u` uniform between the cumulative probabilities of `lo`
    and `hi`. Raises ValueError unless `lo < hi` and `std > 0`. Ref: Burkardt, "The truncated normal
    distribution", 2014.

    >>> import oxiflux as flux
    >>> w = flux.truncated_normal(1000, lo=0, hi=1)
    >>> bool(w.min() >= 0), bool(w.max() <= 1)
    (True, True)
    """
    if not (lo < hi and std > 0):
        raise ValueError(f"truncated_normal: needs lo < hi and std > 0, got lo={lo}, hi={hi}, std={std}")
    low, high = (math.erf((edge - mean) / (std * math.sqrt(2))) for edge in (lo, hi))
    u = generator(rng).rand(*shape, dtype=_core.float64).numpy()
    x = mean + std * math.sqrt(2) * _erfinv(low + (high - low) * u)
    return _core.tensor(np.clip(x, lo, hi).astype(np.float32))


@_initialiser
def orthogonal(shape: Shape, *, gain: float = 1, rng: Generator | None = None) -> Tensor:
    """A random matrix with orthonormal rows or columns, whichever are fewer, times `gain`.

    More than two axes are a matrix of `prod(shape[:-1])` rows. Raises ShapeError for fewer than two. Ref:
    Saxe, McClelland and Ganguli, "Exact solutions to the nonlinear dynamics of learning in deep linear neural
    networks", 2014.

    >>> import numpy as np, oxiflux as flux
    >>> w = flux.orthogonal(5, 3).numpy()
    >>> np.allclose(w.T @ w, np.eye(3), atol=1e-6)
    True
    """
    if len(shape) < 2:
        raise ShapeError(f"orthogonal: needs at least two axes, got shape {shape}")
    rows, cols = math.prod(shape[:-1]), shape[-1]
    tall = generator(rng).randn(max(rows, cols), min(rows, cols)).numpy().astype(np.float64)
    q, r = np.linalg.qr(tall)
    # Without the signs of R's diagonal the result would not be uniform over the orthogonal matrices.
    q = q * np.where(np.diagonal(r) < 0, -gain, gain)
    return _core.tensor(np.ascontiguousarray(q.T if rows < cols else q, np.float32).reshape(shape))


@_initialiser
def sparse_init(shape: Shape, *, sparsity: float, std: float = 0.01, rng: Generator | None = None) -> Tensor:
    """Normal with mean 0 and standard deviation `std`, but zero at `ceil(sparsity * out)` places of each row.

    Raises ShapeError unless the shape is `(in, out)`. Ref: Martens, "Deep learning via Hessian-free
    optimization", 2010.

    >>> import oxiflux as flux
    >>> (flux.sparse_init(4, 10, sparsity=0.25).numpy() == 0).sum(axis=1).tolist()
    [3, 3, 3, 3]
    """
    if len(shape) != 2:
        raise ShapeError(f"sparse_init: the shape must be (in, out), got {shape}")
    numbers = generator(rng)
    values = numbers.randn(*shape).numpy() * np.float32(std)
    rank = numbers.rand(*shape).numpy().argsort(axis=1).argsort(axis=1)
    return _core.tensor(np.where(rank < math.ceil(min(1.0, sparsity) * shape[1]), np.float32(0), values))


@_initialiser
def identity_init(
    shape: Shape, *, gain: float = 1, shift: int | tuple[int, ...] = 0, rng: Generator | None = None
) -> Tensor:
    """What makes a layer the identity, times `gain`: ones on the diagonal, at the centre of a convolution's
    kernel.

    A vector is zeros, for a bias. `shift` rolls the result, a number along the first axis and a tuple along
    the first axes. `rng` is taken as by every initialiser, and not used.

    >>> import oxiflux as flux
    >>> flux.identity_init(2, 3).tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    """
    w = np.zeros(shape, np.float32)
    if len(shape) >= 2:
        centre = tuple((n - 1) // 2 for n in shape[:-2])
        if all(shape[:-2]):
            np.fill_diagonal(w[centre], gain)
        shifts = shift if isinstance(shift, tuple) else (shift,)
        w = np.roll(w, shifts, axis=tuple(range(len(shifts))))
    return _core.tensor(w)


@_initialiser
def zeros32(shape: Shape) -> Tensor:
    """Zeros.

    >>> import oxiflux as flux
    >>> flux.zeros32(2).tolist()
    [0.0, 0.0]
    """
    return _core.zeros(shape)


@_initialiser
def ones32(shape: Shape) -> Tensor:
    """Ones.

    >>> import oxiflux as flux
    >>> flux.Dense(2, 1, init=flux.ones32)([[1, 2]]).tolist()
    [[3.0]]
    """
    return _core.ones(shape)


@_initialiser
def rand32(shape: Shape, *, rng: Generator | None = None) -> Tensor:
    """Uniform in `[0, 1)`.

    >>> import oxiflux as flux
    >>> flux.rand32(2, 3).shape
    (2, 3)
    """
    return generator(rng).rand(*shape)


@_initialiser
def randn32(shape: Shape, *, rng: Generator | None = None) -> Tensor:
    """Normal with mean 0 and standard deviation 1.

    >>> import oxiflux as flux
    >>> flux.randn32(2, 3, rng=flux.Generator(1)).shape
    (2, 3)
    """
    return generator(rng).randn(*shape)


@told
def rand_like(
    x: ArrayLike,
    *,
    shape: int | Sequence[int] | None = None,
    dtype: Any = None,
    rng: Generator | None = None,
) -> Tensor:
    """Uniform numbers in `[0, 1)` in the shape and dtype of `x`, or of those that are given.

    They come from the default generator, which `seed` sets, or from `rng`. DTypeError unless the dtype is floating.
    Ref: MLUtils.jl, `rand_like`.

    >>> import oxiflux as flux
    >>> y = flux.rand_like(flux.zeros((2, 3), dtype="float64"))
    >>> y.shape, y.dtype, flux.rand_like(y, shape=4, dtype="float32").shape
    ((2, 3), oxiflux.float64, (4,))
    """
    return _alike("rand_like", x, shape, dtype, generator(rng).rand)


@told
def randn_like(
    x: ArrayLike,
    *,
    shape: int | Sequence[int] | None = None,
    dtype: Any = None,
    rng: Generator | None = None,
) -> Tensor:
    """Normal numbers with mean 0 and standard deviation 1 in the shape and dtype of `x`, or of those that are given.

    The rest is as for `rand_like`. Ref: MLUtils.jl, `randn_like`.

    >>> import oxiflux as flux
    >>> noisy = flux.ones((2, 3)) + 0.1 * flux.randn_like(flux.ones((2, 3)))
    >>> noisy.shape, noisy.dtype
    ((2, 3), oxiflux.float32)
    """
    return _alike("randn_like", x, shape, dtype, generator(rng).randn)


def _alike(name: str, x: Any, shape: Any, dtype: Any, draw: Callable[..., Tensor]) -> Tensor:
    given = _core.asarray(x)
    dtype = given.dtype if dtype is None else _core.dtype(dtype)
    if dtype.kind != "f":
        raise DTypeError(f"{name}: the numbers are floating, not {dtype}; give dtype=flux.float32")
    return draw(*(given.shape if shape is None else _shape(name, (shape,))), dtype=dtype)


@told
def create_bias(weight: Tensor, bias: bool | ArrayLike | None, *shape: int) -> Tensor | None:
    """A layer's bias from what its constructor was given: True for zeros, False or None for none, or the
    values.

    The result has the dtype of `weight`. Values of another shape raise ShapeError.

    >>> import oxiflux as flux
    >>> flux.create_bias(flux.ones((2, 3)), True, 3).tolist()
    [0.0, 0.0, 0.0]
    >>> flux.create_bias(flux.ones((2, 3)), False, 3) is None
    True
    """
    if bias is None or bias is False:
        return None
    dtype = _core.asarray(weight).dtype
    if bias is True:
        return _core.zeros(shape, dtype=dtype)
    values = bias if isinstance(bias, Tensor) else _core.tensor(bias)
    if values.shape != shape:
        raise ShapeError(f"create_bias: expected a bias of shape {shape}, got {values.shape}")
    return values if values.dtype == dtype else _core.asarray(values, dtype)


def _uniform(shape: Shape, bound: float, rng: Generator | None) -> Tensor:
    return (generator(rng).rand(*shape) - 0.5) * (2 * bound)


def _normal(shape: Shape, std: float, rng: Generator | None) -> Tensor:
    return generator(rng).randn(*shape) * std


def _erfinv(x: np.ndarray) -> np.ndarray:
    """The inverse of erf: Winitzki's approximation (2008), good to 2e-3, and three steps of Newton's
    method.
    """
    x = np.clip(x, -1 + 2**-53, 1 - 2**-53)
    log = np.log1p(-x * x)
    half = 2 / (math.pi * 0.147) + log / 2
    y: np.ndarray = np.copysign(np.sqrt(np.sqrt(half * half - log / 0.147) - half), x)
    for _ in range(3):
        y -= (_core.erf(_core.tensor(y)).numpy() - x) * (math.sqrt(math.pi) / 2) * np.exp(y * y)
    return y
