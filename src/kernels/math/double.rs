//! Elementary functions of `f64`.

use super::{algorithms, standard};

algorithms! { f64, i64, u64 }

/// The interval outside of which `eˣ` is 0 or infinite.
const EXP_MIN: f64 = -746.0;
const EXP_MAX: f64 = 710.0;

/// ln 2 in two parts; products of the high one with an exponent are exact.
const LN_2_HIGH: f64 = 0.693_147_180_369_123_8;
const LN_2_LOW: f64 = 1.908_214_929_270_587_7e-10;

/// `(eʳ - 1 - r) / r²`
const EXP: [f64; 11] = [
    0.5,
    0.16666666666666685,
    0.04166666666666603,
    0.008333333333315703,
    0.0013888888889134184,
    0.00019841269899727133,
    2.480158690385593e-05,
    2.755723148180033e-06,
    2.7557592370014575e-07,
    2.5113226465496013e-08,
    2.0825637436213392e-09,
];

/// `(2 artanh s - 2s) / s³`, in powers of `s²`
const LN: [f64; 8] = [
    0.666666666666666,
    0.4000000000005695,
    0.28571428555767797,
    0.22222224302854274,
    0.18181665512331252,
    0.15391123358472647,
    0.13173413242210774,
    0.1384426879023917,
];

/// Below this `erf x = x + x P(x²)`; above, `1 - exp(Q(x))`; above the maximum, 1.
const ERF_SPLIT: f64 = 1.0;
const ERF_MAX: f64 = 6.0;
const ERF_NEAR: [f64; 13] = [
    0.1283791670955126,
    -0.3761263890318375,
    0.11283791670954857,
    -0.026866170645072893,
    0.005223977624780834,
    -0.0008548326978740082,
    0.00012055331036816899,
    -1.4925593504827809e-05,
    1.6460972783310206e-06,
    -1.6350024862711246e-07,
    1.4657877423875598e-08,
    -1.136565667725846e-09,
    5.945246211784308e-11,
];
const LN_ERFC: [f64; 20] = [
    -2.7801825865118752e-08,
    -1.128378915732326,
    -0.6366207340906902,
    -0.10277081612175949,
    0.019128045822648855,
    0.00020230263457691328,
    -0.0016749620695469284,
    0.0005523566406742296,
    2.2012307766598233e-05,
    -0.00011078696661117629,
    6.476301005034261e-05,
    -2.428106979800469e-05,
    6.784414034036982e-06,
    -1.4697722865573087e-06,
    2.481518052654552e-07,
    -3.219654147148789e-08,
    3.1083702043279605e-09,
    -2.1053998811298863e-10,
    8.929429793183716e-12,
    -1.784006691744576e-13,
];

/// `ln(2ᵉ (1 + f))`.
#[inline(always)]
fn ln_of_split<const FMA: bool>(e: f64, f: f64) -> f64 {
    // With s = f / (2 + f): ln(1 + f) = 2 artanh s, and 2s = f - f²/2 + s f²/2, where f is exact.
    let s = f / (2.0 + f);
    let z = s * s;
    let half = 0.5 * f * f;
    let tail = fma::<FMA>(e, LN_2_LOW, s * fma::<FMA>(z, polynomial::<FMA, _>(z, LN), half));
    fma::<FMA>(e, LN_2_HIGH, f - (half - tail))
}

/// `ln(1 + x)` for `0 ≤ x ≤ 1`.
#[inline(always)]
fn ln_1p_unit<const FMA: bool>(x: f64) -> f64 {
    ln_1p_inside::<FMA>(x)
}

standard! { f64:
    /// The logarithm to base 2.
    log2
    /// The logarithm to base 10.
    log10
    /// The sine of an angle in radians.
    sin
    /// The cosine of an angle in radians.
    cos
    /// The tangent of an angle in radians.
    tan
    /// The angle in `[-π/2, π/2]` whose sine is `x`.
    asin
    /// The angle in `[0, π]` whose cosine is `x`.
    acos
    /// The angle in `(-π/2, π/2)` whose tangent is `x`.
    atan
}
