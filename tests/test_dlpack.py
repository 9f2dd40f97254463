"""Arrays from other libraries: capsules made by hand, of which nothing is believed that can be checked."""

import ctypes
import gc

import numpy as np
import pytest

import oxiflux as flux

LENGTHS = ctypes.POINTER(ctypes.c_int64)
DELETER = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
FLOAT32, BOOL = (2, 32), (6, 8)


class Description(ctypes.Structure):
    """`DLTensor`."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_kind", ctypes.c_int32),
        ("device", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", LENGTHS),
        ("strides", LENGTHS),
        ("byte_offset", ctypes.c_uint64),
    )


class Managed(ctypes.Structure):
    """`DLManagedTensor`."""

    _fields_ = (("tensor", Description), ("context", ctypes.c_void_p), ("deleter", DELETER))


class ManagedVersioned(ctypes.Structure):
    """`DLManagedTensorVersioned`."""

    _fields_ = (
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("context", ctypes.c_void_p),
        ("deleter", DELETER),
        ("flags", ctypes.c_uint64),
        ("tensor", Description),
    )


new_capsule = ctypes.pythonapi.PyCapsule_New
new_capsule.restype, new_capsule.argtypes = (
    ctypes.py_object,
    [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p],
)
pointer_in = ctypes.pythonapi.PyCapsule_GetPointer
pointer_in.restype, pointer_in.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
# Names have to outlive their capsules.
NAME, NAME_VERSIONED = b"dltensor", b"dltensor_versioned"


def numbers(values):
    return None if values is None else (ctypes.c_int64 * max(1, len(values)))(*values)


# What a consumer may still point to.
ALIVE = []


class Producer:
    """An array with whatever description is given, and how often its deleter was called."""

    def __init__(self, memory, shape=(2, 3), strides=None, kind=FLOAT32, version=None, **described):
        ALIVE.append(self)
        self.memory, self.deleted = memory, 0
        self.shape, self.strides = numbers(shape), numbers(strides)
        code, bits = kind
        fields = {"data": memory.ctypes.data, "device_kind": 1, "ndim": len(shape or ()), "lanes": 1}
        fields |= {"code": code, "bits": bits}
        tensor = Description(**fields | described)
        for name, values in (("shape", self.shape), ("strides", self.strides)):
            if values is not None:
                setattr(tensor, name, ctypes.cast(values, LENGTHS))
        self.deleter = DELETER(self.delete)
        if version is None:
            self.managed, self.name = Managed(tensor=tensor, deleter=self.deleter), NAME
        else:
            major, minor = version
            self.managed = ManagedVersioned(major=major, minor=minor, deleter=self.deleter, tensor=tensor)
            self.name = NAME_VERSIONED
        self.capsule = new_capsule(ctypes.addressof(self.managed), self.name, None)

    def delete(self, _):
        self.deleted += 1

    def __dlpack__(self, **_):
        return self.capsule


def data():
    return np.arange(12, dtype=np.float32)


@pytest.mark.parametrize("version", [None, (1, 0), (1, 3)])
@pytest.mark.parametrize(
    ("described", "right"),
    [
        ({}, data()[:6].reshape(2, 3)),
        ({"strides": (3, 1)}, data()[:6].reshape(2, 3)),
        ({"strides": (6, 2)}, data().reshape(2, 6)[:, ::2]),
        ({"strides": (0, 1)}, data()[[[0, 1, 2], [0, 1, 2]]]),
        ({"byte_offset": 8}, data()[2:8].reshape(2, 3)),
        ({"byte_offset": 44, "strides": (-6, -2)}, data()[::-1].reshape(2, 6)[:, ::2]),
        ({"shape": ()}, data()[0]),
        ({"shape": (0, 3)}, data()[:0].reshape(0, 3)),
        ({"shape": (3, 0), "data": None}, data()[:0].reshape(3, 0)),
    ],
)
def test_an_array_comes_in_with_its_shape_strides_and_offset(described, right, version):
    x = flux.from_dlpack(Producer(data(), version=version, **described))
    assert x.shape == np.shape(right)
    np.testing.assert_array_equal(x.numpy(), right)
    np.testing.assert_array_equal((x + 1).numpy(), right + 1)


BIG = 2**62
WRONG = {
    "another device": ({"device_kind": 2}, "kind 2"),
    "several lanes": ({"lanes": 4}, "4 lanes"),
    "no lanes": ({"lanes": 0}, "0 lanes"),
    "a type that is not here": ({"kind": (5, 64)}, "code 5"),
    "a width that is not here": ({"kind": (2, 128)}, "128 bits"),
    "memory that is not aligned": ({"byte_offset": 2}, "aligned"),
    "no memory": ({"data": None}, "no memory"),
    "no memory, and an offset": ({"data": None, "byte_offset": 64}, "no memory"),
    "an offset beyond all memory": ({"byte_offset": 2**64 - 4}, "no memory"),
    "a negative number of axes": ({"ndim": -1}, "-1"),
    "too many axes": ({"ndim": 2**31 - 1}, "axes"),
    "no shape": ({"shape": None, "ndim": 2}, "no shape"),
    "a negative length": ({"shape": (2, -3)}, "negative"),
    "a shape beyond all memory": ({"shape": (BIG, BIG)}, "no memory holds"),
    "as many bytes as a word has no room for": ({"shape": (BIG, 1)}, "no memory holds"),
    "strides beyond all memory": ({"strides": (BIG, 1)}, "strides"),
    "negative strides beyond all memory": ({"strides": (1, -BIG)}, "strides"),
    "the least of all strides": ({"strides": (-(2**63), 1)}, "strides"),
    "a version to come": ({"version": (2, 0)}, "version 2.0"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_description_that_cannot_be_right_is_an_error_and_the_array_stays_its_producers(wrong):
    described, message = WRONG[wrong]
    producer = Producer(data(), **described)
    with pytest.raises(BufferError, match=message):
        flux.from_dlpack(producer)
    gc.collect()
    assert producer.deleted == 0
    # The capsule has not been used up.
    assert pointer_in(producer.capsule, producer.name)


def test_the_deleter_is_called_once_when_the_last_view_is_gone():
    for version in (None, (1, 0)):
        for shape in ((2, 3), (0, 3)):
            producer = Producer(data(), shape, version=version)
            x = flux.from_dlpack(producer)
            view = x.T
            del x
            assert producer.deleted == int(shape[0] == 0)
            del view
            gc.collect()
            assert producer.deleted == 1


def test_memory_of_another_library_is_never_written():
    a = data()
    x = flux.from_dlpack(Producer(a, (12,)))
    x[0] = 7
    assert (x[0].item(), a[0]) == (7, 0)
    y = flux.from_dlpack(Producer(a, (12,)))
    flux.update(flux.setup(flux.Descent(1.0), y), y, flux.ones(12))
    np.testing.assert_array_equal(a, data())
    np.testing.assert_array_equal(y.numpy(), data() - 1)


def test_a_capsule_serves_once():
    producer = Producer(data())
    flux.from_dlpack(producer)
    with pytest.raises(BufferError, match="taken already"):
        flux.from_dlpack(producer)


class Gives:
    def __init__(self, what):
        self.what = what

    def __dlpack__(self, **_):
        return self.what


def test_what_is_no_capsule_of_an_array_says_so():
    other = new_capsule(1, b"something else", None)
    with pytest.raises(BufferError, match="holds no array"):
        flux.from_dlpack(Gives(other))
    with pytest.raises(TypeError, match=r"Gives.__dlpack__ must return a capsule, got int"):
        flux.from_dlpack(Gives(3))
    with pytest.raises(TypeError, match="__dlpack__, got list"):
        flux.from_dlpack([1.0])


def test_an_exported_tensor_is_marked_read_only_unless_it_is_a_copy():
    x = flux.tensor([[1.0, 2.0], [3.0, 4.0]])
    for kwargs, flags in (({}, 1), ({"copy": False}, 1), ({"copy": True}, 0)):
        capsule = x.__dlpack__(max_version=(1, 0), **kwargs)
        managed = ManagedVersioned.from_address(pointer_in(capsule, NAME_VERSIONED))
        assert managed.flags & 1 == flags
        assert (managed.tensor.data == x.numpy().ctypes.data) == bool(flags)
        assert (managed.tensor.device_kind, managed.tensor.lanes, managed.tensor.byte_offset) == (1, 1, 0)
    # Who does not know the mark gets a copy.
    managed = Managed.from_address(pointer_in(capsule := x.__dlpack__(), NAME))
    assert managed.tensor.data != x.numpy().ctypes.data
    del capsule


# Truth values

BYTES = np.array([0, 1, 2, 255], np.uint8)
RIGHT = np.array([False, True, True, True])


class Interface:
    """An array by NumPy's protocol."""

    def __init__(self, a):
        self.__array_interface__ = a.__array_interface__
        self.a = a


