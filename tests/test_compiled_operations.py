"""Every operation and every loss, and their gradients, give the same bits compiled."""

from typing import Any

import numpy as np
import pytest

import oxiflux as flux
from oracles import BINARY, BITS, COMPARISONS, ORACLES, REDUCTIONS, UNARY
from test_compiled import bits, hits
from test_losses import EVERY, case_id, draw

CALLS = 4
GIVEN: dict[str, Any] = {"polygamma": lambda x: flux.polygamma(1, x), "power": lambda x: flux.power(x, 2.5)}
INTEGERS = [*BITS, "bitwise_invert"]


def numbers(seed: int, domain: tuple[float, float], shape: tuple[int, ...], name: str) -> flux.Tensor:
    drawn = np.random.default_rng(seed).uniform(*domain, shape)
    if name in INTEGERS:
        return flux.tensor(np.abs(drawn).astype("int64"))
    return flux.tensor((np.abs(drawn) + 0.125 if name == "fmod" else drawn).astype("float32"))


def inputs(name: str, seed: int) -> list[flux.Tensor]:
    oracle = ORACLES[name]
    given = [numbers(seed, oracle.domain, (3, 4), name)]
    if name in BINARY:
        given.append(numbers(seed + 99, oracle.second or oracle.domain, (4,), name))
    return given


def same(f: Any, given: Any) -> None:
    """Calls of a function with arguments that `given` makes, compiled and not."""
    compiled = flux.compile(f)
    for i in range(CALLS):
        xs = given(i)
        assert bits(compiled(*xs)) == bits(f(*xs))
    assert hits(compiled) == CALLS - 2


@pytest.mark.parametrize("name", ORACLES)
def test_an_operation_is_the_same_compiled(name: str) -> None:
    same(GIVEN.get(name, getattr(flux, name)), lambda i: inputs(name, i))


@pytest.mark.parametrize(
    "name", [n for n in UNARY | BINARY | REDUCTIONS if n not in [*INTEGERS, *COMPARISONS]]
)
def test_the_gradient_of_an_operation_is_the_same_compiled(name: str) -> None:
    f = GIVEN.get(name, getattr(flux, name))

    def backward(*xs: flux.Tensor) -> Any:
        return flux.gradient(lambda *xs: (flux.astype(f(*xs), "float32") ** 2).sum(), *xs)

    same(backward, lambda i: inputs(name, i))


@pytest.mark.parametrize("name", REDUCTIONS)
def test_a_reduction_over_an_axis_is_the_same_compiled(name: str) -> None:
    f = getattr(flux, name)
    same(lambda x: f(x, axis=0), lambda i: inputs(name, i))


@pytest.mark.parametrize("case", EVERY, ids=case_id)
def test_a_loss_and_its_gradient_are_the_same_compiled(case: Any) -> None:
    name, options, kind_p, kind_t, _ = case
    loss = getattr(flux, name)

    def given(i: int) -> list[flux.Tensor]:
        return [flux.tensor(draw(kind, (5, 3), i + 7 * j)) for j, kind in enumerate((kind_p, kind_t))]

    same(lambda p, t: flux.withgradient(lambda p: loss(p, t, **options), p), given)


MADE = {
    "nansum": lambda x: flux.nansum(flux.where(x > 0, x, float("nan")), axis=1),
    "bincount of a given length": lambda x: flux.bincount(flux.astype(abs(x[0]) * 3, "int64"), minlength=20),
    "histogram with edges": lambda x: flux.histogram(x, bins=[-1.0, 0.0, 1.0]).counts,
    "histogram with weights": lambda x: flux.histogram(x, bins=5, range=(-2.0, 2.0), weights=x * x).counts,
    "sorted": lambda x: flux.sort(x, axis=1),
    "places": lambda x: flux.argsort(x, axis=0),
    "largest": lambda x: flux.topk(x, 2),
    "running sums": lambda x: flux.cumulative_sum(x, axis=1),
    "chosen": lambda x: flux.where(x > 0, x, x * 2),
    "taken along": lambda x: flux.take_along_axis(x, flux.argsort(x, axis=1), axis=1),
    "put along": lambda x: flux.gradient(
        lambda x: (flux.take_along_axis(x, flux.argsort(x, axis=1), axis=1) ** 3).sum(), x
    ),
    "joined": lambda x: flux.concat([x, x * 2], axis=0),
    "turned": lambda x: flux.matrix_transpose(flux.rot90(x)),
    "solved": lambda x: flux.linalg.solve(x @ flux.matrix_transpose(x) + flux.eye(3), x),
    "distances": lambda x: flux.cdist(x, x),
    "spectrum": lambda x: flux.fft.rfft(x),
    "quantiles": lambda x: flux.quantile(x, 0.25, axis=0),
}


@pytest.mark.parametrize("name", MADE)
@pytest.mark.filterwarnings("ignore:compile. .* runs as ever:RuntimeWarning")
def test_a_function_of_several_operations_is_the_same_compiled(name: str) -> None:
    f = MADE[name]
    compiled = flux.compile(f)
    for i in range(CALLS):
        x = numbers(i, (-2.0, 2.0), (3, 4), name)
        assert bits(compiled(x)) == bits(f(x))
