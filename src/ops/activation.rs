//! The activation functions of NNlib: one row each, the derivative beside the function.

use super::formula::{
    Activation, Parameters, Row, at_least, at_most, branch_gt, not_far, not_far_below, rows, when_gt,
};
use crate::error::{Error, Result};
use crate::kernels::real::{Literal, Real};
use crate::tape::Tensor;
use std::f64::consts::{FRAC_1_SQRT_2, LN_2};

/// `sqrt(2 / pi)`, of `gelu_tanh`.
const SQRT_2_OVER_PI: f64 = 0.797_884_560_802_865_4;
/// The cubic coefficient of `gelu_tanh`, and of its derivative.
const GELU_CUBIC: f64 = 0.044_715;
const GELU_CUBIC_SLOPE: f64 = 3.0 * GELU_CUBIC;
/// `tanh u` is `2 sigmoid(2 u) - 1`.
const GELU_SCALE: f64 = 2.0 * SQRT_2_OVER_PI;
const SIXTH: f64 = 1.0 / 6.0;
/// From here on a number is all there is of a sum of it and 1.
const ALL: f64 = 1e30;
/// `1 / sqrt(2 pi)`, the height of the normal density.
const NORMAL_HEIGHT: f64 = 0.398_942_280_401_432_7;
/// The fixed point of `selu` (Klambauer et al. 2017): scale and slope.
const SELU_SCALE: f64 = 1.050_700_987_355_480_5;
const GELU_SIGMOID: f64 = 1.702;
const SELU_ALPHA: f64 = 1.673_263_242_354_377_2;

/// `x * sigmoid(2 u)` with `u = sqrt(2/pi) (x + c x^3)`, which is `x/2 (1 + tanh u)`.
#[inline(always)]
fn gelu_gate<R: Real>(x: R) -> R {
    crate::kernels::real::sigmoid(x * (x * x * GELU_CUBIC + 1.0) * GELU_SCALE)
}

#[inline(always)]
fn gelu_slope<R: Real>(x: R) -> R
where
    f64: Literal<R>,
{
    let x = not_far(x);
    let gate = gelu_gate(x);
    gate + x * gate * (1.0 - gate) * (x * x * GELU_CUBIC_SLOPE + 1.0) * GELU_SCALE
}

/// `identity` of any type.
fn itself(x: &Tensor) -> Option<Result<Tensor>> {
    Some(Ok(x.clone()))
}

