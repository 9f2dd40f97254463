//! The elementary functions keep the bounds that their documentation states, with and without a fused multiply-add.

use oxiflux::kernels::real::{Lane, Real};

/// One function as it is written here and its reference.
struct Function<T> {
    name: &'static str,
    bound: f64,
    fused: fn(T) -> T,
    plain: fn(T) -> T,
    exact: fn(f64) -> f64,
}

macro_rules! functions {
    ($T:ident: $($name:ident $bound:literal $exact:expr;)*) => {
        [$(Function::<$T> {
            name: stringify!($name),
            bound: $bound,
            fused: |x| Lane::<$T, true>(x).$name().0,
            plain: |x| Lane::<$T, false>(x).$name().0,
            exact: $exact,
        }),*]
    };
}

fn sigmoid(x: f64) -> f64 {
    if x < 0.0 { x.exp() / (1.0 + x.exp()) } else { 1.0 / (1.0 + (-x).exp()) }
}

fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// Checks one value and returns its error in units of the distance between neighbouring numbers.
fn error(name: &str, x: f64, got: f64, exact: f64, ulp: f64, largest: f64) -> f64 {
    let place = || format!("{name}({x:e}) = {got:e}, but exactly {exact:e}");
    if exact.is_nan() {
        assert!(got.is_nan(), "{}", place());
        return 0.0;
    }
    if exact == 0.0 || exact.is_infinite() {
        assert!(got == exact && got.is_sign_negative() == exact.is_sign_negative(), "{}", place());
        return 0.0;
    }
    if got.is_infinite() {
        assert!(exact.abs() >= largest && got.signum() == exact.signum(), "{}", place());
        return 0.0;
    }
    (got - exact).abs() / ulp
}

fn check<T: Copy + Into<f64>>(functions: &[Function<T>], points: &[T], ulp: fn(f64) -> f64, largest: f64) {
    for f in functions {
        for (form, compute) in [("fused", f.fused), ("plain", f.plain)] {
            let (mut worst, mut at) = (0.0, 0.0);
            for &point in points {
                let x: f64 = point.into();
                let exact = (f.exact)(x);
                let e = error(f.name, x, compute(point).into(), exact, ulp(exact), largest);
                if e > worst {
                    (worst, at) = (e, x);
                }
            }
            assert!(worst <= f.bound, "{} ({form}): {worst} ulp at {at:e}, more than {}", f.name, f.bound);
        }
    }
}

fn ulp_of_single(x: f64) -> f64 {
    let exponent = ((x.abs().to_bits() >> 52) as i32 - 1023).max(-126);
    2f64.powi(exponent - 23)
}

fn ulp_of_double(x: f64) -> f64 {
    let exponent = (x.abs().to_bits() >> 52).max(1);
    f64::from_bits(if exponent > 52 { (exponent - 52) << 52 } else { 1 << (exponent - 1) })
}

