"""Recurrent layers and their cells: what each option does to the result."""

from types import SimpleNamespace

import numpy as np

import oxiflux as flux
import references as ref
from options.layers import value
from options.rows import Pair, Row, With, numbers, others

SEQUENCE, STEP, STATE = numbers(2, 4, 3), numbers(2, 3), others(2, 5)
GATES = {"RNN": 1, "LSTM": 4, "GRU": 3, "GRUv3": 3}
STEPS = {"RNN": ref.rnn, "LSTM": ref.lstm, "GRU": ref.gru, "GRUv3": ref.gruv3}


def rnn_with(activation):
    return lambda p, x, h: (activation(x @ p.weight_ih + h @ p.weight_hh + p.bias),)


def cell_of(
    name,
    init_kernel=numbers,
    init_recurrent_kernel=numbers,
    bias=True,
    recurrent_bias=False,
    activation=np.tanh,
):
    """The step of a cell, and its parameters."""
    gates = GATES[name]
    inner = 2 if name == "GRUv3" else gates
    parameters = SimpleNamespace(
        weight_ih=init_kernel(3, 5 * gates), weight_hh=init_recurrent_kernel(5, 5 * inner),
        weight_candidate=init_recurrent_kernel(5, 5), bias=value(bias, 0), bias_hh=value(recurrent_bias, 0),
    )  # fmt: skip
    return (rnn_with(activation) if name == "RNN" else STEPS[name]), parameters


def states_of(name, state):
    zeros = np.zeros((2, 5))
    if name == "LSTM":
        return (zeros, zeros) if state is None else state
    return (zeros if state is None else state,)


def recurrent_formula(name, return_state=False, state=None, **options):
    step, parameters = cell_of(name, **options)
    y, last = ref.sequence(step, parameters, SEQUENCE, *states_of(name, state))
    return (y, *last) if return_state else y


def cell_formula(name, state=None, **options):
    step, parameters = cell_of(name, **options)
    new = step(parameters, STEP.astype(np.float64), *states_of(name, state))
    return (new[0], *new)


KNOWN = {"init_kernel": numbers, "init_recurrent_kernel": numbers}


def recurrent_rows(name):
    layer, cell = getattr(flux, name), getattr(flux, f"{name}Cell")
    turned = {
        "init_kernel": others,
        # Zeros as the state would hide it in a cell that is called once.
        "init_recurrent_kernel": With(others, {"state": (STATE, STATE + 1) if name == "LSTM" else STATE}),
        "bias": numbers(5 * GATES[name]),
        "state": (STATE, STATE + 1) if name == "LSTM" else STATE,
    }
    if name == "GRU":
        turned["recurrent_bias"] = numbers(15)
    if name == "RNN":
        turned["activation"] = Pair(flux.softsign, lambda x: x / (1 + abs(x)))

    def run(kind, x, state=None, **options):
        return kind(3, 5, **(KNOWN | options))(x, state)

    call = {"state": turned.pop("state")}
    make = lambda kind, x, formula, **more: Row(
        lambda **o: run(kind, x, **o), lambda **o: formula(name, **o), turned | more, 1e-5
    )
    return {
        name: make(layer, SEQUENCE, recurrent_formula, return_state=True),
        f"{name}Cell": make(cell, STEP, cell_formula),
        f"{name}.__call__": Row(
            lambda **o: run(layer, SEQUENCE, **o), lambda **o: recurrent_formula(name, **o), call, 1e-5
        ),
        f"{name}Cell.__call__": Row(
            lambda **o: run(cell, STEP, **o), lambda **o: cell_formula(name, **o), call, 1e-5
        ),
    }


RECURRENT = {key: row for name in GATES for key, row in recurrent_rows(name).items()} | {
    "Recurrence": Row(
        lambda **o: flux.Recurrence(flux.RNNCell(3, 5, **KNOWN), **o)(SEQUENCE),
        lambda **o: recurrent_formula("RNN", **o),
        {"return_state": True},
        1e-5,
    ),
    "Recurrence.__call__": Row(
        lambda **o: flux.Recurrence(flux.RNNCell(3, 5, **KNOWN))(SEQUENCE, **o),
        lambda **o: recurrent_formula("RNN", **o),
        {"state": STATE},
        1e-5,
    ),
}


ROWS = RECURRENT
