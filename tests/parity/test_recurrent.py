"""Recurrent layers and their gradients are those of PyTorch, with its weights transposed."""

import numpy as np
import pytest

import oxiflux as flux

torch = pytest.importorskip("torch")


def pair(name, size_in=7, hidden=19):
    """A layer of PyTorch, and ours with the same parameters."""
    torch.manual_seed(1)
    theirs = getattr(torch.nn, name)(size_in, hidden, batch_first=True)
    p = {key.removesuffix("_l0"): value.detach().numpy() for key, value in theirs.named_parameters()}
    options = {"recurrent_bias": p["bias_hh"]} if name == "GRU" else {}
    bias = p["bias_ih"] if name == "GRU" else p["bias_ih"] + p["bias_hh"]
    ours = getattr(flux, name)(size_in, hidden, bias=bias, return_state=True, **options)
    ours.cell.weight_ih, ours.cell.weight_hh = p["weight_ih"].T, p["weight_hh"].T
    return ours, theirs


def close(ours, theirs, tolerance=2e-5):
    theirs = theirs.detach().numpy()
    np.testing.assert_allclose(ours.numpy(), theirs, rtol=tolerance, atol=tolerance * np.abs(theirs).max())


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize("batch", [1, 21])
def test_layers_and_their_gradients_are_those_of_pytorch(name, batch):
    ours, theirs = pair(name)
    random = np.random.default_rng(2).normal
    x = random(size=(batch, 13, 7)).astype("float32")
    states = [random(size=(batch, 19)).astype("float32") for _ in range(1 + (name == "LSTM"))]

    tx, *ts = (torch.tensor(a, requires_grad=True) for a in (x, *states))
    ty, tend = theirs(tx, tuple(s[None] for s in ts) if len(ts) == 2 else ts[0][None])
    loss = (ty**2).mean() + sum(s.square().sum() for s in (tend if isinstance(tend, tuple) else (tend,)))
    loss.backward()

    def f(layer, x, *s):
        y, end = layer(x, s if len(s) == 2 else s[0])
        ends = end if isinstance(end, tuple) else (end,)
        return (y**2).mean() + sum((s**2).sum() for s in ends), y

    (value, y), (grads, dx, *ds) = flux.withgradient(f, ours, flux.tensor(x), *map(flux.tensor, states))
    close(y, ty)
    close(value, loss)
    close(dx, tx.grad)
    for a, b in zip(ds, ts, strict=True):
        close(a, b.grad)
    close(grads.cell.weight_ih, theirs.weight_ih_l0.grad.T, 1e-4)
    close(grads.cell.weight_hh, theirs.weight_hh_l0.grad.T, 1e-4)
    close(grads.cell.bias, theirs.bias_ih_l0.grad, 1e-4)
    if name == "GRU":
        close(grads.cell.bias_hh, theirs.bias_hh_l0.grad, 1e-4)
