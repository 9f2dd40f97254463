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
use std::f64::consts::{LN_2, LN_10};

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
    /// The hyperbolic sine.
    sinh = |x| sinh(x), d(x) = |x| cosh(x), on (-2.0, 2.0), 8.0 ns;
    /// The hyperbolic cosine.
    cosh = |x| cosh(x), d(x) = |x| sinh(x), on (-2.0, 2.0), 8.0 ns;
    /// The inverse of `sinh`.
    asinh = |x| asinh(x),
        d(x) = |x| inverse_hypotenuse(x), on (-2.0, 2.0), 8.0 ns;
    /// The inverse of `cosh`, from 1 on.
    acosh = |x| acosh(x),
        d(x) = |x| { let x = finite(x); 1.0 / (sqrt(x - 1.0) * sqrt(x + 1.0)) }, on (1.5, 3.0), 8.0 ns;
    /// The inverse of `tanh`, between -1 and 1.
    atanh = |x| atanh(x), d(x) = |x| 1.0 / one_minus_square(x), on (-0.8, 0.8), 8.0 ns;
    /// The error function, `2 / sqrt(pi)` times the integral of `exp(-t^2)` from 0 to `x`.
    erf = |x| erf(x), d(x) = |x| exp(-(not_far(x) * not_far(x))) * TWO_OVER_SQRT_PI, on (-2.0, 2.0), 1.0 ns;
}
