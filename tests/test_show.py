"""What models look like when printed."""

import functools
import math
import re
from dataclasses import dataclass

import numpy as np
import pytest

import oxiflux as flux
from oxiflux import show


class Net(flux.Layer):
    def __init__(self):
        self.first = flux.Dense(4, 3)
        self.second = flux.Dense(3, 2)
        self.scale = 0.5
        self._cache = flux.ones(3)

    def __call__(self, x):
        return self.second(self.first(x)) * self.scale

    def trainable(self):
        return ("first", "second")


class Running(flux.Layer):
    def __init__(self):
        self.weight = flux.ones(3)
        self.mean = flux.zeros(3)

    def __call__(self, x):
        return (x - self.mean) * self.weight

    def trainable(self):
        return ("weight",)


@dataclass
class Bag:
    layer: object
    note: str


def test_a_chain_with_a_function_and_no_bias():
    model = flux.Chain(flux.Dense(64, 128, flux.relu), flux.Dense(128, 10, bias=False), flux.softmax)
    assert repr(model).splitlines() == [
        "Chain(",
        "  Dense(64 => 128, relu),               # 8_320 parameters",
        "  Dense(128 => 10; bias=False),         # 1_280 parameters",
        "  softmax,",
        ")                   # Total: 3 arrays, 9_600 parameters, 37.5 KiB.",
    ]


def test_nested_and_named_chains():
    model = flux.Chain(enc=flux.Chain(flux.flatten, flux.Dense(4, 2, flux.tanh)), dec=flux.Dense(2, 4))
    assert repr(model).splitlines() == [
        "Chain(",
        "  enc = Chain(",
        "    flatten,",
        "    Dense(4 => 2, tanh),                # 10 parameters",
        "  ),",
        "  dec = Dense(2 => 4),                  # 12 parameters",
        ")                   # Total: 4 arrays, 22 parameters, 88 bytes.",
    ]


def test_a_layer_of_ones_own_lists_its_attributes():
    lines = repr(Net()).splitlines()
    assert lines[:4] == [
        "Net(",
        "  first = Dense(4 => 3),                # 15 parameters",
        "  second = Dense(3 => 2),               # 8 parameters",
        "  scale = 0.5,",
    ]
    assert lines[4:] == [
        ")         # Total: 4 trainable arrays, 23 parameters,",
        "          # plus 1 non-trainable, 3 parameters, 104 bytes.",
    ]


def test_tensors_that_are_not_trained_are_counted_apart():
    shown = "Running(weight=(3,), mean=float32 tensor (3,))"
    assert repr(Running()) == f"{shown}  # 3 parameters, plus 3 non-trainable"
    assert f"  {shown},  # 3 parameters, plus 3\n" in repr(flux.Chain(Running(), flux.relu))


def test_a_line_that_is_too_long_keeps_its_comment():
    model = flux.Chain(flux.Dense(1000, 1000, functools.partial(flux.leakyrelu, a=0.125)))
    assert repr(model).splitlines()[1] == "  Dense(1000 => 1000, leakyrelu(a=0.125)),  # 1_001_000 parameters"


def test_one_parameter_is_singular():
    assert repr(flux.Dense(1, 1, bias=False)) == "Dense(1 => 1; bias=False)  # 1 parameter"


@pytest.mark.parametrize(("value", "warning"), [(0, "all zero"), (np.nan, "some NaN"), (np.inf, "some Inf")])
def test_suspicious_parameters_are_marked(value, warning):
    layer = flux.Dense(2, 3)
    layer.weight[...] = value
    assert repr(layer) == f"Dense(2 => 3)       # 9 parameters  ({warning})"


def test_a_chain_of_functions_is_one_line():
    assert repr(flux.Chain(flux.relu, flux.softmax)) == "Chain(relu, softmax)"
    assert repr(flux.Chain()) == "Chain()"


