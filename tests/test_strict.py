"""Fast algorithms that cost accuracy, against the plain ones that `strict` has in their place."""

import threading

import numpy as np
import pytest

import oxiflux as flux
from oxiflux import _core

# Images, channels before and after: of all kinds that are computed by tiles, odd ones among them.
SIZES = [((2, 12, 13), 32, 40), ((1, 9, 7), 70, 260), ((3, 17, 6), 33, 17), ((5, 4, 4), 64, 64)]


def numbers(*shape, dtype=np.float32, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def step(x, w, g, **options):
    """A convolution and its gradients."""
    y = flux.conv(x, w, **options)
    return y, *flux.gradient(lambda x, w: (flux.conv(x, w, **options) * g).sum(), x, w)


@pytest.fixture(autouse=True)
def _plain_afterwards():
    yield
    flux.strict(False)


@pytest.mark.parametrize(("images", "size_in", "out"), SIZES)
@pytest.mark.parametrize("pad", [0, 1])
def test_tiles_are_almost_as_accurate_as_the_plain_sums(images, size_in, out, pad):
    x, w = numbers(*images, size_in), numbers(3, 3, size_in, out, seed=1)
    g = numbers(*flux.conv(x, w, pad=pad).shape, seed=2)
    exact = step(*(flux.tensor(a.astype(np.float64)) for a in (x, w, g)), pad=pad)
    fast = step(flux.tensor(x), flux.tensor(w), flux.tensor(g), pad=pad)
    with flux.strict(True):
        plain = step(flux.tensor(x), flux.tensor(w), flux.tensor(g), pad=pad)
    for a, b, c in zip(fast, plain, exact, strict=True):
        errors = [np.sqrt(np.square(y.numpy() - c.numpy()).mean()) for y in (a, b)]
        assert errors[0] < 4 * errors[1]
        np.testing.assert_allclose(a.numpy(), c.numpy(), atol=2e-5 * np.abs(c.numpy()).max())


def test_second_derivatives_go_through_tiles():
    x, w = numbers(2, 8, 9, 32), numbers(3, 3, 32, 32, seed=1)
    u, v = numbers(*x.shape, seed=2), numbers(*w.shape, seed=3)

    def along(x, w):
        dx, dw = flux.gradient(lambda x, w: (flux.conv(x, w, pad=1) ** 3).sum(), x, w)
        return (dx * u.astype(x.dtype.name)).sum() + (dw * v.astype(w.dtype.name)).sum()

    fast = flux.gradient(along, flux.tensor(x), flux.tensor(w))
    exact = flux.gradient(along, *(flux.tensor(a.astype(np.float64)) for a in (x, w)))
    for a, b in zip(fast, exact, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), atol=2e-5 * np.abs(b.numpy()).max())


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("activation", [flux.identity, flux.relu, flux.gelu])
def test_what_is_not_finite_comes_out_where_it_is_seen(bad, activation):
    layer = flux.Conv((3, 3), 32, 48, activation, pad=1)
    x = numbers(3, 12, 12, 32)
    clean = layer(x).numpy()
    x[1, 5, 6, 3] = bad
    y = layer(x).numpy()
    seen = np.zeros(y.shape[:3], bool)
    seen[1, 4:7, 5:8] = True
    np.testing.assert_allclose(y[~seen], clean[~seen], atol=1e-5)
    with flux.strict(True):
        np.testing.assert_array_equal(y[1], layer(x).numpy()[1])
    if np.isnan(bad):
        assert np.isnan(y[seen]).all()


def test_gradients_of_what_is_not_finite_are_those_of_the_plain_sums():
    x, w, g = numbers(2, 10, 10, 32), numbers(3, 3, 32, 32, seed=1), numbers(2, 10, 10, 32, seed=2)
    x[0, 0, 3, 5], g[1, 9, 9, 7] = np.inf, np.nan
    fast = step(*map(flux.tensor, (x, w, g)), pad=1)
    with flux.strict(True):
        plain = step(*map(flux.tensor, (x, w, g)), pad=1)
    for a, b in zip(fast, plain, strict=True):
        np.testing.assert_array_equal(np.isfinite(a.numpy()), np.isfinite(b.numpy()))
    assert np.isnan(fast[2].numpy()[..., 7]).any() and np.isfinite(fast[2].numpy()[:, :, 6, 6]).all()


def test_nothing_overflows_that_does_not_in_the_plain_sums():
    x, w = numbers(2, 12, 12, 32) * np.float32(6e37), numbers(3, 3, 32, 32, seed=1) * np.float32(1e-2)
    y = flux.conv(flux.tensor(np.clip(x, -3e38, 3e38)), w, pad=1)
    assert np.isfinite(y.numpy()).all()


@pytest.mark.parametrize(("images", "size_in", "out"), SIZES)
def test_the_bits_of_tiles_do_not_depend_on_the_number_of_threads(images, size_in, out):
    x, w = (flux.tensor(numbers(*s)) for s in ((*images, size_in), (3, 3, size_in, out)))
    g = flux.tensor(numbers(*flux.conv(x, w, pad=1).shape, seed=2))
    before = flux.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 5):
            flux.set_num_threads(threads)
            results.append([a.numpy().tobytes() for a in step(x, w, g, pad=1)])
    finally:
        flux.set_num_threads(before)
    assert results[0] == results[1] == results[2]


# The switch


def test_strict_holds_from_then_on_in_all_threads():
    found = []
    for on in (True, False):
        flux.strict(on)
        thread = threading.Thread(target=lambda: found.append(_core.is_strict()))
        thread.start()
        thread.join()
        found.append(_core.is_strict())
    assert found == [True, True, False, False]


def test_a_block_holds_in_its_thread_alone_and_blocks_nest():
    found = []
    with flux.strict(True):
        thread = threading.Thread(target=lambda: found.append(_core.is_strict()))
        thread.start()
        thread.join()
        with flux.strict(on=False):
            found.append(_core.is_strict())
        found.append(_core.is_strict())
    assert [*found, _core.is_strict()] == [False, False, True, False]


def test_a_block_ends_with_an_error_and_may_be_entered_again():
    block = flux.strict(True)
    for _ in range(2):
        with pytest.raises(KeyError), block, block:
            assert _core.is_strict()
            raise KeyError
        assert not _core.is_strict()
    with flux.strict():
        assert _core.is_strict()


def test_blocks_of_many_threads_leave_what_holds_for_all():
    flux.strict(True)
    start, wrong = threading.Barrier(8), []

    def work(on):
        start.wait()
        for _ in range(200):
            with flux.strict(on):
                if _core.is_strict() is not on:
                    wrong.append(on)

    threads = [threading.Thread(target=work, args=(i % 2 == 0,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and _core.is_strict()


def test_strict_takes_true_or_false():
    with pytest.raises(TypeError, match="strict: on must be True or False, got 'no'"):
        flux.strict("no")  # type: ignore[arg-type]
    assert repr(flux.strict(False)) == "strict(False)"
    assert not _core.is_strict()
