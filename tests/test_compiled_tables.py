"""Functions that make tables of indices, of shapes or of values: compiled they give the same bits for any values."""

import random
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import oxiflux as flux
from test_compiled import bits, hits

CALLS = 5


def normal(*shape: int, dtype: str = "float32") -> Callable[[int], flux.Tensor]:
    return lambda i: flux.tensor(np.random.default_rng(i).normal(size=shape).astype(dtype))


def integers(*shape: int, below: int = 4) -> Callable[[int], flux.Tensor]:
    return lambda i: flux.tensor(np.random.default_rng(i).integers(0, below, size=shape))


def with_nan(i: int) -> flux.Tensor:
    x = np.random.default_rng(i).normal(size=(5, 6)).astype("float32")
    x[i % 5, : 2 + i % 3] = np.nan
    return flux.tensor(x)


IMAGES, ROWS, SOUND = normal(2, 6, 7, 2), normal(5, 8), normal(40)
GRID = flux.tensor(np.random.default_rng(9).uniform(-1.3, 1.3, (2, 3, 4, 2)).astype("float32"))

BAGS, LARGEST = flux.EmbeddingBag(4, 3), flux.EmbeddingBag(4, 3, flux.max)

# Functions with a derivative, of one floating tensor.
SMOOTH: dict[str, tuple[Any, Callable[[int], flux.Tensor]]] = {
    **{f"Upsample {mode}": (flux.Upsample(2, mode), IMAGES) for mode in ("nearest", "bilinear", "bicubic")},
    "upsample_nearest to a size": (lambda x: flux.upsample_nearest(x, size=(4, 9)), IMAGES),
    "upsample_linear": (
        lambda x: flux.upsample_linear(x, 1.5, align_corners=False),
        normal(2, 7, 3),
    ),
    "upsample_trilinear": (lambda x: flux.upsample_trilinear(x, 2), normal(1, 2, 3, 2, 1)),
    "upsample in half": (flux.Upsample(2, "bilinear"), normal(1, 3, 4, 2, dtype="float16")),
    **{
        f"pad_{name}": (lambda x, name=name: getattr(flux, f"pad_{name}")(x, (2, 1)), normal(4, 5))
        for name in ("reflect", "symmetric", "repeat", "circular")
    },
    "median": (lambda x: flux.median(x, axis=1), ROWS),
    "median of an even number": (lambda x: flux.median(x, axis=0, keepdims=True), normal(4, 3)),
    "quantile": (lambda x: flux.quantile(x, [0.1, 0.33, 1.0], axis=1), ROWS),
    "quantile, nearest": (lambda x: flux.quantile(x, 0.4, axis=1, method="nearest"), ROWS),
    "percentile": (lambda x: flux.percentile(x, 30), ROWS),
    "nanquantile": (lambda x: flux.nanquantile(x, [0.25, 0.5], axis=1), with_nan),
    "nanmedian": (lambda x: flux.nanmedian(x, axis=0), with_nan),
    "nanmedian without NaN": (lambda x: flux.nanmedian(x, axis=0), ROWS),
    "unfold": (lambda x: flux.unfold(x, (3, 2), stride=2, pad=1), IMAGES),
    "fold": (lambda x: flux.fold(flux.unfold(x, (3, 3)), x.shape, (3, 3)), IMAGES),
    "grid_sample": (lambda x: flux.grid_sample(x, GRID), IMAGES),
    "grid_sample at what was computed": (
        lambda x: flux.grid_sample(x, 1.2 * flux.tanh(x[:, :3, :4]), padding_mode="border"),
        IMAGES,
    ),
    "imrotate": (lambda x: flux.imrotate(x, 0.3), IMAGES),
    "rotary_encoding": (lambda x: flux.rotary_encoding(x, 4, offset=2), ROWS),
    "SinusoidalEncoding": (flux.SinusoidalEncoding(8), ROWS),
    "sinusoidal_encoding": (lambda x: x * flux.sinusoidal_encoding(5, 8), ROWS),
    "attention with places": (
        flux.MultiHeadAttention(8, nheads=2, positions=flux.RotaryEncoding(4)),
        lambda i: ROWS(i)[None],
    ),
    "diagonal": (flux.diagonal, ROWS),
    "tril_indices": (lambda x: x[flux.tril_indices(5)] * 2, ROWS),
    "triu_indices": (lambda x: x[flux.triu_indices(5, 1)] * 2, ROWS),
    "full": (lambda x: x * flux.full((8,), 2.5) + flux.full_like(x, 3) + flux.full(5, True)[:, None], ROWS),
    "full of what was computed": (lambda x: flux.full((2, 3), x.sum()) * 2, ROWS),
    "windows": (lambda x: x * flux.hann_window(8) * flux.hamming_window(8), ROWS),
    "frequencies": (lambda x: x * flux.fft.fftfreq(8) + flux.fft.rfftfreq(14), ROWS),
    "istft": (lambda x: flux.istft(flux.stft(x, n_fft=8), n_fft=8), SOUND),
    "gathered": (lambda x: flux.gather(x, flux.astype(abs(x[:, 0]) % 1 * 5, "int64")), ROWS),
    "gathered by two": (lambda x: flux.gather(x, ([0, 1, 4], [2, 2, 7])), ROWS),
    "weighted bincount": (
        lambda x: flux.bincount(flux.astype(abs(x) % 1 * 9, "int64"), weights=x, minlength=9),
        SOUND,
    ),
    **{
        f"scatter {op}": (
            lambda x, op=op: flux.scatter(op, x, flux.astype(abs(x) % 1 * 9, "int64"), dstsize=(9,)),
            SOUND,
        )
        for op in ("+", "-", "*", "/", "max", "min", "mean")
    },
    "scatter by two": (
        lambda x: flux.scatter("+", x, (flux.argsort(x), flux.argsort(-x)), dstsize=(40, 41)),
        SOUND,
    ),
    "bags": (
        lambda x: flux.EmbeddingBag(x, reduction=flux.mean)([[0, 1], [2, 3, 4], [0]]),
        ROWS,
    ),
}

