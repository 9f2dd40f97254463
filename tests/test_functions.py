"""The array API's composed functions agree with NumPy on shapes that are odd: empty, of one element, of three axes."""

import numpy as np
import pytest

import oxiflux as flux
from strategies import check

SHAPES = [(0,), (1,), (5,), (1, 1), (0, 3), (3, 0), (2, 3), (3, 3), (2, 3, 4), (2, 0, 4), (1, 5, 1)]
MATRICES = [shape for shape in SHAPES if len(shape) > 1]
DTYPES = ["float32", "float64", "int32"]


def numbers(shape, dtype="float64", seed=0):
    return np.random.default_rng(seed).integers(-4, 5, shape).astype(dtype)


def every_axis(shape):
    return range(-len(shape), len(shape))


@pytest.mark.parametrize("shape", SHAPES)
def test_swapaxes_and_moveaxis(shape):
    x = numbers(shape)
    t = flux.tensor(x)
    for i in every_axis(shape):
        for j in every_axis(shape):
            check(flux.swapaxes(t, i, j), np.swapaxes(x, i, j))
            check(flux.moveaxis(t, i, j), np.moveaxis(x, i, j))


@pytest.mark.parametrize("source", [(0, 1), (2, 0), (-1, 0)])
@pytest.mark.parametrize("destination", [(0, 1), (1, 2), (2, 0), (0, -1)])
def test_moveaxis_of_several(source, destination):
    x = numbers((2, 3, 4))
    check(flux.moveaxis(flux.tensor(x), source, destination), np.moveaxis(x, source, destination))


@pytest.mark.parametrize(
    ("source", "destination"), [((0, 0), (0, 1)), ((0, 1), (0, 0)), ((0, 1), (0, -3)), ((0, 1), (0,))]
)
def test_moveaxis_that_names_an_axis_twice_or_not_at_all(source, destination):
    with pytest.raises(ValueError, match="moveaxis"):
        flux.moveaxis(flux.zeros((2, 3, 4)), source, destination)


@pytest.mark.parametrize("shape", [(), *SHAPES])
@pytest.mark.parametrize("shift", [-7, -1, 0, 1, 3, 12])
def test_roll(shape, shift):
    x = numbers(shape)
    check(flux.roll(flux.tensor(x), shift), np.roll(x, shift))
    for axis in every_axis(shape):
        check(flux.roll(flux.tensor(x), shift, axis), np.roll(x, shift, axis))


@pytest.mark.parametrize(
    ("shift", "axis"), [((1, 2), (0, 1)), (1, (0, 2)), ((1, 2), (0, 0)), ((-1, 5, 2), (2, 1, 0))]
)
def test_roll_along_several_axes(shift, axis):
    x = numbers((2, 3, 4))
    check(flux.roll(flux.tensor(x), shift, axis), np.roll(x, shift, axis))


@pytest.mark.parametrize(("shift", "axis"), [((1, 2), 0), ((1,), (0, 1))])
def test_roll_with_a_shift_for_each_axis(shift, axis):
    with pytest.raises(ValueError, match=f"roll: {len(shift)} shifts"):
        flux.roll(flux.zeros((2, 3)), shift, axis)


@pytest.mark.parametrize("shape", [(), *SHAPES])
@pytest.mark.parametrize("times", [0, 1, 3, (), (2, 1), (1, 0, 2), (2, 1, 1, 3)])
def test_tile(shape, times):
    x = numbers(shape)
    check(flux.tile(flux.tensor(x), times), np.tile(x, times))


@pytest.mark.parametrize("shapes", [(), ((),), ((3,), (2, 1), ()), ((0, 1), (4,)), ((1, 3, 1), (2, 1, 4))])
def test_broadcast_arrays(shapes):
    xs = [numbers(shape) for shape in shapes]
    results = flux.broadcast_arrays(*map(flux.tensor, xs))
    for result, expected in zip(results, np.broadcast_arrays(*xs), strict=True):
        check(result, expected)


