//! Elementary functions without branches, so that a loop over one of them becomes a loop over vectors.
//!
//! Each takes `FMA`: whether a fused multiply-add is an instruction where the function is used. Coefficients are
//! minimax fits (Remez) for the relative error of the function they belong to, lowest power first.
//! The unit of the bounds is the distance between two neighbouring numbers at the exact result (ulp).

mod special;
mod zeta;
pub mod double;
pub mod single;

/// The functions whose algorithm is the same in both precisions, from the constants of the module that uses this.
macro_rules! algorithms {
    ($T:ident, $Int:ident, $Bits:ident) => {
        const MANTISSA: u32 = $T::MANTISSA_DIGITS - 1;
        const BIAS: $Int = $T::MAX_EXP as $Int - 1;

        /// Above it `1 + x²` is `x²`.
        const INVERSE_SPLIT: $T = (1u64 << (MANTISSA / 2 + 2)) as $T;

        /// Adding it rounds to an integer, which is then also found in the low bits.
        const ROUND: $T = (3u64 << (MANTISSA - 1)) as $T;

        #[inline(always)]
        fn fma<const FMA: bool>(a: $T, b: $T, c: $T) -> $T {
            if FMA { a.mul_add(b, c) } else { a * b + c }
        }

        #[inline(always)]
        fn polynomial<const FMA: bool, const N: usize>(x: $T, coefficients: [$T; N]) -> $T {
            let mut sum = coefficients[N - 1];
            for i in 1..N {
                sum = fma::<FMA>(sum, x, coefficients[N - 1 - i]);
            }
            sum
        }

        /// `(m, eʳ - 1)` where `x = n ln 2 + r`, `|r| ≤ ln 2 / 2`, and the low bits of `m` are `n + SHIFT`.
        #[inline(always)]
        fn reduced_expm1<const FMA: bool, const SHIFT: $Int>(x: $T) -> ($Bits, $T) {
            let round = ROUND + SHIFT as $T;
            let rounded = fma::<FMA>(x, std::$T::consts::LOG2_E, round);
            let n = rounded - round;
            let r = fma::<FMA>(-n, LN_2_LOW, fma::<FMA>(-n, LN_2_HIGH, x));
            let p = fma::<FMA>(r * r, polynomial::<FMA, _>(r, EXP), r);
            (rounded.to_bits(), p)
        }

        /// The number whose exponent is in the low bits of `m`; those above may be anything.
        #[inline(always)]
        fn with_exponent(m: $Bits) -> $T {
            $T::from_bits(m << MANTISSA)
        }

        /// `eˣ` for `x ≤ EXP_MAX`.
        #[inline(always)]
        fn exp_below<const FMA: bool>(x: $T) -> $T {
            let x = if x < EXP_MIN { EXP_MIN } else { x };
            let (m, p) = reduced_expm1::<FMA, { 2 * BIAS }>(x);
            // Two factors, since one cannot reach the denormals nor `2ⁿ` just above the largest number.
            let half = m >> 1;
            (p + 1.0) * with_exponent(half) * with_exponent(m.wrapping_sub(half))
        }

        /// `eˣ`, within 1 ulp.
        #[inline(always)]
        pub fn exp<const FMA: bool>(x: $T) -> $T {
            exp_below::<FMA>(if x > EXP_MAX { EXP_MAX } else { x })
        }

        /// `2ˣ`, within 1 ulp, and exact for whole numbers.
        #[inline(always)]
        pub fn exp2<const FMA: bool>(x: $T) -> $T {
            let x = if x > EXP2_MAX { EXP2_MAX } else { x };
            let x = if x < EXP2_MIN { EXP2_MIN } else { x };
            let round = ROUND + (2 * BIAS) as $T;
            let rounded = x + round;
            let r = (x - (rounded - round)) * std::$T::consts::LN_2;
            let p = fma::<FMA>(r * r, polynomial::<FMA, _>(r, EXP), r);
            let m = rounded.to_bits();
            let half = m >> 1;
            (p + 1.0) * with_exponent(half) * with_exponent(m.wrapping_sub(half))
        }

        /// `eˣ - 1`, within 2 ulp.
        #[inline(always)]
        pub fn expm1<const FMA: bool>(x: $T) -> $T {
            let y = if x < -50.0 { -50.0 } else { x };
            let y = if y > EXP_MAX { EXP_MAX } else { y };
            let (m, p) = reduced_expm1::<FMA, { BIAS - 1 }>(y);
            let half = with_exponent(m);
            (2.0 * fma::<FMA>(half, p, half - 0.5)).copysign(x)
        }

        /// `(eˣ - e⁻ˣ) / (eˣ + e⁻ˣ)`, within 3 ulp.
        #[inline(always)]
        pub fn tanh<const FMA: bool>(x: $T) -> $T {
            let y = x.abs();
            let y = if y > 20.0 { 20.0 } else { y };
            let (m, p) = reduced_expm1::<FMA, BIAS>(2.0 * y);
            let scale = with_exponent(m);
            let t = fma::<FMA>(scale, p, scale - 1.0);
            (t / (t + 2.0)).copysign(x)
        }

        /// `1 / (1 + e⁻ˣ)`, within 3 ulp.
        #[inline(always)]
        pub fn sigmoid<const FMA: bool>(x: $T) -> $T {
            let e = exp_below::<FMA>(-x.abs());
            (if x < 0.0 { e } else { 1.0 }) / (1.0 + e)
        }

        /// `(e, f, x')` where `x = 2ᵉ (1 + f)` and `2/3 ≤ 1 + f < 4/3`.
        #[inline(always)]
        fn split(x: $T) -> ($Int, $T) {
            const LOW: $Int = (2.0 / 3.0 as $T).to_bits() as $Int;
            let i = (x.to_bits() as $Int).wrapping_sub(LOW);
            let mantissa = (i & ((1 << MANTISSA) - 1)) + LOW;
            (i >> MANTISSA, $T::from_bits(mantissa as $Bits) - 1.0)
        }

        /// As [`split`], for denormals too, and the exponent as a number.
        #[inline(always)]
        fn split_any(x: $T) -> ($T, $T) {
            let tiny = x < $T::MIN_POSITIVE;
            let (e, f) = split(if tiny { x * power_of_two(MANTISSA as $Int) } else { x });
            (number(e) - if tiny { MANTISSA as $T } else { 0.0 }, f)
        }

        /// An integer of at most half the mantissa's bits as a number; there is no such instruction for 64 bits.
        #[inline(always)]
        fn number(n: $Int) -> $T {
            $T::from_bits((ROUND.to_bits() as $Int + n) as $Bits) - ROUND
        }

        /// `y`, but what a logarithm is where its argument `x` is 0, infinite, negative or NaN.
        #[inline(always)]
        fn logarithm_edges(x: $T, y: $T) -> $T {
            let y = if x == 0.0 { $T::NEG_INFINITY } else { y };
            let y = if x < $T::INFINITY { y } else { x };
            if x < 0.0 { $T::NAN } else { y }
        }

        /// `2ⁿ` for an exponent of a normal number.
        #[inline(always)]
        fn power_of_two(n: $Int) -> $T {
            with_exponent((n + BIAS) as $Bits)
        }

        /// The natural logarithm, within 1 ulp.
        #[inline(always)]
        pub fn ln<const FMA: bool>(x: $T) -> $T {
            let (e, f) = split_any(x);
            logarithm_edges(x, ln_of_split::<FMA>(e, f))
        }

        /// `ln(1 + x)` for finite `x > -1`.
        #[inline(always)]
        fn ln_1p_inside<const FMA: bool>(x: $T) -> $T {
            let u = 1.0 + x;
            let v = u - 1.0;
            let lost = (x - v) + (1.0 - (u - v));
            let (e, f) = split(u);
            ln_of_split::<FMA>(number(e), fma::<FMA>(lost, power_of_two((-e).max(1 - BIAS)), f))
        }

        /// `ln(1 + x)`, within 2 ulp.
        #[inline(always)]
        pub fn ln_1p<const FMA: bool>(x: $T) -> $T {
            logarithm_edges(1.0 + x, ln_1p_inside::<FMA>(x)).copysign(x)
        }

        /// `ln(1 + eˣ)`, within 3 ulp.
        #[inline(always)]
        pub fn softplus<const FMA: bool>(x: $T) -> $T {
            (if x < 0.0 { 0.0 } else { x }) + ln_1p_unit::<FMA>(exp_below::<FMA>(-x.abs()))
        }

        /// `eʸ / 2 - shift`, for `0 ≤ y` and up to where the hyperbolic functions overflow, later than `eʸ`.
        #[inline(always)]
        fn half_exp<const FMA: bool>(y: $T, shift: $T) -> $T {
            let y = if y > EXP_MAX + 0.5 { EXP_MAX + 0.5 } else { y };
            let (m, p) = reduced_expm1::<FMA, { BIAS - 2 }>(y);
            let quarter = with_exponent(m);
            2.0 * fma::<FMA>(quarter, p, quarter - 0.5 * shift)
        }

        /// `(eˣ - e⁻ˣ) / 2`, within 3 ulp.
        #[inline(always)]
        pub fn sinh<const FMA: bool>(x: $T) -> $T {
            let t = half_exp::<FMA>(x.abs(), 0.5);
            let bounded = if t > INVERSE_SPLIT { INVERSE_SPLIT } else { t };
            (t + bounded / (2.0 * bounded + 1.0)).copysign(x)
        }

        /// `(eˣ + e⁻ˣ) / 2`, within 2 ulp.
        #[inline(always)]
        pub fn cosh<const FMA: bool>(x: $T) -> $T {
            let e = half_exp::<FMA>(x.abs(), 0.0);
            e + 0.25 / e
        }

        /// The inverse of `sinh`, within 4 ulp.
        #[inline(always)]
        pub fn asinh<const FMA: bool>(x: $T) -> $T {
            let y = x.abs();
            let square = y * y;
            let near = ln_1p::<FMA>(y + square / (1.0 + (1.0 + square).sqrt()));
            let far = ln::<FMA>(y) + std::$T::consts::LN_2;
            (if y < INVERSE_SPLIT { near } else { far }).copysign(x)
        }

        /// The inverse of `cosh`, for `x ≥ 1`, within 4 ulp.
        #[inline(always)]
        pub fn acosh<const FMA: bool>(x: $T) -> $T {
            let y = x - 1.0;
            let near = ln_1p::<FMA>(y + (y * (y + 2.0)).sqrt());
            let far = ln::<FMA>(x) + std::$T::consts::LN_2;
            let y = if x < INVERSE_SPLIT { near } else { far };
            if x < 1.0 { $T::NAN } else { y }
        }

        /// The inverse of `tanh`, for `|x| ≤ 1`, within 4 ulp.
        #[inline(always)]
        pub fn atanh<const FMA: bool>(x: $T) -> $T {
            let y = x.abs();
            0.5 * ln_1p::<FMA>(2.0 * y / (1.0 - y)).copysign(x)
        }

        /// The error function, within 2 ulp.
        #[inline(always)]
        pub fn erf<const FMA: bool>(x: $T) -> $T {
            let y = x.abs();
            let y = if y > ERF_MAX { ERF_MAX } else { y };
            let (m, p) = reduced_expm1::<FMA, BIAS>(fma::<FMA>(y, polynomial::<FMA, _>(y, LN_ERFC), -y));
            let scale = with_exponent(m);
            fma::<FMA>(-scale, p, 1.0 - scale).copysign(x)
        }

        /// `√x`, rounded correctly.
        #[inline(always)]
        pub fn sqrt<const FMA: bool>(x: $T) -> $T {
            x.sqrt()
        }

        /// `|x|`.
        #[inline(always)]
        pub fn abs<const FMA: bool>(x: $T) -> $T {
            x.abs()
        }

        /// -1, 0 or 1, and NaN for NaN.
        #[inline(always)]
        pub fn sign<const FMA: bool>(x: $T) -> $T {
            if x == 0.0 || x.is_nan() { x } else { (1.0 as $T).copysign(x) }
        }

        /// The largest integer that is not above `x`.
        #[inline(always)]
        pub fn floor<const FMA: bool>(x: $T) -> $T {
            x.floor()
        }

        /// The smallest integer that is not below `x`.
        #[inline(always)]
        pub fn ceil<const FMA: bool>(x: $T) -> $T {
            x.ceil()
        }

        /// `x` without its fraction.
        #[inline(always)]
        pub fn trunc<const FMA: bool>(x: $T) -> $T {
            x.trunc()
        }

        /// The nearest integer; the even one of two.
        #[inline(always)]
        pub fn round_even<const FMA: bool>(x: $T) -> $T {
            x.round_ties_even()
        }

        /// `xʸ`.
        #[inline(always)]
        pub fn pow<const FMA: bool>(x: $T, y: $T) -> $T {
            x.powf(y)
        }

        /// The angle of the point `(x, y)`, in `(-π, π]`.
        #[inline(always)]
        pub fn atan2<const FMA: bool>(y: $T, x: $T) -> $T {
            y.atan2(x)
        }

        /// `√(x² + y²)`, without overflow on the way.
        #[inline(always)]
        pub fn hypot<const FMA: bool>(x: $T, y: $T) -> $T {
            x.hypot(y)
        }
    };
}

/// The functions that are the standard library's.
macro_rules! standard {
    ($T:ident: $($(#[$doc:meta])* $name:ident)*) => {
        $($(#[$doc])* #[inline(always)] pub fn $name<const FMA: bool>(x: $T) -> $T { x.$name() })*
    };
}

use {algorithms, standard};
