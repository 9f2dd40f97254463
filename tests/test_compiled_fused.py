"""What a program does together gives the bits that the operations give one by one."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import oxiflux as flux
from test_compiled import bits

Step = Callable[..., Any]


def normal(i: int, *shape: int, dtype: str = "float32") -> flux.Tensor:
    return flux.tensor(np.random.default_rng(i).normal(size=shape).astype(dtype))


def compiled(f: Step, *args: Any) -> str:
    """Compares some calls; the program as text."""
    g = flux.compile(f)
    for _ in range(4):
        assert bits(g(*args)) == bits(f(*args))
    assert g.counts[2] > 0
    return flux.show_program(g)


def alone(text: str) -> list[str]:
    """The names of the operations that are done by themselves."""
    lines = [line.split(" = ")[-1] for line in text.splitlines() if line.endswith(")")]
    return [line.split("(")[0] for line in lines]


def rbf(x: flux.Tensor, c: flux.Tensor, w: flux.Tensor, y: flux.Tensor) -> flux.Tensor:
    d = x.reshape(-1, 1, x.shape[1]) - c.reshape(1, *c.shape)
    k = flux.exp(-flux.sum(d * d, axis=-1) * 0.5)
    return flux.mean((k @ w - y) ** 2)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_chain_of_functions_and_its_gradient_are_one_line(dtype: str, threads: int) -> None:
    def loss(x: flux.Tensor) -> flux.Tensor:
        return flux.sum(flux.gelu(x) * flux.sigmoid(x) + flux.tanh(x) * flux.exp(-x * x))

    before = flux.get_num_threads()
    flux.set_num_threads(threads)
    try:
        for n in (1, 15, 1000, 70_001):
            text = compiled(lambda x: flux.withgradient(loss, x), normal(n, n, dtype=dtype))
            assert alone(text) == [], text
    finally:
        flux.set_num_threads(before)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_distances_of_points_and_their_gradients_have_the_same_bits(dtype: str) -> None:
    def step(*args: flux.Tensor) -> Any:
        return flux.withgradient(rbf, *args)

    args = normal(0, 60, 8, dtype=dtype), normal(1, 50, 8, dtype=dtype)
    text = compiled(step, *args, normal(2, 50, dtype=dtype), normal(3, 60, dtype=dtype))
    views = ("reshape", "permute_dims", "broadcast_to")
    assert [name for name in alone(text) if name not in (*views, "matmul")] == [], text


def test_rows_columns_and_transposed_tensors_broadcast() -> None:
    def f(x: flux.Tensor, row: flux.Tensor, column: flux.Tensor, t: flux.Tensor) -> Any:
        y = flux.tanh(x * row + column) - t.mT
        return y, flux.sum(y * y, axis=0), flux.max(y, axis=-1), flux.mean(flux.where(y > 0, y, row))

    for n, m in ((3, 4), (300, 7), (7, 3000), (64, 64), (500, 300)):
        assert alone(compiled(f, normal(1, n, m), normal(2, m), normal(3, n, 1), normal(4, m, n)))


def test_infinities_zeros_with_signs_and_nan_stay_what_they_are() -> None:
    x = flux.tensor(np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-40, -3e38], np.float32))
    compiled(lambda x: flux.relu(x) + flux.maximum(x, 0.0) * flux.copysign(1.0, x), x)
    compiled(lambda x: flux.where(flux.isnan(x), -x, flux.abs(x) / x), x)


def test_what_is_computed_twice_is_done_once_and_what_nobody_needs_not_at_all() -> None:
    def f(x: flux.Tensor) -> Any:
        flux.exp(x)
        return flux.tanh(x) * flux.sigmoid(x) + flux.tanh(x)

    text = compiled(f, normal(0, 3, 4))
    assert text.count("[done already]") == 1
    assert text.count("[not needed]") == 1


def test_zeros_of_either_sign_are_parameters_of_their_own() -> None:
    text = compiled(lambda x: flux.leakyrelu(x, 0.0) / flux.leakyrelu(x, -0.0), normal(0, 3, 4))
    assert "[done already]" not in text


def test_results_that_are_equal_have_memory_of_their_own() -> None:
    g = flux.compile(lambda x: (flux.tanh(x), flux.tanh(x)))
    x = normal(0, 5)
    for _ in range(4):
        a, b = g(x)
    a[0] = 7.0
    assert bits(b) == bits(flux.tanh(x))


def test_halves_are_rounded_where_they_were() -> None:
    for dtype in ("float16", "bfloat16"):
        x = normal(0, 40, 30).astype(getattr(flux, dtype))
        compiled(lambda x: flux.tanh(x * x + 0.1) - flux.exp(x), x)


def test_an_argument_is_never_written() -> None:
    x = normal(0, 300, 300)
    before = bits(x)
    compiled(lambda x: flux.exp(flux.tanh(x + 1.0)) * x, x)
    assert bits(x) == before


def standardised(x: flux.Tensor) -> flux.Tensor:
    c = x - flux.mean(x, axis=-1, keepdims=True)
    return c / flux.sqrt(flux.mean(c * c, axis=-1, keepdims=True) + 1e-5)


def own_softmax(x: flux.Tensor) -> flux.Tensor:
    e = flux.exp(x - flux.max(x, axis=-1, keepdims=True))
    return e / flux.sum(e, axis=-1, keepdims=True)


@pytest.mark.parametrize("f", [standardised, own_softmax, flux.softmax, flux.logsoftmax])
@pytest.mark.parametrize("shape", [(7, 5), (64, 512), (3, 4, 33), (1, 8), (2, 9000)])
def test_rows_are_reduced_and_read_again_in_one_line(f: Step, shape: tuple[int, ...]) -> None:
    x = normal(3, *shape)
    text = compiled(lambda x: f(x * 2.0) * x, x)
    names = [name for name in alone(text) if name not in ("reshape", "broadcast_to")]
    if shape[-1] < 9000:
        assert names == [], text
        assert len({line[-1] for line in text.splitlines() if line.endswith("]")}) == 1, text
    compiled(lambda x: flux.withgradient(lambda x: flux.sum(f(x * 2.0) * x), x), x)


@pytest.mark.parametrize("shape", [(1,), (1, 1), (1, 1, 1), (1, 1, 1, 1)])
def test_one_element_is_one_for_each_row_whatever_its_shape(shape: tuple[int, ...]) -> None:
    def f(x: flux.Tensor, c: flux.Tensor) -> flux.Tensor:
        y = flux.exp(x)
        return y * ((y * 2).sum(axis=1) + c).reshape(300, 1)

    assert alone(compiled(f, normal(0, 300, 100), normal(1, *shape))) == []


def test_losses_that_are_means_are_done_with_what_is_before_them() -> None:
    def step(x: flux.Tensor, y: flux.Tensor) -> Any:
        return flux.withgradient(lambda x: flux.mse(flux.tanh(x), y) + flux.mae(flux.exp(x), y), x)

    for shape in ((), (1,), (9,), (300, 7), (70_001,)):
        text = compiled(step, normal(0, *shape), normal(1, *shape))
        if len(shape) > 0:
            assert alone(text) == [], text
    compiled(step, normal(0, 5, 3).mT, normal(1, 3, 5))
    compiled(lambda x, y: flux.mse(x, y), normal(0, 5, 3), normal(1, 3, 5).mT)


def test_integers_masks_and_counts_are_computed_with_together() -> None:
    def f(x: flux.Tensor, n: flux.Tensor) -> Any:
        mask = (n % 3 == 1) & (x > 0)
        return flux.where(mask, x * n.astype(flux.float32), -x), flux.where(mask, n + 1, n * n), mask

    n = flux.tensor(np.random.default_rng(0).integers(-9, 9, (40, 30)))
    text = compiled(f, normal(0, 40, 30), n)
    assert alone(text) == [], text


SHAPES = [(3, 5), (64, 16), (2, 3, 7), (300, 33), (5, 4, 3, 2), (1, 9), (9, 1), (128, 256), (40, 1000)]
REDUCED = [flux.sum, flux.mean, flux.max, flux.min, flux.logsumexp, flux.var]
OF_ONE = [flux.tanh, flux.exp, flux.sigmoid, flux.relu, flux.square, flux.abs, flux.softmax, flux.logsoftmax]
OF_TWO: list[Step] = [
    lambda a, b: a + b,
    lambda a, b: a - b,
    lambda a, b: a * b,
    lambda a, b: flux.where(a > b, a, b),
    lambda a, b: a / (flux.abs(b) + 1.0),
]


def random_program(r: np.random.Generator, shape: tuple[int, ...], given: int) -> Step:
    """Functions, and reductions that keep their axis, of what came before: mostly of the last values."""
    plan = []
    for n in range(given, given + r.integers(3, 16)):
        i, j = (n - 1 - min(r.integers(n, size=2)) for _ in range(2))
        plan.append((r.integers(3), r.integers(100), i, j, int(r.integers(-len(shape), 0))))
    wanted = [-1, *r.integers(given + len(plan), size=2)]

    def program(*values: flux.Tensor) -> list[flux.Tensor]:
        found = list(values)
        for kind, which, i, j, axis in plan:
            a, b = found[i], found[j]
            if kind == 0:
                y = OF_ONE[which % len(OF_ONE)](a)
            elif kind == 1:
                y = OF_TWO[which % len(OF_TWO)](a, b)
            elif a.ndim < -axis:
                y = a
            else:
                y = REDUCED[which % len(REDUCED)](a, axis=axis if which % 2 else -1, keepdims=True)
            found.append(y)
        return [found[n] for n in wanted]

    return program


@pytest.mark.parametrize("seed", range(60))
def test_random_programs_of_rows_have_the_same_bits(seed: int) -> None:
    r = np.random.default_rng(seed)
    shape, dtype = SHAPES[r.integers(len(SHAPES))], str(r.choice(["float32", "float64"]))
    shapes = (shape, shape, shape[-1:], (*shape[:-1], 1))
    given = [normal(seed + i, *of, dtype=dtype) for i, of in enumerate(shapes)]
    program = random_program(r, shape, len(given))

    def step(*values: flux.Tensor) -> Any:
        loss: Step = lambda *x: sum((flux.sum(y) for y in program(*x)), flux.tensor(0.0))
        return flux.withgradient(loss, *values) if seed % 3 == 0 else program(*values)

    before = flux.get_num_threads()
    try:
        flux.set_num_threads(1 + seed % 2)
        compiled(step, *given)
    finally:
        flux.set_num_threads(before)
