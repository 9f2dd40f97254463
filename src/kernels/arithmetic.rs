//! Arithmetic of two numbers of one type, with NumPy's meaning: integers wrap, division floors, NaN propagates.

use crate::dtype::Element;

/// Element types that can be added and compared.
pub trait Arithmetic: Element {
    /// `a + b`.
    fn add(a: Self, b: Self) -> Self;
    /// `a - b`.
    fn sub(a: Self, b: Self) -> Self;
    /// `a * b`.
    fn mul(a: Self, b: Self) -> Self;
    /// `floor(a / b)`; 0 for integers where `b` is 0.
    fn floor_divide(a: Self, b: Self) -> Self;
    /// What is left of `a` after `floor_divide`, with the sign of `b`; 0 for integers where `b` is 0.
    fn remainder(a: Self, b: Self) -> Self;
    /// What is left of `a` after division towards 0, with the sign of `a`; 0 for integers where `b` is 0.
    fn fmod(a: Self, b: Self) -> Self;
    /// The larger; NaN if both are.
    fn fmax(a: Self, b: Self) -> Self;
    /// The smaller; NaN if both are.
    fn fmin(a: Self, b: Self) -> Self;
    /// The larger; NaN if either is.
    fn maximum(a: Self, b: Self) -> Self;
    /// The smaller; NaN if either is.
    fn minimum(a: Self, b: Self) -> Self;
    /// `a` to the power `b`; for integers `b` is not negative.
    fn pow(a: Self, b: Self) -> Self;
}

/// Element types with bits.
pub trait Bits: Element + Eq + Ord {
    /// `a & b`.
    fn and(a: Self, b: Self) -> Self;
    /// `a | b`.
    fn or(a: Self, b: Self) -> Self;
    /// `a ^ b`.
    fn xor(a: Self, b: Self) -> Self;
    /// `a << b`; 0 where `b` is the width or more.
    fn shl(a: Self, b: Self) -> Self;
    /// `a >> b`, with the sign; 0 or -1 where `b` is the width or more.
    fn shr(a: Self, b: Self) -> Self;
    /// `!a`.
    fn not(a: Self) -> Self;
}

macro_rules! integer {
    ($($t:ty),+) => {$(
        impl Arithmetic for $t {
            #[inline(always)]
            fn add(a: Self, b: Self) -> Self {
                a.wrapping_add(b)
            }
            #[inline(always)]
            fn sub(a: Self, b: Self) -> Self {
                a.wrapping_sub(b)
            }
            #[inline(always)]
            fn mul(a: Self, b: Self) -> Self {
                a.wrapping_mul(b)
            }
            #[inline(always)]
            #[allow(unused_comparisons)]
            fn floor_divide(a: Self, b: Self) -> Self {
                if b == 0 {
                    return 0;
                }
                let q = a.wrapping_div(b);
                if a.wrapping_rem(b) != 0 && (a < 0) != (b < 0) { q.wrapping_sub(1) } else { q }
            }
            #[inline(always)]
            #[allow(unused_comparisons)]
            fn remainder(a: Self, b: Self) -> Self {
                if b == 0 {
                    return 0;
                }
                let r = a.wrapping_rem(b);
                if r != 0 && (r < 0) != (b < 0) { r.wrapping_add(b) } else { r }
            }
            #[inline(always)]
            fn fmod(a: Self, b: Self) -> Self {
                if b == 0 { 0 } else { a.wrapping_rem(b) }
            }
            #[inline(always)]
            fn fmax(a: Self, b: Self) -> Self {
                a.max(b)
            }
            #[inline(always)]
            fn fmin(a: Self, b: Self) -> Self {
                a.min(b)
            }
            #[inline(always)]
            fn maximum(a: Self, b: Self) -> Self {
                a.max(b)
            }
            #[inline(always)]
            fn minimum(a: Self, b: Self) -> Self {
                a.min(b)
            }
            #[inline(always)]
            fn pow(a: Self, b: Self) -> Self {
                let (mut base, mut left, mut result) = (a, b as u64, 1 as $t);
                while left > 0 {
                    if left & 1 == 1 {
                        result = result.wrapping_mul(base);
                    }
                    base = base.wrapping_mul(base);
                    left >>= 1;
                }
                result
            }
        }
        impl Bits for $t {
            #[inline(always)]
            fn and(a: Self, b: Self) -> Self {
                a & b
            }
            #[inline(always)]
            fn or(a: Self, b: Self) -> Self {
                a | b
            }
            #[inline(always)]
            fn xor(a: Self, b: Self) -> Self {
                a ^ b
            }
            #[inline(always)]
            fn shl(a: Self, b: Self) -> Self {
                if (b as u64) < u64::from(<$t>::BITS) { a << b } else { 0 }
            }
            #[inline(always)]
            fn shr(a: Self, b: Self) -> Self {
                a >> (b as u64).min(u64::from(<$t>::BITS) - 1) >> Self::from((b as u64) >= u64::from(<$t>::BITS))
            }
            #[inline(always)]
            fn not(a: Self) -> Self {
                !a
            }
        }
    )+};
}
integer!(u8, u16, u32, u64, i8, i16, i32, i64);

