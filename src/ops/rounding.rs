//! Element-wise functions of one argument without a gradient: roundings, signs and tests. A row each.

use crate::array::Array;
use crate::dtype::{DType, Kind, each};
use crate::error::{Error, Result};
use crate::fuse::Fusible;
use crate::kernels::arithmetic::{Arithmetic, Bits};
use crate::kernels::map::Map;
use crate::tape::{Known, Operation, Tensor, compute, parameters, readers};
use std::marker::PhantomData;

/// Element types that can be rounded and tested; integers are whole and finite already.
trait Steps: Arithmetic {
    fn floor(self) -> Self;
    fn ceil(self) -> Self;
    fn trunc(self) -> Self;
    fn round(self) -> Self;
    fn sign(self) -> Self;
    fn nan(self) -> bool;
    fn inf(self) -> bool;
    fn negative_sign(self) -> bool;
}

macro_rules! steps_of_floats {
    ($($t:ty),+) => {$(
        impl Steps for $t {
            #[inline(always)]
            fn floor(self) -> Self { <$t>::floor(self) }
            #[inline(always)]
            fn ceil(self) -> Self { <$t>::ceil(self) }
            #[inline(always)]
            fn trunc(self) -> Self { <$t>::trunc(self) }
            #[inline(always)]
            fn round(self) -> Self { <$t>::round_ties_even(self) }
            #[inline(always)]
            fn sign(self) -> Self {
                // Zero with its sign lost, and NaN, without another branch.
                if self > 0.0 { 1.0 } else if self < 0.0 { -1.0 } else { self + 0.0 }
            }
            #[inline(always)]
            fn nan(self) -> bool { self.is_nan() }
            #[inline(always)]
            fn inf(self) -> bool { self.is_infinite() }
            #[inline(always)]
            fn negative_sign(self) -> bool { self.is_sign_negative() }
        }
    )+};
}
steps_of_floats!(f32, f64);

macro_rules! steps_of_integers {
    ($($t:ty),+) => {$(
        #[allow(unused_comparisons)]
        impl Steps for $t {
            #[inline(always)]
            fn floor(self) -> Self { self }
            #[inline(always)]
            fn ceil(self) -> Self { self }
            #[inline(always)]
            fn trunc(self) -> Self { self }
            #[inline(always)]
            fn round(self) -> Self { self }
            #[inline(always)]
            fn sign(self) -> Self { <$t>::from(self > 0).wrapping_sub(<$t>::from(self < 0)) }
            #[inline(always)]
            fn nan(self) -> bool { false }
            #[inline(always)]
            fn inf(self) -> bool { false }
            #[inline(always)]
            fn negative_sign(self) -> bool { self < 0 }
        }
    )+};
}
steps_of_integers!(u8, u16, u32, u64, i8, i16, i32, i64);

macro_rules! steps {
    ($($(#[$doc:meta])+ $name:ident($set:ident: $bound:ident) -> $out:ty = $f:expr;)+) => {
        $(
            mod $name {
                #[derive(Clone, Debug)]
                pub(super) struct Step;
                pub(super) struct Kernel<T>(pub(super) std::marker::PhantomData<T>);
            }
            impl<T: $bound> Map for $name::Kernel<T> {
                type In = T;
                type Out = $out;
                const NANOS: f64 = 0.4;
                #[inline(always)]
                fn f<const FMA: bool>(&self, x: T) -> $out {
                    ($f)(x)
                }
            }
            impl Operation for $name::Step {
                fn name(&self) -> &'static str {
                    stringify!($name)
                }
                parameters! {}
                fn check(&self, x: &Known<'_>) -> Result<()> {
                    x.count(1)
                }
                fn moves(&self) -> bool {
                    steps!(@has_half $set)
                }
                fn fused(&self, x: &[DType]) -> Option<Fusible> {
                    steps!(@dispatch $set, x[0], T => Some(Fusible::map($name::Kernel::<T>(PhantomData))), else None)
                }
                fn forward(&self, x: &[&Array]) -> Result<Array> {
                    let (name, dtype) = (self.name(), x[0].dtype());
                    steps!(@dispatch $set, dtype, T => x[0].map(name, &$name::Kernel::<T>(PhantomData)),
                        else Err(Error::DType(format!("{name}: not defined for {dtype}"))))
                }
            }
            $(#[$doc])+
            pub fn $name(x: &Tensor) -> Result<Tensor> {
                let x = steps!(@prepare $set, x);
                compute($name::Step, &[&x])
            }
        )+
        readers! { $(@$name => $name::Step),+ }
        pub(super) const OPS: &[super::Op] = &[$(super::Op { name: stringify!($name), cases: &[] }),+];
        crate::bind! { step $($(#[$doc])+ $name;)+ }
    };
    (@has_half bits) => { true };
    (@has_half $set:ident) => { false };
    (@prepare truth, $x:ident) => { super::compare::truth($x)? };
    (@prepare test, $x:ident) => { if $x.dtype() == DType::Bool { super::astype($x, DType::U8)? } else { $x.clone() } };
    (@prepare $set:ident, $x:ident) => { $x };
    (@dispatch truth, $d:expr, $t:ident => $body:expr, else $other:expr) => {
        if $d == DType::Bool { type $t = bool; $body } else { $other }
    };
    (@dispatch bits, $d:expr, $t:ident => $body:expr, else $other:expr) => {
        if $d.kind() == Kind::Bool { type $t = bool; $body } else { each!($d, integer: $t => $body, else $other) }
    };
    (@dispatch $set:ident, $d:expr, $t:ident => $body:expr, else $other:expr) => { each!($d, numeric: $t => $body, else $other) };
}

steps! {
    /// The largest whole number that is not above `x`. A step function: no gradient passes.
    floor(numeric: Steps) -> T = T::floor;
    /// The smallest whole number that is not below `x`. A step function: no gradient passes.
    ceil(numeric: Steps) -> T = T::ceil;
    /// The whole number next to `x` on the way to 0. A step function: no gradient passes.
    trunc(numeric: Steps) -> T = T::trunc;
    /// The nearest whole number, the even one of two. A step function: no gradient passes.
    round(numeric: Steps) -> T = T::round;
    /// -1, 0 or 1 by the sign of `x`; NaN for NaN. A step function: no gradient passes.
    sign(numeric: Steps) -> T = T::sign;
    /// Whether `x` is NaN.
    isnan(test: Steps) -> bool = T::nan;
    /// Whether `x` is infinite.
    isinf(test: Steps) -> bool = T::inf;
    /// Whether `x` is neither infinite nor NaN.
    isfinite(test: Steps) -> bool = |x: T| !x.nan() & !x.inf();
    /// Whether the sign bit is set; true for -0.0.
    signbit(test: Steps) -> bool = T::negative_sign;
    /// Whether `x` is zero.
    logical_not(truth: Bits) -> bool = |x: T| x == T::default();
    /// Every bit turned over; for bool, logical not.
    bitwise_invert(bits: Bits) -> T = T::not;
}