@pytest.mark.parametrize("indexing", ["xy", "ij"])
@pytest.mark.parametrize("lengths", [(), (3,), (3, 2), (0, 2), (1, 4, 2), (2, 3, 0)])
def test_meshgrid(indexing, lengths):
    xs = [numbers(n) for n in lengths]
    results = flux.meshgrid(*map(flux.tensor, xs), indexing=indexing)
    for result, expected in zip(results, np.meshgrid(*xs, indexing=indexing), strict=True):
        check(result, expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_unstack(shape):
    x = numbers(shape)
    for axis in every_axis(shape):
        parts = flux.unstack(flux.tensor(x), axis=axis)
        for part, expected in zip(parts, np.moveaxis(x, axis, 0), strict=True):
            check(part, expected)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("sections", [1, 2, 3, 5, [], [1], [1, 2], [0, 3], [-1], [2, 1], [9]])
def test_split(shape, sections):
    x = numbers(shape)
    for axis in every_axis(shape):
        if isinstance(sections, int) and shape[axis] % sections:
            with pytest.raises(flux.ShapeError, match="split"):
                flux.split(flux.tensor(x), sections, axis)
            continue
        parts = flux.split(flux.tensor(x), sections, axis)
        for part, expected in zip(parts, np.split(x, sections, axis), strict=True):
            check(part, expected)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [0, 1, 2, 6])
def test_diff(shape, dtype, n):
    x = numbers(shape, dtype)
    for axis in every_axis(shape):
        check(flux.diff(flux.tensor(x), axis=axis, n=n), np.diff(x, n, axis))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("a", "b", "axes"),
    [
        ((2, 3, 4), (3, 4, 5), 2),
        ((2, 3), (4,), 0),
        ((2, 0), (0, 3), 1),
        ((0, 3), (3, 2), 1),
        ((), (2, 3), 0),
        ((2, 3, 4), (4, 2), ((0, 2), (1, 0))),
        ((2, 3), (2, 3), ((-1, -2), (1, 0))),
    ],
)
def test_tensordot(a, b, axes, dtype):
    x, y = numbers(a, dtype), numbers(b, dtype, 1)
    check(flux.tensordot(flux.tensor(x), flux.tensor(y), axes=axes), np.tensordot(x, y, axes), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("a", "b", "axis"),
    [
        ((3,), (3,), -1),
        ((0,), (0,), -1),
        ((2, 3), (3,), -1),
        ((2, 1, 3), (4, 3), -1),
        ((2, 3, 4), (3, 4), -2),
        ((2, 3, 4), (2, 3, 4), -3),
    ],
)
def test_vecdot(a, b, axis, dtype):
    x, y = numbers(a, dtype), numbers(b, dtype, 1)
    check(flux.vecdot(flux.tensor(x), flux.tensor(y), axis=axis), (x * y).sum(axis), dtype)


@pytest.mark.parametrize("a", [0, 1, 5])
@pytest.mark.parametrize("b", [0, 1, 3])
def test_outer(a, b):
    x, y = numbers(a), numbers(b, seed=1)
    check(flux.outer(flux.tensor(x), flux.tensor(y)), np.outer(x, y))


