"""What `help` and `inspect.signature` show: the call first, and its defaults as they are written."""

import inspect
import pydoc
import re

import pytest

import oxiflux as flux
import oxiflux.sklearn

CLASSES = {
    name: thing
    for home in (flux, flux.optimisers, flux.metrics, flux.sklearn)
    for name in dir(home)
    if isinstance(thing := getattr(home, name, None), type) and thing.__module__.startswith("oxiflux")
}
# Rust makes these, and says in their documentation by what.
MADE_BY_FUNCTIONS = {"DType", "Leaf", "Tensor", "paused"}
SCREEN = 24


def text_of(thing):
    return pydoc.plain(pydoc.render_doc(thing))


@pytest.mark.parametrize("name", [n for n in CLASSES if not issubclass(CLASSES[n], Exception)])
def test_help_of_a_class_begins_with_its_call_and_what_it_is(name):
    cls, text = CLASSES[name], text_of(CLASSES[name])
    assert "Initialize self" not in text
    first = "\n".join(text.splitlines()[:SCREEN])
    signature = inspect.signature(cls)
    if signature.parameters and name not in MADE_BY_FUNCTIONS:
        assert f"{cls.__name__}{signature}" in first
    assert inspect.getdoc(cls).splitlines()[0] in first
    assert not re.search(r"<(built-in |function|class|object)", first)


@pytest.mark.parametrize("name", ["Dense", "Conv", "Chain", "BatchNorm", "Adam", "DataLoader"])
def test_help_of_a_constructor_has_the_defaults_as_they_are_written(name):
    constructor = re.search(r"__init__\((.*)\)", text_of(CLASSES[name]))
    assert constructor is None or "<" not in constructor[1]


def test_names_of_other_libraries_come_last_with_what_to_write():
    text = text_of(flux.Dense)
    assert text.index("Methods defined here") < text.index("Elsewhere:") < text.index("state_dict")
    assert "flux.state(model), or flux.save(path, model)" in text
    assert "flux.setup" in text_of(flux.Adam) or "Elsewhere:" in text_of(flux.Adam)


def test_a_class_of_ones_own_shows_its_constructor():
    class Affine(flux.Layer):
        """Mine."""

        def __init__(self, size, activation=flux.relu):
            self.weight, self.activation = flux.ones(size), activation

        def __call__(self, x, scale=2.0):
            return self.activation(x * self.weight) * scale

    assert str(inspect.signature(Affine)) == "(size, activation=relu)"
    assert str(inspect.signature(Affine(2))) == "(x, scale=2.0)"
    assert "Initialize self" not in text_of(Affine)

    class Documented(flux.Layer):
        def __init__(self):
            """My own words."""

    assert Documented.__init__.__doc__ == "My own words."


def test_signatures_hold_the_defaults_themselves():
    assert inspect.signature(flux.Dense).parameters["activation"].default is flux.identity
    assert str(inspect.signature(flux.Dense).parameters["activation"]).endswith("= identity")
    assert inspect.signature(flux.mse).parameters["agg"].default is flux.mean
    assert "agg: Agg = mean" in str(inspect.signature(flux.mse))


def functions():
    for name in dir(flux):
        f = getattr(flux, name)
        if callable(f) and not isinstance(f, type):
            yield name, f


@pytest.mark.parametrize(("name", "f"), list(functions()))
def test_signatures_of_functions_show_real_defaults(name, f):
    signature = inspect.signature(f)
    assert not re.search(r"<|Ellipsis", str(signature)), signature
    assert not any(p.default is ... for p in signature.parameters.values())


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("softmax", "(x, /, axis=-1)"),
        ("sum", "(x, /, axis=None, keepdims=False, *, dtype=None)"),
        ("celu", "(x, /, alpha=1.0)"),
        ("sort", "(x, /, axis=-1, descending=False, *, stable=True)"),
        ("rand", "(*shape, dtype='float32')"),
    ],
)
def test_functions_of_the_core_show_their_defaults(name, expected):
    assert str(inspect.signature(getattr(flux, name))) == expected


@pytest.mark.parametrize("name", flux._core.op_names)
def test_the_default_that_is_shown_is_the_one_that_is_taken(name):
    """By its type: an axis is a whole number or none, a coefficient a number."""
    for p in list(inspect.signature(getattr(flux._core, name)).parameters.values())[1:]:
        if p.default is not p.empty:
            assert isinstance(p.default, (bool, int, float, str, tuple, type(None))), p


def test_shown_defaults_compute_what_no_argument_does():
    x = flux.tensor([[0.3, -1.2, 2.0], [1.5, 0.1, -0.7]])
    for name in flux._core.op_names:
        f = getattr(flux._core, name)
        first, *rest = inspect.signature(f).parameters.values()
        given = {p.name: p.default for p in rest if p.kind is not p.POSITIONAL_ONLY}
        if first.name != "x" or not rest or any(p.default is p.empty for p in rest):
            continue
        try:
            expected = f(x)
        except (TypeError, ValueError):
            continue
        assert f(x, **given).tolist() == expected.tolist(), name
