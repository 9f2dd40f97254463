"""Einops on tensors, with gradients, and its layers."""

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest

import oxiflux as flux

einops = pytest.importorskip("einops")
from oxiflux.einops import EinMix, Rearrange, Reduce  # noqa: E402

X = np.random.default_rng(0).normal(size=(2, 6, 4)).astype("float32")

CALLS = {
    "split": lambda x: einops.rearrange(x, "b (h w) c -> b c h w", h=2),
    "merged": lambda x: einops.rearrange(x, "b t c -> (b t) c"),
    "mean": lambda x: einops.reduce(x, "b (h 2) c -> b c", "mean"),
    "max": lambda x: einops.reduce(x, "b t c -> b 1 c", "max"),
    "prod": lambda x: einops.reduce(x, "b t c -> t", "prod"),
    "repeat": lambda x: einops.repeat(x, "b t c -> b (t r) c s", r=3, s=2),
    "einsum": lambda x: einops.einsum(x, x, "b t c, b s c -> b t s"),
    "list": lambda x: einops.rearrange([x, x], "n b t c -> b (n c) t"),
    "pack": lambda x: einops.pack([x, x[:, 0]], "b * c")[0],
    "unpack": lambda x: einops.unpack(x, [(2,), (1,), (3,)], "b * c")[2],
}


@pytest.mark.parametrize("name", CALLS)
def test_a_call_gives_what_numpy_gives_and_has_its_gradient(name):
    y = CALLS[name](flux.tensor(X))
    assert isinstance(y, flux.Tensor)
    np.testing.assert_allclose(y.numpy(), CALLS[name](X), rtol=1e-5, atol=1e-6)
    flux.gradcheck(lambda x: (CALLS[name](x) ** 2).sum(), flux.tensor(X[:, :, :2], dtype="float64"), order=2)


def test_a_pattern_is_seen_in_the_shape():
    assert einops.parse_shape(flux.tensor(X), "b _ c") == {"b": 2, "c": 4}
    assert isinstance(einops.asnumpy(flux.tensor(X)), np.ndarray)
    with pytest.raises(einops.EinopsError):
        einops.rearrange(flux.tensor(X), "b t -> t b")


def mixed():
    return flux.Chain(
        Rearrange("b (h w) c -> b h w c", h=2),
        EinMix("b h w c -> b h w d", weight_shape="h c d", bias_shape="d", h=2, c=4, d=3),
        Reduce("b h w d -> b d", "max"),
        flux.Dense(3, 1),
    )


def test_layers_print_run_and_train():
    model = mixed()
    assert repr(model[0]) == "Rearrange('b (h w) c -> b h w c', h=2)"
    assert "EinMix('b h w c -> b h w d', 'h c d', 'd', h=2, c=4, d=3)" in repr(model)
    x = flux.tensor(X)
    y = np.einsum("bhwc,hcd->bhwd", X.reshape(2, 2, 3, 4), model[1].weight.numpy())
    y = (y + model[1].bias.numpy()).max((1, 2)) @ model[3].weight.numpy() + model[3].bias.numpy()
    np.testing.assert_allclose(model(x).numpy(), y, rtol=1e-4, atol=1e-5)
    before = (model(x) ** 2).mean().item()
    state = flux.setup(flux.Adam(0.01), model)
    for _ in range(20):
        flux.update(state, model, flux.gradient(lambda m: (m(x) ** 2).mean(), model)[0])
    assert (model(x) ** 2).mean().item() < before
    assert sum(t.size for t in flux.trainables(model)) == 2 * 4 * 3 + 3 + 3 + 1


def test_a_mix_with_lengths_on_both_sides_is_numpys():
    layer = EinMix("b (h c) -> b (h d)", weight_shape="h c d", h=2, c=3, d=5)
    x = np.random.default_rng(1).normal(size=(4, 6)).astype("float32")
    want = np.einsum("bhc,hcd->bhd", x.reshape(4, 2, 3), layer.weight.numpy()).reshape(4, 10)
    np.testing.assert_allclose(layer(x).numpy(), want, rtol=1e-5, atol=1e-6)
    assert layer.bias is None and np.abs(layer.weight.numpy()).max() <= 1  # (3 / 3) ** 0.5
    assert np.abs(layer.weight.numpy()).max() > 0.8


def test_layers_are_copied_pickled_and_saved(tmp_path):
    model, x = mixed(), flux.tensor(X)
    classes = [Rearrange, Reduce, EinMix]
    flux.save(tmp_path / "model", model, classes=classes)
    loaded = flux.load(tmp_path / "model", classes=classes)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), loaded):
        assert other(x).tolist() == model(x).tolist() and repr(other) == repr(model)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Rearrange("b c -> (b"),
        lambda: Reduce("b c -> b d", "max"),
        lambda: EinMix("b c -> b d", "c d", c=1),
    ],
)
def test_a_pattern_that_is_none_is_an_error_at_once(make):
    with pytest.raises(einops.EinopsError):
        make()


def test_einops_is_not_imported_before_it_is_asked_for():
    code = "import sys, oxiflux; assert not any(name.startswith('einops') for name in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