EINSUMS = [
    ("i,i->", (3,), (3,)),
    ("i,j", (3,), (2,)),
    ("ij,jk", (2, 3), (3, 4)),
    ("ij,jk->ki", (2, 0), (0, 4)),
    ("bij,bjk->bik", (2, 3, 4), (2, 4, 5)),
    ("bij,bjk->ik", (2, 3, 4), (2, 4, 5)),
    ("ii", (3, 3)),
    ("ii->i", (3, 3)),
    ("iij->ji", (3, 3, 2)),
    ("iii->i", (2, 2, 2)),
    ("iijj->ij", (2, 2, 3, 3)),
    ("ba", (2, 3)),
    ("ijk->", (2, 3, 4)),
    ("...ij->...ji", (5, 2, 3)),
    ("...ij,...jk->...ik", (5, 1, 2, 3), (6, 3, 4)),
    ("...,...", (2, 3), (3,)),
    ("i...,i...->...", (2, 3, 4), (2, 4)),
    ("...i->...", (2, 3)),
    (",ij->ij", (), (2, 3)),
    ("ii,ij->j", (3, 3), (3, 2)),
    ("ab,bc,cd,de->ae", (2, 3), (3, 4), (4, 2), (2, 5)),
    ("ab,ab,ab->a", (2, 3), (2, 3), (2, 3)),
    ("a,b,c->cab", (2,), (3,), (4,)),
    ("ij,jk->ik", (2, 1), (3, 4)),
    ("Ab,bA->A", (2, 3), (3, 2)),
    (" i j , j -> i ", (2, 3), (3,)),
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", EINSUMS, ids=lambda case: case[0])
def test_einsum(case, dtype):
    subscripts, *shapes = case
    xs = [numbers(shape, dtype, seed) for seed, shape in enumerate(shapes)]
    check(flux.einsum(subscripts, *map(flux.tensor, xs)), np.einsum(subscripts, *xs), dtype)


@pytest.mark.parametrize("shape", [(), *SHAPES])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bounds", [(None, None), (-1, None), (None, 2), (-1, 2), (2, -1)])
def test_clip(shape, dtype, bounds):
    x = numbers(shape, dtype)
    expected = x if bounds == (None, None) else np.clip(x, *bounds)
    check(flux.clip(flux.tensor(x), *bounds), expected, dtype)


@pytest.mark.parametrize("shape", MATRICES)
@pytest.mark.parametrize("k", [-4, -1, 0, 1, 4])
def test_triangles_diagonals_and_traces(shape, k):
    x = numbers(shape)
    t = flux.tensor(x)
    check(flux.tril(t, k=k), np.tril(x, k))
    check(flux.triu(t, k=k), np.triu(x, k))
    check(flux.trace(t, offset=k), np.trace(x, k, -2, -1))
    for i in every_axis(shape):
        for j in every_axis(shape):
            if (i - j) % len(shape):
                check(flux.diagonal(t, offset=k, axis1=i, axis2=j), np.diagonal(x, k, i, j))


@pytest.mark.parametrize("dtype", ["int8", "int32", "uint8", "bool"])
def test_a_trace_counts_as_a_sum_does(dtype):
    x = np.ones((3, 3), dtype)
    assert flux.trace(flux.tensor(x)).dtype == flux.sum(flux.tensor(x)).dtype
    assert flux.trace(flux.tensor(x)).item() == 3


@pytest.mark.parametrize("shape", [(), *SHAPES])
@pytest.mark.parametrize("dtype", [*DTYPES, "bool"])
def test_unique(shape, dtype):
    x = numbers(shape, dtype)
    t = flux.tensor(x)
    values, first, inverse, counts = np.unique(x, True, True, True)
    inverse = inverse.reshape(shape)
    found = flux.unique_all(t)
    assert found._fields == ("values", "indices", "inverse_indices", "counts")
    for result, expected in zip(found, (values, first, inverse, counts), strict=True):
        check(result, expected)
    check(flux.unique_values(t), values)
    check(flux.unique_counts(t).counts, counts)
    check(flux.unique_inverse(t).inverse_indices, inverse)
    check(flux.unique_values(t)[found.inverse_indices], x)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [*DTYPES, "int8", "bool", "float16"])
@pytest.mark.parametrize("largest", [True, False])
def test_topk(shape, dtype, largest):
    x = numbers(shape, dtype)
    for axis in every_axis(shape):
        for k in range(1, x.shape[axis] + 1):
            # Stable, so that of equal ones the first come first.
            key = -x.astype(float) if largest else x
            order = np.take(np.argsort(key, axis=axis, kind="stable"), range(k), axis)
            found = flux.topk(flux.tensor(x), k, axis=axis, largest=largest)
            assert found._fields == ("values", "indices")
            check(found.values, np.take_along_axis(x, order, axis))
            check(found.indices, order)


def test_topk_puts_nan_last_and_infinities_where_they_belong():
    x = [np.nan, -np.inf, 2.0, np.inf, np.nan]
    assert flux.topk(x, 3).indices.tolist() == [3, 2, 1]
    assert flux.topk(x, 3, largest=False).indices.tolist() == [1, 2, 3]
    assert np.isnan(flux.topk(x, 5).values.numpy()[3:]).all()


def test_the_gradient_of_topk_goes_to_what_was_chosen():
    x = flux.tensor([[1.0, 8.0, 3.0], [6.0, 2.0, 5.0]])
    (g,) = flux.gradient(lambda x: (flux.topk(x, 2)[0] ** 2).sum(), x)
    assert g.tolist() == [[0.0, 16.0, 6.0], [12.0, 0.0, 10.0]]


@pytest.mark.parametrize("k", [0, 4, -1, 2**40])
def test_topk_of_more_than_there_are(k):
    with pytest.raises(
        ValueError, match=rf"topk: k must be between 1 and 3, the size of axis 1 of \(2, 3\), got {k}"
    ):
        flux.topk(flux.zeros((2, 3)), k, axis=1)


def test_topk_names_what_is_no_axis_and_no_number():
    with pytest.raises(IndexError, match="topk: axis 2 is out of range for 2 dimensions"):
        flux.topk(flux.zeros((2, 3)), 1, axis=2)
    with pytest.raises(IndexError, match="topk: axis -1 is out of range for 0 dimensions"):
        flux.topk(3.0, 1)
    with pytest.raises(ValueError, match="topk: k must be between 1 and 0"):
        flux.topk([], 1)
    with pytest.raises(TypeError, match="'float' object cannot be interpreted as an integer"):
        flux.topk([1.0], 1.0)