# Functions of integers, or that have none.
PLAIN: dict[str, tuple[Any, Callable[[int], flux.Tensor]]] = {
    "bincount": (lambda x: flux.bincount(x, minlength=9), integers(6)),
    "onehotbatch": (lambda x: flux.onehotbatch(x, range(4)), integers(2, 3)),
    "onehotbatch in another order": (lambda x: flux.onehotbatch(x, [3, 1, 0, 2]), integers(6)),
    "onehotbatch with a default": (lambda x: flux.onehotbatch(x, [3, 1], 3), integers(6)),
    "onehotbatch of bytes": (lambda x: flux.onehotbatch(x.astype("uint8"), range(4)), integers(6)),
    "onehotbatch of floats": (lambda x: flux.onehotbatch(x / 2, [0.0, 0.5, 1.0, 1.5]), integers(6)),
    "onehotbatch of names": (lambda x: flux.onehotbatch("cab", "abc") * x[0], integers(6)),
    "gather": (lambda x: flux.gather(flux.arange(20).reshape(5, 4), x), integers(2, 3)),
    "gather along two axes": (lambda x: flux.gather(flux.arange(16).reshape(4, 4), (x, x)), integers(6)),
    "bags with starts": (lambda x: BAGS(x, flux.minimum(x * 0 + flux.arange(6), x * 0 + 5)), integers(6)),
    "bags with starts that differ": (
        lambda x: BAGS(
            x, flux.where(flux.tensor([True, False, False]), 0, flux.tensor([0, 1, 3]) + x[:1] % 2)
        ),
        integers(6),
    ),
    "scatter of integers": (lambda x: flux.scatter("+", x, [0, 1, 1, 3, 3, 0]), integers(6)),
}

EVERY = SMOOTH | PLAIN


def same(f: Any, given: Any, calls: int = CALLS) -> None:
    compiled = flux.compile(f)
    for i in range(calls):
        x = given(i)
        assert bits(compiled(x)) == bits(f(x))
    assert hits(compiled) == calls - 2, compiled.counts


def slope(f: Any) -> Any:
    return lambda x: flux.gradient(lambda x: (flux.astype(f(x), "float32") ** 3).sum(), x)[0]


@pytest.mark.parametrize("name", EVERY)
def test_it_is_done_again_with_other_values(name: str) -> None:
    same(*EVERY[name])


@pytest.mark.parametrize("name", SMOOTH)
def test_so_is_its_gradient(name: str) -> None:
    f, given = SMOOTH[name]
    same(slope(f), given)


@pytest.mark.parametrize(
    "name", [name for name in SMOOTH if name not in ("scatter *", "scatter /", "full of what was computed")]
)
def test_and_the_gradient_of_that(name: str) -> None:
    f, given = SMOOTH[name]
    again = slope(lambda x: flux.sin(slope(f)(x)))
    same(again, given)


@pytest.mark.parametrize("name", EVERY)
def test_it_is_the_same_from_a_file(tmp_path: Path, name: str) -> None:
    f, given = EVERY[name]
    g = lambda x: f(x)
    compiled = flux.compile(f if isinstance(f, flux.Layer) else g)
    for i in range(2):
        compiled(given(i))
    flux.save(tmp_path / "some.program", compiled)
    loaded = flux.load(tmp_path / "some.program")
    for i in range(3):
        assert bits(loaded(given(i))) == bits(f(given(i)))


