"""DataLoader: batches of every kind of data."""

import numpy as np
import pytest

import oxiflux as flux


def test_batches_keep_the_form_of_the_data():
    x, y = np.arange(10).reshape(5, 2), list("abcde")
    for batch in (
        flux.DataLoader((x, y), batchsize=5),
        [tuple(b.values()) for b in flux.DataLoader({"x": x, "y": y}, batchsize=5)],
    ):
        ((a, b),) = batch
        np.testing.assert_array_equal(a, x)
        assert b == y


@pytest.mark.parametrize("parallel", [False, True])
@pytest.mark.parametrize(("partial", "sizes"), [(True, [2, 2, 1]), (False, [2, 2])])
def test_last_batch(partial, sizes, parallel):
    loader = flux.DataLoader(flux.arange(5), batchsize=2, partial=partial, parallel=parallel)
    assert [len(b) for b in loader] == sizes and len(loader) == len(sizes)


@pytest.mark.parametrize(
    "data", [np.arange(50), flux.arange(50), range(50)], ids=["array", "tensor", "range"]
)
def test_shuffling_is_a_new_permutation_each_pass_and_repeats_with_the_seed(data):
    def passes():
        loader = flux.DataLoader(data, batchsize=7, shuffle=True, rng=flux.Generator(3))
        return [[int(i) for b in loader for i in b] for _ in range(2)]

    first, second = passes()
    assert first != second and sorted(first) == sorted(second) == list(range(50))
    assert passes() == [first, second]


def test_pairs_stay_together_when_shuffled():
    loader = flux.DataLoader((np.arange(20), np.arange(20) * 3), batchsize=6, shuffle=True)
    assert all((y == 3 * x).all() for x, y in loader)


def test_collate_gets_the_items():
    loader = flux.DataLoader((np.arange(3), ["abc"] * 3), batchsize=2, collate=list)
    assert [[(int(i), s) for i, s in b] for b in loader] == [[(0, "abc"), (1, "abc")], [(2, "abc")]]


def test_an_error_in_the_thread_arrives():
    def fail(items):
        raise RuntimeError("unreadable")

    with pytest.raises(RuntimeError, match="unreadable"):
        list(flux.DataLoader([1, 2], collate=fail, parallel=True))


def test_errors_name_the_sizes():
    with pytest.raises(flux.ShapeError, match="5 in 0, 4 in 1"):
        flux.DataLoader((np.zeros(5), np.zeros(4)))
    with pytest.raises(flux.ShapeError, match=r"\(\)"):
        flux.DataLoader(np.array(1.0))
    with pytest.raises(TypeError, match="int"):
        flux.DataLoader(5)
    with pytest.raises(ValueError, match="0"):
        flux.DataLoader([1], batchsize=0)
