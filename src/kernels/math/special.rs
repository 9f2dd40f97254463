//! Special functions, from the coefficients of the module that uses this: the error function's relatives, and Γ's.
//!
//! Where two intervals need two formulas both are computed and one is chosen, so that loops stay loops over vectors.

/// The functions whose algorithm is the same in both precisions.
macro_rules! special {
    ($T:ident) => {
        use super::{exp_below, fma, ln, polynomial};
        use crate::kernels::math::zeta;

        /// `x²` in two parts, the first of them rounded.
        #[inline(always)]
        fn square_in_two<const FMA: bool>(x: $T) -> ($T, $T) {
            let square = x * x;
            if FMA {
                return (square, x.mul_add(x, -square));
            }
            let high = $T::from_bits(x.to_bits() & HIGH_HALF);
            let low = x - high;
            (square, ((high * high - square) + 2.0 * high * low) + low * low)
        }

        /// `1 - erf x` without the loss of digits where that is small, within 3 ulp.
        ///
        /// By the substitution of Shepherd and Laframboise (1981), Mathematics of Computation 36.
        #[inline(always)]
        pub fn erfc<const FMA: bool>(x: $T) -> $T {
            let y = x.abs();
            let y = if y > ERFC_MAX { ERFC_MAX } else { y };
            let t = (y - ERFC_CENTRE) / (y + ERFC_CENTRE);
            let (square, rest) = square_in_two::<FMA>(y);
            let e = exp_below::<FMA>(-square);
            let scaled = polynomial::<FMA, _>(t - ERFC_MIDDLE, ERFC) / fma::<FMA>(2.0, y, 1.0);
            let tail = scaled * fma::<FMA>(-e, rest, e);
            let far = if x < 0.0 { 2.0 - tail } else { tail };
            let near = fma::<FMA>(-x, polynomial::<FMA, _>(x * x, ERF_NEAR), 1.0);
            if y < 0.5 { near } else { far }
        }

        /// The inverse of `erf`, for `|x| ≤ 1`, within 4 ulp.
        ///
        /// The intervals are those of Giles (2012), Approximating the erfinv function.
        #[inline(always)]
        pub fn erfinv<const FMA: bool>(x: $T) -> $T {
            let w = -ln::<FMA>((1.0 - x) * (1.0 + x));
            let near = polynomial::<FMA, _>(w - 2.5, ERFINV_NEAR);
            let y = x * if w < 5.0 { near } else { erfinv_far::<FMA>(w.sqrt()) };
            if x.abs() == 1.0 { $T::INFINITY.copysign(x) } else { y }
        }

        /// `(t, p, s)` where `0 ≤ t ≤ 1`, `Γ(x)` is `Γ(1 + t) p`, or for `x < 1` `Γ(1 + t) / p`, and `digamma(x)` is
        /// `digamma(1 + t) + s`; for `0 ≤ x < 8`.
        #[inline(always)]
        fn above_one(x: $T) -> ($T, $T, $T) {
            // Below 1 no digit of `x` is lost by adding 1 to it.
            let below = x < 1.0;
            let mut t = if below { x } else { x - 1.0 };
            let mut product = if below { x } else { 1.0 };
            // The sum of reciprocals is one over another, to be divided once.
            let mut sum: $T = if below { -1.0 } else { 0.0 };
            for _ in 0..6 {
                let above = t >= 1.0;
                let y = t;
                t -= if above { 1.0 } else { 0.0 };
                sum = if above { sum * y + product } else { sum };
                product = if above { product * y } else { product };
            }
            (t, product, sum / product)
        }

        /// `ln Γ(x)` for `x ≥ 0`.
        #[inline(always)]
        fn lgamma_above<const FMA: bool>(x: $T) -> $T {
            let far = x >= 8.0;
            let (t, product, _) = above_one(if far { 1.5 } else { x });
            let logarithm = ln::<FMA>(if far { x } else { product });
            let zeros = t * (t - 1.0);
            let logarithm_of_product = if x < 1.0 { -logarithm } else { logarithm };
            let near = fma::<FMA>(zeros, polynomial::<FMA, _>(t - 0.5, LGAMMA), logarithm_of_product);
            let inverse = 1.0 / x;
            let series =
                fma::<FMA>(inverse, polynomial::<FMA, _>(inverse * inverse, STIRLING), HALF_LN_TAU - 0.5);
            let stirling = fma::<FMA>(x - 0.5, logarithm - 1.0, series);
            if far { stirling } else { near }
        }

        /// The logarithm of `|Γ(x)|`: within 5 ulp from 0 on, and below it of the larger of what it is the difference of.
        ///
        /// From 8 on by Stirling's series, below by the recurrence from [1, 2], and below 0 by reflection.
        #[inline(always)]
        pub fn lgamma<const FMA: bool>(x: $T) -> $T {
            let negative = x < 0.0;
            let above = lgamma_above::<FMA>(if negative { 1.0 - x } else { x });
            let r = x - x.round_ties_even();
            let reflected = -ln::<FMA>(r.abs() * polynomial::<FMA, _>(r * r, SINE)) - above;
            let y = if negative { reflected } else { above };
            // At a pole that is far away infinity would be taken from infinity.
            if x.is_infinite() || (negative && r == 0.0) { $T::INFINITY } else { y }
        }

        /// `digamma(x)` for `x ≥ 0`.
        #[inline(always)]
        fn digamma_above<const FMA: bool>(x: $T) -> $T {
            let far = x >= 8.0;
            let (t, _, sum) = above_one(if far { 1.5 } else { x });
            let from_zero = (t - (DIGAMMA_ZERO - 1.0)) - DIGAMMA_ZERO_LOW;
            let near = fma::<FMA>(from_zero, polynomial::<FMA, _>(t - 0.5, DIGAMMA), sum);
            let inverse = 1.0 / x;
            let series = inverse * inverse * polynomial::<FMA, _>(inverse * inverse, DIGAMMA_FAR);
            let asymptotic = ln::<FMA>(x) - fma::<FMA>(0.5, inverse, series);
            if far { asymptotic } else { near }
        }

        /// The derivative of `lgamma`: within 5 ulp from 0 on, and below it of the larger of what it is the difference of.
        #[inline(always)]
        pub fn digamma<const FMA: bool>(x: $T) -> $T {
            let negative = x < 0.0;
            let above = digamma_above::<FMA>(if negative { 1.0 - x } else { x });
            let r = x - x.round_ties_even();
            let reflected = above - polynomial::<FMA, _>(r * r, COTANGENT) / r;
            let pole = if r == 0.0 { $T::NAN } else { reflected };
            if negative { pole } else { above }
        }

        /// `sin(πx) / (πx)`, and 1 at 0, within 4 ulp: whole turns are taken off before anything is rounded.
        #[inline(always)]
        pub fn sinc<const FMA: bool>(x: $T) -> $T {
            // An infinity would be taken from itself; the largest numbers are whole, where it is 0.
            let x = if x > $T::MAX { $T::MAX } else { x };
            let x = if x < $T::MIN { $T::MIN } else { x };
            let whole = x.round_ties_even();
            let r = x - whole;
            let near = polynomial::<FMA, _>(r * r, SINE);
            let half = 0.5 * whole;
            let turned = if half == half.trunc() { r } else { -r };
            // Added so that no zero is negative.
            if whole == 0.0 { near } else { turned / x * near + 0.0 }
        }

        /// `trigamma(x)` for `x ≥ 0`: what the first eight steps of the recurrence add, and the asymptotic series from there.
        #[inline(always)]
        fn trigamma_above<const FMA: bool>(x: $T) -> $T {
            let mut sum = 0.0;
            for k in 0..8 {
                let y = 1.0 / (x + k as $T);
                sum = fma::<FMA>(y, y, sum);
            }
            let inverse = 1.0 / (x + 8.0);
            let square = inverse * inverse;
            let series = fma::<FMA>(inverse, polynomial::<FMA, _>(square, TRIGAMMA_FAR), 0.5);
            sum + fma::<FMA>(square, series, inverse)
        }

        /// The derivative of `digamma`: within 5 ulp from 0 on, and below it of the larger of what it is the difference of.
        #[inline(always)]
        pub fn trigamma<const FMA: bool>(x: $T) -> $T {
            let negative = x < 0.0;
            let above = trigamma_above::<FMA>(if negative { 1.0 - x } else { x });
            let r = x - x.round_ties_even();
            // The sine over π, from the nearest whole number.
            let sine = r * polynomial::<FMA, _>(r * r, SINE);
            let reflected = 1.0 / (sine * sine) - above;
            if negative { reflected } else { above }
        }

        /// The derivative of order `order` of `digamma`, for whole orders from 0 on, within 16 ulp.
        #[inline(always)]
        pub fn polygamma<const FMA: bool>(x: $T, order: $T) -> $T {
            if order == 0.0 { digamma::<FMA>(x) } else { zeta::polygamma(x as f64, order as f64) as $T }
        }
    };
}

pub(super) use special;
