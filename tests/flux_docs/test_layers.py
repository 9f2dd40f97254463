"""The examples of Flux's documentation for Dense, Chain, flatten, one-hot arrays and initialisers, in Python."""

import re

import numpy as np
import pytest

import oxiflux as flux


def parameter_lines(text):
    """The lines of a printed model with runs of spaces before a comment made one."""
    return [re.sub(r" +# ", " # ", line) for line in text.splitlines()]


# Dense


def test_dense_prints_its_sizes_and_its_parameters():
    assert repr(flux.Dense(5, 2)) == "Dense(5 => 2)       # 12 parameters"
    assert repr(flux.Dense(1, 1)) == "Dense(1 => 1)       # 2 parameters"


def test_dense_prints_its_activation():
    assert repr(flux.Dense(3, 2, flux.tanh)) == "Dense(3 => 2, tanh)  # 8 parameters"
    assert repr(flux.Dense(5, 2, flux.relu)) == "Dense(5 => 2, relu)  # 12 parameters"


def test_dense_prints_that_it_has_no_bias():
    assert repr(flux.Dense(5, 2, flux.tanh, bias=False)) == "Dense(5 => 2, tanh; bias=False)  # 10 parameters"
    assert repr(flux.Dense(5, 2, bias=False)) == "Dense(5 => 2; bias=False)  # 10 parameters"


def test_dense_prints_large_counts_in_groups_of_three():
    assert repr(flux.Dense(10, 1000, flux.tanh)) == "Dense(10 => 1000, tanh)  # 11_000 parameters"


def test_dense_maps_the_last_axis():
    model = flux.Dense(5, 2)
    for shape in [(64, 5), (64, 4, 6, 5), (5,), (0, 5)]:
        x = flux.rand(*shape)
        np.testing.assert_allclose(
            model(x).numpy(), x.numpy() @ model.weight.numpy(), rtol=2e-6, atol=2e-6, strict=True
        )


def test_dense_holds_weight_in_by_out_and_a_zero_bias():
    model = flux.Dense(5, 2)
    assert model.weight.shape == (5, 2)
    assert model.bias.shape == (2,)
    assert model.weight.numpy().dtype == np.float32
    np.testing.assert_array_equal(model.bias.numpy(), 0)


def test_dense_of_given_ones():
    model = flux.Dense(5, 2, flux.tanh, bias=False, init=flux.ones32)
    np.testing.assert_array_equal(model.weight.numpy(), np.ones((5, 2), np.float32))
    y = model(np.ones(5))
    assert y.numpy().dtype == np.float32
    np.testing.assert_allclose(y.numpy(), [0.9999092042625951] * 2, rtol=2e-7)


def test_dense_without_bias_has_one_parameter_array():
    model = flux.Dense(5, 2, bias=False)
    assert len(list(flux.trainables(model))) == 1
    assert len(list(flux.params(model))) == 1


def test_dense_equals_its_formula():
    model = flux.Dense(5, 3, flux.sigmoid)
    x = np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32)
    expected = 1 / (1 + np.exp(-(x.astype(np.float64) @ model.weight.numpy() + model.bias.numpy())))
    np.testing.assert_allclose(model(x).numpy(), expected, rtol=2e-6)


def test_dense_takes_any_function_as_activation():
    model = flux.Dense(2, 2, lambda x: x * x + 1)
    x = np.array([[1.0, 2.0]], np.float32)
    expected = (x @ model.weight.numpy()) ** 2 + 1
    np.testing.assert_allclose(model(x).numpy(), expected, rtol=2e-6)


# Chain


def test_chain_of_functions():
    assert flux.Chain(lambda x: x**2, lambda x: x + 1)(5) == 26


def test_chain_calls_its_layers_in_turn():
    m = flux.Chain(flux.Dense(10, 5, flux.tanh), flux.Dense(5, 2))
    x = flux.rand(32, 10)
    np.testing.assert_array_equal(m(x).numpy(), m[1](m[0](x)).numpy())
    assert m(x).shape == (32, 2)


def test_chain_has_named_layers():
    m = flux.Chain(enc=flux.Chain(flux.flatten, flux.Dense(10, 5, flux.tanh)), dec=flux.Dense(5, 2))
    x = flux.rand(32, 10)
    np.testing.assert_array_equal(m(x).numpy(), m["dec"](m["enc"](x)).numpy())
    assert m["enc"] is m[0]
    assert m["dec"] is m[1]


