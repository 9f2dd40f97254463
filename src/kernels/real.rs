//! Temporary stand-in.
#![allow(missing_docs)]
use std::ops::*;
pub trait Real: Copy + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self> + Neg<Output = Self>
    + Add<f64, Output = Self> + Sub<f64, Output = Self> + Mul<f64, Output = Self> + Div<f64, Output = Self> {
    fn lit(x: f64) -> Self;
    fn exp(self) -> Self;
    fn expm1(self) -> Self;
    fn ln(self) -> Self;
    fn ln_1p(self) -> Self;
    fn log2(self) -> Self;
    fn log10(self) -> Self;
    fn sqrt(self) -> Self;
    fn sin(self) -> Self;
    fn cos(self) -> Self;
    fn tan(self) -> Self;
    fn asin(self) -> Self;
    fn acos(self) -> Self;
    fn atan(self) -> Self;
    fn sinh(self) -> Self;
    fn cosh(self) -> Self;
    fn tanh(self) -> Self;
    fn asinh(self) -> Self;
    fn acosh(self) -> Self;
    fn atanh(self) -> Self;
    fn floor(self) -> Self;
    fn ceil(self) -> Self;
    fn trunc(self) -> Self;
    fn round_even(self) -> Self;
    fn abs(self) -> Self;
    fn sigmoid(self) -> Self;
    fn softplus(self) -> Self;
    fn erf(self) -> Self;
    fn sign(self) -> Self;
    fn max(self, other: Self) -> Self;
    fn min(self, other: Self) -> Self;
    fn pow(self, other: Self) -> Self;
    fn atan2(self, other: Self) -> Self;
    fn hypot(self, other: Self) -> Self;
    fn select_gt(x: Self, y: Self, a: Self, b: Self) -> Self;
}
pub trait Literal<R>: Add<R, Output = R> + Sub<R, Output = R> + Mul<R, Output = R> + Div<R, Output = R> {}
#[repr(transparent)] #[derive(Clone, Copy, Debug)]
pub struct Lane<T, const FMA: bool>(pub T);
#[inline(always)] pub fn exp<R: Real>(x: R) -> R { x.exp() }
#[inline(always)] pub fn expm1<R: Real>(x: R) -> R { x.expm1() }
#[inline(always)] pub fn ln<R: Real>(x: R) -> R { x.ln() }
#[inline(always)] pub fn ln_1p<R: Real>(x: R) -> R { x.ln_1p() }
#[inline(always)] pub fn log2<R: Real>(x: R) -> R { x.log2() }
#[inline(always)] pub fn log10<R: Real>(x: R) -> R { x.log10() }
#[inline(always)] pub fn sqrt<R: Real>(x: R) -> R { x.sqrt() }
#[inline(always)] pub fn sin<R: Real>(x: R) -> R { x.sin() }
#[inline(always)] pub fn cos<R: Real>(x: R) -> R { x.cos() }
#[inline(always)] pub fn tan<R: Real>(x: R) -> R { x.tan() }
#[inline(always)] pub fn asin<R: Real>(x: R) -> R { x.asin() }
#[inline(always)] pub fn acos<R: Real>(x: R) -> R { x.acos() }
#[inline(always)] pub fn atan<R: Real>(x: R) -> R { x.atan() }
#[inline(always)] pub fn sinh<R: Real>(x: R) -> R { x.sinh() }
#[inline(always)] pub fn cosh<R: Real>(x: R) -> R { x.cosh() }
#[inline(always)] pub fn tanh<R: Real>(x: R) -> R { x.tanh() }
#[inline(always)] pub fn asinh<R: Real>(x: R) -> R { x.asinh() }
#[inline(always)] pub fn acosh<R: Real>(x: R) -> R { x.acosh() }
#[inline(always)] pub fn atanh<R: Real>(x: R) -> R { x.atanh() }
#[inline(always)] pub fn floor<R: Real>(x: R) -> R { x.floor() }
#[inline(always)] pub fn ceil<R: Real>(x: R) -> R { x.ceil() }
#[inline(always)] pub fn trunc<R: Real>(x: R) -> R { x.trunc() }
#[inline(always)] pub fn round_even<R: Real>(x: R) -> R { x.round_even() }
#[inline(always)] pub fn abs<R: Real>(x: R) -> R { x.abs() }
#[inline(always)] pub fn sigmoid<R: Real>(x: R) -> R { x.sigmoid() }
#[inline(always)] pub fn softplus<R: Real>(x: R) -> R { x.softplus() }
#[inline(always)] pub fn erf<R: Real>(x: R) -> R { x.erf() }
#[inline(always)] pub fn sign<R: Real>(x: R) -> R { x.sign() }
#[inline(always)] pub fn pow<R: Real>(x: R, y: R) -> R { x.pow(y) }
fn erf64(x: f64) -> f64 { let (mut s, mut t) = (x, x); for k in 1..100 { t *= -x * x / k as f64; s += t / (2 * k + 1) as f64; } if x > 5.0 {1.0} else if x < -5.0 {-1.0} else {s * std::f64::consts::FRAC_2_SQRT_PI} }
macro_rules! real { ($($t:ident)*) => {$(
    real!(@op $t Add add; Sub sub; Mul mul; Div div;);
    impl<const F: bool> Neg for Lane<$t, F> { type Output = Self; #[inline(always)] fn neg(self) -> Self { Lane(-self.0) } }
    impl<const F: bool> Literal<Lane<$t, F>> for f64 {}
    impl<const F: bool> Real for Lane<$t, F> {
        #[inline(always)] fn lit(x: f64) -> Self { Lane(x as $t) }
        #[inline(always)] fn exp(self) -> Self { Lane(self.0.exp()) }
        #[inline(always)] fn expm1(self) -> Self { Lane(self.0.exp_m1()) }
        #[inline(always)] fn ln(self) -> Self { Lane(self.0.ln()) }
        #[inline(always)] fn ln_1p(self) -> Self { Lane(self.0.ln_1p()) }
        #[inline(always)] fn log2(self) -> Self { Lane(self.0.log2()) }
        #[inline(always)] fn log10(self) -> Self { Lane(self.0.log10()) }
        #[inline(always)] fn sqrt(self) -> Self { Lane(self.0.sqrt()) }
        #[inline(always)] fn sin(self) -> Self { Lane(self.0.sin()) }
        #[inline(always)] fn cos(self) -> Self { Lane(self.0.cos()) }
        #[inline(always)] fn tan(self) -> Self { Lane(self.0.tan()) }
        #[inline(always)] fn asin(self) -> Self { Lane(self.0.asin()) }
        #[inline(always)] fn acos(self) -> Self { Lane(self.0.acos()) }
        #[inline(always)] fn atan(self) -> Self { Lane(self.0.atan()) }
        #[inline(always)] fn sinh(self) -> Self { Lane(self.0.sinh()) }
        #[inline(always)] fn cosh(self) -> Self { Lane(self.0.cosh()) }
        #[inline(always)] fn tanh(self) -> Self { Lane(self.0.tanh()) }
        #[inline(always)] fn asinh(self) -> Self { Lane(self.0.asinh()) }
        #[inline(always)] fn acosh(self) -> Self { Lane(self.0.acosh()) }
        #[inline(always)] fn atanh(self) -> Self { Lane(self.0.atanh()) }
        #[inline(always)] fn floor(self) -> Self { Lane(self.0.floor()) }
        #[inline(always)] fn ceil(self) -> Self { Lane(self.0.ceil()) }
        #[inline(always)] fn trunc(self) -> Self { Lane(self.0.trunc()) }
        #[inline(always)] fn round_even(self) -> Self { Lane(self.0.round_ties_even()) }
        #[inline(always)] fn abs(self) -> Self { Lane(self.0.abs()) }
        #[inline(always)] fn sigmoid(self) -> Self { Lane(1.0 / (1.0 + (-self.0).exp())) }
        #[inline(always)] fn softplus(self) -> Self { Lane(self.0.max(0.0) + (-self.0.abs()).exp().ln_1p()) }
        #[inline(always)] fn erf(self) -> Self { Lane(erf64(self.0 as f64) as $t) }
        #[inline(always)] fn pow(self, o: Self) -> Self { Lane(self.0.powf(o.0)) }
        #[inline(always)] fn atan2(self, o: Self) -> Self { Lane(self.0.atan2(o.0)) }
        #[inline(always)] fn hypot(self, o: Self) -> Self { Lane(self.0.hypot(o.0)) }
        #[inline(always)] fn sign(self) -> Self { Lane(if self.0 > 0.0 { 1.0 } else if self.0 < 0.0 { -1.0 } else { self.0 }) }
        #[inline(always)] fn max(self, o: Self) -> Self { if self.0 > o.0 { self } else { o } }
        #[inline(always)] fn min(self, o: Self) -> Self { if self.0 < o.0 { self } else { o } }
        #[inline(always)] fn select_gt(x: Self, y: Self, a: Self, b: Self) -> Self { if x.0 > y.0 { a } else { b } }
    }
)*};
(@op $t:ident $($tr:ident $m:ident;)*) => {$(
    impl<const F: bool> $tr for Lane<$t, F> { type Output = Self; #[inline(always)] fn $m(self, o: Self) -> Self { Lane($tr::$m(self.0, o.0)) } }
    impl<const F: bool> $tr<f64> for Lane<$t, F> { type Output = Self; #[inline(always)] fn $m(self, o: f64) -> Self { Lane($tr::$m(self.0, o as $t)) } }
    impl<const F: bool> $tr<Lane<$t, F>> for f64 { type Output = Lane<$t, F>; #[inline(always)] fn $m(self, o: Lane<$t, F>) -> Lane<$t, F> { Lane($tr::$m(self as $t, o.0)) } }
)*}; }
real!(f32 f64);