def test_a_table_is_that_of_the_shape() -> None:
    compiled = flux.compile(flux.Upsample(2, "bilinear"))
    for n in (3, 4, 3, 4, 5, 3, 4, 5, 5):
        x = normal(1, n, n, 1)(n)
        assert bits(compiled(x)) == bits(flux.Upsample(2, "bilinear")(x))
    assert compiled.counts[0] == 3


def test_numbers_out_of_range_are_the_error_of_the_function() -> None:
    gather = flux.compile(lambda i: flux.gather(flux.arange(5), i))
    counted = flux.compile(lambda i: flux.bincount(i, minlength=5))
    labels = flux.compile(lambda i: flux.onehotbatch(i, range(5)))
    for f in (gather, counted, labels):
        for i in range(4):
            f(integers(6)(i))
        assert hits(f) == 2
    bad = flux.tensor([0, 9, 1, 2, 3, 4])
    with pytest.raises(IndexError, match="9"):
        gather(bad)
    with pytest.raises(ValueError, match="9 is not one of the labels"):
        labels(bad)
    assert counted(bad).tolist() == [1, 1, 1, 1, 1, 0, 0, 0, 0, 1]
    with pytest.raises(ValueError, match="-1"):
        counted(flux.tensor([0, -1, 1, 2, 3, 4]))
    assert hits(gather) == hits(labels) == 2
    for i in range(4):
        assert bits(gather(integers(6)(i))) == bits(flux.gather(flux.arange(5), integers(6)(i)))


def test_labels_in_an_array_are_those_of_the_call() -> None:
    drawn = np.random.default_rng(0)

    def f(x: flux.Tensor) -> flux.Tensor:
        return x * flux.onehotbatch(np.array(drawn.integers(0, 3, 4)), range(3))

    compiled, before = flux.compile(f), drawn.bit_generator.state
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        ours = [bits(compiled(flux.ones((4, 3)))) for _ in range(5)]
    drawn.bit_generator.state = before
    assert ours == [bits(f(flux.ones((4, 3)))) for _ in range(5)]


# What a table is made of, which is changed after four calls: a function of an argument and of that, before and after.
CHANGED: dict[str, tuple[Any, Any, list[Any], list[Any], Any]] = {
    "an angle": (lambda x, at: flux.imrotate(x, at[0]), list, [0.1], [0.2], IMAGES),
    "an angle in an array": (lambda x, at: flux.imrotate(x, float(at[0])), np.array, [0.1], [0.2], IMAGES),
    "a pad": (lambda x, at: flux.pad_reflect(x, at[0]), list, [1], [2], IMAGES),
    "quantiles": (flux.quantile, list, [0.25, 0.5], [0.75, 0.1], ROWS),
    "quantiles in an array": (flux.percentile, np.array, [25.0, 50.0], [75.0, 10.0], ROWS),
    "quantiles made of an array": (
        lambda x, at: flux.quantile(x, at * 0.5),
        np.array,
        [0.25, 0.5],
        [0.75, 0.1],
        ROWS,
    ),
    "quantiles in a tensor": (flux.quantile, flux.tensor, [0.25, 0.5], [0.75, 0.1], ROWS),
    "labels": (flux.onehotbatch, list, [0, 1, 2, 3], [2, 3, 0, 1], integers(6)),
    "labels in an array": (flux.onehotbatch, np.array, [0, 1, 2, 3], [2, 3, 0, 1], integers(6)),
    "names": (lambda x, at: flux.onehotbatch(at, "ab") * x[0], list, ["a", "b"], ["b", "b"], integers(6)),
    "names in an array": (
        lambda x, at: flux.onehotbatch(at, "ab") * x[0],
        np.array,
        ["a", "b"],
        ["b", "b"],
        integers(6),
    ),
    "data in an array": (
        lambda x, at: flux.onehotbatch(at[::-1].copy(), range(3)) * x[0],
        np.array,
        [0, 1],
        [2, 2],
        integers(6),
    ),
    "places": (lambda x, at: flux.gather(x, at), list, [0, 1], [2, 4], ROWS),
    "places in an array": (lambda x, at: flux.gather(x, at[:2]), np.array, [0, 1], [2, 4], ROWS),
}


@pytest.mark.parametrize("name", CHANGED)
@pytest.mark.filterwarnings("ignore:compile. .* runs as ever:RuntimeWarning")
def test_no_table_is_stale(name: str) -> None:
    f, kind, before, after, given = CHANGED[name]
    at = kind(before)
    g = lambda x: f(x, at)
    compiled = flux.compile(g)
    for i in range(8):
        if i == 4:
            at[:] = after
        assert bits(compiled(given(i))) == bits(g(given(i)))


