"""Models and states in files: what comes back, what is refused, and what a killed process leaves."""

import doctest
import functools
import json
import math
import os
import re
import resource
import stat
import subprocess
import sys
import textwrap
from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pytest

import oxiflux as flux
from oxiflux.files.names import classes, functions_by_name

DTYPES = [
    "bool",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "int8",
    "int16",
    "int32",
    "int64",
    "float16",
    "float32",
    "float64",
]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


def there_and_back(path, x, **options):
    flux.save(path, x, **options)
    return flux.load(path, **options)


def header_of(path):
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + size])


# There and back


def test_a_model_comes_back_without_its_code(path):
    model = flux.Chain(flux.Dense(3, 4, flux.relu), flux.Dense(4, 2, bias=False), flux.softmax)
    again = there_and_back(path, model)
    x = flux.randn(5, 3)
    assert repr(again) == repr(model)
    assert np.array_equal(again(x), model(x))
    assert again[0].weight is not model[0].weight


def made_in_the_example_of(kind, monkeypatch):
    """The layers that the example in the documentation of a class prints or calls."""
    scope, call, found = {"flux": flux, kind.__name__: kind}, kind.__call__, []

    def noted(self, *args, **options):
        found.append(self)
        return call(self, *args, **options)

    monkeypatch.setattr(kind, "__call__", noted)
    for example in doctest.DocTestParser().get_examples(kind.__doc__):
        try:
            found.append(eval(example.source, scope))
        except SyntaxError:
            exec(example.source, scope)
    return [x for x in found if isinstance(x, kind)]


# Layers of parts that are imported when they are named are tested there.
@pytest.mark.parametrize(
    "name", [n for n, kind in classes("test").items() if flux.Layer in kind.__mro__[1:] and n in flux.__all__]
)
def test_every_layer_comes_back(path, name, monkeypatch):
    kind = getattr(flux, name)
    models = made_in_the_example_of(kind, monkeypatch)
    assert models
    for model in models:
        try:
            again = there_and_back(path, model)
        except TypeError as error:
            # What an example makes itself is not of this package, and the message says so.
            assert re.search("is the function <lambda>|is no class of oxiflux", str(error))
            continue
        assert type(again) is type(model) and repr(again) == repr(model)
        for (at, x), (there, y) in zip(flux._core.leaves(model), flux._core.leaves(again), strict=True):
            assert at == there and x.dtype == y.dtype and np.array_equal(x, y)
        assert repr(flux.state(again)) == repr(flux.state(model))


@pytest.mark.parametrize(
    "model",
    [
        flux.Parallel(flux.add, flux.Dense(3, 3), flux.Chain(flux.Dense(3, 3), flux.tanh)),
        flux.Parallel(functools.partial(flux.einsum, "bi,bj->bij"), a=flux.Dense(3, 2), b=flux.Dense(3, 2)),
        flux.SkipConnection(flux.Dense(3, 3), flux.multiply),
        flux.Maxout(flux.Dense(3, 2), flux.Dense(3, 2)),
    ],
    ids=lambda model: type(model).__name__,
)
def test_containers_come_back_with_functions_of_the_package(path, model):
    x = flux.randn(4, 3)
    assert np.array_equal(there_and_back(path, model)(x), model(x))


def test_a_loaded_model_can_be_trained(path):
    model = there_and_back(path, flux.Dense(2, 1))
    before = model.weight.copy()
    state = flux.setup(flux.Descent(), model)
    flux.trainstep(lambda m, x: m(x).sum(), model, flux.ones((1, 2)), state)
    assert not np.array_equal(model.weight, before)


def test_names_of_layers_come_back(path):
    model = flux.Chain(enc=flux.Dense(2, 3), act=flux.tanh, dec=flux.Dense(3, 2))
    again = there_and_back(path, model)
    assert repr(again) == repr(model)
    assert set(header_of(path)) - {"__metadata__"} == {
        f"layers.{a}.{b}" for a in ("enc", "dec") for b in ("weight", "bias")
    }


def test_tied_weights_stay_tied(path):
    dense = flux.Dense(2, 2)
    model = flux.Chain(dense, flux.relu, dense, flux.Dense(dense.weight, False))
    again = there_and_back(path, model)
    assert again[0] is again[2]
    assert again[3].weight is again[0].weight
    assert len(flux.trainables(again)) == 2


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 3), (3, 5)])
def test_every_dtype_and_shape_comes_back(path, dtype, shape):
    x = flux.randint(0, 2, shape).astype(dtype)
    y = there_and_back(path, x)
    assert y.dtype == x.dtype and y.shape == x.shape and np.array_equal(x, y)


