//! Formulas written once: a row such as `1.0 / (1.0 + exp(-x))` means the same for a lane of a kernel and for a traced tensor.

use super::math::{double, single};
use std::ops::{Add, Div, Mul, Neg, Sub};

/// Declares the functions of one argument: as methods of [`Real`], as free functions, and for the lanes.
macro_rules! unary {
    ($($(#[$doc:meta])* $name:ident)*) => {
        /// A number that formulas are written in: `x * y`, `1.0 - x`, `exp(x)`.
        pub trait Real:
            Copy
            + Add<Output = Self>
            + Sub<Output = Self>
            + Mul<Output = Self>
            + Div<Output = Self>
            + Neg<Output = Self>
            + Add<f64, Output = Self>
            + Sub<f64, Output = Self>
            + Mul<f64, Output = Self>
            + Div<f64, Output = Self>
        {
            /// The constant `value`.
            fn lit(value: f64) -> Self;
            /// `self * y + z`, rounded once where the processor has that as one instruction.
            fn mul_add(self, y: Self, z: Self) -> Self;
            $($(#[$doc])* fn $name(self) -> Self;)*
            /// The larger of the two; NaN if either is.
            fn max(self, y: Self) -> Self;
            /// The smaller of the two; NaN if either is.
            fn min(self, y: Self) -> Self;
            /// `selfʸ`.
            fn pow(self, y: Self) -> Self;
            /// The derivative of `digamma` of a whole order.
            fn polygamma(self, order: Self) -> Self;
            /// The angle of the point `(x, self)`, in `(-π, π]`.
            fn atan2(self, x: Self) -> Self;
            /// `√(self² + y²)`, without overflow on the way.
            fn hypot(self, y: Self) -> Self;
            /// `a` where `x > y`, else `b`; so `b` where either is NaN.
            fn select_gt(x: Self, y: Self, a: Self, b: Self) -> Self;
            /// What the two branches of a choice by `x > y` may compute with: `x`, or anything where they are not taken.
            fn apart(x: Self, y: Self) -> [Self; 2];
            /// The largest finite number.
            fn largest() -> Self;
        }

        $($(#[$doc])* #[inline(always)] pub fn $name<R: Real>(x: R) -> R { x.$name() })*

        lanes! { f32, single, $($name)* }
        lanes! { f64, double, $($name)* }
    };
}

/// Implements [`Real`] for the lanes of one type, whose functions are in the module `$math`.
macro_rules! lanes {
    ($T:ident, $math:ident, $($name:ident)*) => {
        impl<const FMA: bool> Real for Lane<$T, FMA> {
            #[inline(always)]
            fn mul_add(self, y: Self, z: Self) -> Self {
                if FMA { Lane(self.0.mul_add(y.0, z.0)) } else { self * y + z }
            }
            #[inline(always)]
            fn lit(value: f64) -> Self {
                Lane(value as $T)
            }
            $(#[inline(always)] fn $name(self) -> Self { Lane($math::$name::<FMA>(self.0)) })*
            #[inline(always)]
            fn max(self, y: Self) -> Self {
                if self.0 > y.0 || self.0.is_nan() { self } else { y }
            }
            #[inline(always)]
            fn min(self, y: Self) -> Self {
                if self.0 < y.0 || self.0.is_nan() { self } else { y }
            }
            #[inline(always)]
            fn pow(self, y: Self) -> Self {
                Lane($math::pow::<FMA>(self.0, y.0))
            }
            #[inline(always)]
            fn polygamma(self, order: Self) -> Self {
                Lane($math::polygamma::<FMA>(self.0, order.0))
            }
            #[inline(always)]
            fn atan2(self, x: Self) -> Self {
                Lane($math::atan2::<FMA>(self.0, x.0))
            }
            #[inline(always)]
            fn hypot(self, y: Self) -> Self {
                Lane($math::hypot::<FMA>(self.0, y.0))
            }
            #[inline(always)]
            fn select_gt(x: Self, y: Self, a: Self, b: Self) -> Self {
                if x.0 > y.0 { a } else { b }
            }
            #[inline(always)]
            fn apart(x: Self, _: Self) -> [Self; 2] {
                [x, x]
            }
            #[inline(always)]
            fn largest() -> Self {
                Lane($T::MAX)
            }
        }

        impl<const FMA: bool> Neg for Lane<$T, FMA> {
            type Output = Self;
            #[inline(always)]
            fn neg(self) -> Self {
                Lane(-self.0)
            }
        }

        lanes! { @operator $T, Add, add, + }
        lanes! { @operator $T, Sub, sub, - }
        lanes! { @operator $T, Mul, mul, * }
        lanes! { @operator $T, Div, div, / }
    };
    (@operator $T:ident, $Trait:ident, $method:ident, $op:tt) => {
        impl<const FMA: bool> $Trait for Lane<$T, FMA> {
            type Output = Self;
            #[inline(always)]
            fn $method(self, y: Self) -> Self {
                Lane(self.0 $op y.0)
            }
        }

        impl<const FMA: bool> $Trait<f64> for Lane<$T, FMA> {
            type Output = Self;
            #[inline(always)]
            fn $method(self, y: f64) -> Self {
                Lane(self.0 $op y as $T)
            }
        }

        impl<const FMA: bool> $Trait<Lane<$T, FMA>> for f64 {
            type Output = Lane<$T, FMA>;
            #[inline(always)]
            fn $method(self, y: Lane<$T, FMA>) -> Lane<$T, FMA> {
                Lane(self as $T $op y.0)
            }
        }
    };
}

unary! {
    /// `eˣ`.
    exp
    /// `2ˣ`.
    exp2
    /// `eˣ - 1`, accurate near 0.
    expm1
    /// The natural logarithm.
    ln
    /// `ln(1 + x)`, accurate near 0.
    ln_1p
    /// The logarithm to base 2.
    log2
    /// The logarithm to base 10.
    log10
    /// `√x`.
    sqrt
    /// The sine of an angle in radians.
    sin
    /// The cosine of an angle in radians.
    cos
    /// The tangent of an angle in radians.
    tan
    /// `sin(πx) / (πx)`, and 1 at 0.
    sinc
    /// The angle in `[-π/2, π/2]` whose sine is `x`.
    asin
    /// The angle in `[0, π]` whose cosine is `x`.
    acos
    /// The angle in `(-π/2, π/2)` whose tangent is `x`.
    atan
    /// `(eˣ - e⁻ˣ) / 2`.
    sinh
    /// `(eˣ + e⁻ˣ) / 2`.
    cosh
    /// `(eˣ - e⁻ˣ) / (eˣ + e⁻ˣ)`.
    tanh
    /// The inverse of `sinh`.
    asinh
    /// The inverse of `cosh`, for `x ≥ 1`.
    acosh
    /// The inverse of `tanh`, for `|x| ≤ 1`.
    atanh
    /// `1 / (1 + e⁻ˣ)`.
    sigmoid
    /// `ln(1 + eˣ)`.
    softplus
    /// The error function, `2/√π ∫₀ˣ exp(-t²) dt`.
    erf
    /// `1 - erf x`, accurate where that is small.
    erfc
    /// The inverse of `erf`.
    erfinv
    /// `ln |Γ(x)|`.
    lgamma
    /// The derivative of `lgamma`.
    digamma
    /// The derivative of `digamma`.
    trigamma
    /// `|x|`.
    abs
    /// -1, 0 or 1, and NaN for NaN.
    sign
    /// The largest integer that is not above `x`.
    floor
    /// The smallest integer that is not below `x`.
    ceil
    /// `x` without its fraction.
    trunc
    /// The nearest integer; the even one of two.
    round_even
}

/// The larger of the two; NaN if either is.
#[inline(always)]
pub fn max<R: Real>(x: R, y: R) -> R {
    x.max(y)
}

/// The smaller of the two; NaN if either is.
#[inline(always)]
pub fn min<R: Real>(x: R, y: R) -> R {
    x.min(y)
}

/// `xʸ`.
#[inline(always)]
pub fn pow<R: Real>(x: R, y: R) -> R {
    x.pow(y)
}

/// The derivative of `digamma` of a whole order.
#[inline(always)]
pub fn polygamma<R: Real>(x: R, order: R) -> R {
    x.polygamma(order)
}

/// The angle of the point `(x, y)`, in `(-π, π]`.
#[inline(always)]
pub fn atan2<R: Real>(y: R, x: R) -> R {
    y.atan2(x)
}

/// `√(x² + y²)`, without overflow on the way.
#[inline(always)]
pub fn hypot<R: Real>(x: R, y: R) -> R {
    x.hypot(y)
}

/// `a` where `x > y`, else `b`; so `b` where either is NaN.
#[inline(always)]
pub fn select_gt<R: Real>(x: R, y: R, a: R, b: R) -> R {
    R::select_gt(x, y, a, b)
}

/// A number that may stand on the left of an `R`, as in `1.0 - y * y`.
pub trait Literal<R>:
    Add<R, Output = R> + Sub<R, Output = R> + Mul<R, Output = R> + Div<R, Output = R>
{
}

impl<R> Literal<R> for f64 where
    f64: Add<R, Output = R> + Sub<R, Output = R> + Mul<R, Output = R> + Div<R, Output = R>
{
}

/// One element in a loop that the compiler turns into vectors. `FMA` says whether a fused multiply-add is an
/// instruction there: where it is a library call, the formulas that use it would be slower, not faster.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
#[repr(transparent)]
pub struct Lane<T, const FMA: bool>(pub T);
