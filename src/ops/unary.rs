//! Smooth element-wise functions of one argument: one row each, the derivative beside the function.
//!
//! The derivative names what it is written in: the argument `x` or the result `y`; that is what the tape keeps.

use super::binary::number;
use super::formula::{Parameters, Row, branch_gt, finite, not_far, rows, when_gt};
use super::{maximum, multiply, subtract};
use crate::dtype::Kind;
use crate::error::{Error, Result};
use crate::kernels::real::{Literal, Real};
use crate::tape::Tensor;
use std::f64::consts::{LN_2, LN_10, PI};

/// `2 / sqrt(pi)`, the slope of `erf` at 0.
const TWO_OVER_SQRT_PI: f64 = std::f64::consts::FRAC_2_SQRT_PI;

/// `1 - x^2`, without the loss of digits near 1.
#[inline(always)]
fn one_minus_square<R: Real>(x: R) -> R
where
    f64: Literal<R>,
{
    branch_gt(x.abs(), 0.5, |a| (1.0 - a) * (a + 1.0), |a| 1.0 - a * a)
}

/// `1 / sqrt(x^2 + 1)`, without overflow on the way.
#[inline(always)]
fn inverse_hypotenuse<R: Real>(x: R) -> R
where
    f64: Literal<R>,
{
    let far = |a: R| 1.0 / (a * ((1.0 / a) * (1.0 / a) + 1.0).sqrt());
    branch_gt(finite(x).abs(), 1.0, far, |a| 1.0 / (a * a + 1.0).sqrt())
}

/// The derivative of `sinc`: by its power series near 0, where the closed form is a difference of equal numbers.
#[inline(always)]
fn sinc_slope<R: Real>(x: R) -> R
where
    f64: Literal<R>,
{
    // `2k / (2k + 1)!`, with alternating signs.
    const SERIES: [f64; 8] = [
        -1.0 / 3.0,
        1.0 / 30.0,
        -1.0 / 840.0,
        1.0 / 45360.0,
        -1.0 / 3991680.0,
        1.0 / 518918400.0,
        -1.0 / 93405312000.0,
        1.0 / 22230464256000.0,
    ];
    let closed = |x: R| {
        let turned = (x - (x * 0.5).round_even() * 2.0) * PI;
        (turned.cos() - x.sinc()) / x
    };
    let series = |x: R| {
        let t = x * PI;
        SERIES.iter().rev().fold(R::lit(0.0), |sum, &c| sum * (t * t) + c) * t * PI
    };
    // What is not chosen stays finite: its gradient, 0, is multiplied by it.
    let x = finite(x);
    let size = x.abs();
    let (far, near) = (when_gt(size, 0.25, x, 1.0), when_gt(size, 0.25, 0.0, x));
    when_gt(size, 0.25, closed(far), series(near))
}

/// `abs` of integers and truth values, in their own type.
fn magnitude(x: &Tensor) -> Option<Result<Tensor>> {
    match x.dtype().kind() {
        Kind::Float => None,
        Kind::Integer if x.dtype().is_signed() => Some(negative(x).and_then(|y| maximum(x, &y))),
        _ => Some(Ok(x.clone())),
    }
}

/// `negative` of integers, in their own type.
fn opposite(x: &Tensor) -> Option<Result<Tensor>> {
    match x.dtype().kind() {
        Kind::Float => None,
        Kind::Bool => Some(Err(Error::DType(format!("negative: not defined for {}", x.dtype())))),
        Kind::Integer => Some(number(0.0, x).and_then(|zero| subtract(&zero, x))),
    }
}

/// `square` of integers and truth values, in their own type.
fn product(x: &Tensor) -> Option<Result<Tensor>> {
    (!x.dtype().is_float()).then(|| multiply(x, x))
}

