"""Fourier transforms against NumPy, their gradients, and what they refuse."""

import threading

import numpy as np
import pytest

import oxiflux as flux

NORMS = ["backward", "ortho", "forward"]
LENGTHS = [1, 2, 3, 4, 5, 7, 8, 12, 16, 17, 25, 30, 64, 97, 400, 401, 512, 1000, 1009, 4099]


def reals(*shape, dtype=np.float64, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def complexes(*shape, seed=0):
    return reals(*shape, seed=seed) + 1j * reals(*shape, seed=seed + 1)


def paired(z, dtype=np.float64):
    z = np.asarray(z)
    return np.stack([z.real, z.imag], -1).astype(dtype)


def joined(y):
    y = y.numpy().astype(float)
    return np.ascontiguousarray(y).view(complex)[..., 0]


def close(ours, expected, digits=13):
    expected = np.asarray(expected)
    most = abs(expected).max(initial=1)
    np.testing.assert_allclose(ours, expected, rtol=0, atol=most * 10.0**-digits)


# Values


@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize(("dtype", "digits"), [("float32", 5), ("float64", 13)])
def test_transforms_of_any_length_are_those_of_numpy(n, dtype, digits):
    x, z = reals(3, n, dtype=dtype).astype(float), paired(complexes(3, n), dtype).astype(float)
    c = z[..., 0] + 1j * z[..., 1]
    ours, pairs = flux.tensor(x).astype(dtype), flux.tensor(z).astype(dtype)
    for y in (flux.fft.rfft(ours), flux.fft.fft(pairs), flux.fft.ifft(pairs)):
        assert y.dtype == dtype
    close(joined(flux.fft.rfft(ours)), np.fft.rfft(x), digits)
    close(joined(flux.fft.fft(pairs)), np.fft.fft(c), digits)
    close(joined(flux.fft.ifft(pairs)), np.fft.ifft(c), digits)
    close(joined(flux.fft.ihfft(ours)), np.fft.ihfft(x), digits)
    for m in (2 * n - 2, 2 * n - 1):
        if m:
            y = flux.fft.irfft(pairs, m)
            assert y.shape == (3, m)
            assert y.dtype == dtype
            close(y.numpy(), np.fft.irfft(c, m), digits)
            close(flux.fft.hfft(pairs, m).numpy(), np.fft.hfft(c, m), digits)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("axis", [0, 1, -1, -2, -3])
@pytest.mark.parametrize("n", [None, 1, 2, 4, 5, 6, 7, 13])
def test_lengths_axes_and_norms_are_those_of_numpy(n, axis, norm):
    x, z = reals(4, 5, 6), complexes(4, 5, 6)
    options = {"n": n, "axis": axis, "norm": norm}
    for name in ("rfft", "ihfft"):
        y = getattr(flux.fft, name)(x, **options)
        close(joined(y), getattr(np.fft, name)(x, **options))
    for name in ("fft", "ifft"):
        close(joined(getattr(flux.fft, name)(paired(z), **options)), getattr(np.fft, name)(z, **options))
    for name in ("irfft", "hfft"):
        close(getattr(flux.fft, name)(paired(z), **options).numpy(), getattr(np.fft, name)(z, **options))


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(
    ("s", "axes"),
    [(None, None), (None, (0, 2)), ((3, 8), None), ((5, 2), (1, 0)), ((3,), (-2,)), (None, (-1, 0, 1))],
)
def test_transforms_along_several_axes_are_those_of_numpy(s, axes, norm):
    x, z = reals(4, 5, 6), complexes(4, 5, 6)
    theirs = tuple(range(3 - len(s or (0, 1, 2)), 3)) if axes is None else axes
    expected = {"s": s, "axes": theirs, "norm": norm}
    options = {"s": s, "axes": axes, "norm": norm}
    close(joined(flux.fft.rfftn(x, **options)), np.fft.rfftn(x, **expected))
    close(flux.fft.irfftn(paired(z), **options).numpy(), np.fft.irfftn(z, **expected))
    for name in ("fftn", "ifftn"):
        close(joined(getattr(flux.fft, name)(paired(z), **options)), getattr(np.fft, name)(z, **expected))


@pytest.mark.parametrize(
    "options", [{}, {"s": (3, 8)}, {"axes": (0, 1)}, {"s": (4, 4), "axes": (2, 0), "norm": "ortho"}]
)
def test_transforms_of_images_are_those_of_numpy(options):
    x, z = reals(4, 5, 6), complexes(4, 5, 6)
    close(joined(flux.fft.rfft2(x, **options)), np.fft.rfft2(x, **options))
    close(flux.fft.irfft2(paired(z), **options).numpy(), np.fft.irfft2(z, **options))
    close(joined(flux.fft.fft2(paired(z), **options)), np.fft.fft2(z, **options))
    close(joined(flux.fft.ifft2(paired(z), **options)), np.fft.ifft2(z, **options))
    assert flux.fft.fftn(paired(z), s=(-1, 3)).shape == (4, 5, 3, 2)


@pytest.mark.parametrize("n", [1, 2, 5, 8])
@pytest.mark.parametrize("d", [1.0, 0.25])
def test_frequencies_are_those_of_numpy(n, d):
    np.testing.assert_allclose(flux.fft.fftfreq(n, d=d, dtype="float64").numpy(), np.fft.fftfreq(n, d))
    np.testing.assert_allclose(flux.fft.rfftfreq(n, d=d, dtype="float64").numpy(), np.fft.rfftfreq(n, d))
    assert flux.fft.fftfreq(n).dtype == flux.fft.rfftfreq(n, dtype=None, device="cpu").dtype == "float32"


@pytest.mark.parametrize("shape", [(5,), (4, 5), (3, 4, 6)])
@pytest.mark.parametrize("axes", [None, 0, -1, (0,), (-1, 0)])
def test_shifts_are_those_of_numpy(shape, axes):
    x = reals(*shape)
    if len(shape) == 1 and axes == (-1, 0):
        axes = (0,)
    for name in ("fftshift", "ifftshift"):
        ours, theirs = getattr(flux.fft, name), getattr(np.fft, name)
        np.testing.assert_array_equal(ours(x, axes=axes).numpy(), theirs(x, axes=axes))
        z = x + 1j * x
        np.testing.assert_array_equal(joined(ours(paired(z), axes=axes, pairs=True)), theirs(z, axes=axes))


def test_pairs_are_made_of_parts_that_broadcast():
    y = flux.fft.pairs(flux.ones((2, 1)), flux.arange(3))
    assert y.shape == (2, 3, 2)
    assert y.dtype == "float32"
    assert y[1].tolist() == [[1, 0], [1, 1], [1, 2]]
    assert flux.fft.pairs(reals(4)).numpy().view(complex)[..., 0].imag.tolist() == [0] * 4


def test_what_lies_otherwise_in_memory_is_read_as_it_is():
    x = flux.tensor(reals(6, 8))
    for view in (x.T, x[::-1, ::2], x[1:, 3:], flux.broadcast_to(x[0], (3, 8))):
        close(joined(flux.fft.rfft(view)), np.fft.rfft(view.numpy()))
        close(joined(flux.fft.rfft(view, axis=0)), np.fft.rfft(view.numpy(), axis=0))
    z = flux.tensor(paired(complexes(6, 8)))
    for view in (flux.swapaxes(z, 0, 1), z[::2, ::-1]):
        close(joined(flux.fft.fft(view)), np.fft.fft(joined(view)))


def test_integers_are_computed_with_as_float32_and_halves_are_rounded_once():
    x = np.arange(10)
    assert flux.fft.rfft(x).dtype == "float32"
    close(joined(flux.fft.rfft(x)), np.fft.rfft(x), 6)
    assert flux.fft.fft(paired(x, int)).dtype == flux.fft.irfft(paired(x, int)).dtype == "float32"
    for dtype in ("float16", "bfloat16"):
        h = flux.tensor(reals(3, 20)).astype(dtype)
        single = flux.fft.rfft(h.astype("float32"))
        y = flux.fft.rfft(h)
        assert y.dtype == dtype
        assert (y == single.astype(dtype)).all()
        assert (flux.fft.irfft(y) == flux.fft.irfft(y.astype("float32")).astype(dtype)).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("n", [7, 8])
def test_what_is_not_finite_stays_in_its_row(value, n):
    x = reals(3, n)
    x[1, 2] = value
    y = joined(flux.fft.rfft(x))
    close(y[[0, 2]], np.fft.rfft(x[[0, 2]]))
    assert not np.isfinite(y[1]).any()
    back = flux.fft.irfft(flux.fft.rfft(x), n).numpy()
    close(back[[0, 2]], x[[0, 2]])
    assert not np.isfinite(back[1]).any()


def test_a_small_row_beside_a_large_one_keeps_its_digits():
    x = np.stack([1e30 * reals(400), 1e-30 * reals(400, seed=1)]).astype(np.float32)
    y = joined(flux.fft.rfft(x)[1].astype("float64"))
    close(y * 1e30, np.fft.rfft(x[1].astype(float)) * 1e30, 5)


def test_the_largest_numbers_do_not_overflow_where_the_result_does_not():
    x = np.full(8, 1e38, np.float32)
    assert flux.fft.rfft(x, norm="forward")[0, 0].item() == pytest.approx(1e38)
    assert flux.fft.irfft(paired([4e37] * 5, np.float32)).numpy()[0] == pytest.approx(4e37)


def test_batches_of_nothing_give_nothing():
    assert flux.fft.rfft(flux.zeros((0, 6))).shape == (0, 4, 2)
    assert flux.fft.fft(flux.zeros((3, 0, 6, 2))).shape == (3, 0, 6, 2)
    assert flux.fft.irfft(flux.zeros((0, 6, 2))).shape == (0, 10)
    # An axis of nothing is continued with zeros, where a length is given.
    assert flux.fft.rfft(flux.zeros((2, 0)), 4).tolist() == [[[0, 0]] * 3] * 2
    (g,) = flux.gradient(lambda x: flux.fft.rfft(x, 4).sum(), flux.zeros((2, 0)))
    assert g.shape == (2, 0)


# Gradients


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("n", [None, 1, 3, 4, 5, 6, 9])
@pytest.mark.parametrize("axis", [0, -1])
@pytest.mark.parametrize("name", ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"])
def test_gradients_match_finite_differences(name, n, axis, norm):
    shape = (4, 5) if name in ("rfft", "ihfft") else (4, 5, 2)
    transform = getattr(flux.fft, name)
    f = lambda x: flux.sin(transform(x, n, axis, norm))
    assert flux.gradcheck(f, flux.tensor(0.3 * reals(*shape)), order=2)


@pytest.mark.parametrize("name", ["fft2", "ifft2", "rfft2", "irfft2", "fftn", "irfftn", "fftshift"])
def test_gradients_along_several_axes_match_finite_differences(name):
    shape = (2, 3, 4) if name in ("rfft2", "fftshift") else (2, 3, 4, 2)
    f = lambda x: flux.sin(getattr(flux.fft, name)(x))
    assert flux.gradcheck(f, flux.tensor(0.3 * reals(*shape)))


def test_the_gradient_of_a_power_spectrum_is_twice_the_sound_by_the_theorem_of_parseval():
    x = flux.tensor(reals(30))
    y, (g,) = flux.withgradient(lambda x: (flux.fft.fft(flux.fft.pairs(x), norm="ortho") ** 2).sum(), x)
    assert y.item() == pytest.approx((x**2).sum().item())
    close(g.numpy(), 2 * x.numpy())


# Threads


@pytest.mark.parametrize("n", [400, 4096])
def test_the_number_of_threads_changes_no_bit(n):
    x, before = flux.tensor(reals(300, n, dtype=np.float32)), flux.get_num_threads()
    try:
        several = []
        for threads in (1, 2, 3):
            flux.set_num_threads(threads)
            several.append(flux.fft.rfft(x).numpy())
    finally:
        flux.set_num_threads(before)
    assert all((y == several[0]).all() for y in several)


def test_threads_of_python_transform_side_by_side():
    found = {}

    def run(seed):
        lengths = range(2 + seed, 60 + seed)
        found[seed] = all(
            np.allclose(joined(flux.fft.rfft(reals(n, seed=seed))), np.fft.rfft(reals(n, seed=seed)))
            for n in lengths
        )

    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == dict.fromkeys(range(4), True)


# Errors


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: flux.fft.fft(flux.ones(5)), flux.ShapeError, ["fft: ", "rfft", "(5,)"]),
        (lambda: flux.fft.fft(flux.ones((5, 3))), flux.ShapeError, ["fft: ", "pairs", "(5, 3)"]),
        (lambda: flux.fft.fft2(flux.ones((5, 3))), flux.ShapeError, ["fft2: ", "pairs", "(5, 3)"]),
        (lambda: flux.fft.irfft(flux.ones(2)), flux.ShapeError, ["irfft: ", "(2,)"]),
        (lambda: flux.fft.hfft(flux.ones((3, 3))), flux.ShapeError, ["hfft: ", "(3, 3)"]),
        (lambda: flux.fft.rfft(flux.ones(5), 0), ValueError, ["rfft: ", "at least 1", "n"]),
        (lambda: flux.fft.rfft(flux.ones(5), -3), ValueError, ["rfft: ", "at least 1", "n"]),
        (lambda: flux.fft.rfft(flux.ones((2, 0))), ValueError, ["rfft: ", "at least 1", "n"]),
        (lambda: flux.fft.irfft(flux.ones((1, 2))), ValueError, ["irfft: ", "at least 1", "n"]),
        (lambda: flux.fft.rfft(1.0), IndexError, ["rfft: ", "axis"]),
        (lambda: flux.fft.rfft(flux.ones(5), axis=1), IndexError, ["rfft: ", "axis 1", "1 dimension"]),
        (lambda: flux.fft.fft(flux.ones((5, 2)), axis=-2), IndexError, ["fft: ", "axis -2", "1 dimension"]),
        (lambda: flux.fft.rfft(flux.ones(5), norm="half"), ValueError, ["rfft: ", "ortho", "half"]),
        (lambda: flux.fft.hfft(flux.ones((5, 2)), norm="half"), ValueError, ["hfft: ", "ortho", "half"]),
        (lambda: flux.fft.rfftn(flux.ones((5, 2)), s=(3,), axes=(0, 1)), ValueError, ["rfftn: ", "1 ", "2 "]),
        (lambda: flux.fft.rfftn(flux.ones((5, 2)), axes=(0, 0)), IndexError, ["rfftn: ", "(0, 0)"]),
        (lambda: flux.fft.fftn(flux.ones((5, 2)), axes=(1,)), IndexError, ["fftn: ", "(1,)"]),
        (lambda: flux.fft.rfftn(1.0), IndexError, ["rfftn: "]),
        (lambda: flux.fft.fftfreq(0), ValueError, ["fftfreq: ", "0"]),
        (lambda: flux.fft.rfftfreq(4, d=0), ValueError, ["rfftfreq: ", "d"]),
        (lambda: flux.fft.fftshift(flux.ones(3), axes=1), IndexError, ["fftshift: ", "1"]),
        (lambda: flux.fft.rfft(flux.ones(3), 2**60), MemoryError, ["rfft"]),
        (lambda: flux.fft.fft(flux.ones((3, 2)), 2**60), MemoryError, ["fft"]),
    ],
)
def test_bad_input_is_an_error_that_says_what_is_wrong(call, error, words):
    with pytest.raises(error) as found:
        call()
    for word in words:
        assert word in str(found.value)
