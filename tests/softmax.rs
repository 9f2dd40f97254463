//! Softmax and cross-entropy against plain loops in f64, at sizes around the vector lengths and at extreme values.

use oxiflux::kernels::softmax::Logit;
use oxiflux::kernels::{cross_entropy, softmax as kernel};
use oxiflux::memory::unwritten::Unwritten;
use std::mem::MaybeUninit;

const SIZES: [(usize, usize); 12] = [
    (0, 5),
    (1, 1),
    (3, 2),
    (64, 10),
    (5, 15),
    (5, 16),
    (5, 17),
    (4, 31),
    (4, 32),
    (3, 63),
    (3, 1100),
    (2, 32_000),
];

fn noise(n: usize, scale: f64) -> Vec<f64> {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / (1 << 23) as f64 - 1.0
    };
    (0..n).map(|_| next() * scale).collect()
}

/// The result of a kernel that maps rows to rows.
type Rows<T> = for<'a> fn(usize, usize, &[T], &'a mut Unwritten<T>) -> &'a mut [T];

fn rows<T: Logit>(f: Rows<T>, rows: usize, n: usize, x: &[T]) -> Vec<T> {
    written(rows * n, |out| f(rows, n, x, out))
}

/// What a kernel writes to room for `n` elements.
fn written<T: Copy>(n: usize, write: impl FnOnce(&mut Unwritten<T>) -> &mut [T]) -> Vec<T> {
    write(&mut vec![MaybeUninit::uninit(); n]).to_vec()
}

/// The two parts of the normaliser: their sum would lose digits of large logits.
fn max_and_log(x: &[f64]) -> (f64, f64) {
    let max = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    (max, x.iter().map(|x| (x - max).exp()).sum::<f64>().ln())
}

fn logsumexp(x: &[f64]) -> f64 {
    let (max, log) = max_and_log(x);
    max + log
}

fn close(found: f64, expected: f64, relative: f64, absolute: f64, what: &str) {
    let bound = relative * expected.abs() + absolute;
    assert!((found - expected).abs() <= bound, "{what}: {found} for {expected}");
}

#[test]
fn softmax_and_its_logarithm_match_f64_loops() {
    for (m, n) in SIZES {
        for scale in [1.0, 30.0, 1e4] {
            let x: Vec<f32> = noise(m * n, scale).iter().map(|&x| x as f32).collect();
            let wide: Vec<f64> = x.iter().map(|&x| f64::from(x)).collect();
            let (y, l) = (rows(kernel::softmax, m, n, &x), rows(kernel::logsoftmax, m, n, &x));
            let (yd, ld) = (rows(kernel::softmax, m, n, &wide), rows(kernel::logsoftmax, m, n, &wide));
            for row in 0..m {
                let (max, log) = max_and_log(&wide[row * n..][..n]);
                for i in row * n..(row + 1) * n {
                    let expected = wide[i] - max - log;
                    // The rounding of `x - max` is a relative error of the exponential. In f64 the loops here round
                    // too, over sums of up to 32000 terms.
                    let relative = |unit: f64| unit * (16.0 + expected.abs());
                    close(f64::from(y[i]), expected.exp(), relative(6e-8), 2e-38, "f32 softmax");
                    close(f64::from(l[i]), expected, 3e-7, 5e-7, "f32 logsoftmax");
                    close(yd[i], expected.exp(), relative(1.2e-15), 1e-300, "f64 softmax");
                    close(ld[i], expected, 1e-14, 1e-12, "f64 logsoftmax");
                }
            }
        }
    }
}

#[test]
fn logsumexp_matches_f64_loops_and_the_infinities() {
    for (m, n) in SIZES {
        let x: Vec<f32> = noise(m * n, 1e4).iter().map(|&x| x as f32).collect();
        let out = written(m, |out| kernel::logsumexp(m, n, &x, out));
        for (i, &found) in out.iter().enumerate() {
            let wide: Vec<f64> = x[i * n..][..n].iter().map(|&x| f64::from(x)).collect();
            close(f64::from(found), logsumexp(&wide), 3e-7, 3e-7, "logsumexp");
        }
    }
    let inf = f64::INFINITY;
    let nan = f64::NAN;
    let x = [-inf, -inf, -inf, 1.0, inf, -inf, 0.0, nan, nan, inf, nan, nan];
    let out = written(6, |out| kernel::logsumexp(6, 2, &x, out));
    assert_eq!(out[..3], [-inf, 1.0, inf]);
    assert!(out[3..].iter().all(|x| x.is_nan()));
    assert_eq!(written(1, |out| kernel::logsumexp::<f64>(1, 0, &[], out)), [-inf]);
}

#[test]
fn infinite_logits_have_probability_zero_or_share_it() {
    let inf = f32::INFINITY;
    assert_eq!(rows(kernel::softmax, 1, 3, &[0.0, -inf, 0.0]), [0.5, 0.0, 0.5]);
    assert_eq!(rows(kernel::softmax, 1, 4, &[inf, 1.0, inf, -inf]), [0.5, 0.0, 0.5, 0.0]);
    assert_eq!(rows(kernel::logsoftmax, 1, 2, &[-inf, 3.0]), [-inf, 0.0]);
    assert_eq!(rows(kernel::logsoftmax, 1, 2, &[inf, 3.0]), [0.0, -inf]);
    assert!(rows(kernel::softmax, 1, 40, &[-inf; 40]).iter().all(|x| x.is_nan()));
    for other in [1.0, inf, -inf, f32::NAN] {
        for f in [kernel::softmax, kernel::logsoftmax] as [Rows<f32>; 2] {
            assert!(rows(f, 1, 2, &[other, f32::NAN]).iter().all(|x| x.is_nan()), "{other}");
        }
    }
}

