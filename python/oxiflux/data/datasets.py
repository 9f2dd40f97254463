"""Small data sets to try things with: Fisher's irises, and points along curves with noise by a generator's numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .._core import Generator
from ..functions.axes import flag
from ..hints import told
from ..init import generator
from .items import permutation, whole

__all__ = ["load_iris", "make_moons", "make_poly", "make_sin", "make_spiral"]

Array = np.ndarray[Any, Any]


@told
def load_iris() -> tuple[Array, Array, list[str]]:
    """Fisher's irises `(x, y, names)`: 150 flowers, 50 of each of three species.

    `x` has the shape `(150, 4)`, in float32: the lengths and widths of sepals and petals in cm, by `names`. `y` are the
    species, as text. Ref: Fisher, "The use of multiple measurements in taxonomic problems", 1936.

    >>> x, y, names = load_iris()
    >>> x[0].tolist() == np.float32([5.1, 3.5, 1.4, 0.2]).tolist(), y[[0, 50, 100]].tolist()
    (True, ['setosa', 'versicolor', 'virginica'])
    >>> names
    ['sepal length', 'sepal width', 'petal length', 'petal width']
    """
    digits = np.frombuffer("".join(_IRIS.split()).encode(), np.uint8).reshape(150, 4, 2) - ord("0")
    x = (digits @ np.array([10, 1]) / 10).astype(np.float32)
    y = np.repeat(["setosa", "versicolor", "virginica"], 50)
    return x, y, ["sepal length", "sepal width", "petal length", "petal width"]


@told
def make_moons(
    n: int | tuple[int, int] = 100, noise: float = 0.0, shuffle: bool = True, rng: Generator | None = None
) -> tuple[Array, Array]:
    """Points `(x, y)` on two half circles that reach into each other, with their labels 0 and 1.

    `x` has the shape `(n, 2)`, in float32, and `y` the shape `(n,)`, in int64. Half of the points, or `n[0]` of a pair
    `n`, are `(cos(t), sin(t))` and have the label 0; the others are `(1 - cos(t), 0.5 - sin(t))`. The angles `t` are
    drawn equally likely from 0 to pi, and normal numbers times `noise` are added to `x`. Numbers below 0 raise
    ValueError. Ref: MLUtils.jl, `make_moons`, where the labels are 1 and 2.

    >>> import oxiflux as flux
    >>> x, y = make_moons(50, noise=0.1, rng=flux.Generator(0))
    >>> x.shape, x.dtype, np.bincount(y)
    ((50, 2), dtype('float32'), array([25, 25]))
    """
    if isinstance(n, (tuple, list)):
        if len(n) != 2:
            raise ValueError(f"make_moons: give one number of points or two, got {n!r}")
        first, second = (whole("make_moons", "n", m, 0) for m in n)
    else:
        total = whole("make_moons", "n", n, 0)
        first, second = total // 2, total - total // 2
    noise = _not_negative("make_moons", noise)
    t = math.pi * _random("rand", rng, first + second)
    upper, lower = t[:first], t[first:]
    x = np.concatenate(
        [np.stack([np.cos(upper), np.sin(upper)], 1), np.stack([1 - np.cos(lower), 0.5 - np.sin(lower)], 1)]
    )
    x = (x + noise * _random("randn", rng, *x.shape)).astype(np.float32)
    y = np.repeat([0, 1], [first, second])
    if flag("make_moons", "shuffle", shuffle):
        order = permutation(rng, len(y))
        return x[order], y[order]
    return x, y


@told
def make_spiral(
    n: int = 97,
    a: float = 6.5,
    theta: float = 16.0,
    b: float = 104.0,
    noise: float = 0.1,
    rng: Generator | None = None,
) -> tuple[Array, Array]:
    """Points `(x, y)` on two arms of a spiral, `n` on each, with their labels.

    `x` has the shape `(2 * n, 2)`, in float32, and `y` the shape `(2 * n,)`, in int64. Point `i` of the first arm, of
    the label 1, is `r * (sin(i * pi / theta), cos(i * pi / theta))` with `r = a * (b - i) / b`; the second arm, of the
    label 0, is the first turned by half a circle. Normal numbers times `noise` are added to `x`. Ref: Lang and
    Witbrock, "Learning to tell two spirals apart", 1988; MLUtils.jl, `make_spiral`.

    >>> x, y = make_spiral(noise=0.0)
    >>> x[0].tolist(), y[0], x[97].tolist(), y[97]
    ([0.0, 6.5], np.int64(1), [-0.0, -6.5], np.int64(0))
    """
    i = np.arange(whole("make_spiral", "n", n, 0))
    noise = _not_negative("make_spiral", noise)
    if theta == 0 or b == 0:
        raise ValueError(f"make_spiral: theta and b must not be 0, got theta={theta!r}, b={b!r}")
    angle, radius = i * math.pi / theta, a * (b - i) / b
    arm = np.stack([radius * np.sin(angle), radius * np.cos(angle)], 1)
    x = np.concatenate([arm, -arm])
    x = x + noise * _random("randn", rng, *x.shape)
    return x.astype(np.float32), np.repeat([1, 0], len(i))


@told
def make_poly(coef: Any, x: Any, noise: float = 0.1, rng: Generator | None = None) -> tuple[Array, Array]:
    """Values `(x, y)` of a polynomial: `y = coef[0] * x**(m - 1) + … + coef[m - 1]`, plus normal numbers times `noise`.

    `y` has the shape of `x`; both are in float64 if `x` is, else in float32. No coefficient raises ValueError. Ref:
    MLUtils.jl, `make_poly`.

    >>> x, y = make_poly([2, 0, 1], [0.0, 1.0, 2.0], noise=0.0)
    >>> y.tolist()
    [1.0, 3.0, 9.0]
    """
    coef, places = np.asarray(coef, np.float64), np.asarray(x)
    if coef.ndim != 1 or coef.size == 0:
        raise ValueError(
            f"make_poly: coef must be a list of at least one number, got one of shape {coef.shape}"
        )
    noise = _not_negative("make_poly", noise)
    y = np.polyval(coef, places.astype(np.float64)) + noise * _random("randn", rng, *places.shape)
    dtype = np.float64 if isinstance(x, np.ndarray) and x.dtype == np.float64 else np.float32
    return places.astype(dtype), y.astype(dtype)


@told
def make_sin(
    n: int = 50,
    start: float = 0.0,
    stop: float = 2 * math.pi,
    noise: float = 0.3,
    rng: Generator | None = None,
) -> tuple[Array, Array]:
    """`n` equally spaced places `x` from `start` to `stop`, and `y = sin(x)` plus normal numbers times `noise`.

    Both have the shape `(n,)`, in float32. Ref: MLUtils.jl, `make_sin`.

    >>> x, y = make_sin(3, stop=np.pi, noise=0.0)
    >>> y.round(3).tolist()
    [0.0, 1.0, -0.0]
    """
    x = np.linspace(start, stop, whole("make_sin", "n", n, 0))
    y = np.sin(x) + _not_negative("make_sin", noise) * _random("randn", rng, len(x))
    return x.astype(np.float32), y.astype(np.float32)


def _random(kind: str, rng: Generator | None, *shape: int) -> Array:
    """Numbers of a generator in float64."""
    drawn: Array = getattr(generator(rng), kind)(*shape, dtype="float64").numpy()
    return drawn


def _not_negative(caller: str, noise: float) -> float:
    if isinstance(noise, (bool, str)) or not hasattr(noise, "__float__"):
        raise TypeError(f"{caller}: noise must be a number, got {noise!r}")
    if not 0 <= noise < math.inf:
        raise ValueError(f"{caller}: noise must be 0 or more and finite, got {noise!r}")
    return noise


# In millimetres, two digits for each number, flower by flower.
_IRIS = """
513514024930140247321302463115025036140254391704463414035034150244291402493115015437150248341602
483014014330110158401202574415045439130451351403573817035138150354341702513715044636100251331705
483419025030160250341604523515025234140247321602483116025434150452411501554214024931150250321202
553513024936140144301302513415025035130345231303443213025035160651381904483014035138160246321402
533715025033140270324714643245156931491555234013652846155728451363334716492433106629461352273914
502035105930421560224010612947145629361367314414563045155827411062224515562539115932481861284013
632549156128471264294313663044146828481467305017602945155726351055243811552437105827391260275116
543045156034451667314715632344135630411355254013552644126130461458264012502333105627421357304212
572942136229431351253011572841136333602558275119713059216329561865305822763066214925451773296318
672558187236612565325120642753196830552157255020582851246432532365305518773867227726692360225015
693257235628492077286720632749186733572172326018622848186130491864285621723058167428611979386420
642856226328511561265614773061236334562464315518603048186931542167315624693151235827511968325923
673357256730522363255019653052206234542359305118
"""
