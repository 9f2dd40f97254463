"""Models of the ONNX format as layers: called, trained, frozen, printed, stored; agreeing with onnxruntime."""

import copy
import pickle
import subprocess
import sys

import numpy as np
import onnx
import onnx.parser
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import oxiflux as flux
from oxiflux.onnx import UnsupportedError, from_model, load

SESSION = onnxruntime.SessionOptions()
SESSION.log_severity_level = 3


def parsed(body, inputs="float[N] x", outputs="float[N] y", weights="", opset=18):
    head = f'<ir_version: 8, opset_import: ["": {opset}]> g ({inputs}) => ({outputs})'
    return onnx.parser.parse_model(f"{head} {f'<{weights}>' if weights else ''} {{{body}}}")


def made(nodes, inputs, outputs, weights=None, opset=18, ir=8):
    """A model of nodes, with inputs and outputs `name: (shape)` of float32 and weights as arrays."""
    infos = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in group.items()]
        for group in (inputs, outputs)
    ]
    initializers = [numpy_helper.from_array(np.asarray(a), name) for name, a in (weights or {}).items()]
    graph = helper.make_graph(nodes, "g", *infos, initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir)


def reference(model, *inputs):
    session = onnxruntime.InferenceSession(model.SerializeToString(), SESSION)
    return session.run(None, {i.name: x for i, x in zip(session.get_inputs(), inputs, strict=True)})


def rng(seed=0):
    return np.random.default_rng(seed)


def normal(*shape, seed=0):
    return rng(seed).standard_normal(shape).astype(np.float32)


def network():
    """Convolutions with a batch norm, a residual, a pool, a transpose to the end and a Gemm."""
    node = helper.make_node
    nodes = [
        node("Conv", ["x", "w1"], ["a"], kernel_shape=[3, 3], auto_pad="SAME_UPPER", strides=[2, 2]),
        node("BatchNormalization", ["a", "scale", "shift", "mean", "var"], ["b"]),
        node("Relu", ["b"], ["c"]),
        node("Conv", ["c", "w2", "b2"], ["d"], group=2, pads=[1, 1, 1, 1]),
        node("Add", ["c", "d"], ["e"]),
        node("MaxPool", ["e"], ["f"], kernel_shape=[2, 2], strides=[2, 2]),
        node("Transpose", ["f"], ["f1"], perm=[0, 2, 3, 1]),
        node("Mul", ["f1", "gain"], ["f2"]),
        node("Transpose", ["f2"], ["f3"], perm=[0, 3, 1, 2]),
        node("GlobalAveragePool", ["f3"], ["p"]),
        node("Flatten", ["p"], ["q"]),
        node("Gemm", ["q", "w3", "b3"], ["y"], transB=1),
    ]
    weights = {
        "w1": normal(8, 3, 3, 3), "scale": normal(8, seed=1) + 2, "shift": normal(8, seed=2),
        "mean": normal(8, seed=3), "var": abs(normal(8, seed=4)) + 0.5, "w2": normal(8, 4, 3, 3, seed=5) / 6,
        "b2": normal(8, seed=6), "gain": normal(8, seed=7), "w3": normal(5, 8, seed=8), "b3": normal(5, seed=9),
    }  # fmt: skip
    return made(nodes, {"x": ["N", 3, 20, 17]}, {"y": ["N", 5]}, weights)


def test_a_network_agrees_with_onnxruntime_at_every_batch():
    model, graph = network(), from_model(network())
    for n in (1, 2, 3, 2):
        x = normal(n, 3, 20, 17, seed=n)
        np.testing.assert_allclose(graph(x).numpy(), reference(model, x)[0], rtol=2e-5, atol=2e-5)


def test_weights_are_parameters_and_moments_are_not():
    graph = from_model(network())
    assert set(graph.parameters) == {"w1", "scale", "shift", "w2", "b2", "gain", "w3", "b3"}
    assert set(graph.state) == {"mean", "var"}
    assert graph.parameters["w1"].shape == (8, 3, 3, 3)
    assert len(flux.trainables(graph)) == 8


def test_layouts_leave_one_transpose_and_none_at_the_end():
    from oxiflux import _core
    from oxiflux.onnx.graph import _runtime

    graph = from_model(network())
    graph(normal(2, 3, 20, 17))
    ((ready,),) = _runtime(graph).programs.values()
    moves = [step for step in ready.program.steps if step.level == 2 and step.run is _core.permute_dims]
    # The images come in with their channels first; after the last pool there is nothing to move.
    assert len(moves) <= 2
    names = [step.run.__name__ for step in ready.program.steps if step.level == 2]
    assert "norm_with" not in names and "relu" not in names


