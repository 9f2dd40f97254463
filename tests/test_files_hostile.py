"""Files that are not what they say: the cases of the safetensors project, more of them, and any bytes at all."""

import functools
import json
import math
import os
import struct
import subprocess
import sys
import textwrap
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import oxiflux as flux
from oxiflux.files import store


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


def written(path, header, data=b"", size=None):
    """A file with this header and data; `size` is what it says of the header's length."""
    header = json.dumps(header).encode() if isinstance(header, dict) else header
    path.write_bytes(struct.pack("<Q", len(header) if size is None else size) + header + data)
    return path


def described(path, tree, tensors=()):
    """A file with this description, whose checksum is right."""
    tensors = dict(tensors)
    crc = store._checksum(tree, tensors)
    note = json.dumps({"version": 1, "crc32": crc, "tree": tree})
    flux._core.write_tensors(path, list(tensors.items()), {"oxiflux": note})
    return path


# Files of others


def info(dtype="F32", shape=(1,), offsets=(0, 4), **more):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets), **more}


def test_a_file_of_others_is_a_dict_of_its_tensors(path):
    header = {
        "__metadata__": {"format": "pt"},
        "b": info("I64", (1,), (4, 12)),
        "a": info("F32", (), (0, 4)),
        "none": info("U8", (0, 7), (12, 12)),
    }
    tensors = flux.load(written(path, header, struct.pack("<fq", 1.5, -3)))
    assert list(tensors) == ["a", "b", "none"]
    assert tensors["a"].item() == 1.5 and tensors["b"].tolist() == [-3] and tensors["none"].shape == (0, 7)


def test_a_file_may_be_empty_of_tensors(path):
    assert flux.load(written(path, {})) == {}
    assert flux.load(written(path, {"__metadata__": {"a": "b"}})) == {}


def test_a_file_of_nothing_is_read_again(path):
    flux._core.write_tensors(path, [], {})
    assert flux.load(path) == {}


def test_the_header_may_be_padded_with_spaces(path):
    assert flux.load(written(path, b'{"a":' + json.dumps(info()).encode() + b"}    ", bytes(4)))[
        "a"
    ].tolist() == [0]


def test_numbers_of_16_bits_are_read_as_they_are(path):
    halves = np.array([1.5, -0.0, 65504, np.inf, 6e-8], np.float16)
    header = {"h": info("F16", (5,), (0, 10)), "b": info("BF16", (2,), (10, 14))}
    tensors = flux.load(written(path, header, halves.tobytes() + struct.pack("<HH", 0x3FC0, 0xFF80)))
    assert np.array_equal(tensors["h"], halves) and tensors["h"].dtype == "float16"
    assert tensors["b"].dtype == "bfloat16"
    assert tensors["b"].tolist() == [1.5, -math.inf]


@pytest.mark.parametrize("dtype", ["F8_E4M3", "F8_E5M2", "F8_E8M0", "F4", "C64"])
def test_types_that_tensors_do_not_have_are_named(path, dtype):
    size = {"C64": 16, "F4": 1}.get(dtype, 2)
    with pytest.raises(flux.DTypeError, match=f'tensor "a" is of type {dtype}'):
        flux.load(written(path, {"a": info(dtype, (2,), (0, size))}, bytes(size)))