@pytest.mark.parametrize("shape", [s for s in SHAPES if 0 not in s])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "float16"])
@pytest.mark.parametrize("eps", [0.5, 1e-5])
def test_rescale(shape, dtype, eps):
    x = numbers(shape, dtype)
    wide = x.astype(np.float64)
    for axis in [*every_axis(shape), None, tuple(range(len(shape)))]:
        low, high = wide.min(axis=axis, keepdims=True), wide.max(axis=axis, keepdims=True)
        result = flux.rescale(flux.tensor(x), axis=axis, eps=eps)
        assert result.dtype == (dtype if dtype.startswith("float") else "float32")
        rtol = {"float16": 2e-3, "float64": 1e-12}.get(dtype, 1e-6)
        np.testing.assert_allclose(result.numpy(), (wide - low) / (high - low + eps), rtol=rtol)
    np.testing.assert_array_equal(
        flux.rescale(flux.tensor(x)).numpy(), flux.rescale(flux.tensor(x), axis=0).numpy()
    )


@pytest.mark.parametrize(("dtype", "most"), [("float16", 6e4), ("float32", 3e38), ("float64", 1.7e308)])
def test_numbers_as_far_apart_as_their_type_has_are_rescaled(dtype, most):
    x = flux.tensor([[-most, 0.0], [0.0, 1.0], [most, 2.0]], dtype=dtype)
    np.testing.assert_allclose(flux.rescale(x, eps=0.0).numpy(), [[0, 0], [0.5, 0.5], [1, 1]], rtol=1e-3)
    (g,) = flux.gradient(lambda x: (flux.rescale(x, eps=0.0)[1]).sum(), x)
    assert np.isfinite(g.numpy()).all() and g.numpy()[1, 1] == 0.5


def test_what_is_constant_is_rescaled_to_zero():
    assert flux.rescale(flux.full((3, 2), 7.0)).tolist() == [[0.0, 0.0]] * 3
    assert flux.rescale(flux.zeros((0, 2))).shape == (0, 2)
    for axis in (2, (0, -3)):
        with pytest.raises(IndexError, match="rescale: axis -?[23] is out of range for 2 dimensions"):
            flux.rescale(flux.zeros((0, 2)), axis)


def test_each_nan_is_different():
    found = flux.unique_counts([np.nan, 1.0, np.nan])
    assert found.values.shape == (3,) and found.counts.tolist() == [1, 1, 1]


ALL = ["bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64", "float32", "float64"]
KINDS = ["bool", "signed integer", "unsigned integer", "integral", "real floating", "numeric"]


@pytest.mark.parametrize("a", ALL)
@pytest.mark.parametrize("b", ALL)
def test_can_cast_and_result_type(a, b):
    x, y = flux.zeros((1,), dtype=a), flux.zeros((1,), dtype=b)
    assert flux.can_cast(x.dtype, y.dtype) == np.can_cast(a, b)
    assert flux.result_type(x, y.dtype) == (x + y).dtype if {a, b} != {"bool"} else x.dtype


@pytest.mark.parametrize("name", ALL)
def test_kinds_and_limits(name):
    dtype = flux.dtype(name)
    for kind in KINDS:
        assert flux.isdtype(dtype, kind) is np.isdtype(np.dtype(name), kind)
    assert flux.isdtype(dtype, ("bool", "numeric")) and flux.isdtype(dtype, (dtype,))
    if dtype.kind == "f":
        assert (flux.finfo(dtype).max, flux.finfo(dtype).eps) == (np.finfo(name).max, np.finfo(name).eps)
    elif name != "bool":
        assert (flux.iinfo(dtype).min, flux.iinfo(dtype).max) == (np.iinfo(name).min, np.iinfo(name).max)


