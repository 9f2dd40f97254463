//! Elementary functions of `f32`.

use super::{algorithms, standard};

mod special;
pub use special::{digamma, erfc, erfinv, lgamma, polygamma, sinc, trigamma};

algorithms! { f32, i32, u32 }

/// The interval outside of which `eˣ` is 0 or infinite.
const EXP_MIN: f32 = -104.0;
const EXP_MAX: f32 = 89.0;
/// The same of `2ˣ`.
const EXP2_MIN: f32 = -151.0;
const EXP2_MAX: f32 = 129.0;

/// ln 2 in two parts; products of the high one with an exponent are exact.
const LN_2_HIGH: f32 = 355.0 / 512.0;
const LN_2_LOW: f32 = -2.121_944_4e-4;

/// `(eʳ - 1 - r) / r²`
const EXP: [f32; 5] = [0.49999994, 0.16666515, 0.041668456, 0.008369419, 0.0013813156];

/// `(ln(1 + f) - f + f²/2) / f³`
const LN: [f32; 8] =
    [0.33333215, -0.24999808, 0.20010507, -0.16679914, 0.14004084, -0.12193439, 0.13993832, -0.12846772];

/// `1 + ln(1 - erf x) / x`, up to where erf is 1.
const LN_ERFC: [f32; 9] = [
    -0.12837917,
    -0.6366194,
    -0.102_777_84,
    0.019153096,
    0.00016034323,
    -0.001666978,
    0.000_632_811_3,
    -0.00011763442,
    9.25553e-06,
];
const ERF_MAX: f32 = 4.0;

/// `(ln(1 + x) - x) / x²` for `0 ≤ x ≤ 1`
const LN_1P: [f32; 9] = [
    -0.4999993,
    0.33330512,
    -0.24958587,
    0.196954,
    -0.15355395,
    0.10680551,
    -0.05766439,
    0.020204553,
    -0.003318465,
];

/// `(sin r - r) / r³` and `(cos r - 1 + r²/2) / r⁴`, in powers of `r²`
const SIN: [f32; 3] = [-0.16666655, 0.008332155, -0.00019514085];
const COS: [f32; 3] = [0.041666646, -0.0013887337, 2.4434867e-05];

/// `ln(2ᵉ (1 + f))`.
#[inline(always)]
fn ln_of_split<const FMA: bool>(e: f32, f: f32) -> f32 {
    let square = f * f;
    let tail = fma::<FMA>(-0.5, square, square * f * polynomial::<FMA, _>(f, LN));
    fma::<FMA>(e, LN_2_HIGH, fma::<FMA>(e, LN_2_LOW, tail) + f)
}

/// `ln(1 + x)` for `0 ≤ x ≤ 1`.
#[inline(always)]
fn ln_1p_unit<const FMA: bool>(x: f32) -> f32 {
    fma::<FMA>(x * x, polynomial::<FMA, _>(x, LN_1P), x)
}

/// The logarithm to base 2, within 3 ulp.
#[inline(always)]
pub fn log2<const FMA: bool>(x: f32) -> f32 {
    let (e, f) = split_any(x);
    logarithm_edges(x, fma::<FMA>(ln_of_split::<FMA>(0.0, f), std::f32::consts::LOG2_E, e))
}

/// The logarithm to base 10, within 3 ulp.
#[inline(always)]
pub fn log10<const FMA: bool>(x: f32) -> f32 {
    // log10 2 in two parts, as ln 2 above.
    const HIGH: f32 = 77.0 / 256.0;
    const LOW: f32 = 0.000_248_745_66;
    let (e, f) = split_any(x);
    let mantissa = ln_of_split::<FMA>(0.0, f) * std::f32::consts::LOG10_E;
    logarithm_edges(x, fma::<FMA>(e, HIGH, fma::<FMA>(e, LOW, mantissa)))
}

/// 2/π after the binary point.
const TWO_OVER_PI: [u64; 4] =
    [0xA2F9_836E_4E44_1529, 0xFC27_57D1_F534_DDC0, 0xDB62_9599_3C43_9041, 0xFE51_63AB_DEBB_C561];