def test_chain_slices_to_a_chain():
    m = flux.Chain(flux.Dense(2, 3), flux.relu, flux.Dense(3, 4))
    head = m[:-1]
    assert isinstance(head, flux.Chain)
    assert len(m) == 3 and len(head) == 2
    assert head[0] is m[0]
    assert list(m)[2] is m[2]


def test_empty_chain_is_the_identity():
    assert flux.Chain()(5) == 5


def test_chain_has_no_layer_of_a_name_it_was_not_given():
    m = flux.Chain(enc=flux.Dense(2, 3))
    with pytest.raises((KeyError, IndexError), match="dec"):
        m["dec"]
    with pytest.raises(IndexError):
        m[1]


def test_chain_prints_a_table_with_totals():
    m = flux.Chain(flux.Dense(10, 5, flux.tanh), flux.Dense(5, 2))
    lines = repr(m).splitlines()
    assert lines[:3] == [
        "Chain(",
        "  Dense(10 => 5, tanh),                 # 55 parameters",
        "  Dense(5 => 2),                        # 12 parameters",
    ]
    assert re.fullmatch(r"\)                   # Total: 4 arrays, 67 parameters, \d+ bytes\.", lines[3]), (
        lines[3]
    )
    assert len(lines) == 4


def test_chain_prints_functions_by_name_and_without_a_count():
    m = flux.Chain(flux.Dense(10, 5, flux.relu), flux.Dense(5, 2), flux.softmax)
    lines = parameter_lines(repr(m))
    assert lines[:4] == [
        "Chain(",
        "  Dense(10 => 5, relu), # 55 parameters",
        "  Dense(5 => 2), # 12 parameters",
        "  softmax,",
    ]
    assert lines[4].startswith(") # Total: 4 arrays, 67 parameters, ")


def test_chain_prints_the_names_of_its_layers():
    m = flux.Chain(enc=flux.Dense(2, 3), dec=flux.Dense(3, 2))
    lines = parameter_lines(repr(m))
    assert lines[1:3] == ["  enc = Dense(2 => 3), # 9 parameters", "  dec = Dense(3 => 2), # 8 parameters"]


def test_chain_of_one_layer_prints_no_total():
    lines = parameter_lines(repr(flux.Chain(flux.Dense(2, 3))))
    assert lines == ["Chain(", "  Dense(2 => 3), # 9 parameters", ")"]


def test_nested_chains_print_indented():
    m = flux.Chain(flux.Chain(flux.Dense(2, 3), flux.relu), flux.Dense(3, 4), flux.Dense(4, 5), flux.softmax)
    lines = parameter_lines(repr(m))
    assert lines[:8] == [
        "Chain(",
        "  Chain(",
        "    Dense(2 => 3), # 9 parameters",
        "    relu,",
        "  ),",
        "  Dense(3 => 4), # 16 parameters",
        "  Dense(4 => 5), # 25 parameters",
        "  softmax,",
    ]
    assert lines[8].startswith(") # Total: 6 arrays, 50 parameters, ")


def test_comments_of_a_nested_table_line_up():
    m = flux.Chain(flux.Chain(flux.Dense(2, 3), flux.relu), flux.Dense(3, 4))
    columns = {line.index("#") for line in repr(m).splitlines() if "# " in line and "Total" not in line}
    assert columns == {40}


def test_activations_gives_the_result_of_every_layer():
    m = flux.Chain(flux.Dense(10, 5, flux.sigmoid), flux.Dense(5, 2), flux.softmax)
    x = flux.rand(10)
    results = flux.activations(m, x)
    assert [r.shape for r in results] == [(5,), (2,), (2,)]
    np.testing.assert_array_equal(results[-1].numpy(), m(x).numpy())


# flatten


def test_flatten_keeps_the_batch_axis():
    for shape, flat in [((10, 3, 4, 5), (10, 60)), ((10, 3), (10, 3)), ((0, 3, 4), (0, 12))]:
        x = flux.rand(*shape)
        np.testing.assert_array_equal(flux.flatten(x).numpy(), x.numpy().reshape(flat), strict=True)


# One-hot arrays


