"""Options that Flux and its packages have beside the usual ones, and small functions of theirs."""

import math

import numpy as np
import pytest
from scipy import special

import oxiflux as flux


def steps(rule, *grads, x=(1.0, -2.0)):
    model = {"w": flux.tensor(np.array(x))}
    state = flux.setup(rule, model)
    for g in grads:
        flux.update(state, model, {"w": flux.tensor(np.array(g))})
    return model["w"].numpy()


# Rules


@pytest.mark.parametrize("chained", [False, True])
def test_clipnorm_takes_its_formula_at_its_word_if_it_does_not_throw(chained):
    rule = flux.ClipNorm(1.0, throw=False)
    rule = flux.OptimiserChain(rule, flux.Descent(1.0)) if chained else rule
    np.testing.assert_allclose(steps(rule, [3.0, 4.0]), [1 - 0.6, -2 - 0.8])
    np.testing.assert_allclose(steps(rule, [0.3, 0.4]), [0.7, -2.4])
    assert np.isnan(steps(rule, [math.nan, 1.0])).all()
    found = steps(rule, [math.inf, 1.0])
    assert math.isnan(found[0]) and found[1] == -2
    with pytest.raises(ValueError, match=r"ClipNorm: .* norm"):
        steps(flux.ClipNorm(1.0), [math.inf, 1.0])


def test_clipnorm_of_the_whole_does_not_throw_either():
    model = {"a": flux.zeros(1), "b": flux.zeros(1)}
    state = flux.setup(flux.ClipNorm(5.0, whole=True, throw=False), model)
    flux.update(state, model, {"a": flux.tensor([30.0]), "b": flux.tensor([40.0])})
    assert model["a"].item() == pytest.approx(-3) and model["b"].item() == pytest.approx(-4)
    flux.update(state, model, {"a": flux.tensor([math.nan]), "b": flux.tensor([40.0])})
    assert math.isnan(model["a"].item()) and math.isnan(model["b"].item())


def test_clipnorm_prints_what_is_not_usual():
    assert repr(flux.ClipNorm()) == "ClipNorm(10.0, 2.0)"
    assert repr(flux.ClipNorm(1, whole=True, throw=False)) == "ClipNorm(1.0, 2.0, whole=True, throw=False)"
    with pytest.raises(TypeError, match="ClipNorm: throw must be True or False, got 1"):
        flux.ClipNorm(throw=1)


def test_centered_is_centred():
    grads = [0.5, -1.0], [0.25, 3.0]
    for rule in (
        flux.RMSProp(0.1, centered=True),
        flux.RMSProp(0.1, 0.9, 1e-8, centered=True, centred=False),
    ):
        assert rule.centred is True and repr(rule) == "RMSProp(0.1, 0.9, 1e-08, True)"
        np.testing.assert_array_equal(steps(rule, *grads), steps(flux.RMSProp(0.1, centred=True), *grads))
    assert flux.RMSProp(centered=False, centred=True).centred is True
    assert flux.RMSProp(0.1).centred is False and flux.RMSProp(0.1).kernel == "rmsprop"
    with pytest.raises(TypeError, match="RMSProp: centered must be True or False, got 1"):
        flux.RMSProp(centered=1)
    with pytest.raises(AttributeError, match="did you mean centred"):
        flux.RMSProp().centered = True


def test_a_centered_rule_is_adjusted_and_saved(tmp_path):
    model = {"w": flux.ones(2)}
    state = flux.setup(flux.RMSProp(0.1, centered=True), model)
    flux.adjust(state, 0.5)
    assert repr(state["w"].rule) == "RMSProp(0.5, 0.9, 1e-08, True)"
    flux.save(tmp_path / "state", state)
    assert repr(flux.load(tmp_path / "state")["w"].rule) == "RMSProp(0.5, 0.9, 1e-08, True)"