def test_the_gradient_is_that_of_differences():
    model = network()
    graph = flux.f64(from_model(model))
    x = flux.tensor(normal(2, 3, 20, 17).astype(np.float64))
    loss = lambda g: (g(x) ** 2).sum()
    grads = flux.gradient(loss, graph)[0].parameters
    for name in ("w1", "scale", "shift", "w2", "gain", "w3", "b3"):
        p = graph.parameters[name]
        place = tuple(n // 2 for n in p.shape)
        found = []
        for step in (1e-5, -1e-5):
            values = p.numpy().copy()
            values[place] += step
            shifted = copy.deepcopy(graph)
            shifted.parameters[name] = flux.tensor(values)
            found.append(float(loss(shifted)))
        assert float(grads[name].numpy()[place]) == pytest.approx((found[0] - found[1]) / 2e-5, rel=1e-5)


def test_a_loaded_model_is_fine_tuned_and_frozen():
    graph = from_model(network())
    x, y = normal(8, 3, 20, 17), normal(8, 5, seed=3)
    before = {name: p.numpy().copy() for name, p in graph.parameters.items()}
    state = flux.setup(flux.Adam(0.01), graph)
    flux.freeze(state.parameters["w1"])
    losses = []
    for _ in range(20):
        loss, grads = flux.withgradient(lambda g: flux.mse(g(x), y), graph)
        losses.append(float(loss))
        flux.update(state, graph, grads[0])
    assert losses[-1] < 0.3 * losses[0]
    np.testing.assert_array_equal(graph.parameters["w1"].numpy(), before["w1"])
    assert not np.array_equal(graph.parameters["w3"].numpy(), before["w3"])


def test_a_call_sees_every_write_to_a_parameter():
    graph = from_model(parsed("y = MatMul(x, w)", "float[N, 2] x", "float[N, 1] y", "float[2, 1] w = {1, 2}"))
    x = [[1.0, 1.0]]
    assert graph(x).item() == graph(x).item() == 3.0
    state = flux.setup(flux.Descent(1.0), graph)
    flux.update(state, graph, flux.gradient(lambda g: g(x).sum(), graph)[0])
    assert graph(x).item() == 1.0
    graph.parameters["w"] = flux.tensor([[5.0], [5.0]])
    assert graph(x).item() == 10.0
    graph.parameters["w"][0] = 0.0
    assert graph(x).item() == 5.0
    flux.loadmodel(graph.parameters, {"w": flux.zeros((2, 1))})
    assert graph(x).item() == 0.0


def test_it_is_written_to_files_copied_and_pickled(tmp_path):
    graph = from_model(network())
    x = normal(2, 3, 20, 17)
    y = graph(x).numpy()
    flux.save(tmp_path / "model.safetensors", graph)
    for other in (
        pickle.loads(pickle.dumps(graph)),
        copy.deepcopy(graph),
        flux.load(tmp_path / "model.safetensors"),
    ):
        np.testing.assert_array_equal(other(x).numpy(), y)
        other.parameters["b3"] = other.parameters["b3"] + 1
        np.testing.assert_allclose(other(x).numpy(), y + 1, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(graph(x).numpy(), y)


def test_it_prints_as_a_table_of_nodes():
    text = repr(from_model(network()))
    assert text.splitlines()[0] == "Graph(g: x (N, 3, 20, 17) => y (N, 5); 12 nodes)"
    assert "Conv                 x, w1 (8, 3, 3, 3) -> a" in text
    assert "# Total: 8 arrays, 581 parameters, 2 not trained, 2.3 KiB." in text
    chain = repr(flux.Chain(from_model(network()), flux.Dense(5, 2)))
    assert "Graph(g:" in chain and "Dense(5 => 2)" in chain


def test_inputs_go_by_position_and_by_name():
    graph = from_model(parsed("y = Sub(a, b)", "float[N] a, float[N] b"))
    assert graph.inputs == ("a", "b") and graph.outputs == ("y",)
    assert (
        graph([3.0], [1.0]).tolist()
        == graph(b=[1.0], a=[3.0]).tolist()
        == graph([3.0], b=[1.0]).tolist()
        == [2.0]
    )


@pytest.mark.parametrize(
    ("args", "named", "error", "says"),
    [
        (([1.0],), {}, TypeError, "'b' is missing"),
        (([1.0], [1.0], [1.0]), {}, TypeError, "takes 2 inputs, got 3"),
        (([1.0],), {"a": [1.0]}, TypeError, "given twice"),
        (([1.0], [1.0]), {"c": [1.0]}, TypeError, "no input 'c'"),
        (([[1.0]], [1.0]), {}, flux.ShapeError, "expected a (N), got shape (1, 1)"),
    ],
)
def test_wrong_calls_say_what_is_wrong(args, named, error, says):
    graph = from_model(parsed("y = Sub(a, b)", "float[N] a, float[N] b"))
    with pytest.raises(error) as found:
        graph(*args, **named)
    assert says in str(found.value).replace("(N,)", "(N)")


def test_a_wrong_type_says_so():
    graph = from_model(parsed("y = Gather(x, i)", "float[N] x, int64[K] i", "float[K] y"))
    assert graph([1.0, 2.0], [1]).tolist() == [2.0]
    with pytest.raises(flux.DTypeError, match="'i' is int64, got float32"):
        graph([1.0], [0.5])
    with pytest.raises(IndexError, match="place 2 of 2"):
        graph([1.0, 2.0], [2])


def test_an_initialiser_that_is_an_input_is_a_default():
    model = parsed("y = Add(x, w)", "float[N] x, float[1] w", weights="float[1] w = {2}")
    graph = from_model(model)
    assert graph.inputs == ("x",)
    assert graph([1.0]).tolist() == [3.0] and graph([1.0], w=[5.0]).tolist() == [6.0]
    assert graph([1.0]).tolist() == [3.0]


def test_constants_that_are_weights_are_parameters():
    nodes = [
        helper.make_node("Constant", [], ["w0"], value=numpy_helper.from_array(normal(6))),
        helper.make_node("Constant", [], ["shape"], value_ints=[2, 3]),
        helper.make_node("Reshape", ["w0", "shape"], ["w"]),
        helper.make_node("MatMul", ["x", "w"], ["z"]),
        helper.make_node("Constant", [], ["half"], value_float=0.5),
        helper.make_node("Mul", ["z", "half"], ["y"]),
    ]
    graph = from_model(made(nodes, {"x": ["N", 2]}, {"y": ["N", 3]}))
    assert list(graph.parameters) == ["w0"]
    grads = flux.gradient(lambda g: g([[1.0, 2.0]]).sum(), graph)[0]
    assert grads.parameters["w0"].tolist() == [0.5, 0.5, 0.5, 1.0, 1.0, 1.0]
    assert from_model(made(nodes, {"x": ["N", 2]}, {"y": ["N", 3]}), trainable=[]).parameters == {}


def test_weights_within_branches_are_parameters():
    then = helper.make_graph(
        [
            helper.make_node("Constant", [], ["wt"], value=numpy_helper.from_array(normal(2, 2))),
            helper.make_node("MatMul", ["x", "wt"], ["yt"]),
        ],
        "then", [], [helper.make_tensor_value_info("yt", TensorProto.FLOAT, None)],
    )  # fmt: skip
    other = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["ye"])], "else", [],
        [helper.make_tensor_value_info("ye", TensorProto.FLOAT, None)],
    )  # fmt: skip
    nodes = [helper.make_node("If", ["c"], ["y"], then_branch=then, else_branch=other)]
    model = made(nodes, {"x": ["N", 2]}, {"y": None})
    model.graph.input.append(helper.make_tensor_value_info("c", TensorProto.BOOL, []))
    graph, x = from_model(model), normal(3, 2)
    assert list(graph.parameters) == ["wt"]
    for test in (True, False, True, False):
        np.testing.assert_allclose(
            graph(x, np.array(test)).numpy(), reference(model, x, np.array(test))[0], rtol=1e-6
        )
    assert flux.gradient(lambda g: g(x, np.array(True)).sum(), graph)[0].parameters["wt"].shape == (2, 2)