BIG = 2**63
EMPTY = b'"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}'
# By name: the header, the data, what the error says, and the length of the header if it is said wrongly.
HOSTILE = {
    "empty": (b"", b"", "0 bytes are too few"),
    "too short": (b"", b"", "7 bytes are too few"),
    "header longer than the format allows": ({}, b"", "more than the 100000000", 100_000_001),
    "header of 2**63": ({}, b"", "more than the", BIG),
    "header of 2**64 - 1": ({}, b"", "more than the", 2**64 - 1),
    "header longer than the file": ({}, b"", "a header of 80 bytes in a file of 10", 80),
    "header of no bytes": (b"", b"", "its header: EOF"),
    "not UTF-8": (b"\xff{}", b"", "its header"),
    "not UTF-8 in a name": (b'{"\xff": 1}', b"", "its header"),
    "not JSON": (b"{", b"", "its header: EOF"),
    "more than JSON": (b"{}{}", b"", "its header: trailing"),
    "padded with zeros": (b"{}\0\0", b"", "its header: trailing"),
    "a list": (b"[]", b"", "invalid type"),
    "a number": (b"1", b"", "invalid type"),
    "deep lists": (b"[" * 100_000, b"", "its header"),
    "deep in an entry": (b'{"a":' + b"[" * 100_000, b"", "its header"),
    "deep in an unknown field": (b'{"a":{"x":' + b"[" * 100_000, b"", "its header"),
    "metadata that is no dict": ({"__metadata__": []}, b"", "invalid type"),
    "metadata that is no text": ({"__metadata__": {"a": 1}}, b"", "invalid type"),
    "entry that is no object": ({"a": 3}, b"", "invalid type"),
    "no dtype": ({"a": {"shape": [1], "data_offsets": [0, 4]}}, bytes(4), "missing field"),
    "no shape": ({"a": {"dtype": "F32", "data_offsets": [0, 4]}}, bytes(4), "missing field"),
    "no offsets": ({"a": {"dtype": "F32", "shape": [1]}}, bytes(4), "missing field"),
    "unknown dtype": ({"a": info("F33")}, bytes(4), "unknown variant `F33`"),
    "dtype in small letters": ({"a": info("f32")}, bytes(4), "unknown variant"),
    "dtype that is a number": ({"a": info(32)}, bytes(4), "its header"),
    "negative length": ({"a": info(shape=(-1,))}, bytes(4), "invalid value"),
    "length that is a fraction": ({"a": info(shape=(1.0,))}, bytes(4), "invalid type"),
    "length of 2**64": ({"a": info(shape=(2**64,))}, bytes(4), "its header"),
    "length of 2**63": ({"a": info(shape=(BIG,))}, bytes(4), "overflow"),
    "product that overflows": ({"a": info(shape=(2**32, 2**32))}, bytes(4), "overflow"),
    "product that overflows to the size": ({"a": info(shape=(2**62 + 1,))}, bytes(4), "overflow"),
    "bytes that overflow": ({"a": info(shape=(2**61,))}, bytes(4), "overflow"),
    "empty with axes that overflow": ({"a": info(shape=(0, BIG, BIG), offsets=(0, 0))}, b"", "there is no tensor"),
    "too many axes": ({"a": info(shape=(1,) * 1000)}, bytes(4), "1000 axes"),
    "three offsets": ({"a": info(offsets=(0, 4, 8))}, bytes(4), "trailing characters"),
    "one offset": ({"a": info(offsets=(0,))}, bytes(4), "invalid length"),
    "negative offset": ({"a": info(offsets=(-4, 0))}, bytes(4), "invalid value"),
    "offset of 2**64": ({"a": info(offsets=(0, 2**64))}, bytes(4), "its header"),
    "offsets backwards": ({"a": info(offsets=(4, 0))}, bytes(4), "invalid offset"),
    "offsets not from 0": ({"a": info(offsets=(4, 8))}, bytes(8), "invalid offset"),
    "fewer bytes than the shape": ({"a": info(offsets=(0, 3))}, bytes(3), "invalid shape"),
    "more bytes than the shape": ({"a": info(offsets=(0, 8))}, bytes(8), "invalid shape"),
    "half an element": ({"a": info("F4", (1,), (0, 1))}, bytes(1), "byte boundary"),
    "beyond the file": ({"a": info(shape=(2,), offsets=(0, 8))}, bytes(4), "describes 8 bytes of data"),
    "far beyond the file": ({"a": info("U8", (2**40,), (0, 2**40))}, bytes(4), "and there are 4"),
    "data after the tensors": ({"a": info()}, bytes(5), "describes 4 bytes of data, and there are 5"),
    "data without tensors": ({}, bytes(5), "describes 0 bytes of data"),
    "overlap": ({"a": info(), "b": info(offsets=(2, 6))}, bytes(6), "invalid offset"),
    "the same bytes": ({"a": info(), "b": info()}, bytes(4), "invalid offset"),
    "gap": ({"a": info(), "b": info(offsets=(5, 9))}, bytes(9), "invalid offset"),
    "a name twice": (b"{" + EMPTY + b"," + EMPTY + b"}", b"", '"a" is given twice'),
    "metadata twice": (b'{"__metadata__":{},"__metadata__":{}}', b"", "is given twice"),
    "a field twice": (b'{"a":{"dtype":"U8","dtype":"I8"}}', b"", "duplicate field"),
    "bool of 2": ({"a": info("BOOL", (2,), (0, 2))}, b"\1\2", "2 is no truth value"),
}  # fmt: skip