def test_mixed_precision_takes_the_dtype_before_the_rule_or_after_it():
    rule = flux.Adam(0.5)
    for mixed in (
        flux.MixedPrecision(rule, "float64"), flux.MixedPrecision("float64", rule),
        flux.MixedPrecision(flux.float64, rule), flux.MixedPrecision(np.float64, rule),
        flux.MixedPrecision(rule=rule, dtype=flux.float64),
    ):  # fmt: skip
        assert mixed.rule is rule and mixed.dtype == "float64"
    assert flux.MixedPrecision(rule).dtype == "float32"
    with pytest.raises(TypeError, match="MixedPrecision: 'float64' is no rule"):
        flux.MixedPrecision("float64")


# Initialisers and random numbers


def test_lecun_normal_is_scaled_by_its_gain():
    flux.seed(1)
    plain = flux.lecun_normal(40, 500).numpy()
    flux.seed(1)
    scaled = flux.lecun_normal(40, 500, gain=3.0).numpy()
    np.testing.assert_allclose(scaled, 3 * plain, rtol=2e-6)
    assert scaled.std() == pytest.approx(3 / math.sqrt(40), rel=0.02)
    assert flux.lecun_normal(gain=0.5)(3, 2).shape == (3, 2)
    with pytest.raises(ValueError, match="lecun_normal: gain must be positive, got 0"):
        flux.lecun_normal(3, 2, gain=0)


@pytest.mark.parametrize(("like", "plain"), [(flux.rand_like, flux.rand), (flux.randn_like, flux.randn)])
def test_random_numbers_like_a_tensor(like, plain):
    for dtype in ("float16", "bfloat16", "float32", "float64"):
        x = flux.zeros((3, 0, 2) if dtype == "float16" else (3, 2), dtype=dtype)
        flux.seed(5)
        y = like(x)
        flux.seed(5)
        assert y.dtype == dtype and y.shape == x.shape
        np.testing.assert_array_equal(
            y.astype("float64").numpy(), plain(*x.shape, dtype=dtype).astype("float64")
        )
    x = np.zeros((4, 5))
    assert like(x).dtype == "float64" and like(x, dtype="float32").dtype == "float32"
    assert like(x, shape=(2, 3)).shape == (2, 3) and like(x, shape=7).shape == (7,)
    assert like(x, shape=()).shape == ()
    assert like(x, rng=flux.Generator(3)).tolist() == like(x, rng=flux.Generator(3)).tolist()
    with pytest.raises(
        flux.DTypeError, match=f"{like.__name__}: the numbers are floating, not int64; give dtype="
    ):
        like(flux.arange(3))
    assert like(flux.arange(3), dtype="float32").shape == (3,)
    with pytest.raises(flux.ShapeError, match=f"{like.__name__}: a shape is made of non-negative integers"):
        like(x, shape=-1)


# Functions


def test_gelu_sigmoid_is_its_formula_near_gelu():
    x = np.linspace(-8, 8, 1001)
    y = flux.gelu_sigmoid(x).numpy()
    np.testing.assert_allclose(y, x * special.expit(1.702 * x), rtol=1e-13, atol=1e-300)
    assert np.abs(y - flux.gelu_erf(x).numpy()).max() < 0.021
    assert flux.gelu_sigmoid([0, 1]).dtype == "float32"
    assert flux.gelu_sigmoid(flux.ones(2, dtype="float16")).dtype == "float16"
    assert flux.gelu_sigmoid(flux.tensor([-1e30, 1e30])).tolist() == pytest.approx([0.0, 1e30])
    assert flux.gradcheck(flux.gelu_sigmoid, flux.tensor(np.array([-2.0, 0.0, 0.7])), order=2)
    assert repr(flux.Dense(2, 3, flux.gelu_sigmoid)).startswith("Dense(2 => 3, gelu_sigmoid)")