def test_a_closure_is_printed_by_its_name():
    inner = flux.Dense(2, 2)

    def twice(x):
        return inner(inner(x))

    assert (
        repr(flux.Chain(twice, flux.Dense(2, 1))).splitlines()[1]
        == "  twice,                                # 6 parameters"
    )


def test_lists_dicts_and_plain_objects_within_a_chain():
    class Holder(flux.Layer):
        def __init__(self):
            self.parts = [flux.Dense(1, 2), {"a": flux.Dense(2, 1)}]
            self.bag = Bag(flux.Dense(1, 1), "text")

    assert repr(Holder()).splitlines()[:-1] == [
        "Holder(",
        "  parts = [",
        "    Dense(1 => 2),                      # 4 parameters",
        "    {",
        "      a = Dense(2 => 1),                # 3 parameters",
        "    },",
        "  ],",
        "  bag = Bag(",
        "    layer = Dense(1 => 1),              # 2 parameters",
        "    note = 'text',",
        "  ),",
    ]


def test_a_layer_with_its_own_repr_is_taken_at_its_word():
    class Mine(flux.Layer):
        def __init__(self):
            self.w = flux.ones(2)

        def __call__(self, x):
            return x * self.w

        def __repr__(self):
            return "Mine!"

    assert repr(flux.Chain(Mine(), flux.relu)).splitlines()[1].startswith("  Mine!,")


def test_printing_during_a_gradient_changes_nothing():
    model = flux.Chain(flux.Dense(2, 3), flux.Dense(3, 1))
    texts = []

    def loss(m):
        texts.append(repr(m))
        return m(np.ones((1, 2))).sum()

    (grads,) = flux.gradient(loss, model)
    assert texts == [repr(model)]
    assert grads.layers[1].bias.tolist() == [1.0]


@pytest.mark.parametrize(
    ("n", "shown"),
    [(0, "0 bytes"), (1023, "1023 bytes"), (1024, "1.0 KiB"), (40_000, "39.1 KiB"), (3 << 30, "3.0 GiB")],
)
def test_sizes_are_in_powers_of_1024(n, shown):
    assert show.bytes_of(n) == shown


def test_notebooks_get_a_table():
    html = flux.Chain(flux.Dense(2, 3), lambda x: x, flux.Dense(3, 1))._repr_html_()
    assert html.startswith("<table")
    assert html.count("<tr>") == 5
    assert "Dense(2 =&gt; 3)" in html
    assert "9 parameters" in html
    assert "&lt;lambda&gt;" in html
    assert "Total: 4 arrays, 13 parameters, 52 bytes." in html


def test_rows_of_a_notebooks_table_are_shifted_by_their_depth():
    layer, chain = flux.Dense(2, 3), flux.Chain(flux.Dense(2, 3), flux.Dense(3, 1))
    shift = lambda model: re.findall(r"padding-left:(\d+)em", model._repr_html_())[::2]
    assert shift(layer) == ["1"] and shift(chain) == ["1", "3", "3", "1"]


def test_the_bytes_of_a_summary_are_those_of_the_type():
    chain = flux.Chain(flux.Dense(2, 3), flux.Dense(3, 1))
    for convert, size in ((flux.f64, 8), (flux.f32, 4), (flux.f16, 2)):
        assert f"13 parameters, {13 * size} bytes" in repr(convert(chain))


def test_a_function_of_another_library_is_printed_by_its_name():
    cached = functools.lru_cache(math.exp)
    shown = repr(flux.Chain(np.tanh, cached, flux.Dense(2, 2, np.tanh)))
    assert shown.splitlines()[1:3] == ["  tanh,", "  exp,"] and "Dense(2 => 2, tanh)," in shown


def test_a_layer_with_something_else_in_place_of_its_tensors_is_printed():
    sizes = flux.fmap(lambda x: x.shape, flux.Chain(flux.Dense(2, 3)))
    assert "Dense(weight=(2, 3), bias=(3,), activation=identity)" in repr(sizes)

    class Wrong(flux.Layer):
        def describe(self):
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        repr(Wrong())