impl Bits for bool {
    #[inline(always)]
    fn and(a: Self, b: Self) -> Self {
        a & b
    }
    #[inline(always)]
    fn or(a: Self, b: Self) -> Self {
        a | b
    }
    #[inline(always)]
    fn xor(a: Self, b: Self) -> Self {
        a ^ b
    }
    #[inline(always)]
    fn shl(a: Self, b: Self) -> Self {
        a & !b
    }
    #[inline(always)]
    fn shr(a: Self, b: Self) -> Self {
        a & !b
    }
    #[inline(always)]
    fn not(a: Self) -> Self {
        !a
    }
}

/// What a division to a whole quotient leaves, with the sign of the dividend: exact, however large the quotient.
trait Division: Copy {
    fn left_by(self, divisor: Self) -> Self;
}

impl Division for f32 {
    #[inline(always)]
    fn left_by(self, divisor: f32) -> f32 {
        // In float64 a quotient below 2^28 keeps its side of each whole number, and its product has all its digits.
        let (a, b) = (f64::from(self), f64::from(divisor));
        let quotient = (a / b).trunc();
        if quotient.abs() < 268_435_456.0 && b.abs() <= f64::from(f32::MAX) {
            return ((a - quotient * b) as f32).copysign(self);
        }
        self % divisor
    }
}

impl Division for f64 {
    #[inline(always)]
    fn left_by(self, divisor: f64) -> f64 {
        self % divisor
    }
}

macro_rules! float {
    ($($t:ty),+) => {$(
        impl Arithmetic for $t {
            #[inline(always)]
            fn add(a: Self, b: Self) -> Self {
                a + b
            }
            #[inline(always)]
            fn sub(a: Self, b: Self) -> Self {
                a - b
            }
            #[inline(always)]
            fn mul(a: Self, b: Self) -> Self {
                a * b
            }
            #[inline(always)]
            fn floor_divide(a: Self, b: Self) -> Self {
                // An infinity divided is one, as in the array API standard; Python and NumPy have NaN there.
                if b == 0.0 || a.is_infinite() {
                    return a / b;
                }
                // The quotient of what the remainder leaves is whole up to rounding, as in Python.
                let r = a.left_by(b);
                let q = (a - r) / b;
                let q = if r != 0.0 && (r < 0.0) != (b < 0.0) { q - 1.0 } else { q };
                let f = q.floor();
                let f = if q - f > 0.5 { f + 1.0 } else { f };
                if q == 0.0 { (0.0 as $t).copysign(a / b) } else { f }
            }
            #[inline(always)]
            fn remainder(a: Self, b: Self) -> Self {
                let r = a.left_by(b);
                if r == 0.0 {
                    (0.0 as $t).copysign(b) * if b.is_nan() || r.is_nan() { <$t>::NAN } else { 1.0 }
                } else if (r < 0.0) != (b < 0.0) {
                    r + b
                } else {
                    r
                }
            }
            #[inline(always)]
            fn fmod(a: Self, b: Self) -> Self {
                a.left_by(b)
            }
            #[inline(always)]
            fn fmax(a: Self, b: Self) -> Self {
                // A comparison with NaN is false, which leaves the other.
                let m = if a > b { a } else { b };
                if b.is_nan() { a } else { m }
            }
            #[inline(always)]
            fn fmin(a: Self, b: Self) -> Self {
                let m = if a < b { a } else { b };
                if b.is_nan() { a } else { m }
            }
            #[inline(always)]
            fn maximum(a: Self, b: Self) -> Self {
                // One comparison and two selections: vectorises, and a NaN on either side wins.
                let m = if a > b { a } else { b };
                if a.is_nan() { a } else { m }
            }
            #[inline(always)]
            fn minimum(a: Self, b: Self) -> Self {
                let m = if a < b { a } else { b };
                if a.is_nan() { a } else { m }
            }
            #[inline(always)]
            fn pow(a: Self, b: Self) -> Self {
                a.powf(b)
            }
        }
    )+};
}
float!(f32, f64);