def test_decibels_and_back():
    s = np.array([[1e-12, 0.5], [2.0, 100.0]])
    found = flux.power_to_db(s, ref=2.0, top_db=None)
    np.testing.assert_allclose(
        found.numpy(), 10 * (np.log10(np.maximum(s, 1e-10)) - np.log10(2.0)), rtol=1e-12
    )
    assert flux.power_to_db(s).min().item() == pytest.approx(20 - 80)
    assert flux.power_to_db(s, top_db=3.0).min().item() == pytest.approx(17.0)
    assert flux.power_to_db(s, amin=1.0, top_db=None).min().item() == 0
    np.testing.assert_allclose(flux.db_to_power(flux.power_to_db(s[1])).numpy(), s[1], rtol=1e-12)
    np.testing.assert_allclose(flux.db_to_power(found[1], ref=2.0).numpy(), s[1], rtol=1e-12)
    assert flux.power_to_db(np.zeros((0, 2))).shape == (0, 2)
    assert flux.gradcheck(lambda x: flux.power_to_db(x, top_db=None), flux.tensor(s[1]), order=2)
    for options, message in [
        ({"amin": 0}, "amin must be positive"),
        ({"top_db": -1}, "top_db must not be negative"),
    ]:
        with pytest.raises(ValueError, match=f"power_to_db: {message}"):
            flux.power_to_db(s, **options)


def test_a_batch_of_matrices_meets_vectors():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(5, 2, 3)), rng.normal(size=(5, 3))
    np.testing.assert_allclose(flux.batched_vec(a, b).numpy(), np.einsum("nij,nj->ni", a, b), rtol=1e-12)
    np.testing.assert_allclose(flux.batched_vec(a, b[0]).numpy(), a @ b[0], rtol=1e-12)
    assert flux.batched_vec(np.zeros((0, 2, 3)), np.zeros((0, 3))).shape == (0, 2)
    assert flux.gradcheck(flux.batched_vec, flux.tensor(a), flux.tensor(b), order=2)
    for bad in (b[:4], b[:, :2], a, b[0, 0]):
        with pytest.raises(flux.ShapeError, match=r"batched_vec: expected .* \(5, 2, 3\)"):
            flux.batched_vec(a, bad)


# Modes and norms


def test_a_mode_that_is_assigned_is_checked_when_the_layer_is_called():
    layer = flux.Dropout(1.0)
    layer.active = "auto"
    assert layer(flux.ones(3)).tolist() == [1.0, 1.0, 1.0]
    layer.active = "automatic"
    with pytest.raises(TypeError, match='the mode is True, False, None or "auto", got'):
        layer(flux.ones(3))


def test_the_mode_auto_leaves_it_to_each_call():
    layer = flux.Dropout(0.5, active="auto")
    assert layer.active is None and flux.BatchNorm(3, active="auto").active is None
    for change in (flux.testmode, flux.trainmode):
        assert change(flux.testmode(layer), "auto").active is None
        assert change(layer, True).active is (change is flux.trainmode)
    for call in (lambda: flux.testmode(layer, "automatic"), lambda: flux.Dropout(0.5, active="auto ")):
        with pytest.raises(TypeError, match='the mode is True, False, None or "auto", got'):
            call()


def test_a_group_norm_takes_a_momentum_and_has_nothing_to_do_with_it():
    x = np.random.default_rng(0).normal(size=(2, 5, 4))
    a, b = flux.GroupNorm(4, 2), flux.GroupNorm(4, 2, momentum=0.9)
    assert b.momentum == 0.9
    np.testing.assert_array_equal(flux.trainmode(a)(x).numpy(), flux.trainmode(b)(x).numpy())
    with pytest.raises(ValueError, match=r"GroupNorm\(4, 2\): the momentum must be from 0 to 1, got 2"):
        flux.GroupNorm(4, 2, momentum=2)


# Printing