def test_special_numbers_keep_their_bits(path):
    x = np.array([np.nan, -0.0, np.inf, -np.inf, 1e-45, 3.4e38], np.float32)
    y = there_and_back(path, flux.tensor(x))
    assert x.tobytes() == y.numpy().tobytes()


def test_tensors_that_are_not_contiguous_are_saved_by_their_values(path):
    x = flux.arange(24.0).reshape(4, 6)
    for view in (x.T, x[::2, 1:], x[::-1], flux.broadcast_to(x[0], (3, 6))):
        assert np.array_equal(there_and_back(path, view), view)


@pytest.mark.parametrize(
    "x",
    [
        None,
        True,
        -(2**70),
        0.1,
        math.inf,
        "Gewichte µ \U0001f600 \x00",
        (),
        (1, (2.0,)),
        [1, [None]],
        {},
        {"a": 1, 2: "b", None: (), 0.5: True},
    ],
    ids=repr,
)
def test_plain_data_comes_back_with_its_types(path, x):
    assert repr(there_and_back(path, {"x": x})["x"]) == repr(x)


def test_nan_comes_back(path):
    assert math.isnan(there_and_back(path, math.nan))


def test_arrays_and_numbers_of_numpy_come_back(path):
    x = there_and_back(path, {"a": np.arange(6).reshape(2, 3).T, "n": np.float32(0.5), "i": np.int8(3)})
    assert isinstance(x["a"], np.ndarray) and x["a"].tolist() == [[0, 3], [1, 4], [2, 5]]
    x["a"][0, 0] = 7
    assert (x["n"], x["i"]) == (0.5, 3)


def test_names_may_be_of_any_letters_and_have_dots(path):
    tree = {
        "Größe": {"π.1": flux.ones(1)},
        "Größe.π": {"1": flux.zeros(1)},
        "": flux.ones(2),
        "x y": flux.ones(3),
    }
    again = there_and_back(path, tree)
    assert again["Größe"]["π.1"].item() == 1 and again["Größe.π"]["1"].item() == 0
    for key in ("", "x y"):
        np.testing.assert_array_equal(again[key].numpy(), tree[key].numpy(), strict=True)


def test_a_tensor_may_be_called_like_the_metadata(path):
    assert there_and_back(path, {"__metadata__": flux.arange(2)})["__metadata__"].tolist() == [0, 1]


def test_what_is_shared_stays_shared(path):
    part = [flux.ones(2)]
    loop = {"part": part, "again": part, "tensor": part[0]}
    loop["self"] = loop
    again = there_and_back(path, loop)
    assert again["self"] is again and again["part"] is again["again"]
    assert again["part"][0] is again["tensor"]


def test_functions_with_arguments_come_back(path):
    model = flux.Chain(functools.partial(flux.leakyrelu, a=0.5), functools.partial(flux.softmax, axis=0))
    x = flux.randn(3, 2)
    assert np.array_equal(there_and_back(path, model)(x), model(x))


def test_generators_and_dtypes_come_back(path):
    rng = flux.Generator(3)
    rng.rand(5)
    again = there_and_back(path, {"rng": rng, "dtype": flux.float64})
    assert again["dtype"] == flux.float64
    assert np.array_equal(again["rng"].rand(4), rng.rand(4))


@pytest.mark.parametrize(
    "x",
    [
        flux.Adam(0.1, beta=(0.8, 0.9)),
        flux.OptimiserChain(flux.ClipNorm(1.0), flux.AccumGrad(2), flux.AdamW()),
        flux.MixedPrecision(flux.RMSProp(centred=True), "float64"),
        flux.Warmup(flux.CosAnneal(0.0, 1.0, 5), 3),
        flux.Sequence((0.1, 2), (flux.Step(1.0, 0.5, [2, 1]), 3)),
        flux.ComposedSchedule(flux.Sin, (0.1, flux.Interpolator(flux.Exp(1.0, 0.5), 7), 7)),
        flux.ComposedSchedule(
            flux.SinExp(0.1, 0.5, 7, 0.9), {"l1": flux.Shifted(flux.TriangleDecay2(0.0, 1.0, 3), 2)}
        ),
        flux.Scheduler(
            flux.SinDecay2(0.1, 0.5, 7), flux.OptimiserChain(flux.ClipNorm(1.0), flux.AdamW()), lambda_=0.1
        ),
        flux.MixedPrecision(flux.Scheduler(flux.TriangleExp(0.1, 0.5, 7, 0.9), flux.Adam), "float64"),
    ],
    ids=repr,
)
def test_rules_and_schedules_come_back(path, x):
    assert repr(there_and_back(path, x)) == repr(x)