DOORS = {
    "from_numpy": lambda a: flux.from_numpy(a.view(bool)),
    "asarray": lambda a: flux.asarray(a.view(bool)),
    "tensor": lambda a: flux.tensor(a.view(bool)),
    "tensor with a dtype": lambda a: flux.tensor(a.view(bool), dtype="bool"),
    "an operation": lambda a: flux.logical_or(a.view(bool), False),
    "every second": lambda a: flux.from_numpy(np.repeat(a, 2).view(bool)[::2]),
    "backwards": lambda a: flux.flip(flux.from_numpy(a[::-1].view(bool))),
    "a protocol": lambda a: flux.asarray(Interface(a.view(bool))),
    "DLPack": lambda a: flux.from_dlpack(a.view(bool)),
    "a capsule": lambda a: flux.from_dlpack(Producer(a, (4,), kind=BOOL)),
    "a pickle": lambda a: flux._core._restore(a.tobytes(), (4,), "bool"),
}


@pytest.mark.parametrize("door", DOORS)
def test_a_truth_value_of_any_byte_but_zero_is_true(door):
    x = DOORS[door](BYTES.copy())
    assert x.dtype == "bool"
    assert x.numpy().view(np.uint8).tolist() == [0, 1, 1, 1]
    assert x.sum().item() == 3
    np.testing.assert_array_equal(flux.where(x, 1.0, 2.0).numpy(), [2, 1, 1, 1])
    np.testing.assert_array_equal(flux.arange(4)[x].numpy(), [1, 2, 3])
    np.testing.assert_array_equal((x == RIGHT).numpy(), True)


@pytest.mark.parametrize("door", ["from_numpy", "asarray", "DLPack", "a capsule"])
def test_truth_values_are_ours_whatever_their_owner_writes_later(door):
    a = BYTES.copy()
    x = DOORS[door](a)
    a[:] = 77
    assert x.numpy().view(np.uint8).tolist() == [0, 1, 1, 1]


def test_truth_values_cannot_be_had_without_a_copy():
    with pytest.raises(BufferError, match="copied"):
        flux.from_dlpack(RIGHT, copy=False)
    assert flux.from_dlpack(RIGHT, copy=True).tolist() == RIGHT.tolist()
    # Between tensors nothing has to leave.
    assert flux.from_dlpack(flux.tensor(RIGHT), copy=False).tolist() == RIGHT.tolist()


def test_truth_values_are_given_away_as_a_copy_that_may_be_written():
    x = flux.tensor([True, False, True])
    theirs = np.from_dlpack(x)
    theirs.view(np.uint8)[:] = 7
    assert x.tolist() == [True, False, True] and flux.count_nonzero(x).item() == 2
    with pytest.raises(BufferError, match="truth values are always copied"):
        x.__dlpack__(max_version=(1, 0), copy=False)