rows! {
    /// `x`.
    identity = |x| x, d(x) = |x| R::lit(1.0), on (-2.0, 2.0), 0.3 ns, fuses Nothing, instead itself;
    /// `max(0, x)`.
    relu = |x| when_gt(0.0, x, 0.0, x), d(y) = |y| when_gt(y, 0.0, 1.0, 0.0), on (0.2, 2.0), 0.3 ns, fuses Relu;
    /// `min(max(0, x), 6)`.
    relu6 = |x| when_gt(0.0, x, 0.0, when_gt(x, 6.0, 6.0, x)),
        d(y) = |y| when_gt(y, 0.0, when_gt(6.0, y, 1.0, 0.0), 0.0), on (0.2, 5.0), 0.3 ns;
    /// `x` above 0, else `a * x`.
    leakyrelu(a = 0.01) = |x| when_gt(x, 0.0, x, a * x), d(x) = |x| when_gt(x, 0.0, 1.0, a), on (0.2, 2.0), 0.3 ns;
    /// `x` above the threshold `theta`, else 0.
    trelu(theta = 1.0) = |x| when_gt(x, theta, x, when_gt(theta, x, 0.0, x - theta)), d(x) = |x| when_gt(x, theta, 1.0, 0.0), on (1.2, 3.0), 0.3 ns;
    /// `x` above the threshold `theta`, else 0: `trelu` by its other name.
    thresholdrelu(theta = 1.0) = |x| when_gt(x, theta, x, when_gt(theta, x, 0.0, x - theta)),
        d(x) = |x| when_gt(x, theta, 1.0, 0.0), on (1.2, 3.0), 0.3 ns;
    /// `x` above 0, else `alpha (e^x - 1)`.
    elu(alpha = 1.0) = |x| when_gt(x, 0.0, x, alpha * expm1(x)),
        d(x) = |x| branch_gt(x, 0.0, |_| R::lit(1.0), |x| alpha * exp(x)), on (-2.0, -0.1), 1.0 ns;
    /// `max(0, x) + min(0, alpha (e^(x / alpha) - 1))`.
    celu(alpha = 1.0) = |x| when_gt(x, 0.0, x, alpha * expm1(x / alpha)),
        d(x) = |x| branch_gt(x, 0.0, |_| R::lit(1.0), |x| exp(x / alpha)), on (-2.0, -0.1), 1.0 ns;
    /// `elu` scaled so that activations keep mean 0 and variance 1 (Klambauer et al. 2017).
    selu = |x| when_gt(x, 0.0, x, expm1(x) * SELU_ALPHA) * SELU_SCALE,
        d(x) = |x| branch_gt(x, 0.0, |_| R::lit(1.0), |x| exp(x) * SELU_ALPHA) * SELU_SCALE, on (-2.0, -0.1), 1.0 ns;
    /// `1 / (1 + e^-x)`.
    sigmoid = |x| sigmoid(x), d(y) = |y| y * (1.0 - y), on (-3.0, 3.0), 0.6 ns;
    /// `sigmoid`, which is fast here already.
    sigmoid_fast = |x| sigmoid(x), d(y) = |y| y * (1.0 - y), on (-3.0, 3.0), 0.6 ns;
    /// `(x + 3) / 6` held between 0 and 1.
    hardsigmoid = |x| when_gt(-3.0, x, 0.0, when_gt(x, 3.0, 1.0, (x + 3.0) / 6.0)),
        d(x) = |x| when_gt(x, -3.0, when_gt(3.0, x, SIXTH, 0.0), 0.0), on (-2.5, 2.5), 0.5 ns;
    /// `log(sigmoid(x))` without underflow.
    logsigmoid = |x| -softplus(-x), d(x) = |x| sigmoid(-x), on (-3.0, 3.0), 1.0 ns;
    /// The hyperbolic tangent.
    tanh = |x| tanh(x), d(y) = |y| 1.0 - y * y, on (-2.0, 2.0), 0.6 ns;
    /// `tanh`, which is fast here already.
    tanh_fast = |x| tanh(x), d(y) = |y| 1.0 - y * y, on (-2.0, 2.0), 0.6 ns;
    /// `x` held between -1 and 1.
    hardtanh = |x| when_gt(-1.0, x, -1.0, when_gt(x, 1.0, 1.0, x)),
        d(x) = |x| when_gt(x, -1.0, when_gt(1.0, x, 1.0, 0.0), 0.0), on (-0.9, 0.9), 0.3 ns;
    /// `x - tanh(x)`.
    tanhshrink = |x| x - tanh(x), d(x) = |x| tanh(x) * tanh(x), on (-2.0, 2.0), 0.6 ns;
    /// `x` brought nearer to 0 by `lambda`, and 0 within it.
    softshrink(lambd = 0.5) = |x| when_gt(x, lambd, x - lambd, when_gt(-lambd, x, x + lambd, x * 0.0)),
        d(x) = |x| when_gt(x, lambd, 1.0, when_gt(-lambd, x, 1.0, 0.0)), on (0.7, 2.0), 0.4 ns;
    /// `x`, and 0 within `lambda` of 0.
    hardshrink(lambd = 0.5) = |x| when_gt(abs(x), lambd, x, x * 0.0), d(x) = |x| when_gt(abs(x), lambd, 1.0, 0.0), on (0.7, 2.0), 0.4 ns;
    /// `x / (1 + |x|)`.
    softsign = |x| { let x = at_most(at_least(x, R::lit(-ALL)), R::lit(ALL)); x / (abs(x) + 1.0) },
        d(x) = |x| { let part = 1.0 / (abs(x) + 1.0); part * part }, on (0.2, 2.0), 0.5 ns;
    /// `log(1 + e^x)` without overflow.
    softplus = |x| softplus(x), d(x) = |x| sigmoid(x), on (-3.0, 3.0), 1.0 ns;
    /// `log(cosh(x))` without overflow.
    logcosh = |x| abs(x) + softplus(abs(x) * -2.0) - LN_2, d(x) = |x| tanh(x), on (-2.0, 2.0), 1.0 ns;
    /// `x * sigmoid(x)`.
    swish = |x| not_far_below(x) * sigmoid(x),
        d(x) = |x| { let x = not_far(x); sigmoid(x) * (1.0 + x * (1.0 - sigmoid(x))) }, on (-2.0, 2.0), 0.7 ns;
    /// `x * sigmoid(1.702 x)`, an approximation of `gelu` within 0.021 (Hendrycks and Gimpel 2016).
    gelu_sigmoid = |x| not_far_below(x) * sigmoid(x * GELU_SIGMOID),
        d(x) = |x| {
            let x = not_far(x);
            let gate = sigmoid(x * GELU_SIGMOID);
            gate * (1.0 + x * (1.0 - gate) * GELU_SIGMOID)
        }, on (-2.0, 2.0), 0.7 ns;
    /// `x * hardsigmoid(x)`.
    hardswish = |x| when_gt(-3.0, x, 0.0, when_gt(x, 3.0, x, x * (x + 3.0) / 6.0)),
        d(x) = |x| when_gt(-3.0, x, 0.0, when_gt(x, 3.0, 1.0, (x * 2.0 + 3.0) / 6.0)), on (-2.5, 2.5), 0.5 ns;
    /// `x * tanh(x)`.
    lisht = |x| x * tanh(x),
        d(x) = |x| { let x = not_far(x); tanh(x) + x * (1.0 - tanh(x) * tanh(x)) }, on (-2.0, 2.0), 0.7 ns;
    /// `x * tanh(softplus(x))`.
    mish = |x| not_far_below(x) * tanh(softplus(x)),
        d(x) = |x| {
            let x = not_far(x);
            let t = tanh(softplus(x));
            t + x * (1.0 - t * t) * sigmoid(x)
        }, on (-2.0, 2.0), 1.5 ns;
    /// `x` times the normal distribution function, by its approximation with `tanh`: `gelu_tanh`.
    gelu = |x| not_far_below(x) * gelu_gate(x), d(x) = |x| gelu_slope(x), on (-2.0, 2.0), 0.8 ns;
    /// `x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))` (Hendrycks and Gimpel 2016).
    gelu_tanh = |x| not_far_below(x) * gelu_gate(x), d(x) = |x| gelu_slope(x), on (-2.0, 2.0), 0.8 ns;
    /// `x/2 (1 + erf(x / sqrt 2))`.
    gelu_erf = |x| { let half = not_far_below(x) * 0.5; half.mul_add(erf(x * FRAC_1_SQRT_2), half) },
        d(x) = |x| {
            let x = not_far(x);
            (erf(x * FRAC_1_SQRT_2) + 1.0) * 0.5 + x * exp(x * x * -0.5) * NORMAL_HEIGHT
        }, on (-2.0, 2.0), 1.0 ns;
}

/// Every activation with its default parameters.
pub fn activations() -> impl Iterator<Item = &'static Activation> {
    ACTIVATIONS.iter()
}

/// The activation of that name with its default parameters, to be fused into a layer. Another name is an error.
pub fn activation(name: &str) -> Result<&'static Activation> {
    activations().find(|a| a.name == name).ok_or_else(|| {
        let known: Vec<&str> = activations().map(|a| a.name).collect();
        Error::Value(format!("activation: there is no {name:?}, but {}", known.join(", ")))
    })
}