/// For each exponent from that of 2²³, `2/π` without what makes multiples of 4 with numbers of that exponent, in two
/// parts. Products of the high one with an `f32` are exact in `f64`.
static QUADRANTS: [[f64; 2]; 128] = quadrants();

const fn quadrants() -> [[f64; 2]; 128] {
    let mut table = [[0.0; 2]; 128];
    let mut i = 0;
    while i < 128 {
        // A number of this exponent is an integer times 2ⁱ, so bits of 2/π before the (i-1)th add multiples of 4.
        let drop = if i > 2 { i as u32 - 2 } else { 0 };
        let high = bits_after(drop) >> (64 - 29);
        let low = bits_after(drop + 29);
        table[i] = [high as f64 / power_of_2(drop + 29), low as f64 / power_of_2(drop + 29) / power_of_2(64)];
        i += 1;
    }
    table
}

/// The 64 bits of 2/π after the first `n`.
const fn bits_after(n: u32) -> u64 {
    let (word, shift) = ((n / 64) as usize, n % 64);
    if shift == 0 {
        TWO_OVER_PI[word]
    } else {
        TWO_OVER_PI[word] << shift | TWO_OVER_PI[word + 1] >> (64 - shift)
    }
}

const fn power_of_2(n: u32) -> f64 {
    f64::from_bits((n as u64 + 1023) << 52)
}

/// `(q, sin r, cos r)` where `|x| = q π/2 + r` and `|r| ≤ π/4`, for every finite `x`.
#[inline(always)]
fn circle<const FMA: bool>(x: f32) -> (u32, f32, f32) {
    const ROUND: f64 = 6755399441055744.0; // as for f32: 1.5 * 2^52
    let exponent = (x.to_bits() >> 23 & 0xff).max(150) - 150;
    let [high, low] = QUADRANTS[(exponent & 127) as usize];
    let x = f64::from(x.abs());
    let (coarse, fine) = (x * high, x * low);
    let rounded = (coarse + fine) + ROUND;
    let r = ((coarse - (rounded - ROUND)) + fine) * std::f64::consts::FRAC_PI_2;
    let r = r as f32;
    let square = r * r;
    let sin = fma::<FMA>(r * square, polynomial::<FMA, _>(square, SIN), r);
    let cos = fma::<FMA>(square * square, polynomial::<FMA, _>(square, COS), fma::<FMA>(square, -0.5, 1.0));
    (rounded.to_bits() as u32, sin, cos)
}

/// `x` with its sign changed if bit 1 of `q` is set.
#[inline(always)]
fn turn(x: f32, q: u32) -> f32 {
    f32::from_bits(x.to_bits() ^ (q & 2) << 30)
}

/// The sine of an angle in radians, within 2 ulp.
#[inline(always)]
pub fn sin<const FMA: bool>(x: f32) -> f32 {
    let (q, sin, cos) = circle::<FMA>(x);
    let y = turn(if q & 1 == 0 { sin } else { cos }, q);
    f32::from_bits(y.to_bits() ^ (x.to_bits() & 1 << 31))
}

/// The cosine of an angle in radians, within 2 ulp.
#[inline(always)]
pub fn cos<const FMA: bool>(x: f32) -> f32 {
    let (q, sin, cos) = circle::<FMA>(x);
    turn(if q & 1 == 0 { cos } else { sin }, q.wrapping_add(1))
}

/// The tangent of an angle in radians, within 4 ulp.
#[inline(always)]
pub fn tan<const FMA: bool>(x: f32) -> f32 {
    let (q, sin, cos) = circle::<FMA>(x);
    let y = if q & 1 == 0 { sin / cos } else { -cos / sin };
    f32::from_bits(y.to_bits() ^ (x.to_bits() & 1 << 31))
}

standard! { f32:
    /// The angle in `[-π/2, π/2]` whose sine is `x`.
    asin
    /// The angle in `[0, π]` whose cosine is `x`.
    acos
    /// The angle in `(-π/2, π/2)` whose tangent is `x`.
    atan
}
