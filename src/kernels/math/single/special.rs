//! The coefficients of the special functions of `f32`: near-minimax fits by Chebyshev's points, lowest power first.

use crate::kernels::math::special::special;

special! { f32 }

/// The bits of the upper half of a number, whose square is exact.
const HIGH_HALF: u32 = 0xffff_f000;

/// Above it erfc is 0.
const ERFC_MAX: f32 = 10.2;
const ERFC_MIDDLE: f32 = -0.165;
const ERFC_CENTRE: f32 = 2.0;

const ERFINV_CENTRE: f32 = 3.15;

/// `erfinv(x) / x` from `s = √w`, for `w` from 5 on.
#[inline(always)]
fn erfinv_far<const FMA: bool>(s: f32) -> f32 {
    polynomial::<FMA, _>(s - ERFINV_CENTRE, ERFINV_FAR)
}

/// The zero of digamma above 0, in two parts.
const DIGAMMA_ZERO: f32 = 1.461_632_1;
const DIGAMMA_ZERO_LOW: f32 = 1.243_815e-8;

/// `ln(2π) / 2`.
const HALF_LN_TAU: f32 = 0.918_938_5;

/// Stirling's series for `ln Γ(x)`, in powers of `1 / x²`, times `x`.
const STIRLING: [f32; 3] = [1.0 / 12.0, -1.0 / 360.0, 1.0 / 1260.0];
/// The asymptotic series of `trigamma(x) - 1 / x - 1 / (2x²)`, in powers of `1 / x²`, times `x³`: Bernoulli's numbers.
const TRIGAMMA_FAR: [f32; 4] = [1.0 / 6.0, -1.0 / 30.0, 1.0 / 42.0, -1.0 / 30.0];
/// The asymptotic series of `ln x - 1 / (2x) - digamma(x)`, in powers of `1 / x²`, times `x²`.
const DIGAMMA_FAR: [f32; 4] = [1.0 / 12.0, -1.0 / 120.0, 1.0 / 252.0, -1.0 / 240.0];

/// `(1 + 2y) e^(y²) erfc(y)` in powers of `(y - ERFC_CENTRE) / (y + ERFC_CENTRE) - ERFC_MIDDLE`, up to where erfc is 0.
const ERFC: [f32; 11] = [
    1.2869883,
    -0.023636464,
    -0.25563872,
    0.19690336,
    -0.044298764,
    -0.01558849,
    0.0063487277,
    0.0025567645,
    -0.00067127845,
    -0.00040868417,
    2.195115e-05,
];

/// `erf(x) / x` in powers of `x²`, for `|x| ≤ 1/2`.
const ERF_NEAR: [f32; 5] =
    [std::f32::consts::FRAC_2_SQRT_PI, -0.37612608, 0.112828314, -0.026757732, 0.0047190827];

/// `erfinv(x) / x` in powers of `w - 2.5`, where `w = -ln(1 - x²)` is below 5.
const ERFINV_NEAR: [f32; 11] = [
    1.5014093,
    0.2466403,
    -0.00417732,
    -0.0012527485,
    0.00021825773,
    -4.959692e-06,
    -3.4234142e-06,
    4.654174e-07,
    1.5984305e-08,
    -8.73901e-09,
    4.6719323e-10,
];

/// The same in powers of `√w - ERFINV_CENTRE`, for larger `w`.
const ERFINV_FAR: [f32; 10] = [
    2.9834175,
    1.0040613,
    0.0066664056,
    -0.0049365573,
    0.0034705186,
    -0.0023382218,
    0.0012694391,
    -0.00033581452,
    -0.0001572623,
    0.00011657152,
];

/// `ln Γ(x) / ((x - 1) (x - 2))` in powers of `x - 1.5`, for `1 ≤ x ≤ 2`.
const LGAMMA: [f32; 10] = [
    0.48312896,
    -0.1459599,
    0.062911056,
    -0.031308275,
    0.016808098,
    -0.009432412,
    0.005325992,
    -0.0031377363,
    0.0024467446,
    -0.0014874843,
];

/// `digamma(x)` over the distance from its zero, in powers of `x - 1.5`, for `1 ≤ x ≤ 2`.
const DIGAMMA: [f32; 10] = [
    0.9510559,
    -0.42362744,
    0.24053845,
    -0.14840224,
    0.09511622,
    -0.06200707,
    0.03936942,
    -0.026048882,
    0.023909071,
    -0.015906317,
];

/// `sin(πr) / (πr)` in powers of `r²`, for `|r| ≤ 1/2`.
const SINE: [f32; 5] = [1.0, -1.6449332, 0.8117148, -0.19044176, 0.024718644];

/// `πr cot(πr)` in powers of `r²`, for `|r| ≤ 1/2`.
const COTANGENT: [f32; 7] = [0.99999994, -3.2898529, -2.165618, -2.011972, -2.2561336, -0.6618998, -5.280254];