#[test]
fn gradients_match_their_formulas() {
    for (m, n) in SIZES {
        let x = noise(m * n, 3.0);
        let g = noise(m * n + 1, 1.0)[1..].to_vec();
        for log in [false, true] {
            let y = rows(if log { kernel::logsoftmax } else { kernel::softmax }, m, n, &x);
            let out = written(m * n, |out| match log {
                true => kernel::logsoftmax_grad(m, n, &y, &g, out),
                false => kernel::softmax_grad(m, n, &y, &g, out),
            });
            for row in 0..m {
                let range = row * n..(row + 1) * n;
                let sum = g[range.clone()].iter().sum::<f64>();
                let dot = range.clone().map(|k| y[k] * g[k]).sum::<f64>();
                for i in range {
                    let expected = if log { g[i] - y[i].exp() * sum } else { y[i] * (g[i] - dot) };
                    close(out[i], expected, 1e-12, 1e-12, "gradient");
                }
            }
        }
    }
}

/// The losses, and the gradient for weights `g` that are `stride` apart.
fn loss_and_gradient<T: Logit>(
    m: usize,
    n: usize,
    x: &[T],
    labels: &[i64],
    g: &[T],
    stride: usize,
) -> (Vec<T>, Vec<T>) {
    let (mut loss, mut kept) = (vec![MaybeUninit::uninit(); m], vec![MaybeUninit::uninit(); 2 * m]);
    let [loss, kept] = cross_entropy::cross_entropy(n, x, labels, [&mut loss, &mut kept]);
    let g = if stride == 0 { &g[..1] } else { &g[..m] };
    let gradient = written(m * n, |out| cross_entropy::cross_entropy_grad(n, x, labels, kept, g, out));
    (loss.to_vec(), gradient)
}

#[test]
fn cross_entropy_and_its_gradient_match_f64_loops() {
    for (m, n) in SIZES {
        for (scale, stride) in [(1.0, 1), (30.0, 0), (1e4, 1)] {
            // An offset that all logits share costs digits only if it is not taken off first.
            let x: Vec<f32> = noise(m * n, scale).iter().map(|&x| x as f32 + 1e4).collect();
            let labels: Vec<i64> = (0..m).map(|i| (i * 7 % n) as i64).collect();
            let g: Vec<f32> = noise(m.max(1), 2.0).iter().map(|&x| x as f32).collect();
            let (loss, out) = loss_and_gradient(m, n, &x, &labels, &g, stride);
            for i in 0..m {
                let wide: Vec<f64> = x[i * n..][..n].iter().map(|&x| f64::from(x)).collect();
                let (max, log) = max_and_log(&wide);
                let label = labels[i] as usize;
                close(f64::from(loss[i]), log + (max - wide[label]), 3e-7, 5e-7, "loss");
                for j in 0..n {
                    let onehot = if j == label { 1.0 } else { 0.0 };
                    let expected = ((wide[j] - max - log).exp() - onehot) * f64::from(g[i * stride]);
                    close(f64::from(out[i * n + j]), expected, 3e-6, 3e-7, "gradient");
                }
            }
        }
    }
}

#[test]
fn cross_entropy_bears_masked_classes() {
    let inf = f64::INFINITY;
    let (loss, out) = loss_and_gradient(2, 3, &[1.0, -inf, 1.0, -inf, 0.0, -inf], &[0, 1], &[1.0], 0);
    close(loss[0], 2.0_f64.ln(), 1e-15, 0.0, "loss");
    assert_eq!(loss[1], 0.0);
    assert_eq!(out, [-0.5, 0.0, 0.5, 0.0, 0.0, 0.0]);
}

#[test]
fn the_exponential_of_softmax_is_within_its_bound() {
    let mut worst = 0.0_f64;
    for bits in (0x8000_0000..(-87.0_f32).to_bits()).step_by(1013) {
        let x = f32::from_bits(bits);
        let exact = f64::from(x).exp();
        let ulp = f64::from(f32::EPSILON) * 2.0_f64.powf(exact.log2().floor());
        for found in [x.exp_down::<true>(), x.exp_down::<false>()] {
            worst = worst.max((f64::from(found) - exact).abs() / ulp);
        }
    }
    assert!(worst <= 1.2, "{worst} ulp");
    assert_eq!([0.0_f32, -0.0, -88.0, f32::NEG_INFINITY].map(f32::exp_down::<true>), [1.0, 1.0, 0.0, 0.0]);
    assert!(f32::NAN.exp_down::<true>().is_nan());
}

#[test]
fn the_gradient_of_many_rows_is_that_of_each() {
    let (m, n) = (131, 32_003);
    let x: Vec<f32> = noise(m * n, 8.0).iter().map(|&x| x as f32).collect();
    let labels: Vec<i64> = (0..m).map(|i| (i * 4001 % n) as i64).collect();
    let (_, large) = loss_and_gradient(m, n, &x, &labels, &[0.5], 0);
    for i in 0..m {
        let row = i * n..(i + 1) * n;
        let (_, small) = loss_and_gradient(1, n, &x[row.clone()], &labels[i..=i], &[0.5], 0);
        assert_eq!(large[row], small, "row {i}");
    }
}