def test_onehot_marks_one_class():
    y = flux.onehot("b", ("a", "b", "c"))
    assert y.shape == (3,)
    np.testing.assert_array_equal(np.asarray(y), [False, True, False])
    np.testing.assert_array_equal(np.asarray(flux.onehot(0, range(3))), [True, False, False])


def test_onehot_falls_back_to_a_default():
    np.testing.assert_array_equal(np.asarray(flux.onehot("z", ["a", "b", "c"], "c")), [False, False, True])


def test_onehot_of_an_unknown_class_names_it():
    with pytest.raises(ValueError, match="z"):
        flux.onehot("z", ["a", "b", "c"])


def test_onehotbatch_of_a_string():
    y = np.asarray(flux.onehotbatch("abracadabra", "abcde", "e"))
    expected = [
        [1, 0, 0, 1, 0, 1, 0, 1, 0, 0, 1],
        [0, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0],
        [0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0],
        [0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0],
    ]
    np.testing.assert_array_equal(y, np.array(expected).T)


def test_matmul_with_onehot_rows_picks_rows():
    oh = flux.onehotbatch("abracadabra", "abcde", "e")
    w = flux.tensor(np.arange(1, 16, dtype=np.float32).reshape(5, 3))
    expected = np.asarray(oh).astype(np.float32) @ w.numpy()
    np.testing.assert_array_equal((oh @ w).numpy(), expected)
    assert expected[:, 0].tolist() == [1, 4, 13, 1, 7, 1, 10, 1, 4, 13, 1]


def test_onehotbatch_of_a_matrix_adds_a_last_axis():
    labels = np.array([[0, 2, 1], [1, 1, 0]])
    y = np.asarray(flux.onehotbatch(labels, range(3)))
    np.testing.assert_array_equal(y, labels[..., None] == np.arange(3))


def test_onecold_finds_the_class():
    assert flux.onecold(np.array([False, True, False])) == 1
    assert flux.onecold(np.array([0.3, 0.2, 0.5]), ("a", "b", "c")) == "c"


def test_onecold_of_a_batch():
    oh = flux.onehotbatch("abeacadabea", "abcde")
    assert "".join(flux.onecold(oh, "abcde")) == "abeacadabea"
    np.testing.assert_array_equal(np.asarray(flux.onecold(flux.tensor([[0.1, 0.9], [0.8, 0.2]]))), [1, 0])


def test_onecold_undoes_onehotbatch():
    labels = [3, 1, 1, 7, 3]
    assert list(flux.onecold(flux.onehotbatch(labels, [1, 3, 7]), [1, 3, 7])) == labels


# Initialisers. Flux's weights are (out, in) and these (in, out), so the documented sizes are swapped.


@pytest.fixture(autouse=True)
def seeded():
    flux.seed(0)


@pytest.mark.parametrize(
    ("init", "shape", "bound"),
    [
        ("glorot_uniform", (100, 10), 0.234),
        ("glorot_uniform", (10, 100), 0.234),
        ("glorot_uniform", (100, 100), 0.173),
        ("kaiming_uniform", (10, 100), 0.775),
        ("kaiming_uniform", (100, 10), 0.245),
        ("kaiming_uniform", (100, 100), 0.245),
    ],
)
def test_uniform_initialiser_fills_its_interval(init, shape, bound):
    w = getattr(flux, init)(shape).numpy()
    assert w.dtype == np.float32 and w.shape == shape
    assert abs(w).max() == pytest.approx(bound, rel=0.02)
    assert w.min() < -0.95 * bound and w.max() > 0.95 * bound
    assert abs(w.mean()) < 0.1 * bound


@pytest.mark.parametrize(
    ("init", "shape", "std"),
    [
        ("glorot_normal", (1000, 10), 0.044),
        ("glorot_normal", (10, 1000), 0.044),
        ("glorot_normal", (1000, 1000), 0.032),
        ("kaiming_normal", (1000, 10), 0.045),
        ("kaiming_normal", (10, 1000), 0.447),
        ("kaiming_normal", (1000, 1000), 0.045),
        ("lecun_normal", (1000, 10), 0.0316),
        ("lecun_normal", (10, 1000), 0.316),
    ],
)
def test_normal_initialiser_has_the_documented_spread(init, shape, std):
    w = getattr(flux, init)(shape).numpy()
    assert w.dtype == np.float32 and w.shape == shape
    assert w.std() == pytest.approx(std, rel=0.04)
    assert abs(w.mean()) < 0.05 * std


