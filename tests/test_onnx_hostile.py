"""Files of the ONNX format that are cut off, changed, or made to do harm: each is a clear error."""

import os

import numpy as np
import onnx
import onnx.parser
import pytest
from onnx import TensorProto, helper, numpy_helper

import oxiflux as flux
from oxiflux.onnx import UnsupportedError, from_model, load

node = helper.make_node


def info(name, shape=("N",), kind=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def model_of(nodes, weights=(), inputs=("x",), outputs=("y",), opset=18):
    graph = helper.make_graph(
        nodes, "g", [info(n) for n in inputs], [info(n, None) for n in outputs], list(weights)
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def test_a_cycle():
    with pytest.raises(ValueError, match="the graph has a cycle: Add 'a'"):
        from_model(
            model_of([node("Add", ["x", "b"], ["a"]), node("Relu", ["a"], ["b"]), node("Neg", ["b"], ["y"])])
        )


def test_a_name_that_nobody_defines():
    with pytest.raises(ValueError, match="Relu 'y' uses 'z', which no input, initialiser or node defines"):
        from_model(model_of([node("Relu", ["z"], ["y"])]))
    with pytest.raises(ValueError, match="the output 'y' is made by no node"):
        from_model(model_of([node("Relu", ["x"], ["a"])]))


@pytest.mark.parametrize("second", ["x", "w", "y"])
def test_a_name_that_is_defined_twice(second):
    weight = numpy_helper.from_array(np.ones(1, np.float32), "w")
    nodes = [node("Relu", ["x"], ["y"]), node("Neg", ["x"], [second])]
    with pytest.raises(ValueError, match=f"{second!r} is defined twice, again by Neg"):
        from_model(model_of(nodes, [weight]))


def test_two_inputs_or_initialisers_of_one_name():
    with pytest.raises(ValueError, match="two inputs have the name 'x'"):
        from_model(model_of([node("Relu", ["x"], ["y"])], inputs=("x", "x")))
    weight = numpy_helper.from_array(np.ones(1, np.float32), "w")
    with pytest.raises(ValueError, match="two initialisers have the name 'w'"):
        from_model(model_of([node("Add", ["x", "w"], ["y"])], [weight, weight]))


def test_a_file_that_is_cut_off_at_any_byte(tmp_path):
    weight = numpy_helper.from_array(np.ones((3, 3), np.float32), "w")
    data = model_of([node("MatMul", ["x", "w"], ["y"])], [weight]).SerializeToString()
    path = tmp_path / "m.onnx"
    for n in range(len(data)):
        path.write_bytes(data[:n])
        # Whole fields may be missing at the end, such as the versions of operators.
        try:
            load(path)
        except (ValueError, UnsupportedError):
            continue


def test_a_file_whose_bytes_are_changed(tmp_path):
    weight = numpy_helper.from_array(np.ones((3, 3), np.float32), "w")
    data = model_of(
        [node("MatMul", ["x", "w"], ["a"]), node("Softmax", ["a"], ["y"])], [weight]
    ).SerializeToString()
    path, rng = tmp_path / "m.onnx", np.random.default_rng(0)
    for _ in range(400):
        changed = bytearray(data)
        for place in rng.integers(0, len(data), 3):
            changed[place] = rng.integers(0, 256)
        path.write_bytes(bytes(changed))
        try:
            load(path)(np.ones((2, 3), np.float32))
        except (ValueError, TypeError, IndexError, NotImplementedError, MemoryError):
            continue


@pytest.mark.parametrize("content", [b"", b"\x00", b"not a model", bytes(1000), b"\x08\x08"])
def test_a_file_that_is_no_model(tmp_path, content):
    (tmp_path / "m.onnx").write_bytes(content)
    with pytest.raises(ValueError, match="m.onnx"):
        load(tmp_path / "m.onnx")


def test_no_file_and_no_model(tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "nothing.onnx")
    with pytest.raises(TypeError, match=r"expected an onnx.ModelProto, got str"):
        from_model("model.onnx")


@pytest.mark.parametrize("dims", [[2**40], [2**20, 2**20, 2**20], [3], [2**62, 4], [-1]])
def test_a_weight_without_its_data(dims):
    weight = TensorProto(name="w", data_type=TensorProto.FLOAT, raw_data=b"\0" * 8)
    weight.dims.extend(dims)
    with pytest.raises(ValueError, match="the tensor 'w' has"):
        from_model(model_of([node("Add", ["x", "w"], ["y"])], [weight]))


@pytest.mark.parametrize(
    "body",
    [
        "s = Constant<value_ints = [1000000, 1000000]>() y = ConstantOfShape(s)",
        "s = Constant<value_ints = [1000000, 1000000]>() y = Expand(x, s)",
        "s = Constant<value_ints = [1000000000000]>() y = Tile(x, s)",
        "a = Constant<value_int = 0>() b = Constant<value_int = 1000000000000>() c = Constant<value_int = 1>()"
        " r = Range(a, b, c) y = Cast<to = 1>(r)",
        "s = Constant<value_ints = [1000000000000, 0]>() y = Pad(x, s)",
        "e = Constant<value_floats = [1]>() s = Constant<value_ints = [1000000000000]>() y = Resize(x, , , s)",
    ],
)
def test_small_files_that_ask_for_much_memory(body):
    text = f'<ir_version: 8, opset_import: ["": 18]> g (float[N] x) => (float y) {{{body}}}'
    model = onnx.parser.parse_model(text)
    model.graph.output[0].type.tensor_type.ClearField("shape")
    with pytest.raises((ValueError, MemoryError, flux.ShapeError)):
        from_model(model)([1.0])


def external(location, **entries):
    weight = TensorProto(name="w", data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL)
    weight.dims.extend([4])
    for key, value in {"location": location, **entries}.items():
        weight.external_data.add(key=key, value=str(value))
    return model_of([node("Add", ["x", "w"], ["y"])], [weight])


def test_data_outside_of_the_folder(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(b"\0" * 16)
    os.symlink(tmp_path / "secret", folder / "link")
    os.symlink(tmp_path, folder / "up")
    (folder / "inside").write_bytes(np.arange(4, dtype=np.float32).tobytes())
    for location in (
        "../secret",
        str(tmp_path / "secret"),
        "link",
        "up/secret",
        "",
        ".",
        "inside/../../secret",
        "none",
    ):
        onnx.save(external(location), folder / "m.onnx")
        with pytest.raises(ValueError, match="no plain file of the model's folder"):
            load(folder / "m.onnx")
    onnx.save(external("inside"), folder / "m.onnx")
    assert load(folder / "m.onnx")([0.0] * 4).tolist() == [0.0, 1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    "entries",
    [{"offset": 8}, {"offset": -4}, {"length": 4}, {"length": 2**40}, {"offset": "x"}, {"offset": 2**70}],
)
def test_data_that_is_not_all_there(tmp_path, entries):
    (tmp_path / "w").write_bytes(b"\0" * 16)
    onnx.save(external("w", **entries), tmp_path / "m.onnx")
    with pytest.raises(ValueError, match="the tensor 'w'"):
        load(tmp_path / "m.onnx")


def test_data_beside_a_model_in_memory():
    with pytest.raises(ValueError, match="a model in memory has no folder"):
        from_model(external("w"))


def field(number, content):
    """A field of a message that is bytes, as protobuf writes it."""
    size, n = b"", len(content)
    while n >= 128:
        size, n = size + bytes([n % 128 + 128]), n // 128
    return bytes([number * 8 + 2]) + size + bytes([n]) + content


@pytest.mark.parametrize("depth", [40, 400])
def test_branches_that_are_nested_deep(tmp_path, depth):
    graph = field(1, field(1, b"x") + field(2, b"o") + field(4, b"Relu")) + field(12, field(1, b"o"))
    for _ in range(depth):
        branches = b"".join(
            field(5, field(1, name) + field(6, graph) + b"\xa0\x01\x05") for name in (b"then_branch",)
        )
        graph = field(1, field(1, b"x") + field(2, b"o") + field(4, b"If") + branches) + field(
            12, field(1, b"o")
        )
    graph = graph + field(11, info("x").SerializeToString())
    (tmp_path / "m.onnx").write_bytes(b"\x08\x08" + field(7, graph) + field(8, b"\x0a\x00\x10\x12"))
    with pytest.raises(ValueError, match=r"nested too deep|needs the attribute 'else_branch'"):
        load(tmp_path / "m.onnx")


def test_functions_that_call_themselves():
    again = helper.make_function(
        "mine", "F", ["a"], ["b"], [node("F", ["a"], ["b"], domain="mine")], [helper.make_opsetid("mine", 1)]
    )
    model = model_of([node("F", ["x"], ["y"], domain="mine")])
    model.functions.append(again)
    model.opset_import.append(helper.make_opsetid("mine", 1))
    with pytest.raises(ValueError, match="functions call each other more than 64 deep"):
        from_model(model)([1.0])


def test_types_that_tensors_do_not_have():
    weight = helper.make_tensor("w", TensorProto.STRING, [1], [b"a"])
    with pytest.raises(UnsupportedError, match="elements of the type string"):
        from_model(model_of([node("Identity", ["w"], ["y"])], [weight]))
    with pytest.raises(UnsupportedError, match="elements of the type int4"):
        model = model_of([node("Cast", ["x"], ["y"], to=1)])
        model.graph.input[0].type.tensor_type.elem_type = TensorProto.INT4
        from_model(model)


@pytest.mark.parametrize(
    "op", ["Conv", "MatMul", "Reshape", "Gemm", "Concat", "Slice", "LSTM", "Gather", "Pad", "If"]
)
@pytest.mark.parametrize("count", [0, 1, 2, 9])
def test_operators_with_another_number_of_inputs(op, count):
    with pytest.raises((ValueError, TypeError, IndexError, flux.ShapeError)) as found:
        from_model(model_of([node(op, ["x"] * count, ["y"])]))(np.ones((2, 2), np.float32))
    assert str(found.value)


def test_a_loop_without_an_end_and_functions_that_double(monkeypatch):
    from oxiflux.onnx import interpreter

    monkeypatch.setattr(interpreter, "_MOST_NODES", 1000)
    body = helper.make_graph(
        [node("Identity", ["c"], ["d"]), node("Neg", ["s"], ["t"])],
        "body",
        [info("i", [], TensorProto.INT64), info("c", [], TensorProto.BOOL), info("s", None)],
        [info("d", [], TensorProto.BOOL), info("t", None)],
    )
    endless = model_of(
        [
            node("Constant", [], ["true"], value=helper.make_tensor("v", TensorProto.BOOL, [], [True])),
            node("Loop", ["", "true", "x"], ["y"], body=body),
        ]
    )
    doubling = model_of([node("F30", ["x"], ["y"], domain="mine")])
    doubling.opset_import.append(helper.make_opsetid("mine", 1))
    opsets = [helper.make_opsetid("mine", 1), helper.make_opsetid("", 18)]
    for i in range(31):
        twice = [node(f"F{i - 1}", [a], [b], domain="mine") for a, b in ("at", "tb")]
        nodes = twice if i else [node("Neg", ["a"], ["b"])]
        doubling.functions.append(helper.make_function("mine", f"F{i}", ["a"], ["b"], nodes, opsets))
    for model in (endless, doubling):
        with pytest.raises(ValueError, match="more than 1000 nodes in one call"):
            from_model(model)([1.0])


def test_attributes_that_contradict_what_they_are_of():
    def run(made, shape):
        made.graph.input[0].type.tensor_type.ClearField("shape")
        return from_model(made)(np.ones(shape, "float32"))

    weights = [
        node("Constant", [], ["w"], value_floats=[1.0] * 4), node("Constant", [], ["s"], value_ints=[1, 4, 1]),
        node("Reshape", ["w", "s"], ["v"]),
    ]  # fmt: skip
    with pytest.raises(ValueError, match=r"LSTM: W and R have the shapes \(1, 4, 1\)"):
        run(model_of([*weights, node("LSTM", ["x", "v", "v"], ["y"], hidden_size=3)]), (2, 1, 1))
    for op in ("DepthToSpace", "SpaceToDepth"):
        for size in (0, -1, 3):
            with pytest.raises(ValueError, match=f"{op} of .* with the block size"):
                run(model_of([node(op, ["x"], ["y"], blocksize=size)]), (1, 4, 2, 2))
    with pytest.raises(ValueError, match="pads are not negative"):
        run(model_of([node("MaxPool", ["x"], ["y"], kernel_shape=[1], pads=[-1, 0])]), (1, 2, 3))
    newer = model_of([node("Relu", ["x"], ["y"])])
    newer.opset_import[0].version = 9999
    with pytest.raises(UnsupportedError, match="the model is of opset 9999"):
        from_model(newer)