def test_positive_is_the_same_numbers():
    x = numbers((2, 3))
    check(flux.positive(flux.tensor(x)), +x)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: flux.roll(x, 2, 1),
        lambda x: flux.tile(x, (2, 1)),
        lambda x: flux.split(x, [1], axis=1)[1],
        lambda x: flux.diff(x, n=2),
        lambda x: flux.diagonal(x, offset=1),
        lambda x: flux.trace(x),
        lambda x: flux.swapaxes(x, 0, 1),
        lambda x: flux.outer(x, x),
        lambda x: flux.meshgrid(x[0], x[1])[1],
        lambda x: flux.einsum("ij,kj->ik", x, x),
        lambda x: flux.einsum("ii,ij->j", x[:, :3], x),
    ],
)
def test_gradients_agree_with_differences(f):
    x = numbers((3, 4)) + 0.25
    loss = lambda t: flux.sum(f(t) ** 2)
    (gradient,) = flux.gradient(loss, flux.tensor(x))
    h = 1e-5
    steps = h * np.eye(x.size).reshape(x.size, *x.shape)
    slopes = [(loss(flux.tensor(x + s)).item() - loss(flux.tensor(x - s)).item()) / (2 * h) for s in steps]
    np.testing.assert_allclose(gradient.numpy().ravel(), slopes, rtol=1e-6, atol=1e-6)


def test_numbers_of_times_are_integers_and_not_negative():
    with pytest.raises(flux.DTypeError, match="float32"):
        flux.repeat([1, 2], [1.0, 2.0])
    with pytest.raises(ValueError, match="-1"):
        flux.repeat([1, 2], [1, -1])
    with pytest.raises(ValueError, match="-1"):
        flux.diff([1, 2], n=-1)


def test_axes_may_be_integers_of_numpy():
    x = numbers((2, 3, 4))
    t = flux.tensor(x)
    check(flux.moveaxis(t, np.int64(0), np.int32(-1)), np.moveaxis(x, 0, -1))
    check(flux.roll(t, np.int64(1), np.int64(0)), np.roll(x, 1, 0))
    check(flux.repeat(t, np.int64(2), axis=np.int64(1)), np.repeat(x, 2, 1))


def test_vecdot_counts_axes_from_the_end_of_tensors_that_differ():
    with pytest.raises(ValueError, match="counted from the end"):
        flux.vecdot(flux.zeros((2, 3)), flux.zeros((4, 2, 3)), axis=0)
    with pytest.raises(flux.ShapeError):
        flux.vecdot(flux.zeros((2, 3)), flux.zeros((2, 4)))
    with pytest.raises(IndexError):
        flux.vecdot(1.0, 2.0)


@pytest.mark.parametrize("subscripts", ["...i->i", "Σi->Σ", "i1->i"])
def test_einsum_refuses_what_numpy_refuses(subscripts):
    x = np.zeros((2, 3))
    with pytest.raises(ValueError):
        np.einsum(subscripts, x)
    with pytest.raises(ValueError):
        flux.einsum(subscripts, x)


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("prod", ()), ("prod", (1,)), ("cumsum", (0,)), ("cumprod", (1,)), ("clip", (0.2, 0.7)), ("clip", (None, 0.5)),
        ("argsort", (0,)), ("squeeze", ()), ("swapaxes", (0, 2)),
    ],
)  # fmt: skip
def test_methods_are_those_of_numpy(name, args):
    x = np.random.default_rng(1).random((3, 1, 4))
    np.testing.assert_allclose(getattr(flux.tensor(x), name)(*args).numpy(), getattr(x, name)(*args))


def test_sort_gives_a_new_tensor():
    x = flux.tensor([3, 1, 2])
    assert x.sort().tolist() == [1, 2, 3]
    assert x.sort(descending=True).tolist() == [3, 2, 1]
    assert x.tolist() == [3, 1, 2]


def test_a_number_fills_a_float64_tensor_in_full_precision():
    assert flux.full((2,), 0.001, dtype=flux.float64).tolist() == [0.001, 0.001]
    assert flux.full_like(flux.zeros(1, dtype=flux.float64), 0.001).tolist() == [0.001]
    assert flux.full((1,), 3.0).dtype == flux.float32


def test_a_power_of_zero_is_one_and_constant():
    assert flux.gradient(lambda x: (x**0).sum() + x.sum(), flux.zeros(2))[0].tolist() == [1, 1]
    assert (flux.tensor([0.0, np.nan]) ** 0).tolist() == [1, 1]


def test_einsum_of_tensors_alone_says_what_comes_first():
    for first in [flux.ones((2, 2)), np.ones((2, 2)), None, ["ij"]]:
        with pytest.raises(TypeError, match=r'einsum: subscripts such as "ij,jk->ik" come first'):
            flux.einsum(first, flux.ones((2, 2)))


def test_isdtype_takes_what_dtype_takes():
    assert flux.isdtype("int64", "integral") and flux.isdtype(np.float32, "real floating")
    with pytest.raises(TypeError):
        flux.isdtype(5, "integral")