def test_initialiser_takes_its_options_beforehand():
    model = flux.Dense(10, 1000, flux.tanh, init=flux.glorot_normal(gain=100))
    assert model.weight.numpy().std() == pytest.approx(4.45, rel=0.03)
    small = flux.glorot_uniform(gain=0.01)((100, 100)).numpy()
    assert abs(small).max() <= 0.00174


def test_truncated_normal_stays_within_its_limits():
    w = flux.truncated_normal((10**6,)).numpy()
    assert (round(float(w.min()), 3), round(float(w.max()), 3)) == (-2, 2)
    wide = flux.truncated_normal((10**6,), lo=-100, hi=100).numpy()
    assert wide.std() == pytest.approx(1, rel=0.005)
    moved = flux.truncated_normal((10**5,), mean=3, std=0.5, lo=2, hi=4).numpy()
    assert moved.min() >= 2 and moved.max() <= 4 and moved.mean() == pytest.approx(3, rel=0.01)


@pytest.mark.parametrize("shape", [(5, 7), (7, 5), (6, 6)])
def test_orthogonal_rows_or_columns(shape):
    w = flux.orthogonal(shape).numpy()
    smaller = w @ w.T if shape[0] <= shape[1] else w.T @ w
    np.testing.assert_allclose(smaller, np.eye(min(shape)), atol=2e-6)


def test_orthogonal_of_more_axes_is_orthogonal_as_a_matrix():
    w = flux.orthogonal((3, 3, 2, 4)).numpy().reshape(-1, 4)
    np.testing.assert_allclose(w.T @ w, np.eye(4), atol=2e-6)


def test_orthogonal_scales_by_its_gain():
    w = flux.orthogonal((5, 5), gain=3).numpy()
    np.testing.assert_allclose(w @ w.T, 9 * np.eye(5), atol=2e-6)


def test_sparse_init_has_the_asked_number_of_zeros():
    assert (flux.sparse_init((10, 10), sparsity=1 / 5).numpy() == 0).sum() == 20
    # Flux's columns, one for each input, are rows here.
    zeros = (flux.sparse_init((11, 10), sparsity=0.9).numpy() == 0).sum(axis=1)
    assert zeros.tolist() == [9] * 11


def test_sparse_init_spreads_by_its_std():
    w = flux.sparse_init((500, 500), sparsity=0.5, std=0.02).numpy()
    assert w[w != 0].std() == pytest.approx(0.02, rel=0.02)


def test_identity_init():
    np.testing.assert_array_equal(flux.identity_init((3, 3)).numpy(), np.eye(3))
    np.testing.assert_array_equal(flux.identity_init((3, 5)).numpy(), np.eye(3, 5))
    np.testing.assert_array_equal(flux.identity_init((3, 3), gain=2).numpy(), 2 * np.eye(3))


def test_constant_and_plain_random_initialisers():
    np.testing.assert_array_equal(flux.zeros32((2, 3)).numpy(), np.zeros((2, 3), np.float32))
    np.testing.assert_array_equal(flux.ones32((2, 3)).numpy(), np.ones((2, 3), np.float32))
    u, n = flux.rand32((1000,)).numpy(), flux.randn32((10000,)).numpy()
    assert 0 <= u.min() and u.max() < 1 and u.dtype == np.float32
    assert n.std() == pytest.approx(1, rel=0.03) and n.dtype == np.float32


def test_nfan_of_a_dense_weight():
    assert tuple(flux.nfan((10, 20))) == (10, 20)
    assert tuple(flux.nfan(flux.Dense(10, 20).weight.shape)) == (10, 20)


def test_nfan_of_a_convolution_weight():
    assert tuple(flux.nfan((3, 3, 2, 10))) == (18, 90)


def test_seed_makes_initialisers_repeat():
    flux.seed(42)
    first = flux.Dense(4, 4).weight.numpy()
    flux.seed(42)
    np.testing.assert_array_equal(flux.Dense(4, 4).weight.numpy(), first)
    assert (flux.Dense(4, 4).weight.numpy() != first).any()