def test_a_state_comes_back_and_can_be_loaded(path):
    class Net:
        def __init__(self):
            self.parts = [flux.Dense(2, 3), flux.Dense(3, 1)]

    old, new = Net(), Net()
    flux.save(path, flux.state(old))
    flux.loadmodel(new, flux.load(path))
    assert np.array_equal(new.parts[0].weight, old.parts[0].weight)


def test_own_classes_can_be_listed(path):
    class Twice(flux.Layer):
        def __init__(self):
            self.inner, self.scale = flux.Dense(2, 2), 2.0

        def __call__(self, x):
            return self.inner(x) * self.scale

    model = flux.Chain(Twice(), flux.relu)
    again = there_and_back(path, model, classes=[Twice])
    assert np.array_equal(again(flux.ones((1, 2))), model(flux.ones((1, 2))))
    with pytest.raises(ValueError, match=r"Twice is no class of oxiflux.*classes=\[Twice\]"):
        flux.load(path)


def test_own_classes_may_annotate_as_they_like_and_hide_what_they_have(path):
    class Own:
        act = staticmethod(flux.relu)
        sizes: "list[int]"
        none: "int"

        def __init__(self):
            self.act, self.sizes = flux.tanh, (1, 2)

    assert vars(there_and_back(path, Own(), classes=[Own])) == vars(Own())


def test_a_layer_that_could_not_be_loaded_is_not_saved(path):
    model = flux.Chain(flux.Dense(2, 1))
    object.__setattr__(model[0], "weight", 3)
    with pytest.raises(TypeError, match="save: layers.0: weight of a Dense is a int, and should be Tensor"):
        flux.save(path, model)


def test_the_same_model_gives_the_same_bytes(path):
    model = flux.Chain(*(flux.Dense(2, 2) for _ in range(20)))
    flux.save(path, model)
    first = path.read_bytes()
    flux.save(path, model)
    assert path.read_bytes() == first


def test_every_function_and_class_that_a_file_can_name_is_of_this_package():
    assert {"relu", "identity", "flatten", "softmax"} <= functions_by_name().keys()
    assert {"Dense", "Chain", "Adam", "Warmup"} <= classes("test").keys()
    for f in functions_by_name().values():
        assert (f.__module__ or "oxiflux._core").startswith("oxiflux"), f
    # Nothing that reads, writes or calls what it is given.
    assert not {"load", "save", "load_checkpoint", "fmap", "seed"} & functions_by_name().keys()


# What cannot be saved


@pytest.mark.parametrize(
    ("model", "place"),
    [
        (flux.Chain(flux.Dense(2, 2), lambda x: x), "layers.1 is the function <lambda>"),
        (flux.Chain(math.sin), "layers.0 is the function sin"),
        (flux.Dense(2, 2, lambda x: x), "activation is the function <lambda>"),
        ({"x": [object()]}, "x.0 is a object, which is no class of oxiflux"),
        (lambda x: x, "the model is the function <lambda>"),
        ({"x": b"bytes"}, "x is a bytes"),
        ({"x": np.longdouble(1)}, "x is a longdouble"),
        ({"x": {(1, 2): 3}}, r"the dict x has the key \(1, 2\)"),
        (flux.Dense, "the model is a type"),
    ],
)
def test_what_a_file_cannot_hold_is_named_with_its_place(path, model, place):
    with pytest.raises(TypeError, match=f"save: {place}"):
        flux.save(path, model)
    assert not path.exists()


def test_a_class_that_only_has_the_name_of_a_layer_is_no_layer(path):
    Dense = type("Dense", (flux.Layer,), {})
    with pytest.raises(TypeError, match="the model is a Dense, which is no class of oxiflux"):
        flux.save(path, Dense())
    with pytest.raises(ValueError, match="two classes with the name Dense"):
        flux.save(path, Dense(), classes=[Dense])


