"""What is exported, run by onnxruntime: the same results at lengths that the example has not."""

import os
import sys
import threading

import numpy as np
import onnx
import onnxruntime
import pytest

import oracles
import oxiflux as flux
import oxiflux.onnx
import zoo

each_layer = pytest.mark.parametrize("row", zoo.ROWS.values(), ids=zoo.ROWS)
OPSETS = [18, 20]


def flat(y):
    """The tensors of a result in order."""
    if isinstance(y, dict):
        y = list(y.values())
    return [leaf for part in y for leaf in flat(part)] if isinstance(y, (tuple, list)) else [y]


def session(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def run(path, *inputs):
    loaded = session(path)
    return loaded.run(None, {x.name: np.asarray(v) for x, v in zip(loaded.get_inputs(), inputs, strict=True)})


def agree(path, model, *inputs, tolerance=1e-5):
    """onnxruntime's results are the model's."""
    onnx.checker.check_model(str(path), full_check=True)
    expected = flat(model(*(flux.tensor(x) for x in inputs)))
    found = run(path, *inputs)
    assert len(found) == len(expected)
    for y, z in zip(found, expected, strict=True):
        assert y.shape == z.shape
        assert y.dtype == z.numpy().dtype
        np.testing.assert_allclose(y, z.numpy(), rtol=tolerance, atol=tolerance)


def kinds(path):
    return [node.op_type for node in onnx.load(path).graph.node]


# Layers


@each_layer
@pytest.mark.parametrize("opset", OPSETS)
def test_a_layer_gives_the_same_at_any_batch(tmp_path, row, opset):
    layer, path = row.layer(), tmp_path / "layer.onnx"
    flux.onnx.export(layer, row.inputs(2), path, opset=opset)
    for batch in (1, 2, 7):
        agree(path, layer, *row.inputs(batch))


@each_layer
def test_a_layer_has_no_length_of_the_example(tmp_path, row):
    layer = row.layer()
    for batch in (1, 4):
        flux.onnx.export(layer, row.inputs(batch), tmp_path / f"{batch}.onnx")
    assert (tmp_path / "1.onnx").read_bytes() == (tmp_path / "4.onnx").read_bytes()


SEQUENCES = [
    "RNN",
    "LSTM",
    "GRU",
    "TransformerBlock",
    "RotaryEncoding",
    "Embedding",
    "BatchNorm",
    "CrossCor",
    "InstanceNorm",
    "GroupNorm",
    "Dense",
    "PixelShuffle",
    "SinusoidalEncoding",
    "MultiHeadAttention",
]


@pytest.mark.parametrize("name", SEQUENCES)
def test_the_time_may_be_free_too(tmp_path, name):
    make = {"Dense": lambda: flux.Dense(6, 3, flux.gelu)}.get(name, zoo.ROWS[name].make)
    layer = make()
    rng = np.random.default_rng(0)
    sizes = {"BatchNorm": 3, "InstanceNorm": 3, "SinusoidalEncoding": 5, "RotaryEncoding": 8}
    sizes |= dict.fromkeys(["TransformerBlock", "GroupNorm", "Dense", "PixelShuffle"], 6)
    features = sizes.get(name, 2)

    def inputs(batch, time):
        if name == "Embedding":
            return (rng.integers(0, 7, (batch, time)),)
        if name == "MultiHeadAttention":
            return tuple(
                rng.normal(size=(batch, n, w)).astype("float32") for n, w in [(3, 6), (time, 4), (time, 5)]
            )
        return (rng.normal(size=(batch, time, features)).astype("float32"),)

    path = tmp_path / "layer.onnx"
    free = ("batch", "time")
    if name == "MultiHeadAttention":
        free = {n: (("batch", None) if i == 0 else ("batch", "time")) for i, n in enumerate(["q", "k", "v"])}
        flux.onnx.export(layer, inputs(2, 9), path, free=free, inputs=["q", "k", "v"])
    else:
        flux.onnx.export(layer, inputs(2, 9), path, free=free)
    for batch, time in [(1, 6), (3, 11), (2, 30)]:
        agree(path, layer, *inputs(batch, time))


def test_a_network_of_images_has_two_transposes(tmp_path):
    model = flux.Chain(
        flux.Conv((3, 3), 3, 8, flux.relu, pad=1),
        flux.BatchNorm(8),
        flux.relu,
        flux.MaxPool((2, 2)),
        flux.SkipConnection(flux.Conv((3, 3), 8, 8, flux.swish, pad=1), flux.add),
        flux.MeanPool((2, 2)),
        flux.Conv((1, 1), 8, 4),
    )
    path = tmp_path / "net.onnx"
    flux.onnx.export(model, np.zeros((1, 16, 16, 3)), path, free=("batch", "height", "width"))
    assert kinds(path).count("Transpose") <= 4
    x = np.random.default_rng(0).normal(size=(3, 24, 20, 3)).astype("float32")
    agree(path, model, x)


# Networks


class Residual(flux.Layer):
    def __init__(self, n, out, stride):
        self.first = flux.Conv((3, 3), n, out, pad=1, stride=stride, bias=False)
        self.norm = flux.BatchNorm(out, flux.relu)
        self.second = flux.Conv((3, 3), out, out, pad=1)
        self.skip = flux.Conv((1, 1), n, out, stride=stride)

    def __call__(self, x):
        return flux.relu(self.second(self.norm(self.first(x))) + self.skip(x))


class UNet(flux.Layer):
    def __init__(self):
        self.down = flux.Conv((3, 3), 2, 4, flux.relu, pad=1)
        self.low = flux.Chain(flux.MaxPool((2, 2)), flux.Conv((3, 3), 4, 8, flux.relu, pad=1))
        self.up = flux.ConvTranspose((2, 2), 8, 4, stride=2)
        self.last = flux.Conv((3, 3), 8, 1, pad=1)

    def __call__(self, x):
        x = self.down(x)
        return self.last(flux.concat([x, self.up(self.low(x))], axis=-1))


class Patches(flux.Layer):
    """A small vision transformer."""

    def __init__(self):
        self.patch = flux.Conv((4, 4), 3, 16, stride=4)
        self.token, self.places = flux.randn(1, 1, 16), flux.randn(17, 16)
        self.block, self.norm = flux.TransformerBlock(16, 4), flux.LayerNorm(16)

    def __call__(self, x):
        x = self.patch(x)
        x = x.reshape((x.shape[0], -1, 16))
        x = flux.concat([flux.broadcast_to(self.token, (x.shape[0], 1, 16)), x], axis=1)
        return self.norm(self.block(x + self.places))[:, 0]


class Words(flux.Layer):
    """A small language model, whose table is its last layer too."""

    def __init__(self):
        self.words, self.places = flux.Embedding(50, 16), flux.Embedding(64, 16)
        self.block = flux.TransformerBlock(16, 4, causal=True)

    def __call__(self, ids):
        x = self.words(ids) + self.places(flux.arange(ids.shape[1]))
        return self.block(x) @ self.words.weight.T


class Masked(flux.Layer):
    def __init__(self):
        self.words, self.attention = flux.Embedding(50, 16), flux.MultiHeadAttention(16, nheads=4)
        self.norm = flux.RMSNorm(16)

    def __call__(self, ids, mask):
        x = self.words(ids)
        return self.norm(x + self.attention(x, mask=mask[:, None, None, :]))


def images(*channels):
    return lambda rng, *sizes: (rng.normal(size=(*sizes, *channels)).astype("float32"),)


def ids(rng, *sizes):
    return (rng.integers(0, 50, sizes),)


IMAGE, TIME = ("batch", "height", "width"), ("batch", "time")
NETWORKS = {
    "residual": (
        lambda: flux.Chain(flux.Conv((3, 3), 3, 8, pad=1), Residual(8, 16, 2), flux.GlobalMeanPool(), flux.flatten),
        images(3), IMAGE, [(1, 16, 16), (3, 8, 16), (2, 21, 18)],
    ),
    "u": (UNet, images(2), IMAGE, [(1, 8, 8), (2, 16, 12)]),
    "patches": (Patches, images(16, 16, 3), ("batch",), [(1,), (3,)]),
    "words": (Words, ids, TIME, [(1, 5), (3, 9), (1, 1), (2, 30)]),
    "masked": (
        Masked, lambda rng, *sizes: (*ids(rng, *sizes), rng.random(sizes) > 0.3), TIME, [(2, 5), (3, 9), (1, 1)],
    ),
    "turned": (
        lambda: flux.MultiHeadAttention(16, nheads=4, positions=flux.RotaryEncoding(4)),
        images(16), TIME, [(2, 5), (3, 9)],
    ),
    "states": (lambda: flux.LSTM(3, 4, return_state=True), images(3), TIME, [(2, 4), (3, 7)]),
    "sound": (
        lambda: flux.Chain(flux.Conv((5,), 2, 4, flux.swish, pad=2), flux.MeanPool((2,)), flux.GroupNorm(4, 2)),
        images(2), TIME, [(2, 16), (3, 22), (1, 7)],
    ),
    "volumes": (
        lambda: flux.Chain(flux.Conv((3, 3, 3), 1, 4, flux.elu, pad=1), flux.MaxPool((2, 2, 2))),
        images(4, 6, 8, 1), ("batch",), [(2,), (3,)],
    ),
    "depthwise": (
        lambda: flux.Chain(flux.Conv((3, 3), 4, 8, groups=4, pad=1), flux.Conv((1, 1), 8, 4, flux.hardswish)),
        images(6, 8, 4), ("batch",), [(2,), (3,)],
    ),
    "vectors": (lambda: lambda x: flux.tanh(x).sum(), images(), ("batch",), [(3,), (7,)]),
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_gives_the_same_at_any_size(tmp_path, name):
    make, inputs, free, sizes = NETWORKS[name]
    flux.seed(0)
    model, rng, path = make(), np.random.default_rng(0), tmp_path / "net.onnx"
    flux.onnx.export(model, inputs(rng, *sizes[0]), path, free=free)
    for size in sizes:
        agree(path, model, *inputs(rng, *size), tolerance=2e-5)


def test_a_model_is_exported_by_several_threads_at_once(tmp_path):
    model, x = flux.Chain(flux.Dense(3, 4), flux.Dropout(0.5), flux.Dense(4, 2)), np.ones((2, 3))
    flux.trainmode(model)
    paths = [tmp_path / f"{i}.onnx" for i in range(4)]
    threads = [threading.Thread(target=flux.onnx.export, args=(model, x, path)) for path in paths]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert len({path.read_bytes() for path in paths}) == 1
    assert model[1].active is True


# Functions

NO_NODES = {"erfinv", "lgamma", "digamma", "trigamma", "polygamma"}


@pytest.mark.parametrize("name", oracles.UNARY)
def test_a_function_of_one_argument_gives_the_same(tmp_path, name):
    low, high = oracles.UNARY[name].domain
    x = np.random.default_rng(0).uniform(low, high, (3, 5)).astype("float32")
    if "float32" not in oracles.UNARY[name].dtypes:
        x = x.astype("int32")
    arguments = {"power": lambda x: flux.power(x, 2.5), "polygamma": lambda x: flux.polygamma(2, x)}
    path, f = tmp_path / "f.onnx", arguments.get(name, getattr(flux, name))
    if name in NO_NODES:
        with pytest.raises(NotImplementedError, match=f"onnx.export: {name} has no counterpart in ONNX"):
            flux.onnx.export(f, x, path)
        return
    flux.onnx.export(lambda x: f(x), x, path)
    agree(path, f, x)


NO_PAIRS = {"nextafter"}


@pytest.mark.parametrize("name", oracles.BINARY)
def test_a_function_of_two_arguments_gives_the_same(tmp_path, name):
    low, high = oracles.BINARY[name].domain
    rng, f, path = (
        np.random.default_rng(0),
        getattr(flux, name, None) or getattr(flux._core, name),
        tmp_path / "f.onnx",
    )
    second = oracles.BINARY[name].second or (low, high)
    dtype = "float32" if "float32" in oracles.BINARY[name].dtypes else "uint32"
    low = max(low, 1) if dtype == "uint32" else low
    a = rng.uniform(low, high, (4, 1, 5)).astype(dtype)
    b = rng.uniform(max(second[0], 0.1), second[1], (4, 3, 1)).astype(dtype)
    call = lambda a, b: f(a, b)
    if name in NO_PAIRS:
        with pytest.raises(
            NotImplementedError, match=f"{name} has no counterpart in ONNX, at line .*test_onnx_export"
        ):
            flux.onnx.export(call, (a, b), path)
        return
    flux.onnx.export(call, (a, b), path)
    agree(path, call, a, b)


FUNCTIONS = {
    "sum": lambda x: x.sum(axis=1),
    "sum of all": lambda x: x.sum(),
    "mean": lambda x: flux.mean(x, axis=(0, 2), keepdims=True),
    "max": lambda x: flux.max(x, axis=-1),
    "min": lambda x: flux.min(x),
    "var": lambda x: flux.var(x, axis=1),
    "std": lambda x: flux.std(x, axis=-1),
    "prod": lambda x: x.cumulative_sum(axis=1) if hasattr(x, "cumulative_sum") else flux.cumulative_sum(x, axis=1),
    "argmax": lambda x: flux.argmax(x, axis=1),
    "argmin of all": lambda x: flux.argmin(x[0]),
    "argsort": lambda x: flux.argsort(x, axis=-1, descending=True),
    "any": lambda x: flux.any(x > 0, axis=-1),
    "softmax": lambda x: flux.softmax(x, axis=1),
    "logsoftmax": flux.logsoftmax,
    "logsumexp": lambda x: flux.logsumexp(x, axis=1),
    "backwards": lambda x: x[:, ::-1, 1:],
    "a step": lambda x: x[:, 1::2, -3:-1],
    "a row": lambda x: x[:, -1],
    "no first": lambda x: x[1:],
    "a flip": lambda x: flux.flip(x, axis=0),
    "flat": lambda x: x.reshape((-1,)),
    "joined": lambda x: x.reshape((x.shape[0] * x.shape[1], x.shape[2])),
    "apart": lambda x: x.reshape((x.shape[0], x.shape[1] // 2, 2, x.shape[2])),
    "turned": lambda x: flux.permute_dims(x, (2, 0, 1)),
    "twice": lambda x: flux.concat([x, x * 2], axis=1),
    "stacked": lambda x: flux.stack([x, -x], axis=0),
    "repeated": lambda x: flux.repeat(x, 2, axis=0),
    "broadcast": lambda x: flux.broadcast_to(x[:, :1], x.shape),
    "rows": lambda x: x[:, flux.tensor([2, 0, -1])],
    "places": lambda x: flux.take(x, flux.tensor([[0, 2], [1, 1]]), axis=2),
    "padded": lambda x: flux.pad_constant(x, (0, 0, 1, 2, 0, 1), 3.0),
    "clipped": lambda x: flux.clip(x, -0.5, 0.5),
    "chosen": lambda x: flux.where(x > 0, x, x * 0.1),
    "a length": lambda x: x / flux.full((x.shape[0], 1, 1), 2.0),
    "places of rows": lambda x: x + flux.arange(x.shape[1])[:, None],
    "products": lambda x: x @ flux.permute_dims(x, (0, 2, 1)),
    "einsum": lambda x: flux.einsum("bij,bkj->bik", x, x),
    "labels": lambda x: flux.astype(flux.argmax(x, axis=-1), "float32"),
    "cast": lambda x: flux.astype(flux.astype(x * 3, "int32"), "float64"),
    "normal": lambda x: flux.normalise(x, axis=-1),
    "copied": lambda x: x.copy() + flux.tensor(x),
    "running products": lambda x: flux.cumulative_prod(x, axis=1),
    "running products, first axis": lambda x: flux.cumulative_prod(x, axis=0),
    "rows put": lambda x: x.at[:, flux.tensor([2, 0, -1])].set(7.0),
    "rows added twice": lambda x: x.at[:, flux.tensor([1, 1, 3])].add(x[:, :3]),
    "rows multiplied": lambda x: x.at[:, :, flux.tensor([1, 1, 3])].multiply(2.0),
    "a slice put": lambda x: x.at[:, 1:4:2, 2:4].set(x[:, :2, :2]),
    "a slice put backwards": lambda x: x.at[:, :, 4:1:-1].set(x[:, :, :3]),
    "put at places": lambda x: x.at[0, flux.tensor([1, 2]), flux.tensor([3, 0])].set(5.0),
    "put along": lambda x: flux._core.put_along_axis(x, flux.argsort(x, axis=2), x, 2),
    "added along": lambda x: flux._core.add_along_axis(x, flux.argmax(x, axis=1, keepdims=True), x[:, :1], 1),
    "all put": lambda x: x.at[:].set(0.0) + x,
    "determinants": lambda x: flux.linalg.det(flux.einsum("bti,btj->bij", x, x) + flux.tensor(np.eye(6, dtype="f"))),
    "a transform": lambda x: flux.fft.fft(flux.stack([x, x[:, ::-1]], axis=-1), axis=1),
    "a longer transform, back": lambda x: flux.fft.ifft(flux.stack([x, -x], axis=-1), n=9),
    "a unitary transform": lambda x: flux.fft.fft(flux.stack([x, -x], axis=-1), norm="ortho"),
    "a transform of reals": lambda x: flux.fft.rfft(x, axis=1),
    "a shorter transform of reals": lambda x: flux.fft.rfft(x, n=5, norm="forward"),
    "there and back": lambda x: flux.fft.irfft(flux.fft.rfft(x)),
    "there and back, odd": lambda x: flux.fft.irfft(flux.fft.rfft(x), n=5),
    "there and back, longer": lambda x: flux.fft.irfft(flux.fft.rfft(x), n=11),
    "spectra": lambda x: flux.stft(flux.repeat(x[..., 0], 4, axis=1), n_fft=8, hop_length=3),
    "spectra of a row": lambda x: flux.stft(flux.repeat(x[0, :, 0], 4, axis=0), n_fft=8, hop_length=4),
    "spectra without a middle": lambda x: flux.stft(flux.repeat(x[:, :, 0], 4, axis=1), n_fft=8, center=False),
    "labels of logits": lambda x: flux.logitcrossentropy(x, flux.argmin(x, axis=-1)),
    "labels of logits, each": lambda x: flux.logitcrossentropy(x, flux.argmin(x, axis=-1), agg=flux.identity),
    "truths of logits": lambda x: flux.logitbinarycrossentropy(x, flux.sigmoid(x[:, ::-1])),
    "squares": lambda x: flux.mse(x, flux.sin(x)),
    "sizes": lambda x: flux.mae(x, flux.sin(x)),
    "distances": lambda x: flux._core.distances(x, x[:, :2] + 1),
}  # fmt: skip


def test_a_transform_in_a_newer_opset(tmp_path):
    x, path = np.random.default_rng(0).normal(size=(2, 5)).astype("float32"), tmp_path / "f.onnx"
    for f in (flux.fft.rfft, lambda x: flux.fft.irfft(flux.fft.rfft(x), n=5), lambda x: flux.fft.rfft(x[0])):
        flux.onnx.export(
            lambda x, f=f: f(x), x, path, opset=20, free=("batch", "time") if f is flux.fft.rfft else ()
        )
        agree(path, f, x)


def test_an_angle_and_a_sign_heed_the_minus_of_a_zero(tmp_path):
    row = np.array([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 3.0], "float32")
    a, b = np.meshgrid(row, row)
    for f in (flux.atan2, flux.copysign):
        flux.onnx.export(lambda a, b, f=f: f(a, b), (a, b), tmp_path / "f.onnx", free=())
        (y,) = run(tmp_path / "f.onnx", a, b)
        # The sign of a NaN is nobody's.
        keep = ~np.isnan(b) | (f is flux.atan2)
        np.testing.assert_allclose(y[keep], f(flux.tensor(a), flux.tensor(b)).numpy()[keep], rtol=1e-6)


def test_what_linear_algebra_onnx_has_not_is_said(tmp_path):
    for f in (flux.linalg.inv, flux.linalg.slogdet, lambda x: flux.linalg.solve(x, x)):
        with pytest.raises(NotImplementedError, match="has det and matmul alone, at line"):
            flux.onnx.export(
                lambda x, f=f: f(x), np.random.default_rng(0).normal(size=(2, 3, 3)), tmp_path / "f.onnx"
            )


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_of_shapes_and_sums_gives_the_same_at_any_length(tmp_path, name):
    f, path, rng = FUNCTIONS[name], tmp_path / "f.onnx", np.random.default_rng(0)
    flux.onnx.export(lambda x: f(x), rng.normal(size=(2, 4, 6)), path, free=("batch", "time"))
    for batch, time in [(1, 4), (3, 8), (2, 10)]:
        agree(path, f, rng.normal(size=(batch, time, 6)).astype("float32"))


# Inputs, outputs and parameters


def test_axes_and_parameters_have_names(tmp_path):
    model, path = flux.Chain(flux.Dense(4, 8, flux.relu), flux.LSTM(8, 3)), tmp_path / "m.onnx"
    flux.onnx.export(model, np.zeros((1, 5, 4)), path, free=("batch", "time"))
    graph = onnx.load(path).graph
    dims = lambda v: [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim]
    assert [(v.name, dims(v)) for v in graph.input] == [("x", ["batch", "time", 4])]
    assert [(v.name, dims(v)) for v in graph.output] == [("output", ["batch", "time", 3])]
    names = {t.name for t in graph.initializer}
    assert {"layers.0.weight", "layers.0.bias", "layers.1.cell.weight_ih", "layers.1.cell.weight_hh"} <= names


def test_the_file_says_opset_18_unless_asked_otherwise(tmp_path):
    for opset in (18, 20, 21):
        flux.onnx.export(flux.Dense(2, 3), np.zeros((1, 2)), tmp_path / "m.onnx", opset=opset)
        assert [o.version for o in onnx.load(tmp_path / "m.onnx").opset_import] == [opset]
    flux.onnx.export(flux.Dense(2, 3), np.zeros((1, 2)), tmp_path / "m.onnx")
    proto = onnx.load(tmp_path / "m.onnx")
    assert ([o.version for o in proto.opset_import], proto.ir_version) == ([18], 8)


def test_dicts_and_tuples_of_inputs_and_outputs(tmp_path):
    def model(pair, scale):
        a, b = pair
        return {"sum": a + b, "parts": (a * scale["by"], b)}

    path, rng = tmp_path / "m.onnx", np.random.default_rng(0)
    x = [rng.normal(size=(3, 2)).astype("float32") for _ in range(3)]
    flux.onnx.export(model, {"pair": (x[0], x[1]), "scale": {"by": x[2]}}, path)
    loaded = session(path)
    assert [v.name for v in loaded.get_inputs()] == ["pair_0", "pair_1", "scale_by"]
    assert [v.name for v in loaded.get_outputs()] == ["sum", "parts_0", "parts_1"]
    found = loaded.run(None, dict(zip(["pair_0", "pair_1", "scale_by"], x, strict=True)))
    for y, z in zip(found, [x[0] + x[1], x[0] * x[2], x[1]], strict=True):
        np.testing.assert_array_equal(y, z)


@pytest.mark.parametrize(
    ("axis", "shape"), [(0, (4, 5)), (1, (4, 5)), (-1, (1, 5)), (1, (2, 3, 5)), (2, (2, 3, 5))]
)
def test_rows_are_taken_along_any_axis(tmp_path, axis, shape):
    x, path = np.random.default_rng(0).normal(size=shape).astype("float32"), tmp_path / "m.onnx"
    places = np.array([[0, 2], [-1, 1]])
    flux.onnx.export(
        lambda x, i: flux.take(x, i, axis=axis), (x, places), path, free={"x": {int(axis == 0): "free"}}
    )
    agree(path, lambda x, i: flux.take(x, i, axis=axis), x, places % x.shape[axis])


def test_a_number_in_an_array_is_an_input_without_axes(tmp_path):
    x = np.ones((2, 3), np.float32)
    flux.onnx.export(lambda x, by: x * by, (x, np.array(2.0, np.float32)), tmp_path / "m.onnx")
    assert session(tmp_path / "m.onnx").get_inputs()[1].shape == []
    agree(tmp_path / "m.onnx", lambda x, by: x * by, x, np.array(3.0, np.float32))


def test_inputs_and_outputs_are_named_as_asked(tmp_path):
    flux.onnx.export(
        flux.Dense(2, 3), np.zeros((1, 2)), tmp_path / "m.onnx", inputs=["pixels"], outputs=["logits"]
    )
    loaded = session(tmp_path / "m.onnx")
    assert [v.name for v in (*loaded.get_inputs(), *loaded.get_outputs())] == ["pixels", "logits"]


@pytest.mark.parametrize(
    "f", [lambda x: x, lambda x: (x, x), lambda x: (x, flux.ones((2, 3))), lambda x: (x * 2,) * 2]
)
def test_results_that_are_inputs_constants_or_twice_the_same(tmp_path, f):
    x = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
    flux.onnx.export(f, x, tmp_path / "m.onnx")
    agree(tmp_path / "m.onnx", f, x)


def test_tied_weights_are_there_once(tmp_path):
    first = flux.Dense(4, 4)
    model, path = flux.Chain(first, flux.relu, first), tmp_path / "m.onnx"
    flux.onnx.export(model, np.zeros((1, 4)), path)
    assert [t.name for t in onnx.load(path).graph.initializer] == ["layers.0.weight", "layers.0.bias"]
    agree(path, model, np.random.default_rng(0).normal(size=(3, 4)).astype("float32"))


def test_a_table_that_is_a_transposed_weight_too(tmp_path):
    class Tied(flux.Layer):
        def __init__(self):
            self.table = flux.Embedding(7, 4)

        def __call__(self, x):
            return self.table(x) @ self.table.weight.T

    model, path = Tied(), tmp_path / "m.onnx"
    flux.onnx.export(model, np.zeros((2, 3), int), path, free=("batch", "time"))
    assert [t.name for t in onnx.load(path).graph.initializer if t.dims == [7, 4]] == ["table.weight"]
    agree(path, model, np.array([[1, 6, 0, 2]]))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_other_floating_types(tmp_path, dtype):
    model = {"float16": flux.f16, "bfloat16": flux.bf16, "float64": flux.f64}[dtype](
        flux.Chain(flux.Dense(4, 8, flux.tanh), flux.LayerNorm(8), flux.Dense(8, 2))
    )
    path, x = tmp_path / "m.onnx", np.random.default_rng(0).normal(size=(3, 4))
    flux.onnx.export(model, x, path)
    if dtype == "bfloat16":
        onnx.checker.check_model(str(path), full_check=True)
        graph = onnx.load(path).graph
        assert {t.data_type for t in graph.initializer if t.name.startswith("layers")} == {
            onnx.TensorProto.BFLOAT16
        }
        return
    agree(path, model, x.astype(dtype), tolerance=1e-5 if dtype == "float64" else 4e-3)


def test_labels_and_masks_are_inputs(tmp_path):
    class Pooled(flux.Layer):
        def __init__(self):
            self.table = flux.Embedding(9, 4)

        def __call__(self, ids, mask):
            return (self.table(ids) * mask[..., None]).sum(axis=1) / mask.sum(axis=1, keepdims=True)

    model, path = Pooled(), tmp_path / "m.onnx"
    ids, mask = np.array([[1, 8, 3], [0, 2, 0]]), np.array([[True, True, False], [True, True, True]])
    flux.onnx.export(model, (ids, mask), path, free=("batch", "time"))
    agree(path, model, np.array([[5, 4, 3, 2, 8]]), np.array([[True, False, True, True, False]]))


# What cannot be written


def test_what_has_no_node_says_which_and_where(tmp_path):
    class Odd(flux.Layer):
        def __call__(self, x):
            return flux.lgamma(x)  # here

    with open(__file__) as file:
        line = next(i for i, text in enumerate(file, 1) if text.endswith("# here\n"))
    message = rf"lgamma has no counterpart in ONNX, at line {line} of .*test_onnx_export"
    with pytest.raises(NotImplementedError, match=message):
        flux.onnx.export(flux.Chain(flux.Dense(3, 3), Odd()), np.zeros((2, 3)), tmp_path / "m.onnx")
    assert os.listdir(tmp_path) == []


BAKED = {
    "a number": lambda x: x * float(x.sum()),
    "an array": lambda x: x + np.asarray(x.numpy()).mean(),
    "a length": lambda x: x * np.float32(1.0 / x.shape[0]),
    "places": lambda x: x + np.arange(x.shape[0])[:, None],
}


@pytest.mark.parametrize("name", BAKED)
def test_what_is_computed_outside_is_an_error(tmp_path, name):
    with pytest.raises(
        ValueError, match=r"outside of oxiflux's operations.*, at line \d+ of .*test_onnx_export"
    ):
        flux.onnx.export(BAKED[name], np.ones((2, 3)), tmp_path / "m.onnx")


def test_a_branch_on_a_value_is_an_error(tmp_path):
    with pytest.raises(ValueError, match=r"the model does other things .* at line \d+ of"):
        flux.onnx.export(
            lambda x: x * 2 if float(x[0, 0]) > 0.995 else flux.exp(x), np.ones((2, 3)), tmp_path / "m.onnx"
        )


def test_wrong_arguments_say_what_to_write(tmp_path):
    model, x, path = flux.Dense(2, 3), np.zeros((1, 2)), tmp_path / "m.onnx"
    for error, message, arguments in [
        (ValueError, "opset is from 18 to", {"opset": 17}),
        (ValueError, "opset is from 18 to", {"opset": "18"}),
        (TypeError, r"write \('batch',\)", {"free": "batch"}),
        (ValueError, r"free names \['y'\], and the inputs are \['x'\]", {"free": {"y": ("batch",)}}),
        (ValueError, "1 inputs, and 2 names", {"inputs": ["a", "b"]}),
        (ValueError, "different names", {"outputs": ["a", "b"]}),
        (ValueError, "has 2 axes, and free names axis 2", {"free": {"x": {2: "time"}}}),
    ]:
        with pytest.raises(error, match=message):
            flux.onnx.export(model, x, path, **arguments)
    with pytest.raises(TypeError, match="a model is called"):
        flux.onnx.export(3, x, path)
    for nothing in ((), np.float32(2.0)):
        with pytest.raises(ValueError, match="has no array; a number is no input"):
            flux.onnx.export(model, nothing, path)
    with pytest.raises(ValueError, match="different names, got \\['a', ''\\]"):
        flux.onnx.export(lambda x: {"a": x, "": x}, x, path)
    with pytest.raises(ValueError, match="has no values"):
        flux.onnx.export(model, np.zeros((0, 2)), path)
    with pytest.raises(TypeError, match="not tensors"):
        flux.onnx.export(lambda x: None, x, path)
    with pytest.raises(FileNotFoundError):
        flux.onnx.export(model, x, tmp_path / "none" / "m.onnx")
    with pytest.raises(flux.ShapeError, match="Dense"):
        flux.onnx.export(model, np.zeros((1, 5)), path)
    assert os.listdir(tmp_path) == []


def test_the_model_is_left_as_it_was(tmp_path):
    model = flux.trainmode(flux.Chain(flux.Dense(3, 4), flux.BatchNorm(4), flux.Dropout(0.5)))
    calls = []
    model = flux.Chain(model, lambda x: calls.append(1) or x)
    before = [t.numpy().copy() for _, t in flux._core.leaves(model)]
    flux.onnx.export(model, np.random.default_rng(0).normal(size=(4, 3)), tmp_path / "m.onnx")
    assert [layer.active for layer in (model[0][1], model[0][2])] == [True, True]
    for old, (_, new) in zip(before, flux._core.leaves(model), strict=True):
        np.testing.assert_array_equal(old, new.numpy())
    assert "RandomUniform" not in kinds(tmp_path / "m.onnx")


def test_a_file_that_is_there_stays_when_the_new_one_fails(tmp_path):
    path = tmp_path / "m.onnx"
    path.write_bytes(b"old")
    with pytest.raises(NotImplementedError):
        flux.onnx.export(lambda x: flux.lgamma(x), np.ones((2, 3)), path)
    assert (path.read_bytes(), os.listdir(tmp_path)) == (b"old", ["m.onnx"])


def test_large_parameters_lie_in_a_file_beside(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules["oxiflux.onnx.export"], "_MOST", 1000)
    model, path = flux.Chain(flux.Dense(30, 40), flux.Dense(40, 2)), tmp_path / "m.onnx"
    for _ in range(2):
        flux.onnx.export(model, np.zeros((1, 30)), path)
        assert sorted(os.listdir(tmp_path)) == ["m.onnx", "m.onnx.data"]
        assert path.stat().st_size < 2000 < (tmp_path / "m.onnx.data").stat().st_size
        agree(path, model, np.random.default_rng(0).normal(size=(3, 30)).astype("float32"))


def test_inside_a_gradient_nothing_of_it_is_recorded(tmp_path):
    model, x = flux.Chain(flux.Dense(3, 2), flux.Dropout(0.5)), np.ones((4, 3), "float32")

    def loss(m):
        flux.onnx.export(model, x, tmp_path / "m.onnx")
        return m[0](x).sum()

    flux.gradient(loss, model)
    assert kinds(tmp_path / "m.onnx") == ["Gemm"]
