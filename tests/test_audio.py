"""Windows, Fourier transforms, spectrograms and mel filters against NumPy and SciPy."""

import numpy as np
import pytest

import oxiflux as flux


def x_of(shape, dtype=np.float64):
    return np.random.default_rng(0).normal(size=shape).astype(dtype)


@pytest.mark.parametrize("n", [2, 7, 64])
@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize("name", ["hann", "hamming"])
def test_windows_are_those_of_scipy(name, n, periodic):
    windows = pytest.importorskip("scipy.signal.windows")
    ours = getattr(flux, f"{name}_window")(n, "float64", periodic=periodic)
    expected = windows.general_hamming(n, 0.5 if name == "hann" else 0.54, sym=not periodic)
    np.testing.assert_allclose(ours.numpy(), expected, atol=1e-15)
    assert ours.shape == (n,)
    assert flux.hann_window(n).dtype == "float32"


def test_a_window_of_one():
    for f in (flux.hann_window, flux.hamming_window):
        assert f(1).tolist() == f(1, periodic=False).tolist() == [1]


def transformed(x, n, hop, window, center):
    """Frame by frame."""
    if center:
        x = np.pad(x, [(0, 0)] * (x.ndim - 1) + [(n // 2, n // 2)], "reflect")
    frames = [x[..., i : i + n] * window for i in range(0, x.shape[-1] - n + 1, hop)]
    return np.fft.rfft(np.stack(frames, axis=-2))


@pytest.mark.parametrize("shape", [(50,), (3, 64), (0, 30)])
@pytest.mark.parametrize(("n", "hop"), [(16, 4), (15, 7), (1, 1), (8, 11)])
@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_stft_is_the_fourier_transform_of_frames(shape, n, hop, center, dtype):
    x, window = x_of(shape, dtype), np.hanning(n + 2)[1:-1]
    y = flux.stft(flux.tensor(x), n_fft=n, hop_length=hop, window=window, center=center)
    expected = transformed(x, n, hop, window, center)
    assert y.dtype == dtype
    tolerance = 64 * np.finfo(dtype).eps
    np.testing.assert_allclose(y.numpy()[..., 0], expected.real, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(y.numpy()[..., 1], expected.imag, rtol=tolerance, atol=tolerance)


def test_a_short_window_is_in_the_middle():
    x = x_of((40,))
    y = flux.stft(flux.tensor(x), n_fft=8, window=np.ones(3))
    expected = transformed(x, 8, 2, np.array([0, 0, 1, 1, 1, 0, 0, 0]), True)
    np.testing.assert_allclose(y.numpy()[..., 0], expected.real, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("shape", [(50,), (3, 64)])
@pytest.mark.parametrize("n", [16, 15])
@pytest.mark.parametrize("options", [{}, {"normalized": True}, {"center": False, "window": None}])
def test_istft_undoes_stft(shape, n, options):
    x = x_of(shape)
    options = {"n_fft": n, "hop_length": 4, "window": np.hanning(n + 2)[1:-1]} | options
    y = flux.stft(flux.tensor(x), **options)
    back = flux.istft(y, **options).numpy()
    assert x.shape[-1] - 4 < back.shape[-1] <= x.shape[-1]
    np.testing.assert_allclose(back, x[..., : back.shape[-1]], rtol=1e-9, atol=1e-9)
    if options.get("center", True):
        whole = flux.istft(y, original_length=x.shape[-1], **options).numpy()
        np.testing.assert_allclose(whole, x, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0, 2.0])
def test_spectrogram_is_a_power_of_the_spectrum(power):
    x, window = x_of((2, 3, 50)), np.hanning(18)[1:-1]
    options = {"n_fft": 16, "hop_length": 8, "window": window}
    y = flux.spectrogram(flux.tensor(x), pad=5, power=power, window_normalized=True, **options).numpy()
    padded = np.pad(x, [(0, 0), (0, 0), (5, 5)])
    expected = transformed(padded, 16, 8, window, True) / np.linalg.norm(window)
    if power:
        np.testing.assert_allclose(y, abs(expected) ** power, rtol=1e-9, atol=1e-12)
    else:
        np.testing.assert_allclose(y[..., 0] + 1j * y[..., 1], expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("power", [0.0, 1.0, 2.0])
def test_gradients_match_finite_differences(power):
    x = flux.tensor(x_of((2, 12)))
    options = {"n_fft": 6, "window": np.hanning(8)[1:-1]}
    f = lambda x: flux.spectrogram(x, power=power, **options)
    assert flux.gradcheck(f, x, order=2)
    y = flux.stft(x, **options)
    assert flux.gradcheck(lambda y: flux.sin(flux.istft(y, **options)), y)


@pytest.mark.parametrize("options", [{}, {"center": False}, {"normalized": True, "hop_length": 7}])
@pytest.mark.parametrize("n", [6, 5, 1])
def test_gradients_by_sound_and_window_match_finite_differences(n, options):
    x, window = flux.tensor(0.3 * x_of((2, 12))), flux.tensor(0.3 * x_of((n,)) + 1)
    transform = lambda x, window: flux.sin(flux.stft(x, n_fft=n, window=window, **options))
    assert flux.gradcheck(transform, x, window, order=2)
    y = flux.stft(x, n_fft=n, **options)
    back = lambda y, window: flux.sin(flux.istft(y, n_fft=n, window=window, **options))
    assert flux.gradcheck(back, y, window, order=2)


def test_the_gradient_of_a_short_window_has_its_length():
    x, window = flux.tensor(x_of((2, 12))), flux.tensor(x_of((3,)))
    assert flux.gradcheck(lambda w: flux.spectrogram(x, n_fft=6, window=w), window)
    y = flux.stft(x, n_fft=6)
    assert flux.gradcheck(lambda w: flux.istft(y, n_fft=6, window=flux.tanh(w) + 2), window)


def adjoints(x, window, n, hop, center):
    """The gradients of `(stft * g).sum()` by sound and window, frame by frame; and `g`."""
    frames = transformed(x, n, hop, window, center).shape[-2]
    g = np.random.default_rng(1).normal(size=(*x.shape[:-1], frames, n // 2 + 1, 2))
    k, f = np.arange(n), np.arange(n // 2 + 1)[:, None]
    angle = 2 * np.pi * f * k / n
    z = g[..., 0] @ np.cos(angle) - g[..., 1] @ np.sin(angle)
    places = np.arange(x.shape[-1])
    places = np.pad(places, n // 2, "reflect") if center else places
    dx, dw = np.zeros_like(x), np.zeros(n)
    for m in range(frames):
        at = places[m * hop : m * hop + n]
        np.add.at(dx, (..., at), z[..., m, :] * window)
        dw += (z[..., m, :] * x[..., at]).reshape(-1, n).sum(0)
    return g, dx, dw


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize(
    ("time", "n", "hop"),
    [(9000, 32, 8), (1025, 16, 1), (3000, 25, 40), (40, 64, 16), (33, 64, 3), (2049, 4, 3)],
)
def test_gradients_of_long_and_of_short_sounds_are_those_of_each_frame(time, n, hop, center):
    if not center and time < n:
        center = True
    x, window = x_of((2, time)), np.hanning(n + 2)[1:-1] + 0.1
    g, dx, dw = adjoints(x, window, n, hop, center)
    f = lambda x, w: (flux.stft(x, n_fft=n, hop_length=hop, window=w, center=center) * g).sum()
    ours = flux.gradient(f, flux.tensor(x), flux.tensor(window))
    np.testing.assert_allclose(ours[0].numpy(), dx, rtol=0, atol=1e-11)
    np.testing.assert_allclose(ours[1].numpy(), dw, rtol=0, atol=1e-9)


def test_the_number_of_threads_changes_no_bit():
    x, window = flux.tensor(x_of((3, 30000), np.float32)), flux.hann_window(400)
    options = {"n_fft": 400, "hop_length": 160}
    before, found = flux.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            flux.set_num_threads(threads)
            power = lambda x, window: flux.spectrogram(x, window=window, **options).sum()
            grads = flux.gradient(power, x, window)
            y = flux.stft(x, window=window, **options)
            found.append([t.numpy() for t in (y, *grads, flux.istft(y, window=window, **options))])
    finally:
        flux.set_num_threads(before)
    for one in found[1:]:
        for a, b in zip(one, found[0], strict=True):
            np.testing.assert_array_equal(a, b)


def test_sound_that_is_not_finite_spoils_its_frames_alone():
    x = x_of((2, 80))
    x[0, 40] = np.nan
    y = flux.stft(x, n_fft=8, hop_length=4, center=False).numpy()
    assert not np.isnan(y[1]).any()
    assert sorted({int(m) for m in np.argwhere(np.isnan(y[0]))[:, 0]}) == [9, 10]
    back = flux.istft(y, n_fft=8, hop_length=4, center=False).numpy()
    np.testing.assert_allclose(back[1], x[1], atol=1e-12)
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(back[0])), np.arange(36, 48))


def test_views_halves_and_integers_are_sound_too():
    x = flux.tensor(x_of((40, 3)))
    np.testing.assert_array_equal(
        flux.stft(x.T, n_fft=8).numpy(), flux.stft(flux.tensor(x.T.numpy().copy()), n_fft=8).numpy()
    )
    h, window = x[:, 0].astype("bfloat16"), flux.hann_window(8, "float64")
    y = flux.stft(h, n_fft=8, window=window)
    assert y.dtype == "bfloat16"
    single = flux.stft(h.astype("float32"), n_fft=8, window=window)
    assert single.dtype == "float32"
    assert (y == single.astype("bfloat16")).all()
    assert flux.istft(y, n_fft=8, window=window).dtype == "bfloat16"
    assert flux.stft(np.arange(20), n_fft=8).dtype == "float32"


def test_a_window_of_integers_weighs_too():
    y = flux.stft(x_of((20,)), n_fft=4, window=[0, 1, 2, 1])
    np.testing.assert_array_equal(
        y.numpy(), flux.stft(x_of((20,)), n_fft=4, window=[0.0, 1.0, 2.0, 1.0]).numpy()
    )
    np.testing.assert_allclose(
        flux.istft(y, n_fft=4, window=[0, 1, 2, 1]).numpy(), x_of((20,)), rtol=0, atol=1e-12
    )


def test_frames_that_leave_gaps_leave_zeros():
    y = flux.stft(flux.ones(30), n_fft=4, hop_length=7, center=False)
    back = flux.istft(y, n_fft=4, hop_length=7, center=False).numpy()
    np.testing.assert_allclose(back, [float(t % 7 < 4) for t in range(25)], atol=1e-6)


def test_silence_has_no_gradient():
    (g,) = flux.gradient(lambda x: flux.spectrogram(x, n_fft=4, power=1.0).sum(), flux.zeros(8))
    assert g.tolist() == [0] * 8


@pytest.mark.parametrize(
    ("n_freqs", "n_mels", "rate", "limits"),
    [(201, 20, 16000, {}), (64, 5, 8001, {"fmin": 100, "fmax": 3000})],
)
def test_mel_filters_are_triangles_between_points_of_the_mel_scale(n_freqs, n_mels, rate, limits):
    filters = flux.melscale_filterbanks(n_freqs=n_freqs, n_mels=n_mels, sample_rate=rate, **limits).numpy()
    ends = 2595 * np.log10(1 + np.array([limits.get("fmin", 0), limits.get("fmax", rate // 2)]) / 700)
    points = 700 * (10 ** (np.linspace(*ends, n_mels + 2) / 2595) - 1)
    frequencies = np.linspace(0, rate // 2, n_freqs)
    for m in range(n_mels):
        triangle = np.interp(frequencies, points[m : m + 3], [0, 1, 0])
        np.testing.assert_allclose(filters[:, m], triangle, atol=1e-6)


def test_too_many_mel_filters_warn():
    with pytest.warns(UserWarning, match="empty"):
        flux.melscale_filterbanks(n_freqs=20, n_mels=80, sample_rate=16000)


def test_bad_input_is_an_error():
    x = flux.zeros(20)
    for call in (
        lambda: flux.stft(flux.zeros((2, 3, 4)), n_fft=4),
        lambda: flux.stft(x, n_fft=40),
        lambda: flux.stft(x, n_fft=21, center=False),
        lambda: flux.stft(x, n_fft=4, window=np.ones(5)),
        lambda: flux.stft(x, n_fft=4, window=np.ones((2, 2))),
        lambda: flux.istft(flux.zeros((3, 4, 2)), n_fft=4),
        lambda: flux.istft(flux.zeros((0, 3, 2)), n_fft=4),
    ):
        with pytest.raises(flux.ShapeError, match="stft|pad_reflect"):
            call()
    for call in (
        lambda: flux.stft(x, n_fft=0),
        lambda: flux.stft(x, n_fft=4, hop_length=0),
        lambda: flux.istft(flux.zeros((3, 3, 2)), n_fft=4, original_length=99),
        lambda: flux.spectrogram(x, n_fft=4, power=-1),
        lambda: flux.spectrogram(1.0, n_fft=4),
        lambda: flux.hann_window(0),
        lambda: flux.melscale_filterbanks(n_freqs=10, n_mels=0, sample_rate=100),
        lambda: flux.melscale_filterbanks(n_freqs=10, n_mels=2, sample_rate=100, fmin=60),
    ):
        with pytest.raises(ValueError, match="stft|spectrogram|window|melscale"):
            call()