def test_a_failed_save_leaves_the_old_file(path):
    flux.save(path, {"x": 1})
    with pytest.raises(TypeError):
        flux.save(path, {"x": object()})
    assert flux.load(path) == {"x": 1}


# The file system


def test_errors_of_the_system_are_those_of_python(tmp_path):
    with pytest.raises(FileNotFoundError, match=r": '.*none\.safetensors'$"):
        flux.load(tmp_path / "none.safetensors")
    with pytest.raises(FileNotFoundError):
        flux.save(tmp_path / "none" / "x.safetensors", 1)
    with pytest.raises(TypeError):
        flux.load(3)


@pytest.mark.parametrize("place", ["folder", "pipe"])
def test_only_regular_files_are_read_and_replaced(tmp_path, place):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="not a regular file"):
        flux.load(tmp_path / place)
    with pytest.raises(ValueError, match="not a regular file"):
        flux.save(tmp_path / place, 1)
    assert sorted(os.listdir(tmp_path)) == ["folder", "pipe"]


def test_paths_may_be_text_relative_and_of_any_letters(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert there_and_back("größe ☃.safetensors", 1) == 1
    assert os.listdir(tmp_path) == ["größe ☃.safetensors"]


def test_a_link_stays_a_link(tmp_path):
    real, link = tmp_path / "real", tmp_path / "link"
    flux.save(real, 1)
    link.symlink_to(real)
    flux.save(link, 2)
    assert link.is_symlink() and flux.load(real) == 2


@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_permissions_follow_the_umask(path, mask):
    old = os.umask(mask)
    try:
        flux.save(path, 1)
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask


def test_a_full_disk_leaves_the_old_file_and_nothing_else(path):
    flux.save(path, 1)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            flux.save(path, flux.ones(1000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert flux.load(path) == 1 and os.listdir(path.parent) == [path.name]


def test_a_file_that_is_loaded_is_not_held(path):
    flux.save(path, flux.ones(1000))
    x = flux.load(path)
    path.write_bytes(b"")
    assert x.sum().item() == 1000


KILLS = """
    import os, random, signal, sys, time
    import oxiflux as flux

    path, kills = sys.argv[1], int(sys.argv[2])
    models = [flux.fmap(lambda x: x * 0 + k, flux.Chain(flux.Dense(100, 300), flux.Dense(300, 10))) for k in range(2)]
    flux.save(path, models[0])
    for i in range(kills):
        child = os.fork()
        if not child:
            k = i
            while True:
                k += 1
                flux.save(path, models[k % 2])
        time.sleep(random.uniform(0.001, 0.02))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        values = {float(v) for x in flux.trainables(flux.load(path)) for v in (x.min(), x.max())}
        assert len(values) == 1, values
"""


def test_a_kill_at_any_moment_leaves_the_old_file_or_the_new_one(path):
    code = textwrap.dedent(KILLS)
    subprocess.run([sys.executable, "-W", "ignore", "-c", code, str(path), "200"], check=True, timeout=120)
    left = [name for name in os.listdir(path.parent) if name != path.name]
    # Some of the kills came while a file was being written, and its remains do no harm.
    assert left and all(name.startswith(".model.safetensors.") and name.endswith(".tmp") for name in left)
    flux.save(path, 1)
    assert flux.load(path) == 1


# Beside the library of others


def test_the_safetensors_library_reads_our_files(path):
    theirs = pytest.importorskip("safetensors.numpy")
    model = flux.Chain(flux.Dense(2, 3), flux.Dense(3, 1))
    flux.save(path, {"model": model, "n": flux.tensor([1, 2], dtype="int8"), "b": flux.tensor([True])})
    found = theirs.load_file(path)
    assert np.array_equal(found["model.layers.0.weight"], model[0].weight)
    assert found["n"].tolist() == [1, 2] and found["b"].tolist() == [True]


@pytest.mark.parametrize("dtype", DTYPES)
def test_we_read_the_files_of_the_safetensors_library(path, dtype):
    theirs = pytest.importorskip("safetensors.numpy")
    x = {
        "ä.b": np.arange(6).reshape(2, 3).astype(dtype),
        "none": np.zeros((0, 2), dtype),
        "one": np.ones((), dtype),
    }
    theirs.save_file(x, path)
    for name, tensor in flux.load(path).items():
        assert np.array_equal(tensor, x[name]) and tensor.shape == x[name].shape


def mode_of(path):
    return stat.S_IMODE(os.stat(path).st_mode)


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444, 0o666])
def test_a_file_keeps_the_mode_of_what_it_replaces(path, mode):
    flux.save(path, {"a": flux.ones(1)})
    os.chmod(path, mode)
    flux.save(path, {"a": flux.zeros(1)})
    assert mode_of(path) == mode
    flux.save_checkpoint(path, model=flux.Dense(1, 1))
    assert mode_of(path) == mode


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0, 0o666)])
def test_a_new_file_has_the_mode_that_the_process_gives(path, mask, mode):
    before = os.umask(mask)
    try:
        flux.save(path, {"a": flux.ones(1)})
    finally:
        os.umask(before)
    assert mode_of(path) == mode