def test_numbers_that_decide_are_looked_at_in_every_call():
    graph = from_model(parsed("n = NonZero(x) y = Transpose(n)", outputs="int64[K, 1] y"))
    for x in ([0.0, 1.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 1.0], *np.eye(12).tolist()):
        assert graph(x).tolist() == [[i] for i, v in enumerate(x) if v]


def test_a_loop_of_a_count_or_a_condition():
    body = onnx.parser.parse_graph(
        "b (int64 i, bool c, float[N] s) => (bool go, float[N] t, float[N] row)"
        " {t = Mul(s, s) l = Constant<value_float = 10000.0>() m = ReduceMax<keepdims = 0>(t)"
        " go = Less(m, l) row = Neg(s)}"
    )
    for most, test, count in (("n", "", 3), ("", "go0", 4), ("n", "go0", 3)):
        nodes = [helper.make_node("Loop", [most, test, "x"], ["y", "rows"], body=body)]
        weights = {"n": np.array(3), "go0": np.array(True)}
        model = made(nodes, {"x": [2]}, {"y": [2], "rows": None}, {k: weights[k] for k in (most, test) if k})
        graph, x = from_model(model), np.array([1.0, 3.0], np.float32)
        y, rows = graph(x)
        assert rows.shape == (count, 2) and y.tolist() == (x**2**count).tolist()
        grad = flux.gradient(lambda v: graph(v)[0].sum(), flux.tensor(x))[0]
        np.testing.assert_allclose(grad.numpy(), 2**count * x ** (2**count - 1), rtol=1e-6)