def test_a_comment_begins_at_a_column_as_in_flux():
    assert repr(flux.Dense(1, 1)) == "Dense(1 => 1)       # 2 parameters"
    assert repr(flux.Dense(13, 1)) == "Dense(13 => 1)      # 14 parameters"
    assert repr(flux.Dense(4, 5, flux.tanh)) == "Dense(4 => 5, tanh)  # 25 parameters"
    assert repr(flux.BatchNorm(3)) == "BatchNorm(3)        # 6 parameters, plus 6 non-trainable"
    assert repr(flux.MaxPool((2, 2))) == "MaxPool((2, 2))"
    line = "  Dense(2 => 3),"
    assert (
        repr(flux.Chain(flux.Dense(2, 3))).splitlines()[1] == line + " " * (40 - len(line)) + "# 9 parameters"
    )


def test_a_model_says_itself_on_one_line_too():
    assert flux.Dense(2, 3).describe() == "Dense(2 => 3)"
    assert flux.Chain(flux.Dense(2, 3)).describe() == "Chain(Dense(2 => 3))"
    assert flux.Chain(lay=flux.Dense(2, 3)).describe() == "Chain(lay = Dense(2 => 3))"
    side = flux.Parallel(flux.add, a=flux.Chain(x=flux.relu), b=flux.tanh)
    assert side.describe() == "Parallel(add, a = Chain(x = relu), b = tanh)"


def test_only_long_chains_have_a_total():
    short = flux.Chain(flux.Dense(2, 3))
    long = flux.Chain(flux.Dense(2, 3), flux.Dense(3, 4), flux.Dense(4, 5), flux.softmax)
    assert "# 9 parameters" in repr(short) and "# Total:" not in repr(short)
    assert repr(long).startswith("Chain(\n  Dense(2 => 3)") and "# Total: 6 arrays, 50 parameters" in repr(
        long
    )


def test_a_weight_norm_prints_its_axes():
    assert flux.WeightNorm(flux.Dense(3, 2)).describe() == "WeightNorm(Dense(3 => 2), 'weight'; axis=0)"
    conv = flux.WeightNorm(flux.Conv((3,), 1, 2))
    assert repr(conv).splitlines()[3:5] == ["  'weight',", "  (0, 1),"]
    assert flux.WeightNorm(flux.Dense(3, 2), axis=-1).describe().endswith("; axis=-1)")


@pytest.mark.parametrize("dtype", ["int32", "bool", "uint8"])
def test_mixed_precision_is_of_floating_numbers(dtype):
    with pytest.raises(TypeError, match=f"MixedPrecision: the dtype must be floating, got .*{dtype}"):
        flux.MixedPrecision(dtype, flux.Adam())
    with pytest.raises(TypeError, match="MixedPrecision: takes one rule and a dtype, got Adam.* and Descent"):
        flux.MixedPrecision(flux.Adam(), flux.Descent())


def test_numbers_of_a_layer_or_an_initialiser_are_asked_for_by_name():
    for make, message in [
        (
            lambda: flux.BatchNorm(3, momentum=None),
            r"BatchNorm\(3\): the momentum must be a number, got None",
        ),
        (
            lambda: flux.GroupNorm(4, 2, momentum="a"),
            r"GroupNorm\(4, 2\): the momentum must be a number, got 'a'",
        ),
        (lambda: flux.LayerNorm(3, eps=None), r"LayerNorm\(3\): eps must be a number, got None"),
        (lambda: flux.lecun_normal(2, 2, gain="a"), "lecun_normal: gain must be a number, got 'a'"),
        (lambda: flux.glorot_uniform(gain="a"), "glorot_uniform: gain must be a number, got 'a'"),
    ]:
        with pytest.raises(TypeError, match=message):
            make()


def test_what_decides_on_the_state_of_a_rule_cannot_be_adjusted():
    model = {"w": flux.tensor([1.0])}
    for rule in (flux.RMSProp(), flux.OptimiserChain(flux.ClipGrad(), flux.RMSProp())):
        state = flux.setup(rule, model)
        with pytest.raises(
            ValueError, match=r"adjust: centred decides what RMSProp remembers; .*setup\(RMSProp"
        ):
            flux.adjust(state, 0.5, centred=True)
        flux.update(state, model, {"w": flux.tensor([1.0])})
        flux.adjust(state, 0.5, centred=False)