#[test]
fn single_precision_keeps_its_bounds_over_the_whole_range() {
    let mut points: Vec<f32> = (0..=u32::MAX).step_by(4001).map(f32::from_bits).collect();
    let edges = [
        0.0,
        1.0,
        2.0 / 3.0,
        4.0 / 3.0,
        0.9,
        4.0,
        20.0,
        88.0,
        89.0,
        104.0,
        f32::MIN_POSITIVE,
        f32::MAX,
        1e-45,
    ];
    for edge in edges.into_iter().chain([f32::INFINITY, f32::NAN]) {
        for x in [edge, edge.next_up(), edge.next_down()] {
            points.extend([x, -x]);
        }
    }
    let functions = functions! { f32:
        exp 1.0 f64::exp;
        expm1 2.0 f64::exp_m1;
        ln 1.0 f64::ln;
        ln_1p 2.0 f64::ln_1p;
        log2 3.0 f64::log2;
        log10 3.0 f64::log10;
        tanh 3.0 f64::tanh;
        sigmoid 3.0 sigmoid;
        softplus 3.0 softplus;
        erf 2.0 libm::erf;
        sin 2.0 f64::sin;
        cos 2.0 f64::cos;
        tan 4.0 f64::tan;
        sqrt 0.5 f64::sqrt;
        asin 2.0 f64::asin;
        acos 2.0 f64::acos;
        atan 2.0 f64::atan;
        sinh 3.0 f64::sinh;
        cosh 2.0 f64::cosh;
        asinh 4.0 f64::asinh;
        acosh 4.0 f64::acosh;
        atanh 4.0 f64::atanh;
        floor 0.0 f64::floor;
        ceil 0.0 f64::ceil;
        trunc 0.0 f64::trunc;
        round_even 0.0 f64::round_ties_even;
        abs 0.0 f64::abs;
        sign 0.0 |x| if x == 0.0 || x.is_nan() { x } else { x.signum() };
    };
    check(&functions, &points, ulp_of_single, f64::from(f32::MAX));
}

#[test]
fn double_precision_keeps_its_bounds() {
    let step = u64::MAX / 300_000;
    let mut points: Vec<f64> = (0..300_000).map(|i| f64::from_bits(i * step)).collect();
    points.extend((0..200_000).map(|i| (f64::from(i) - 100_000.0) * 1.23456e-4));
    points.extend((0..200_000).map(|i| (f64::from(i) - 100_000.0) * 8.123e-3));
    points.extend([
        0.0,
        -0.0,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::NAN,
        5e-324,
        -5e-324,
        f64::MAX,
        f64::MIN,
    ]);
    // A reference may itself be wrong in its last bit, so bounds are one above those of the documentation.
    let functions = functions! { f64:
        exp 2.0 f64::exp;
        expm1 3.0 f64::exp_m1;
        ln 2.0 f64::ln;
        ln_1p 3.0 f64::ln_1p;
        tanh 4.0 f64::tanh;
        sigmoid 4.0 sigmoid;
        softplus 4.0 softplus;
        erf 3.0 libm::erf;
        sinh 4.0 f64::sinh;
        cosh 3.0 f64::cosh;
        asinh 5.0 libm::asinh;
        acosh 5.0 libm::acosh;
        atanh 5.0 libm::atanh;
    };
    check(&functions, &points, ulp_of_double, f64::MAX);
}

#[test]
fn the_larger_and_the_smaller_of_a_number_and_nan_are_nan() {
    type R = Lane<f32, false>;
    for (x, y) in [(1.0, f32::NAN), (f32::NAN, 1.0), (f32::NAN, f32::NAN)] {
        assert!(R::max(Lane(x), Lane(y)).0.is_nan());
        assert!(R::min(Lane(x), Lane(y)).0.is_nan());
    }
    assert_eq!(R::max(Lane(1.0), Lane(2.0)).0, 2.0);
    assert_eq!(R::min(Lane(1.0), Lane(2.0)).0, 1.0);
}

#[test]
fn a_selection_takes_the_second_for_equal_and_for_nan() {
    type R = Lane<f32, false>;
    let select = |x, y| R::select_gt(Lane(x), Lane(y), Lane(1.0), Lane(2.0)).0;
    assert_eq!(select(3.0, 2.0), 1.0);
    assert_eq!(select(2.0, 2.0), 2.0);
    assert_eq!(select(f32::NAN, 2.0), 2.0);
    assert_eq!(select(2.0, f32::NAN), 2.0);
}

#[test]
fn formulas_mix_numbers_and_literals_on_both_sides() {
    type R = Lane<f32, false>;
    let x: R = Lane(3.0);
    assert_eq!((1.0 - x * x / 2.0 + 0.5).0, -3.0);
    assert_eq!((6.0 / x - 2.0).0, 0.0);
    assert_eq!((2.0 * -x + R::lit(1.0)).0, -5.0);
}