@pytest.mark.filterwarnings("ignore:compile. .* runs as ever:RuntimeWarning")
def test_numbers_of_pythons_own_generators_make_no_table() -> None:
    for f in (
        lambda x: flux.imrotate(x, random.random()),
        lambda x: flux.pad_reflect(x, int(np.random.randint(1, 3))),  # noqa: NPY002
        lambda x: flux.take(x, np.random.randint(0, 2, 3), axis=1),  # noqa: NPY002
    ):
        compiled, seen = flux.compile(f), []
        for g in (compiled, f):
            random.seed(3)
            np.random.seed(3)  # noqa: NPY002
            seen.append([bits(g(IMAGES(i))) for i in range(5)])
        assert seen[0] == seen[1]


# What is computed twice

BLOCKS: dict[str, Callable[[], Any]] = {
    "plain": lambda: flux.Chain(flux.Dense(8, 8, flux.tanh), flux.Dense(8, 3)),
    "dropout": lambda: flux.Chain(flux.Dense(8, 8, flux.tanh), flux.Dropout(0.5), flux.Dense(8, 3)),
    "dropout of its own": lambda: flux.Chain(
        flux.Dense(8, 8), flux.Dropout(0.5, rng=flux.Generator(3)), flux.Dense(8, 3)
    ),
    "statistics": lambda: flux.Chain(flux.Dense(8, 8), flux.BatchNorm(8), flux.Dense(8, 3)),
    "noise": lambda: flux.Chain(flux.Dense(8, 8), lambda h: h + flux.randn(5, 8), flux.Dense(8, 3)),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_a_checkpoint_is_done_again(name: str) -> None:
    def play(wrap: Any) -> tuple[list[Any], Any]:
        flux.seed(4)
        model = flux.trainmode(BLOCKS[name]())
        state = flux.setup(flux.Adam(0.01), model)

        def step(x: flux.Tensor) -> flux.Tensor:
            loss, grads = flux.withgradient(lambda m: (flux.checkpoint(m, x) ** 2).sum(), model)
            flux.update(state, model, grads[0])
            return loss

        f = wrap(step)
        seen = [bits(f(ROWS(i))) for i in range(CALLS)]
        return [*seen, bits(flux.state(model)), bits(flux.rand(3))], f

    (ours, compiled), (theirs, _) = play(flux.compile), play(lambda f: f)
    assert ours == theirs
    assert hits(compiled) == CALLS - 2


@pytest.mark.filterwarnings("ignore:compile. .* runs as ever:RuntimeWarning")
def test_a_checkpoint_that_draws_other_numbers_the_second_time_is_not_compiled() -> None:
    def play(wrap: Any) -> tuple[list[Any], Any]:
        calls = []

        def noisy(x: flux.Tensor) -> flux.Tensor:
            calls.append(1)
            return x * (flux.rand(8) if len(calls) % 2 else flux.rand(5, 8))

        flux.seed(5)
        f = wrap(lambda x: flux.gradient(lambda x: flux.checkpoint(noisy, x).sum(), x))
        return [*(bits(f(ROWS(i))) for i in range(4)), bits(flux.rand(2))], f

    (ours, compiled), (theirs, _) = play(flux.compile), play(lambda f: f)
    assert ours == theirs
    assert hits(compiled) == 0


# What is not done again

REFUSED: dict[str, tuple[Any, Any]] = {
    "nonzero": (flux.nonzero, integers(6)),
    "unique_values": (flux.unique_values, integers(6)),
    "bincount": (flux.bincount, integers(6)),
    "histogram": (lambda x: flux.histogram(x).counts, ROWS),
    "scatter": (lambda x: flux.scatter("+", x, x), integers(6)),
    "repeat": (lambda x: flux.repeat(x, x), integers(6)),
    "quantile": (lambda x: flux.quantile(x, abs(x[0, :1]) % 1.0), ROWS),
    "EmbeddingBag": (lambda x: LARGEST(x, flux.cumulative_sum(x * 0 + 1) - 1), integers(6)),
    "scatter(…)": (
        lambda x: slope(slope(lambda x: flux.scatter("*", x, flux.astype(x * 0, "int64"), dstsize=(2,))))(x),
        SOUND,
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_page_says_runs_as_ever(name: str) -> None:
    f, given = REFUSED[name]
    g = lambda x: f(x)
    compiled = flux.compile(g)
    with pytest.warns(RuntimeWarning, match="looked at|not known what made"):
        compiled(given(0))
    for i in range(3):
        assert bits(compiled(given(i))) == bits(f(given(i)))
    assert hits(compiled) == 0


def test_the_page_names_them() -> None:
    page = Path(__file__).parents[1].joinpath("docs/tutorials/compiled.md").read_text()
    (line,) = re.findall(r"- Functions whose steps follow from values: (.*?)\.\n", page, re.DOTALL)
    assert set(re.findall(r"`(\w+)`", line)) - {"minlength", "dstsize"} == {
        name.split("(")[0] for name in REFUSED
    }
