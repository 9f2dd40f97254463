//! Hurwitz's zeta function, and the derivatives of digamma that it is.

use super::double;

/// `B₂ₖ / (2k)!`, by which the sum that Euler and Maclaurin's formula leaves is corrected.
const CORRECTIONS: [f64; 10] = [
    1.0 / 12.0,
    -1.0 / 720.0,
    1.0 / 30240.0,
    -1.0 / 1209600.0,
    1.0 / 47900160.0,
    -691.0 / 1307674368000.0,
    1.0 / 74724249600.0,
    -3617.0 / 10670622842880000.0,
    43867.0 / 5109094217170944000.0,
    -174611.0 / 802857662698291200000.0,
];

/// The sum of `(x + k)^-s` over all `k` from 0 on, for `x > 0` and a whole `s` from 2 on.
fn zeta(s: f64, x: f64) -> f64 {
    let power = |a: f64| if s <= 8.0 { a.powi(s as i32) } else { a.powf(s) };
    // From there on the corrections fall fast enough.
    let enough = s + 8.0;
    let (mut sum, mut a) = (0.0, x);
    while a < enough {
        let term = 1.0 / power(a);
        sum += term;
        // All that follow are less than this together.
        if term * a / (s - 1.0) <= sum * (f64::EPSILON / 8.0) {
            return sum;
        }
        a += 1.0;
    }
    let mut term = 1.0 / power(a);
    sum += term * (a / (s - 1.0) + 0.5);
    let (mut factor, inverse) = (s, 1.0 / a);
    for correction in CORRECTIONS {
        term *= factor * inverse;
        sum += correction * term;
        term *= (factor + 1.0) * inverse;
        factor += 2.0;
    }
    sum
}

/// As [`zeta`], for any `x` that is not a whole number up to 0: the numbers in both directions, less those below `x`.
fn zeta_anywhere(s: f64, x: f64) -> f64 {
    if x > 0.0 {
        return zeta(s, x);
    }
    let r = x - x.round_ties_even();
    let sign = if s % 2.0 == 0.0 { 1.0 } else { -1.0 };
    r.powf(-s) + zeta(s, 1.0 + r) + sign * (zeta(s, 1.0 - r) - zeta(s, 1.0 - x))
}

/// The derivative of digamma of a whole order from 1 on.
#[inline(never)]
pub(super) fn polygamma(x: f64, order: f64) -> f64 {
    let sign = if order % 2.0 == 0.0 { -1.0 } else { 1.0 };
    if order.is_nan() || order < 1.0 || x.is_nan() || x == f64::NEG_INFINITY {
        return f64::NAN;
    }
    if x == f64::INFINITY {
        return sign * 0.0;
    }
    if x <= 0.0 && x == x.floor() {
        return sign * f64::INFINITY;
    }
    let zeta = zeta_anywhere(order + 1.0, x);
    if order > 170.0 {
        // The factorial alone is beyond all numbers.
        let size = (double::lgamma::<false>(order + 1.0) + zeta.abs().ln()).exp();
        return sign * size.copysign(zeta);
    }
    let factorial: f64 = (1..=order as u32).map(f64::from).product();
    sign * factorial * zeta
}
