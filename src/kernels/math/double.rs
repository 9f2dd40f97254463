//! Elementary functions of `f64`.

use super::{algorithms, standard};

mod special;
pub use special::{digamma, erfc, erfinv, lgamma, polygamma, sinc, trigamma};

algorithms! { f64, i64, u64 }

/// The interval outside of which `eˣ` is 0 or infinite.
const EXP_MIN: f64 = -746.0;
const EXP_MAX: f64 = 710.0;
/// The same of `2ˣ`.
const EXP2_MIN: f64 = -1076.0;
const EXP2_MAX: f64 = 1025.0;

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

/// `1 + ln(1 - erf x) / x`, up to where erf is 1.
const LN_ERFC: [f64; 24] = [
    -0.12837916709551256,
    -0.636619772367591,
    -0.10277260330131227,
    0.019128446993027716,
    0.00020919485474514438,
    -0.001696207676171989,
    0.000590132462379635,
    -2.5904615157791474e-05,
    -6.44201712999093e-05,
    2.957508043600071e-05,
    -3.1687937653738602e-06,
    -3.133983683364822e-06,
    2.0381232322964226e-06,
    -5.713099446844191e-07,
    1.2098442051070524e-08,
    6.555488567554538e-08,
    -3.4520063639102245e-08,
    1.0754889387077467e-08,
    -2.356437559861826e-09,
    3.7538849247424334e-10,
    -4.293422691093949e-11,
    3.357287773517148e-12,
    -1.6112015553123615e-13,
    3.583361404953979e-15,
];
const ERF_MAX: f64 = 6.0;

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
