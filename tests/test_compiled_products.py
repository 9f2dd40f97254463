"""What is done to the elements of products and convolutions as they are finished gives the bits of the operations."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import oxiflux as flux
from test_compiled import bits
from test_compiled_fused import alone, compiled, normal

Step = Callable[..., Any]


@pytest.fixture(params=[1, 2])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = flux.get_num_threads()
    flux.set_num_threads(request.param)
    yield request.param
    flux.set_num_threads(before)


def folded(text: str) -> list[str]:
    """The names of the operations that are done to finished elements."""
    lines = [line.split(" = ")[-1] for line in text.splitlines() if "folded into" in line]
    return [line.split("(")[0] for line in lines]


def is_folded(nbytes: int, steps: int) -> bool:
    """Whether results are large enough to gain, or so small that a line less counts."""
    return nbytes > 1 << 21 or (nbytes <= 1 << 13 and steps > 1)


def affine(x: flux.Tensor, w: flux.Tensor, b: flux.Tensor) -> flux.Tensor:
    return flux.tanh(x @ w + b)


# Sizes that are computed as numbers, as vectors, uncut, by rows and by columns, in one part of the sums and in several.
PRODUCTS = [
    (1, 1, 1),
    (3, 2, 4),
    (1, 70, 300),
    (300, 70, 1),
    (20, 33, 30),
    (64, 64, 64),
    (2200, 3, 260),
    (600_000, 3, 1),
    (1, 3, 600_000),
    (1100, 100, 530),
    (1100, 400, 530),
    (20, 129, 30_000),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", PRODUCTS)
def test_a_bias_and_a_function_are_done_to_the_elements_of_a_product(
    size: tuple[int, int, int], dtype: str, threads: int
) -> None:
    m, k, n = size
    x, w, b = normal(0, m, k, dtype=dtype), normal(1, k, n, dtype=dtype), normal(2, n, dtype=dtype)
    expected = ["add", "tanh"] if is_folded(m * n * np.dtype(dtype).itemsize, 2) else []
    assert folded(compiled(affine, x, w, b)) == expected
    assert folded(compiled(affine, x, w, normal(3, m, 1, dtype=dtype))) == expected
    assert folded(compiled(affine, normal(4, k, m, dtype=dtype).mT, w, b)) == expected
    assert folded(compiled(affine, x, normal(5, n, k, dtype=dtype).mT, b)) == expected


RESIDUALS: list[tuple[str, Step, int]] = [
    ("scale", lambda x, w, r: 0.5 * (x @ w), 1),
    ("residual", lambda x, w, r: r + x @ w, 1),
    ("both ways", lambda x, w, r: flux.where(x @ w > r, x @ w, flux.exp(r)), 3),
    ("a mask", lambda x, w, r: (x @ w) > 0, 1),
    ("another type", lambda x, w, r: (x @ w).astype("int32"), 1),
    ("the product too", lambda x, w, r: (lambda p: (p, flux.relu(p) + r))(x @ w), 2),
    ("several results", lambda x, w, r: (lambda p: (flux.sin(p), flux.cos(p), p * r))(x @ w), 3),
    ("itself", lambda x, w, r: (lambda p: p * p + p)(x @ w), 2),
    ("an operand of the product", lambda x, w, r: r + r @ r.mT if r.shape[0] == r.shape[1] else r + x @ w, 1),
]


@pytest.mark.parametrize("of", [of[1:] for of in RESIDUALS], ids=[of[0] for of in RESIDUALS])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_compositions_of_all_kinds_are_folded(of: tuple[Step, int], dtype: str, threads: int) -> None:
    f, count = of
    for m, k, n in [(5, 7, 6), (6, 6, 6), (90, 90, 90), (1100, 40, 600), (800, 30, 800)]:
        x, w, r = (normal(i, *shape, dtype=dtype) for i, shape in enumerate([(m, k), (k, n), (m, n)]))
        expected = count if is_folded(r.nbytes, count) else 0
        assert len(folded(compiled(f, x, w, r))) == expected
        assert len(folded(compiled(f, x, w, normal(3, n, m, dtype=dtype).mT))) == expected


def test_a_sum_of_products_is_done_with_the_last_of_them(threads: int) -> None:
    def cell(x: flux.Tensor, h: flux.Tensor, w: flux.Tensor, u: flux.Tensor, b: flux.Tensor) -> flux.Tensor:
        return flux.tanh(x @ w + h @ u + b)

    text = compiled(
        cell, normal(0, 40, 9), normal(1, 40, 30), normal(2, 9, 30), normal(3, 30, 30), normal(4, 30)
    )
    assert sorted(folded(text)) == ["add", "add", "tanh"], text
    assert alone(text) == ["matmul"], text


def test_stacks_of_products_and_dense_layers_are_folded(threads: int) -> None:
    scores = compiled(lambda q, k: 0.125 * (q @ k.mT) - 1.0, normal(0, 1, 2, 20, 8), normal(1, 1, 2, 30, 8))
    assert len(folded(scores)) == 2, scores
    many = compiled(lambda q, k: flux.tanh(q @ k + 1.0), normal(0, 9000, 9, 5), normal(1, 9000, 5, 8))
    assert len(folded(many)) == 2, many
    shared = compiled(lambda a, b: flux.relu(a @ b), normal(0, 5, 1, 200, 30), normal(1, 4, 30, 150))
    assert folded(shared) == ["relu"], shared
    layer = flux.Dense(24, 24, flux.gelu)
    residual = compiled(lambda m, x: x + m(x), layer, normal(0, 30, 800, 24))
    assert folded(residual) == ["add"], residual


CONVOLUTIONS: list[tuple[Callable[[], flux.Layer], tuple[int, ...], bool]] = [
    (lambda: flux.Conv((3, 3), 2, 3, pad=1), (2, 9, 8, 2), True),
    (lambda: flux.Conv((3, 3), 3, 8, pad=1), (60, 41, 39, 3), True),
    (lambda: flux.Conv((3, 3), 16, 16, pad=1, bias=False), (60, 28, 28, 16), True),
    (lambda: flux.Conv((3, 3), 4, 1200, pad=1), (1, 28, 40, 4), True),
    (lambda: flux.Conv((2, 2), 4, 1200), (1, 31, 61, 4), True),
    (lambda: flux.Conv((3, 3), 8, 64, stride=2), (20, 47, 47, 8), True),
    (lambda: flux.Conv((1, 1), 20, 64), (20, 24, 24, 20), True),
    (lambda: flux.Conv((5, 5), 1, 6, flux.relu), (200, 28, 28, 1), True),
    (lambda: flux.Conv((4,), 6, 16, flux.tanh, stride=2), (400, 200, 6), True),
    (lambda: flux.Conv((2, 2, 2), 4, 8), (20, 17, 17, 17, 4), True),
    (lambda: flux.Conv((3, 3), 16, 16, groups=16), (60, 30, 30, 16), True),
    (lambda: flux.Conv((3, 3), 8, 8, groups=2), (100, 30, 30, 8), False),
    (lambda: flux.ConvTranspose((3, 3), 8, 16), (30, 34, 34, 8), True),
    (lambda: flux.ConvTranspose((3, 3), 4, 6, stride=2), (40, 27, 28, 4), False),
]


@pytest.mark.parametrize("of", CONVOLUTIONS, ids=[str(of[0]()) for of in CONVOLUTIONS])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_follows_a_convolution_is_folded(
    of: tuple[Callable[[], flux.Layer], tuple[int, ...], bool], dtype: str, threads: int
) -> None:
    make, shape, is_told = of
    layer = flux.f64(make()) if dtype == "float64" else make()
    x = normal(0, *shape, dtype=dtype)
    y = layer(x)
    b = normal(1, y.shape[-1], dtype=dtype)
    r = normal(2, *y.shape, dtype=dtype)
    text = compiled(lambda x: flux.sigmoid(layer(x) * b + r), x)
    assert bool(folded(text)) == (is_told and is_folded(y.nbytes, 3)), text


def test_nan_and_infinities_go_through_as_they_are(threads: int) -> None:
    values = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-40, 3e38, -1.0], "float32")
    x = flux.tensor(
        np.random.default_rng(0).choice(values, (40, 30), p=[0.3, 0.3, 0.01, 0.01, 0.01, 0.1, 0.07, 0.2])
    )
    for f in (flux.relu, flux.tanh, flux.elu, lambda t: flux.maximum(t, 0.0)):
        assert folded(compiled(lambda x, w, f=f: f(x @ w - w[0]), x, normal(1, 30, 50)))
    # A picture that is not finite is computed anew by the sums that convolutions stand for, after it was finished.
    layer = flux.Conv((3, 3), 16, 16, pad=1)
    for bad in (np.nan, np.inf, 3e38):
        picture = np.random.default_rng(1).normal(size=(60, 24, 24, 16)).astype("float32")
        picture[2, 5, 6, 7] = bad
        for f in (lambda x: flux.relu(layer(x)) * 0.5, lambda x: (lambda y: (y, x + y, y * y))(layer(x))):
            assert folded(compiled(f, flux.tensor(picture)))


@pytest.mark.parametrize("shape", [(0, 4, 3), (4, 0, 3), (4, 3, 0)])
def test_products_of_nothing_are_what_they_are(shape: tuple[int, int, int]) -> None:
    m, k, n = shape
    compiled(affine, normal(0, m, k), normal(1, k, n), normal(2, n))


def test_gradients_of_folded_functions_have_the_same_bits(threads: int) -> None:
    def loss(x: flux.Tensor, w: flux.Tensor, b: flux.Tensor, v: flux.Tensor) -> flux.Tensor:
        h = flux.tanh(x @ w + b)
        return flux.mean((flux.sigmoid(h @ v) + x @ v[: x.shape[1]]) ** 2)

    args = normal(0, 50, 30), normal(1, 30, 40), normal(2, 40), normal(3, 40, 10)
    first = compiled(lambda *a: flux.withgradient(loss, *a), *args)
    assert folded(first), first
    twice = compiled(
        lambda *a: flux.gradient(lambda *a: sum(flux.sum(g * g) for g in flux.gradient(loss, *a)), *a), *args
    )
    assert folded(twice), twice


def test_training_with_compositions_that_are_no_layers_is_the_same() -> None:
    def run(is_compiled: bool) -> Any:
        p = {"w": normal(0, 8, 16) * 0.3, "b": flux.zeros(16), "v": normal(1, 16, 8) * 0.3}
        state = flux.setup(flux.Adam(1e-2), p)
        x = normal(2, 50, 8)

        def step(x: flux.Tensor) -> flux.Tensor:
            def loss(p: dict[str, flux.Tensor]) -> flux.Tensor:
                return flux.mse(x + flux.gelu(x @ p["w"] + p["b"]) @ p["v"], 2.0 * x)

            value, grads = flux.withgradient(loss, p)
            flux.update(state, p, grads[0])
            return value

        f = flux.compile(step) if is_compiled else step
        return [f(x) for _ in range(6)], p

    assert bits(run(True)) == bits(run(False))


def test_an_argument_of_a_product_is_never_written() -> None:
    x, w, r = normal(0, 800, 50), normal(1, 50, 800), normal(2, 800, 800)
    before = bits((x, w, r))
    f = flux.compile(lambda x, w, r: flux.exp((x * 1.0) @ w + (r * 1.0)) - (r * 1.0))
    for _ in range(4):
        f(x, w, r)
    assert bits((x, w, r)) == before


@pytest.mark.parametrize("seed", range(20))
def test_random_steps_around_products_have_the_same_bits(seed: int, threads: int) -> None:
    draw = np.random.default_rng(seed)
    m, k, n = (int(i) for i in draw.integers(1, 50, 3))
    choices = draw.integers(0, 7, 9)
    uses = draw.integers(0, 100, 20)

    def f(x: flux.Tensor, w: flux.Tensor, u: flux.Tensor, b: flux.Tensor) -> Any:
        values = [x @ w, b]
        for i, c in enumerate(choices):
            a, b2 = values[uses[2 * i] % len(values)], values[uses[2 * i + 1] % len(values)]
            if c == 0:
                values.append(a + b2)
            elif c == 1:
                values.append(flux.tanh(a))
            elif c == 2:
                values.append(a * b2)
            elif c == 3 and a.ndim == 2:
                values.append(a @ u)
            elif c == 4:
                values.append(flux.maximum(a, b2))
            elif c == 5 and a.ndim == 2:
                values.append(a - flux.mean(a, axis=0))
            else:
                values.append(flux.where(a > 0.1, a, b2))
        return values[-3:], flux.sum(values[-1])

    args = normal(0, m, k), normal(1, k, n), normal(2, n, n), normal(3, n)
    compiled(f, *args)
    compiled(lambda *a: flux.gradient(lambda *a: f(*a)[1], *a), *args)
