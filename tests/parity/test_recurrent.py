"""Recurrent layers, their states and their gradients are those of PyTorch, with its weights transposed."""

import numpy as np
import pytest

import oxiflux as flux
from parity.stored import listed, stored

CASES = stored("sequences")


def close(ours, theirs, tolerance=2e-6):
    np.testing.assert_allclose(ours.numpy(), theirs, rtol=tolerance, atol=tolerance * np.abs(theirs).max())


def with_parameters(name, p):
    """Our layer with the parameters of theirs."""
    hidden, size_in = p["weight_hh"].shape[1], p["weight_ih"].shape[1]
    options = {"recurrent_bias": p["bias_hh"]} if name == "GRU" else {}
    bias = p["bias_ih"] if name == "GRU" else p["bias_ih"] + p["bias_hh"]
    layer = getattr(flux, name)(size_in, hidden, bias=bias, return_state=True, **options)
    layer.cell.weight_ih, layer.cell.weight_hh = p["weight_ih"].T, p["weight_hh"].T
    return layer


@pytest.mark.parametrize("case", CASES)
def test_layers_and_their_gradients_are_those_of_pytorch(case):
    name, kept = case.split(",")[0], CASES[case]
    ours, states = with_parameters(name, kept["parameters"]), listed(kept["states"])

    def f(layer, x, *s):
        y, end = layer(x, s if len(s) == 2 else s[0])
        ends = end if isinstance(end, tuple) else (end,)
        return (y**2).mean() + sum((s**2).sum() for s in ends), y

    (value, y), (grads, dx, *ds) = flux.withgradient(
        f, ours, flux.tensor(kept["x"]), *map(flux.tensor, states)
    )
    close(y, kept["y"])
    close(value, kept["loss"])
    close(dx, kept["dx"], 1e-5)
    for mine, other in zip(ds, listed(kept["dstates"]), strict=True):
        close(mine, other, 1e-5)
    close(grads.cell.weight_ih, kept["grads"]["weight_ih"].T, 1e-5)
    close(grads.cell.weight_hh, kept["grads"]["weight_hh"].T, 1e-5)
    close(grads.cell.bias, kept["grads"]["bias_ih"], 1e-5)
    if name == "GRU":
        close(grads.cell.bias_hh, kept["grads"]["bias_hh"], 1e-5)
