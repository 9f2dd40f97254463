//! What the kernels ask of an element type.

use super::real::{Lane, Real};

/// An element type: its neutral elements, its extremes and wrapping arithmetic.
pub trait Number: Copy + PartialOrd + Send + Sync + 'static {
    /// The type in which sums and products of this one are accumulated and returned, as in NumPy.
    type Wide: Number<Wide = Self::Wide>;
    /// The neutral element of addition.
    const ZERO: Self;
    /// The neutral element of multiplication.
    const ONE: Self;
    /// The value that no other is below.
    const LOWEST: Self;
    /// The value that no other is above.
    const HIGHEST: Self;
    /// The same value in the wide type.
    fn widen(self) -> Self::Wide;
    /// `self + other`, wrapping around; or, for `bool`.
    fn plus(self, other: Self) -> Self;
    /// `self * other`, wrapping around; and, for `bool`.
    fn times(self, other: Self) -> Self;
    /// Whether this is not a number.
    fn is_nan(self) -> bool;
}

macro_rules! floats {
    ($($t:ident)*) => {$(
        impl Number for $t {
            type Wide = $t;
            const ZERO: $t = 0.0;
            const ONE: $t = 1.0;
            const LOWEST: $t = $t::NEG_INFINITY;
            const HIGHEST: $t = $t::INFINITY;
            #[inline(always)]
            fn widen(self) -> $t { self }
            #[inline(always)]
            fn plus(self, other: $t) -> $t { self + other }
            #[inline(always)]
            fn times(self, other: $t) -> $t { self * other }
            #[inline(always)]
            fn is_nan(self) -> bool { self != self }
        }
    )*};
}
floats!(f32 f64);

macro_rules! integers {
    ($($t:ident => $wide:ident)*) => {$(
        impl Number for $t {
            type Wide = $wide;
            const ZERO: $t = 0;
            const ONE: $t = 1;
            const LOWEST: $t = $t::MIN;
            const HIGHEST: $t = $t::MAX;
            #[inline(always)]
            fn widen(self) -> $wide { self as $wide }
            #[inline(always)]
            fn plus(self, other: $t) -> $t { self.wrapping_add(other) }
            #[inline(always)]
            fn times(self, other: $t) -> $t { self.wrapping_mul(other) }
            #[inline(always)]
            fn is_nan(self) -> bool { false }
        }
    )*};
}
integers!(i8 => i64 i16 => i64 i32 => i64 i64 => i64 u8 => u64 u16 => u64 u32 => u64 u64 => u64);

impl Number for bool {
    type Wide = i64;
    const ZERO: bool = false;
    const ONE: bool = true;
    const LOWEST: bool = false;
    const HIGHEST: bool = true;
    #[inline(always)]
    fn widen(self) -> i64 {
        i64::from(self)
    }
    #[inline(always)]
    fn plus(self, other: bool) -> bool {
        self | other
    }
    #[inline(always)]
    fn times(self, other: bool) -> bool {
        self & other
    }
    #[inline(always)]
    fn is_nan(self) -> bool {
        false
    }
}

/// A floating element type, whose mathematics is that of its [`Lane`].
pub trait Float: Number<Wide = Self> {
    /// The smallest positive number with all its digits.
    const SMALLEST: Self;
    /// The type that computes, with or without a fused multiply-add.
    type Lane<const FMA: bool>: Real;
    /// The value as a lane.
    fn lane<const FMA: bool>(self) -> Self::Lane<FMA>;
    /// The value of a lane.
    fn of<const FMA: bool>(lane: Self::Lane<FMA>) -> Self;
}

macro_rules! lanes {
    ($($t:ident)*) => {$(
        impl Float for $t {
            const SMALLEST: $t = $t::MIN_POSITIVE;
            type Lane<const FMA: bool> = Lane<$t, FMA>;
            #[inline(always)]
            fn lane<const FMA: bool>(self) -> Lane<$t, FMA> { Lane(self) }
            #[inline(always)]
            fn of<const FMA: bool>(lane: Lane<$t, FMA>) -> $t { lane.0 }
        }
    )*};
}
lanes!(f32 f64);
