"""Labels and indices that came from NumPy belong to somebody else, who may write them at any time: between the forward
pass and the gradient, or from another thread in the middle of a call."""

import contextlib
import threading

import numpy as np
import pytest

import oxiflux as flux

x = flux.tensor(np.arange(12, dtype=np.float32).reshape(4, 3) / 7)
FAR = 2**40

# For each function: the numbers it is called with, and the call.
CALLS = {
    "logitcrossentropy": ([0, 2, 1, 1], lambda x, i: flux.logitcrossentropy(x, i)),
    "logitcrossentropy of rows": (
        [0, 2, 1, 1],
        lambda x, i: flux.logitcrossentropy(x, i, agg=lambda losses: losses),
    ),
    "gather": ([3, 0, 3], lambda x, i: flux.gather(x, i)),
    "scatter +": ([1, 0, 1, 2], lambda x, i: flux.scatter("+", x, i, dstsize=(3, 3))),
    "scatter *": ([1, 0, 1, 2], lambda x, i: flux.scatter("*", x, i)),
    "scatter max": ([1, 0, 1, 2], lambda x, i: flux.scatter("max", x, i)),
    "take": ([2, 2, 0], lambda x, i: flux.take(x, i, axis=1)),
    "take_along_axis": ([[1], [0], [2], [2]], lambda x, i: flux.take_along_axis(x, i, axis=1)),
    "index": ([2, 0, 1], lambda x, i: x[i]),
    "index of two axes": ([2, 0, 1], lambda x, i: x[i, i]),
    "ctc_loss": ([0, 1], lambda x, i: flux.ctc_loss(x, i)),
}


def called(name, values):
    numbers, f = CALLS[name]
    indices = np.array(numbers)
    y, back = flux.pullback(lambda x: f(x, indices), x)
    if values is not None:
        indices[...] = values
    g = flux.tensor(np.arange(1, y.size + 1, dtype=np.float32).reshape(y.shape))
    return y.numpy(), back(g)[0].numpy()


@pytest.mark.parametrize("values", [FAR, -17, 2**62])
@pytest.mark.parametrize("name", CALLS)
def test_what_was_checked_in_the_forward_pass_is_what_the_gradient_uses(name, values):
    y, dx = called(name, None)
    y_after, dx_after = called(name, values)
    np.testing.assert_array_equal(y_after, y)
    np.testing.assert_array_equal(dx_after, dx)


@pytest.mark.parametrize(
    "name", ["logitcrossentropy", "gather", "scatter +", "index", "take_along_axis", "ctc_loss"]
)
def test_a_thread_that_writes_the_indices_meanwhile_causes_an_error_or_nothing(name):
    numbers, f = CALLS[name]
    rows = np.array(numbers).shape[0]
    indices = np.repeat(np.array(numbers), 1 if name == "ctc_loss" else 20_000, axis=0)
    data = (
        x
        if name in ("gather", "index")
        else flux.tensor(np.tile(x.numpy(), (20_000 * rows // 4 + 1, 1))[: len(indices)])
    )
    if name == "ctc_loss":
        data = flux.tensor(np.tile(x.numpy(), (2000, 1)))
    good, over = indices.copy(), threading.Event()

    def rewrite():
        while not over.is_set():
            indices[...] = FAR
            indices[...] = good

    thread = threading.Thread(target=rewrite)
    thread.start()
    try:
        for _ in range(20):
            # What does not fit when it is looked at is an error; what fits then is what is used.
            with contextlib.suppress(IndexError, ValueError):
                flux.gradient(lambda x: flux.sum(f(x, indices)), data)
    finally:
        over.set()
        thread.join()
    indices[...] = FAR
    with pytest.raises(IndexError, match="out of range|not one of the classes"):
        f(data, indices)


def test_a_mask_that_is_written_after_the_forward_pass_changes_no_gradient():
    q, seen = flux.ones((1, 3, 4)), np.array([[[True, False, True]] * 3])

    def slopes(rewrite):
        mask = seen.copy()
        _, back = flux.pullback(
            lambda v: flux.dot_product_attention(q, q, v, mask=mask)[0], flux.ones((1, 3, 4))
        )
        if rewrite:
            mask[...] = ~mask
        return back(flux.ones((1, 3, 4)))[0].numpy()

    np.testing.assert_array_equal(slopes(True), slopes(False))