def test_a_path_may_be_bytes(path):
    name = os.fsencode(path)
    flux.save(name, {"a": flux.ones(1)})
    assert flux.load(name)["a"].tolist() == [1]


@pytest.mark.parametrize("path", [3, None, {}])
def test_what_is_no_path_says_so(path):
    for call in (lambda: flux.save(path, {"a": flux.ones(1)}), lambda: flux.load(path)):
        with pytest.raises(TypeError, match="expected str, bytes or os.PathLike object, not"):
            call()


def test_a_model_that_is_too_deep_for_a_file_is_an_error_and_leaves_the_file_as_it_was(path):
    flux.save(path, [1.0])
    deep = []
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(ValueError, match="save: the model is nested too deep for a file"):
        flux.save(path, deep)
    assert flux.load(path) == [1.0]


def test_a_class_of_the_package_may_declare_its_fields_by_types_or_by_their_text():
    from oxiflux.files.fields import check_fields

    class Declared:
        scale: flux.Tensor
        count: int | None

    Declared.__module__ = "oxiflux.layers.declared"
    check_fields(Declared, {"scale": flux.ones(2), "count": None})
    with pytest.raises(ValueError, match="scale of a Declared is a str, and should be Tensor"):
        check_fields(Declared, {"scale": "x", "count": 3})


class Pair(NamedTuple):
    first: flux.Tensor
    second: float = 1.0


@dataclass(slots=True)
class Slots:
    weight: flux.Tensor
    name: str = "slots"


@dataclass(frozen=True, slots=True)
class FrozenSlots:
    inner: Slots


class PartlySlots(Slots):
    pass


def test_named_tuples_and_slots_are_saved_with_all_that_they_hold(tmp_path):
    pair = Pair(flux.ones(2), 2.5)
    half = PartlySlots(flux.zeros(3))
    half.more = 3
    model = {
        "pair": pair,
        "again": [pair],
        "frozen": FrozenSlots(Slots(flux.full(2, 4.0), "inner")),
        "half": half,
    }
    classes = [Pair, Slots, FrozenSlots, PartlySlots]
    flux.save(tmp_path / "m.safetensors", model, classes=classes)
    found = flux.load(tmp_path / "m.safetensors", classes=classes)
    assert type(found["pair"]) is Pair and found["pair"] is found["again"][0]
    assert found["pair"].first.tolist() == [1, 1] and found["pair"].second == 2.5
    assert found["frozen"].inner.weight.tolist() == [4, 4] and found["frozen"].inner.name == "inner"
    assert (found["half"].weight.tolist(), found["half"].name, found["half"].more) == ([0, 0, 0], "slots", 3)
    model["pair"].first[...] = 9
    assert found["pair"].first.tolist() == [1, 1]


class Bag(dict):
    pass


@pytest.mark.parametrize(
    "model",
    [Bag(a=flux.ones(2)), deque([flux.ones(2)]), OrderedDict(a=flux.ones(2)), {1, 2}],
    ids=lambda model: type(model).__name__,
)
def test_what_is_more_than_its_attributes_is_refused_when_it_is_saved(tmp_path, model):
    with pytest.raises(TypeError, match="and a file holds lists, tuples, dicts and objects with attributes"):
        flux.save(tmp_path / "m.safetensors", [model], classes=[type(model)])
    assert not list(tmp_path.iterdir())
    flux.save(tmp_path / "s.safetensors", flux.state(model))
    flux.loadmodel(model, flux.load(tmp_path / "s.safetensors"))