def hostile(path, name):
    header, data, message, *size = HOSTILE[name]
    if name in ("empty", "too short"):
        path.write_bytes(bytes(7 * (name != "empty")))
    else:
        written(path, header, data, *size)
    return message


@pytest.mark.parametrize("name", HOSTILE)
def test_a_file_that_is_not_what_it_says_is_refused(path, name):
    message = hostile(path, name)
    with pytest.raises(ValueError, match=message) as error:
        flux.load(path)
    assert path.name in str(error.value) and len(str(error.value)) < 1000


LIMITED = """
    import resource, sys
    import oxiflux as flux

    flux.zeros(10).sum()
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (32 << 20),) * 2)
    for path in sys.argv[1:]:
        try:
            flux.load(path)
        except ValueError:
            continue
        sys.exit(f"{path} was loaded")
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="counts memory as Linux does")
def test_a_hostile_file_takes_no_memory_to_speak_of(tmp_path):
    paths = []
    for i, name in enumerate(HOSTILE):
        paths.append(tmp_path / str(i))
        hostile(paths[-1], name)
    # A header of 2 MB that wants to be much more in memory.
    bombs = [
        b'{"a":{"x":[' + b"[]," * 600_000,
        b'{"a":{"shape":[' + b"0," * 1_000_000,
        b'{"a":[' + b"{}," * 600_000,
    ]
    for i, bomb in enumerate(bombs):
        paths.append(written(tmp_path / f"bomb {i}", bomb))
    subprocess.run([sys.executable, "-c", textwrap.dedent(LIMITED), *map(str, paths)], check=True)


def test_a_file_that_was_cut_off_is_refused_wherever_it_was_cut(path):
    flux.save(path, flux.Dense(2, 3))
    data = path.read_bytes()
    for n in range(len(data)):
        path.write_bytes(data[:n])
        with pytest.raises(ValueError):
            flux.load(path)


def test_a_changed_byte_anywhere_is_noticed(path):
    model = flux.Chain(flux.Dense(2, 3, flux.relu))
    flux.save(path, model)
    data = path.read_bytes()
    for i in range(len(data)):
        for bit in (1, 32):
            path.write_bytes(data[:i] + bytes([data[i] ^ bit]) + data[i + 1 :])
            with pytest.raises((ValueError, TypeError)):
                flux.load(path)


def test_a_name_with_half_of_a_character_is_refused_and_nothing_is_written(path):
    with pytest.raises(ValueError, match=r"save: the name '\\ud800' is no text that a file can hold"):
        flux.save(path, {"\ud800": flux.ones(1)})
    assert not path.exists()


# Descriptions


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"tensor": "y"}, "there is no tensor 'y'"),
        ({"tensor": 3}, "a int instead of a str"),
        ({"tuple": []}, "nothing refers to the tensor 'x'"),
        ({"a": 1, "b": 2}, "an object with 2 entries"),
        ({}, "an object with 0 entries"),
        ({"eval": "1"}, "there is no kind 'eval'"),
        ({"float": "1e999"}, "is no number"),
        ({"function": "save"}, "there is no function 'save'"),
        ({"function": "__import__"}, "there is no function '__import__'"),
        ({"function": "losses.mse"}, "there is no function"),
        ({"partial": [{"dtype": "float32"}, {"tuple": []}, {"dict": []}]}, "is no function"),
        ({"partial": [{"function": "relu"}, [], {"dict": []}]}, "a list instead of a tuple"),
        ({"same": 0}, "there is no object number 0"),
        ({"same": -1}, "there is no object number -1"),
        ({"same": True}, "a bool instead of a int"),
        ({"dict": [[[], 1]]}, "unhashable"),
        ({"named": [[1, 2]]}, "a int instead of a str"),
        ({"named": {"a": 1}}, "a dict instead of a list"),
        ({"dict": [[1]]}, "not enough values"),
        ({"generator": [1]}, "TypeError|ValueError"),
        ({"generator": [-1, 2**64]}, "OverflowError"),
        ({"dtype": "object"}, "is not an element type"),
        ({"leaf": [None, None, False]}, "None is no rule"),
        ({"object": ["Popen", {}]}, "Popen is no class of oxiflux"),
        ({"object": ["Dense", {}]}, "a Dense without"),
        ({"object": ["Dense", {"__class__": 1}]}, "Dense has no field __class__"),
        ({"object": ["Dense", {"describe": 1}]}, "Dense has no field describe"),
        ({"object": ["Dense", {"weight": 1, "bias": None, "activation": {"function": "relu"}}]}, "should be Tensor"),
        (
            {"object": ["Dense", {"weight": {"tensor": "x"}, "bias": None, "activation": {"function": "relu"}}]},
            "not enough values",
        ),
        ({"object": ["Chain", {"layers": 3}]}, "layers of a Chain is a int"),
        ({"object": ["Adam", {"eta": "fast"}]}, "eta of a Adam is a str"),
        ({"object": ["Adam", {"eta": -1.0}]}, "eta must be 0 or more"),
        ({"object": ["Adam", {"rate": 1.0}]}, "unexpected keyword"),
        ({"object": ["Poly", {"start": 1.0, "degree": 1, "max_iter": 0}]}, "at least 1"),
    ],
)  # fmt: skip
def test_a_description_that_save_does_not_write_is_refused(path, tree, message):
    described(path, tree, {"x": flux.ones(2)})
    with pytest.raises(ValueError, match=f"load: the description in .* is not valid: .*{message}"):
        flux.load(path)


@pytest.mark.parametrize(
    "note", ["", "{", "[]", "3", "{}", '{"version": 2}', '{"version": 1}', "[" * 100_000, '{"version": 1, "crc32": 0}']
)  # fmt: skip
def test_a_description_that_is_none_is_refused(path, note):
    flux._core.write_tensors(path, [], {"oxiflux": note})
    with pytest.raises(ValueError, match="the description in"):
        flux.load(path)


def test_a_description_that_is_too_deep_is_refused(path):
    tree = functools.reduce(lambda inner, _: [inner], range(800), 1)
    crc = zlib.crc32(json.dumps(tree).encode())
    note = json.dumps({"version": 1, "crc32": crc, "tree": tree})
    flux._core.write_tensors(path, [], {"oxiflux": note})
    with pytest.raises(ValueError, match="too deep"):
        flux.load(path)


def test_a_description_that_repeats_itself_again_and_again_is_read_in_no_time(path):
    layer = {"object": ["Chain", {"layers": {"tuple": []}}]}
    for depth in range(100):
        layer = {"object": ["Chain", {"layers": {"tuple": [layer, {"same": 100 - depth}]}}]}
    assert len(flux.load(described(path, layer))) == 2


# Any bytes at all

fuzzing = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def refused_or(path, accepted):
    """Loads a file, which must give one of the errors of `load` or what is acceptable."""
    try:
        x = flux.load(path)
    except (ValueError, flux.DTypeError):
        return
    assert accepted(x)


@fuzzing
@given(st.binary(max_size=200))
def test_any_bytes_are_refused_or_read(path, data):
    path.write_bytes(data)
    refused_or(path, lambda x: isinstance(x, dict))


entries = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["F32", "U8", "BOOL", "F16", "I64", "F4", "F8_E4M3", "X"]),
        "shape": st.lists(st.sampled_from([0, 1, 2, 3, 8, 2**31, 2**62, BIG, 2**64, -1, 0.5]), max_size=4),
        "data_offsets": st.lists(
            st.integers(0, 16) | st.sampled_from([BIG, 2**64 - 1]), min_size=1, max_size=3
        ),
    }
)


@fuzzing
@given(
    st.dictionaries(st.sampled_from(["a", "b", "c", "__metadata__"]), entries, max_size=3),
    st.binary(max_size=24),
)
def test_any_header_is_refused_or_tells_the_size_of_the_data(path, header, data):
    written(path, header, data)
    refused_or(path, lambda tensors: len(data) <= sum(x.nbytes for x in tensors.values()))


@fuzzing
@given(st.data())
def test_a_file_changed_in_any_way_is_refused_or_means_the_same(path, data):
    model = flux.Chain(flux.Dense([[1.0, 2.0]], [0.5, 0.5], flux.tanh), flux.relu)
    flux.save(path, model)
    old = bytearray(path.read_bytes())
    new = bytearray(old)
    for _ in range(data.draw(st.integers(1, 3))):
        i = data.draw(st.integers(0, len(new)))
        j = min(len(new), i + data.draw(st.integers(0, 8)))
        new[i:j] = data.draw(st.binary(max_size=8))
    path.write_bytes(new)
    # Without that word it is a file of others.
    is_ours = b'"oxiflux"' in new
    refused_or(path, lambda x: repr(x) == repr(model) if is_ours else isinstance(x, dict))


leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(["x", "relu", "Dense", "Adam", "inf", 0.5, BIG])
)
kinds = st.sampled_from(sorted(store.Reader({}, {})._kinds))
names = st.sampled_from(["Dense", "Adam", "Chain", "Layer", "Exp", "Accum"])
fields = st.sampled_from(["weight", "bias", "activation", "layers", "eta", "start", "n"])


def nodes(inner):
    bodies = inner | st.lists(st.lists(inner, max_size=2) | inner, max_size=3)
    objects = st.tuples(names, st.dictionaries(fields, inner, max_size=3)).map(list)
    return (
        st.lists(inner, max_size=3)
        | st.dictionaries(kinds, bodies, min_size=1, max_size=1)
        | st.fixed_dictionaries({"object": objects})
    )


trees = st.recursive(leaves, nodes, max_leaves=12)


@fuzzing
@given(trees)
def test_any_description_is_refused_or_made(path, tree):
    described(path, tree, {"x": flux.ones((1, 2))} if "'x'" in repr(tree) else {})
    refused_or(path, lambda x: True)


def test_a_file_has_no_more_tensors_than_make_sense(tmp_path):
    path = tmp_path / "many.safetensors"
    entry = '{"dtype":"F32","shape":[0],"data_offsets":[0,0]}'
    for count in (2**18, 2**18 + 1):
        text = ("{" + ",".join(f'"{i}":{entry}' for i in range(count)) + "}").encode()
        path.write_bytes(len(text).to_bytes(8, "little") + text)
        if count == 2**18:
            assert len(flux.load(path)) == count
        else:
            with pytest.raises(ValueError, match="more than 262144 tensors"):
                flux.load(path)
    x = flux.zeros(0)
    with pytest.raises(ValueError, match="262145 tensors are more than the 262144 of a file"):
        flux._core.write_tensors(str(path), [(str(i), x) for i in range(2**18 + 1)], {})
