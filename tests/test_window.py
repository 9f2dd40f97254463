"""Windows: how stride, dilation and padding may be given."""

import pytest

import oxiflux as flux
from oxiflux.layers import window


@pytest.mark.parametrize(
    ("pad", "expected"),
    [
        (0, (0, 0, 0, 0)),
        (2, (2, 2, 2, 2)),
        ((1, 2), (1, 1, 2, 2)),
        ((4, 3, 2, 1), (4, 3, 2, 1)),
        ([1, 2], (1, 1, 2, 2)),
    ],
)
def test_padding_is_an_integer_or_one_for_each_dimension_or_side(pad, expected):
    assert window.padding("Conv", pad, (3, 3)) == expected


@pytest.mark.parametrize(
    ("size", "dilation", "expected"),
    [(1, 1, (0, 0)), (2, 1, (1, 0)), (5, 1, (2, 2)), (3, 4, (4, 4)), (2, 3, (2, 1))],
)
def test_same_padding_adds_what_the_window_takes_with_the_larger_half_before(size, dilation, expected):
    assert window.padding("Conv", flux.SamePad(), (size,), (dilation,)) == expected


@pytest.mark.parametrize("pad", [-1, (1, -1), 1.5, "same", (1, 2, 3), True, None])
def test_padding_refuses_what_is_none(pad):
    with pytest.raises(ValueError, match="^MaxPool: pad must be"):
        window.padding("MaxPool", pad, (3, 3))


@pytest.mark.parametrize("stride", [0, -1, 1.0, (1, 2, 3), (1,), "2", None])
def test_a_stride_is_a_positive_integer_or_one_for_each_dimension(stride):
    assert window.sizes("Conv", "stride", (1, 2), 2) == (1, 2)
    with pytest.raises(ValueError, match="^Conv: stride must be"):
        window.sizes("Conv", "stride", stride, 2)


@pytest.mark.parametrize("size", [(), 3, (0, 1), (1, 1, 1, 1), (2.0,), "3"])
def test_a_window_has_one_to_three_positive_sizes(size):
    assert window.kernel("Conv", [1, 2, 3]) == (1, 2, 3)
    with pytest.raises(ValueError, match="^Conv: the window must be"):
        window.kernel("Conv", size)


def test_sizes_that_are_all_equal_print_as_one():
    assert [window.shown(s) for s in [(1, 1), (1, 2), (3,)]] == ["1", "(1, 2)", "3"]


def test_same_pad_prints_as_it_is_written():
    assert repr(flux.SamePad()) == "SamePad()"