rows! {
    /// `|x|`. The gradient at 0 is 0.
    abs = |x| abs(x), d(x) = |x| sign(x), on (0.2, 2.0), 0.3 ns, instead magnitude;
    /// `-x`.
    negative = |x| -x, d(x) = |x| R::lit(-1.0), on (-2.0, 2.0), 0.3 ns, instead opposite;
    /// `x^2`.
    square = |x| x * x, d(x) = |x| x * 2.0, on (-2.0, 2.0), 0.3 ns, instead product;
    /// The square root; NaN below 0.
    sqrt = |x| sqrt(x), d(y) = |y| 0.5 / y, on (0.2, 2.0), 0.5 ns;
    /// `1 / sqrt(x)`; NaN below 0.
    rsqrt = |x| 1.0 / sqrt(x), d(y) = |y| y * y * y * -0.5, on (0.2, 2.0), 0.5 ns;
    /// `1 / x`.
    reciprocal = |x| 1.0 / x, d(y) = |y| -(y * y), on (0.3, 2.0), 0.5 ns;
    /// `x` to a power that is the same for all elements.
    power(exponent: 2.0) = |x| pow(x, exponent), d(x) = |x| {
        // The exponents 0 and infinity are not multiplied by an infinity and by 0.
        let less: R = when_gt(abs(exponent), 0.0, exponent - 1.0, 0.0);
        finite(exponent) * pow(x, less)
    }, on (0.3, 2.0), 8.0 ns;
    /// `e^x`.
    exp = |x| exp(x), d(y) = |y| y, on (-2.0, 2.0), 0.4 ns;
    /// `2^x`.
    exp2 = |x| exp2(x), d(y) = |y| y * LN_2, on (-2.0, 2.0), 0.4 ns;
    /// `e^x - 1`, exact for small `x`.
    expm1 = |x| expm1(x), d(y) = |y| y + 1.0, on (-2.0, 2.0), 1.0 ns;
    /// The natural logarithm.
    log = |x| ln(x), d(x) = |x| 1.0 / x, on (0.2, 3.0), 0.5 ns;
    /// `log(1 + x)`, exact for small `x`.
    log1p = |x| ln_1p(x), d(x) = |x| 1.0 / (x + 1.0), on (-0.5, 2.0), 1.0 ns;
    /// The logarithm to base 2.
    log2 = |x| log2(x), d(x) = |x| 1.0 / (x * LN_2), on (0.2, 3.0), 0.5 ns;
    /// The logarithm to base 10.
    log10 = |x| log10(x), d(x) = |x| 1.0 / (x * LN_10), on (0.2, 3.0), 0.5 ns;
    /// `log(x / (1 - x))`, the inverse of `sigmoid`: infinite at 0 and 1, NaN beyond.
    logit = |x| when_gt(abs(x - 0.5), 0.25, ln(x / (1.0 - x)), atanh(x * 2.0 - 1.0) * 2.0),
        d(x) = |x| 1.0 / x + 1.0 / (1.0 - x), on (0.1, 0.9), 2.0 ns;
    /// The sine of an angle in radians.
    sin = |x| sin(x), d(x) = |x| cos(x), on (-2.0, 2.0), 1.0 ns;
    /// The cosine of an angle in radians.
    cos = |x| cos(x), d(x) = |x| -sin(x), on (-2.0, 2.0), 1.0 ns;
    /// The tangent of an angle in radians.
    tan = |x| tan(x), d(y) = |y| y * y + 1.0, on (-1.0, 1.0), 8.0 ns;
    /// The angle in radians between -pi/2 and pi/2 that has this sine.
    asin = |x| asin(x), d(x) = |x| 1.0 / sqrt(one_minus_square(x)), on (-0.8, 0.8), 8.0 ns;
    /// The angle in radians between 0 and pi that has this cosine.
    acos = |x| acos(x), d(x) = |x| -1.0 / sqrt(one_minus_square(x)), on (-0.8, 0.8), 8.0 ns;
    /// The angle in radians between -pi/2 and pi/2 that has this tangent.
    atan = |x| atan(x), d(x) = |x| { let x = finite(x); 1.0 / (x * x + 1.0) }, on (-2.0, 2.0), 8.0 ns;
    /// `sin(pi x) / (pi x)`, and 1 at 0.
    sinc = |x| sinc(x), d(x) = |x| sinc_slope(x), on (-2.0, 2.0), 2.0 ns;
    /// The hyperbolic sine.
    sinh = |x| sinh(x), d(x) = |x| cosh(x), on (-2.0, 2.0), 1.5 ns;
    /// The hyperbolic cosine.
    cosh = |x| cosh(x), d(x) = |x| sinh(x), on (-2.0, 2.0), 1.5 ns;
    /// The inverse of `sinh`.
    asinh = |x| asinh(x),
        d(x) = |x| inverse_hypotenuse(x), on (-2.0, 2.0), 2.0 ns;
    /// The inverse of `cosh`, from 1 on.
    acosh = |x| acosh(x),
        d(x) = |x| { let x = finite(x); 1.0 / (sqrt(x - 1.0) * sqrt(x + 1.0)) }, on (1.5, 3.0), 2.0 ns;
    /// The inverse of `tanh`, between -1 and 1.
    atanh = |x| atanh(x), d(x) = |x| 1.0 / one_minus_square(x), on (-0.8, 0.8), 2.0 ns;
    /// The error function, `2 / sqrt(pi)` times the integral of `exp(-t^2)` from 0 to `x`.
    erf = |x| erf(x), d(x) = |x| exp(-(not_far(x) * not_far(x))) * TWO_OVER_SQRT_PI, on (-2.0, 2.0), 1.0 ns;
    /// `1 - erf(x)`, exact where that is small.
    erfc = |x| erfc(x), d(x) = |x| exp(-(not_far(x) * not_far(x))) * -TWO_OVER_SQRT_PI, on (-2.0, 2.0), 1.5 ns;
    /// The inverse of `erf`: infinite at -1 and 1, NaN beyond.
    erfinv = |x| erfinv(x), d(y) = |y| exp(y * y) / TWO_OVER_SQRT_PI, on (-0.8, 0.8), 2.0 ns;
    /// The logarithm of the absolute value of the gamma function, of which `gamma(n + 1)` is the factorial of `n`.
    lgamma = |x| lgamma(x), d(x) = |x| digamma(x), on (0.3, 3.0), 4.0 ns;
    /// The derivative of `lgamma`: infinite at 0, NaN at other whole numbers below it.
    digamma = |x| digamma(x), d(x) = |x| trigamma(x), on (0.3, 3.0), 4.0 ns;
    /// The derivative of `digamma`: infinite at 0 and at whole numbers below it.
    trigamma = |x| trigamma(x), d(x) = |x| polygamma(x, R::lit(2.0)), on (0.3, 3.0), 4.0 ns;
    /// The derivative of `digamma` of a whole order.
    polygamma(order: 1.0) = |x| polygamma(x, order), d(x) = |x| polygamma(x, order + 1.0), on (0.5, 3.0), 50.0 ns;
}