def test_a_program_is_kept_for_each_shape_and_their_number_is_bounded():
    from oxiflux.onnx.graph import _runtime

    graph = from_model(parsed("y = Relu(x)"))
    for n in range(1, 100):
        assert graph(np.full(n, -1.0)).tolist() == [0.0] * n
    assert len(_runtime(graph).programs) <= 33


def test_few_programs_keep_rearranged_weights():
    from oxiflux.onnx.graph import _runtime

    graph, known = from_model(network()), {}
    for n in [*range(1, 8), *range(1, 8)]:
        x = normal(n, 3, 20, 17, seed=n)
        known.setdefault(n, graph(x).numpy())
        np.testing.assert_array_equal(graph(x).numpy(), known[n])
    ready = [r for group in _runtime(graph).programs.values() for r in group]
    assert len(ready) == 7 and sum(r.kept is not None for r in ready) == 4


def test_what_a_caller_writes_into_a_result_is_in_that_result_alone():
    weights = "float[2] w = {1, 2}, float[2] c = {5, 6}"
    body = "a = Add(x, w) y = Identity(x) z = Reshape(x, s) v = Identity(w) u = Identity(c) t = Identity(a)"
    outputs = "float[2] y, float[2] z, float[2] v, float[2] u, float[2] a, float[2] t"
    graph = from_model(parsed(body, "float[2] x", outputs, f"{weights}, int64[1] s = {{2}}"))
    x = flux.tensor([3.0, 4.0])
    want = [y.tolist() for y in graph(x)]
    for place in range(len(want)):
        results = graph(x)
        results[place][0] = 99.0
        assert [y.tolist() for i, y in enumerate(results) if i != place] == [
            row for i, row in enumerate(want) if i != place
        ]
        assert x.tolist() == [3.0, 4.0] and [y.tolist() for y in graph(x)] == want


def test_steps_that_move_nothing_fall_away_and_the_others_stay():
    from oxiflux.onnx.graph import _runtime

    body = """a = Transpose <perm = [2, 0, 1]> (x) b = Squeeze(a) c = Reshape(b, s) d = Slice(c, zero, top, axes)
        e = Relu(d) f = Unsqueeze(e, axes) g = Transpose <perm = [1, 0, 2]> (f) h = Slice(g, end, start, axes, back)
        y = Transpose <perm = [2, 1, 0]> (h)"""
    weights = """int64[2] s = {2, 3}, int64[1] zero = {0}, int64[1] top = {9}, int64[1] axes = {0},
        int64[1] end = {-1}, int64[1] start = {-9}, int64[1] back = {-1}"""
    model = parsed(body, "float[2, 3, 1] x", "float[3, 1, 2] y", weights)
    graph, x = from_model(model), normal(2, 3, 1)
    np.testing.assert_array_equal(graph(x).numpy(), reference(model, x)[0])
    ((ready,),) = _runtime(graph).programs.values()
    assert [step.run.__name__ for step in ready.program.steps] == [
        "reshape", "relu", "reshape", "taken", "permute_dims",
    ]  # fmt: skip
    grad = flux.gradient(lambda x: (graph(x) * flux.tensor(normal(3, 1, 2, seed=1))).sum(), flux.tensor(x))[0]
    weight = normal(3, 1, 2, seed=1).transpose(2, 0, 1)[::-1].reshape(2, 3, 1)
    np.testing.assert_allclose(grad.numpy(), np.where(x > 0, weight, 0))


def test_weights_too_small_to_be_stored_in_full_are_zeros_unless_they_train():
    w = normal(4, 4)
    w[:, 1] = 1e-41
    graph = from_model(
        made([helper.make_node("MatMul", ["x", "w"], ["y"])], {"x": (2, 4)}, {"y": (2, 4)}, {"w": w})
    )
    x = normal(2, 4, seed=1)
    np.testing.assert_allclose(graph(x).numpy(), x @ w, rtol=1e-6, atol=1e-37)
    grad = flux.gradient(lambda m: m(x).sum(), graph)[0].parameters["w"].numpy()
    np.testing.assert_allclose(grad, np.repeat(x.sum(0)[:, None], 4, 1), rtol=1e-5)
    assert (graph.parameters["w"].numpy() == w).all()


