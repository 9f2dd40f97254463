//! Floating-point numbers of 16 bits: how they are stored and converted. Computing is done with float32.

use crate::dtype::{DType, Element, sealed};
use std::cmp::Ordering;

/// IEEE 754 half precision: 5 bits of exponent, 10 of fraction.
#[derive(Clone, Copy, Debug, Default)]
#[repr(transparent)]
pub struct Float16(pub u16);

/// The upper half of a float32: 8 bits of exponent, 7 of fraction.
#[derive(Clone, Copy, Debug, Default)]
#[repr(transparent)]
pub struct BFloat16(pub u16);

/// A floating type of 16 bits.
pub trait Half: Element {
    /// The nearest value, ties to even; NaN for NaN.
    fn from_f32(x: f32) -> Self;
    /// The same value.
    fn to_f32(self) -> f32;
}

const SIGN: u32 = 1 << 31;
const INFINITY: u32 = 0x7f80_0000;

impl Half for Float16 {
    #[inline(always)]
    fn from_f32(x: f32) -> Self {
        /// From here on numbers are infinite: 2^16.
        const END: u32 = 143 << 23;
        /// Below, they are multiples of 2^-24: 2^-14.
        const NORMAL: u32 = 113 << 23;
        let sign = x.to_bits() & SIGN;
        let a = x.to_bits() ^ sign;
        // Beside 1/2 a float32 is a multiple of 2^-24, so that the addition rounds.
        let small = (f32::from_bits(a) + 0.5).to_bits().wrapping_sub(0.5f32.to_bits());
        // The exponent's bias changes from 127 to 15; what is added below the cut rounds, up from the middle if odd.
        let normal = a.wrapping_sub(112 << 23).wrapping_add(0xfff + ((a >> 13) & 1)) >> 13;
        let large = if a > INFINITY { 0x7e00 } else { 0x7c00 };
        let bits = if a >= END {
            large
        } else if a < NORMAL {
            small
        } else {
            normal
        };
        Float16((bits | sign >> 16) as u16)
    }
    #[inline(always)]
    fn to_f32(self) -> f32 {
        let bits = u32::from(self.0);
        // A power of two puts the exponent right, of numbers below the normal ones too.
        let scaled = f32::from_bits((bits & 0x7fff) << 13) * f32::from_bits((127 + 112) << 23);
        let end = if scaled >= 65536.0 { INFINITY } else { 0 };
        f32::from_bits(scaled.to_bits() | end | (bits & 0x8000) << 16)
    }
}

impl Half for BFloat16 {
    #[inline(always)]
    fn from_f32(x: f32) -> Self {
        let bits = x.to_bits();
        let nearest = bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16;
        BFloat16(if bits & !SIGN > INFINITY { bits >> 16 | 0x40 } else { nearest } as u16)
    }
    #[inline(always)]
    fn to_f32(self) -> f32 {
        f32::from_bits(u32::from(self.0) << 16)
    }
}

/// A float32 near `x` that rounds to the same number of fewer digits as `x` does: the next one towards zero, with an odd
/// last digit where `x` lies between two.
#[inline(always)]
fn odd(x: f64) -> f32 {
    let y = x as f32;
    let away = f64::from(y).abs() > x.abs();
    let inexact = f64::from(y) != x && x.is_finite();
    f32::from_bits(y.to_bits().wrapping_sub(u32::from(inexact && away)) | u32::from(inexact))
}

macro_rules! half {
    ($($t:ident = $d:ident),+) => {$(
        impl PartialEq for $t {
            fn eq(&self, other: &Self) -> bool {
                self.to_f32() == other.to_f32()
            }
        }
        impl PartialOrd for $t {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                self.to_f32().partial_cmp(&other.to_f32())
            }
        }
        impl sealed::Sealed for $t {}
        impl Element for $t {
            const DTYPE: DType = DType::$d;
            #[inline(always)]
            fn from_f64(x: f64) -> Self {
                Self::from_f32(odd(x))
            }
            #[inline(always)]
            fn from_i64(x: i64) -> Self {
                Self::from_f64(x as f64)
            }
            #[inline(always)]
            fn to_f64(self) -> f64 {
                f64::from(self.to_f32())
            }
            #[inline(always)]
            fn to_i64(self) -> i64 {
                self.to_f32() as i64
            }
        }
    )+};
}
half!(Float16 = F16, BFloat16 = BF16);

#[cfg(test)]
mod tests {
    use super::*;

    /// The value of 16 bits by the definition of a format of `fraction` bits of fraction.
    fn value(bits: u16, fraction: i32) -> f64 {
        let most = (1 << (15 - fraction)) - 1;
        let (exponent, rest) =
            (i32::from(bits & 0x7fff) >> fraction, i32::from(bits) & ((1 << fraction) - 1));
        let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
        let magnitude = match (exponent, rest) {
            (e, 0) if e == most => f64::INFINITY,
            (e, _) if e == most => f64::NAN,
            (0, r) => f64::from(r) * 2f64.powi(1 - most / 2 - fraction),
            (e, r) => f64::from(r + (1 << fraction)) * 2f64.powi(e - most / 2 - fraction),
        };
        sign * magnitude
    }

    fn check<T: Half>(of: fn(u16) -> T, bits: fn(T) -> u16, fraction: i32) {
        for i in 0..=u16::MAX {
            let (x, wide) = (of(i), value(i, fraction));
            if wide.is_nan() {
                assert!(x.to_f32().is_nan() && T::from_f32(x.to_f32()).to_f32().is_nan());
                continue;
            }
            assert_eq!(f64::from(x.to_f32()).to_bits(), wide.to_bits());
            assert_eq!(bits(T::from_f32(x.to_f32())), i);
            assert_eq!(bits(T::from_f64(wide)), i);
            if i & 0x7fff == 0 || wide.is_infinite() {
                continue;
            }
            // Between this number and the one nearer to zero: the middle goes to the even one, its neighbours to theirs.
            let nearer = i - 1;
            let middle = (wide + value(nearer, fraction)) / 2.0;
            let even = if i % 2 == 0 { i } else { nearer };
            let (up, down) = if wide > 0.0 {
                (middle.next_up(), middle.next_down())
            } else {
                (middle.next_down(), middle.next_up())
            };
            assert_eq!([middle, up, down].map(|x| bits(T::from_f64(x))), [even, i, nearer], "{wide}");
            let single = middle as f32;
            if f64::from(single) == middle {
                let (up, down) = if wide > 0.0 {
                    (single.next_up(), single.next_down())
                } else {
                    (single.next_down(), single.next_up())
                };
                assert_eq!([single, up, down].map(|x| bits(T::from_f32(x))), [even, i, nearer], "{wide}");
            }
        }
        let largest = f64::from(of((((1 << (15 - fraction)) - 1) << fraction) - 1).to_f32());
        let step = largest - largest * (1.0 - 2f64.powi(-fraction - 1)).max(0.0);
        assert!(T::from_f64(largest + step).to_f32().is_infinite());
        assert!(
            T::from_f64(1e300).to_f32() == f32::INFINITY && T::from_f64(-1e300).to_f32() == f32::NEG_INFINITY
        );
        assert_eq!(bits(T::from_f64(1e-300)), 0);
        assert_eq!(bits(T::from_f64(-1e-300)), 0x8000);
    }

    #[test]
    fn float16_rounds_to_nearest_even_at_all_its_numbers() {
        check(Float16, |x| x.0, 10);
    }

    #[test]
    fn bfloat16_rounds_to_nearest_even_at_all_its_numbers() {
        check(BFloat16, |x| x.0, 7);
    }
}