def test_a_file_of_flux_load_brings_the_import_along(tmp_path):
    graph = from_model(network())
    flux.save(tmp_path / "m.safetensors", {"net": graph})
    code = f"""
import sys, oxiflux as flux
assert 'onnx' not in sys.modules
net = flux.load({str(tmp_path / "m.safetensors")!r})["net"]
print(float(net(flux.ones((1, 3, 20, 17))).sum()))"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(done.stdout) == pytest.approx(float(graph(flux.ones((1, 3, 20, 17))).sum()), rel=1e-5)


def test_inputs_of_every_kind():
    graph = from_model(network())
    x = normal(2, 3, 20, 17)
    y = graph(x).numpy()
    for given in (
        x.astype(np.float64),
        np.asfortranarray(x),
        x.tolist(),
        flux.tensor(x),
        x[:, ::-1][:, ::-1],
    ):
        np.testing.assert_allclose(graph(given).numpy(), y, rtol=1e-6, atol=1e-6)
    read_only = x.copy()
    read_only.flags.writeable = False
    np.testing.assert_array_equal(graph(read_only).numpy(), y)
    assert graph(np.zeros((0, 3, 20, 17), np.float32)).shape == (0, 5)
    assert np.isnan(graph(np.full_like(x, np.nan)).numpy()).all()
    x[:] = 0
    assert not np.array_equal(graph(x).numpy(), y)


def test_gradients_by_the_inputs_and_of_gradients():
    graph = flux.f64(from_model(network()))
    x = flux.tensor(normal(1, 3, 20, 17).astype(np.float64))
    first = flux.gradient(lambda v: (graph(v) ** 2).sum(), x)[0]
    assert first.shape == x.shape and bool(flux.all(flux.isfinite(first)))
    step = np.zeros(x.shape)
    step[0, 1, 5, 6] = 1e-6
    difference = [float((graph(x + s * step) ** 2).sum()) for s in (1, -1)]
    assert float(first[0, 1, 5, 6]) == pytest.approx((difference[0] - difference[1]) / 2e-6, rel=1e-5)
    penalty = lambda g: (flux.gradient(lambda v: g(v).sum(), x)[0] ** 2).sum()
    second = flux.gradient(penalty, graph)[0].parameters["w3"]
    assert second.shape == (5, 8) and bool(flux.any(second != 0))


def test_a_condition_on_a_watched_number_is_looked_at():
    then, other = (
        onnx.parser.parse_graph(f"{name} () => (float[N] {name}y) {{{name}y = {op}(x, x)}}")
        for name, op in (("a", "Add"), ("b", "Mul"))
    )
    nodes = [
        helper.make_node("Constant", [], ["zero"], value_float=0.0),
        helper.make_node("ReduceSum", ["x"], ["s"], keepdims=0),
        helper.make_node("Greater", ["s", "zero"], ["c"]),
        helper.make_node("If", ["c"], ["y"], then_branch=then, else_branch=other),
    ]
    graph = from_model(made(nodes, {"x": ["N"]}, {"y": ["N"]}))
    for x in ([3.0], [-3.0], [4.0], [-4.0]):
        want = 2.0 if x[0] > 0 else 2 * x[0]
        assert flux.gradient(lambda v: graph(v).sum(), flux.tensor(x))[0].tolist() == [want]
        assert graph(x).tolist() == [2 * x[0] if x[0] > 0 else x[0] ** 2]


def test_threads_share_a_model():
    from concurrent.futures import ThreadPoolExecutor

    graph = from_model(network())
    inputs = [normal(1 + i % 3, 3, 20, 17, seed=i) for i in range(12)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda x: graph(x).numpy(), inputs))
    for x, y in zip(inputs, found, strict=True):
        np.testing.assert_array_equal(graph(x).numpy(), y)


def test_all_missing_operators_are_named_at_once():
    nodes = [
        helper.make_node("Fancy", ["x"], ["a"], domain="mine"),
        helper.make_node("StringConcat", ["a", "a"], ["y"]),
    ]
    model = made(nodes, {"x": [1]}, {"y": [1]}, opset=20)
    model.opset_import.append(helper.make_opsetid("mine", 3))
    with pytest.raises(UnsupportedError, match=r"StringConcat \(opset 20\), mine.Fancy \(opset 3\)"):
        from_model(model)


def test_an_unknown_attribute_is_refused():
    with pytest.raises(UnsupportedError, match="Relu 'y': the attribute 'speed'"):
        from_model(parsed("y = Relu<speed = 2>(x)"))


def test_functions_of_the_file_are_run():
    twice = helper.make_function(
        "mine", "Scaled", ["a"], ["b"],
        [
            helper.make_node("Constant", [], ["k"]),
            helper.make_node("Mul", ["a", "k"], ["b"]),
        ],
        [helper.make_opsetid("", 18)], attributes=["by"],
    )  # fmt: skip
    twice.node[0].attribute.add(name="value_float", ref_attr_name="by", type=onnx.AttributeProto.FLOAT)
    model = made(
        [helper.make_node("Scaled", ["x"], ["y"], domain="mine", by=3.0)], {"x": ["N"]}, {"y": ["N"]}
    )
    model.functions.append(twice)
    model.opset_import.append(helper.make_opsetid("mine", 1))
    assert from_model(model)([1.0, 2.0]).tolist() == [3.0, 6.0]


def test_nodes_need_no_order():
    model = parsed("a = Relu(x) b = Neg(a) y = Exp(b)")
    nodes = list(model.graph.node)[::-1]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    assert from_model(model)([0.0]).tolist() == [1.0]


def test_weights_lie_beside_the_file(tmp_path):
    model = network()
    x = normal(2, 3, 20, 17)
    want = reference(model, x)[0]
    onnx.save(
        model, tmp_path / "m.onnx", save_as_external_data=True, size_threshold=0, location="weights.bin"
    )
    np.testing.assert_allclose(load(tmp_path / "m.onnx")(x).numpy(), want, rtol=2e-5, atol=2e-5)


def test_importing_the_package_leaves_onnx_alone():
    code = (
        "import sys, oxiflux; a = 'onnx' in sys.modules; oxiflux.onnx.load; print(a, 'onnx' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


# Trap by trap, beside onnxruntime


@pytest.mark.parametrize("auto_pad", ["SAME_UPPER", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize("op", ["Conv", "ConvTranspose", "MaxPool", "AveragePool"])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_automatic_padding(op, auto_pad, stride):
    options = {"auto_pad": auto_pad, "strides": [stride, stride], "kernel_shape": [4, 3]}
    is_conv = op.startswith("Conv")
    nodes = [helper.make_node(op, ["x", "w"] if is_conv else ["x"], ["y"], **options)]
    model = made(nodes, {"x": [1, 2, 11, 9]}, {"y": None}, {"w": normal(2, 2, 4, 3)} if is_conv else {})
    x = normal(1, 2, 11, 9)
    np.testing.assert_allclose(from_model(model)(x).numpy(), reference(model, x)[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
@pytest.mark.parametrize("include", [0, 1])
@pytest.mark.parametrize("ceil", [0, 1])
@pytest.mark.parametrize("pads", [[0, 0, 0, 0], [1, 1, 1, 1], [0, 1, 2, 0]])
def test_pooling_at_the_edges(op, include, ceil, pads):
    options = {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": ceil, "pads": pads}
    if op == "AveragePool":
        options["count_include_pad"] = include
    model = made([helper.make_node(op, ["x"], ["y"], **options)], {"x": [1, 2, 8, 7]}, {"y": None}, opset=19)
    x = normal(1, 2, 8, 7)
    np.testing.assert_allclose(from_model(model)(x).numpy(), reference(model, x)[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("opset", [7, 9, 11, 13, 17, 21])
def test_softmax_of_every_opset(opset):
    model = made([helper.make_node("Softmax", ["x"], ["y"])], {"x": [2, 3, 4]}, {"y": None}, opset=opset)
    x = normal(2, 3, 4)
    np.testing.assert_allclose(from_model(model)(x).numpy(), reference(model, x)[0], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (0, 2, 3, 1), (3, 1, 0, 2), (1, 0, 3, 2)])
@pytest.mark.parametrize(
    "body",
    [
        "y = Softmax<axis = 1>(v)",
        "y = ReduceMean<axes = [1, 3], keepdims = 0>(v)",
        "y = ReduceMax<axes = [2], keepdims = 1>(v)",
        "y = Concat<axis = 2>(v, v)",
        "a, b = Split<axis = 3, num_outputs = 2>(v) y = Sub(a, b)",
        "y = Flatten<axis = 2>(v)",
        "k = Constant<value_int = 1>() y = Gather<axis = 2>(v, k)",
        "y = Add(v, small)",
        "y = Mul(small, v)",
        "y = DepthToSpace<blocksize = 2>(v)",
        "y = SpaceToDepth<blocksize = 2>(v)",
        "s = Constant<value_ints = [4, -1]>() y = Reshape(v, s)",
        "s = Constant<value_ints = [0, 2, 2, 4, 4]>() r = Reshape(v, s) t = Transpose<perm = [0, 2, 1, 3, 4]>(r)"
        " u = Constant<value_ints = [0, 4, 4, 4]>() y = Reshape(t, u)",
        "b = Constant<value_ints = [1, 1, 1, 1]>() e = Constant<value_ints = [4, 3, 4, -1]>()"
        " y = Slice(v, b, e)",
        "y = Transpose<perm = [2, 3, 0, 1]>(v)",
        "y = GlobalAveragePool(v)",
        "y = LRN<size = 3>(v)",
        "y = Sum(v, v, small)",
    ],
)
def test_every_order_of_memory_gives_the_same(order, body):
    opset = 13 if "ReduceM" in body else 18  # where axes are an attribute
    text = f"v = Transpose<perm = {list(order)}>(x) {body}"
    model = parsed(text, "float[4, 4, 4, 4] x, float[4, 1, 1] small", "float y", opset=opset)
    model.graph.output[0].type.tensor_type.ClearField("shape")
    # A pool leaves the axes in its own order, which the transpose after it only reads otherwise.
    x, small = normal(4, 4, 4, 4), normal(4, 1, 1)
    pooled = parsed(
        "z = MaxPool<kernel_shape = [1, 1]>(x) " + text.replace("(x)", "(z)", 1),
        "float[4, 4, 4, 4] x, float[4, 1, 1] small", "float y", opset=opset,
    )  # fmt: skip
    pooled.graph.output[0].type.tensor_type.ClearField("shape")
    want = reference(model, x, small)[0]
    for candidate in (model, pooled):
        np.testing.assert_allclose(from_model(candidate)(x, small).numpy(), want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("lengths", [False, True])
@pytest.mark.parametrize("reset", [0, 1])
def test_recurrence(kind, direction, lengths, reset):
    gates, dirs = {"LSTM": 4, "GRU": 3, "RNN": 1}[kind], 2 if direction == "bidirectional" else 1
    n, steps, batch, features = 4, 5, 3, 2
    weights = {
        "w": normal(dirs, gates * n, features), "r": normal(dirs, gates * n, n, seed=1) / 2,
        "b": normal(dirs, 2 * gates * n, seed=2),
    }  # fmt: skip
    if lengths:
        weights["len"] = np.array([5, 2, 4], np.int32)
    options = {"linear_before_reset": reset} if kind == "GRU" else {}
    outs = ["y", "h", "c"] if kind == "LSTM" else ["y", "h"]
    inputs = ["x", "w", "r", "b", "len" if lengths else "", "h0"]
    nodes = [helper.make_node(kind, inputs, outs, hidden_size=n, direction=direction, **options)]
    model = made(
        nodes,
        {"x": [steps, batch, features], "h0": [dirs, batch, n]},
        dict.fromkeys(outs),
        weights,
    )
    x, h0 = normal(steps, batch, features, seed=3), normal(dirs, batch, n, seed=4)
    for found, want in zip(from_model(model)(x, h0), reference(model, x, h0), strict=True):
        np.testing.assert_allclose(found.numpy(), want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("c", [None, (), (1,), (4,), (3, 1), (1, 4), (3, 4)])
@pytest.mark.parametrize(("trans_a", "trans_b"), [(0, 0), (1, 0), (0, 1), (1, 1)])
@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 1.0), (0.5, 2.0)])
def test_gemm_of_every_bias(c, trans_a, trans_b, alpha, beta):
    shapes = ([2, 3] if trans_a else [3, 2]), ([4, 2] if trans_b else [2, 4])
    weights = {"b": normal(*shapes[1])}
    if c is not None:
        weights["c"] = normal(*c) if c else np.float32(1.5)
    nodes = [
        helper.make_node(
            "Gemm", ["a", *weights], ["y"], transA=trans_a, transB=trans_b, alpha=alpha, beta=beta
        )
    ]
    model = made(nodes, {"a": shapes[0]}, {"y": None}, weights)
    a = normal(*shapes[0], seed=5)
    np.testing.assert_allclose(from_model(model)(a).numpy(), reference(model, a)[0], rtol=1e-5, atol=1e-6)


GELU = [
    "h = Constant<value_float = 0.5>() r = Constant<value_float = 1.4142135>() o = Constant<value_float = 1.0>()"
    " d = Div(v, r) e = Erf(d) p = Add(e, o) m = Mul(v, p) y = Mul(m, h)",
    "h = Constant<value_float = 0.5>() r = Constant<value_float = 0.70710678>() o = Constant<value_float = 1.0>()"
    " g = Mul(h, v) d = Mul(v, r) e = Erf(d) p = Add(o, e) y = Mul(g, p)",
    "h = Constant<value_float = 0.5>() c = Constant<value_float = 3.0>() k = Constant<value_float = 0.044715>()"
    " s = Constant<value_float = 0.7978846>() o = Constant<value_float = 1.0>() q = Pow(v, c) w = Mul(k, q)"
    " u = Add(v, w) t = Mul(u, s) e = Tanh(t) p = Add(e, o) m = Mul(v, p) y = Mul(m, h)",
    "c = Constant<value_float = 3.0>() s = Constant<value_float = 6.0>() z = Constant<value_float = 0.0>()"
    " a = Add(v, c) b = Clip(a, z, s) m = Mul(v, b) y = Div(m, s)",
    "a = Softplus(v) b = Tanh(a) y = Mul(b, v)",
    "a = Sigmoid(v) y = Mul(v, a)",
]


@pytest.mark.parametrize("body", GELU)
def test_an_activation_that_is_written_out_is_one_step(body):
    from oxiflux.onnx.graph import _runtime

    text = f"two = Constant<value_float = 2.0>() v = Mul(x, two) {body}"
    model = parsed(text, "float[3, N] x", "float[3, N] y")
    graph, x = from_model(model), normal(3, 50) * 3
    np.testing.assert_allclose(graph(x).numpy(), reference(model, x)[0], rtol=2e-5, atol=1e-6)
    ((ready,),) = _runtime(graph).programs.values()
    assert len(ready.program.steps) == 2


def test_what_only_resembles_an_activation_stays_as_it_is():
    for body in (
        GELU[0].replace("0.5", "0.51"),
        GELU[3].replace("6.0", "5.9"),
        "a = Sigmoid(v) y = Mul(a, a)",
    ):
        model = parsed(body.replace("v", "x").replace("xalue", "value").replace("Dix", "Div"), "float[N] x")
        x = normal(50) * 3
        np.testing.assert_allclose(from_model(model)(x).numpy(), reference(model, x)[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "shape", [(), (1,), (1, 1, 1), (4, 1, 1), (1, 4, 1, 1), (5,), (3, 1, 1, 1), (4, 6, 5)]
)
@pytest.mark.parametrize("layer", ["Conv", "BatchNormalization", "none"])
@pytest.mark.parametrize("is_weight", [True, False])
def test_factors_and_summands_behind_a_layer(shape, layer, is_weight):
    weights = {
        "k": normal(*shape) if shape else np.float32(0.7),
        "s": normal(*shape, seed=1) if shape else np.float32(3),
    }
    nodes = {
        "Conv": [helper.make_node("Conv", ["x", "w"], ["a"])],
        "BatchNormalization": [helper.make_node("BatchNormalization", ["x", "c", "c", "c", "v"], ["a"])],
        "none": [helper.make_node("MaxPool", ["x"], ["a"], kernel_shape=[1, 1])],
    }[layer]
    if layer == "Conv":
        weights["w"] = normal(4, 4, 1, 1)
    elif layer == "BatchNormalization":
        weights |= {"c": normal(4), "v": abs(normal(4))}
    nodes += [
        helper.make_node("Mul", ["a", "k"], ["b"]),
        helper.make_node("Add", ["s", "b"], ["c1"]),
        helper.make_node("Div", ["c1", "k"], ["d"]),
        helper.make_node("Relu", ["d"], ["y"]),
    ]
    model = made(nodes, {"x": [1, 4, 6, 5]}, {"y": None}, weights)
    graph, x = from_model(model, trainable=None if is_weight else []), normal(1, 4, 6, 5, seed=2)
    np.testing.assert_allclose(graph(x).numpy(), reference(model, x)[0], rtol=1e-4, atol=1e-5)
    if is_weight and shape == (4, 1, 1):
        assert flux.gradient(lambda g: g(x).sum(), graph)[0].parameters["k"].shape == (4, 1, 1)


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.float64, np.float16])
@pytest.mark.parametrize("last", ["y = Add(b, k)", "c = Add(b, k) d = Mul(c, k) y = Sub(d, k)"])
def test_factors_and_summands_of_every_kind_of_number(dtype, last):
    name = {"float64": "double"}.get(np.dtype(dtype).name, np.dtype(dtype).name)
    model = parsed(f"b = Mul(x, k) {last}", f"{name}[N, 2] x", f"{name}[N, 2] y", f"{name}[2] k = {{2, 3}}")
    x = np.array([[1, 2], [3, -4], [5, 6]], dtype)
    found = from_model(model)(x).numpy()
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, reference(model, x)[0])


def test_a_sigmoid_that_gates_its_input_is_one_function():
    graph = from_model(parsed("s = Sigmoid(x) y = Mul(s, x)"))
    x = normal(7)
    np.testing.assert_allclose(graph(x).numpy(), x / (1 + np.exp(-x)), rtol=1e-6)
