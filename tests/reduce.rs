//! Reductions, scans, sorts and searches against plain loops, over all layouts and odd sizes.

use oxiflux::kernels::argextreme::{argmax, argmin};
use oxiflux::kernels::number::Number;
use oxiflux::kernels::reduce::*;
use oxiflux::kernels::scan::scan;
use oxiflux::kernels::sort::{Sortable, argsort, searchsorted, sort};
use oxiflux::memory::unwritten::Unwritten;
use std::mem::MaybeUninit;

const AXES: [(usize, usize, usize); 26] = [
    (0, 3, 2),
    (2, 3, 0),
    (2, 0, 3),
    (1, 1, 1),
    (3, 1, 2),
    (2, 7, 1),
    (3, 8, 1),
    (2, 63, 1),
    (2, 64, 1),
    (2, 73, 1),
    (3, 2100, 1),
    (1, 100_001, 1),
    (2, 40_000, 1),
    (500, 10, 1),
    (2, 5, 3),
    (2, 64, 10),
    (1, 64, 512),
    (2, 33, 63),
    (1, 50, 64),
    (1, 100, 65),
    (3, 1000, 7),
    (1, 20_000, 5),
    (1, 300, 513),
    (1, 3, 70_001),
    (1, 90, 3000),
    (2, 5000, 77),
];

fn axes() -> impl Iterator<Item = Axis> {
    AXES.into_iter().map(|(outer, n, inner)| Axis { outer, n, inner })
}

fn noise(n: usize) -> Vec<f64> {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / (1 << 23) as f64 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

fn size(a: Axis) -> usize {
    a.outer * a.n * a.inner
}

/// The elements of `x` along the axis, for each place of the result.
fn lanes<T: Copy>(a: Axis, x: &[T]) -> Vec<Vec<T>> {
    let at = |o, j| (0..a.n).map(move |i| (o * a.n + i) * a.inner + j);
    (0..a.outer).flat_map(|o| (0..a.inner).map(move |j| at(o, j).map(|i| x[i]).collect())).collect()
}

/// What a kernel writes to room for `n` elements.
fn written<T: Copy>(n: usize, write: impl FnOnce(&mut Unwritten<T>) -> &mut [T]) -> Vec<T> {
    write(&mut vec![MaybeUninit::uninit(); n]).to_vec()
}

fn fold<K: Fold>(a: Axis, x: &[K::In]) -> Vec<K::Out> {
    written(a.places(), |out| reduce::<K>(a, x, out))
}

type Find<T> = for<'a> fn(Axis, &[T], &'a mut Unwritten<i64>) -> &'a mut [i64];

fn place<T: Number>(f: Find<T>, a: Axis, x: &[T]) -> Vec<i64> {
    written(a.places(), |out| f(a, x, out))
}

#[test]
#[should_panic(expected = "does not fit 5 elements and 2 results")]
fn elements_that_do_not_fill_the_axis_are_refused() {
    written(2, |out| reduce::<Sum<f32>>(Axis { outer: 2, n: 3, inner: 1 }, &[0.0; 5], out));
}

#[test]
fn float_sums_are_within_a_few_ulp_of_the_sum_of_magnitudes() {
    for a in axes() {
        let x: Vec<f32> = noise(size(a)).iter().map(|&x| x as f32).collect();
        let wide: Vec<f64> = x.iter().map(|&x| f64::from(x)).collect();
        let (single, double) = (fold::<Sum<f32>>(a, &x), fold::<Sum<f64>>(a, &wide));
        for (i, lane) in lanes(a, &wide).iter().enumerate() {
            let (sum, magnitude) = (lane.iter().sum::<f64>(), lane.iter().map(|x| x.abs()).sum::<f64>());
            assert!((f64::from(single[i]) - sum).abs() <= 2e-7 * magnitude, "{a:?}: {} for {sum}", single[i]);
            assert!((double[i] - sum).abs() <= 2e-15 * magnitude + 1e-16 * lane.len() as f64, "{a:?}");
        }
    }
}

#[test]
fn the_error_of_a_long_sum_does_not_grow_with_its_length() {
    let n = 1 << 24;
    let x = vec![0.1_f32; n];
    let exact = f64::from(0.1_f32) * n as f64;
    let row = fold::<Sum<f32>>(Axis { outer: 1, n, inner: 1 }, &x)[0];
    assert!((f64::from(row) / exact - 1.0).abs() < 1e-6, "row sum {row} for {exact}");
    let columns = fold::<Sum<f32>>(Axis { outer: 1, n: n / 16, inner: 16 }, &x);
    assert!(columns.iter().all(|&c| (f64::from(c) * 16.0 / exact - 1.0).abs() < 1e-6), "{columns:?}");
}

#[test]
fn integer_sums_and_products_are_exact_and_wrap_around() {
    for a in axes() {
        let x: Vec<i32> = noise(size(a)).iter().map(|x| (x * 2e9) as i32).collect();
        let expected: Vec<i64> = lanes(a, &x).iter().map(|l| l.iter().map(|&x| i64::from(x)).sum()).collect();
        assert_eq!(fold::<Sum<i32>>(a, &x), expected, "{a:?}");
        let product = |l: &Vec<i32>| l.iter().fold(1_i64, |p, &x| p.wrapping_mul(i64::from(x)));
        assert_eq!(fold::<Prod<i32>>(a, &x), lanes(a, &x).iter().map(product).collect::<Vec<_>>(), "{a:?}");
        let bytes: Vec<u8> = x.iter().map(|&x| x as u8).collect();
        let expected: Vec<u64> =
            lanes(a, &bytes).iter().map(|l| l.iter().map(|&x| u64::from(x)).sum()).collect();
        assert_eq!(fold::<Sum<u8>>(a, &bytes), expected, "{a:?}");
    }
    assert_eq!(fold::<Sum<u64>>(Axis { outer: 1, n: 2, inner: 1 }, &[u64::MAX, 3]), [2]);
}

#[test]
fn extremes_and_their_first_places_match_loops() {
    for a in axes() {
        // Few distinct values, so that each occurs often.
        let x: Vec<f32> = noise(size(a)).iter().map(|x| (x * 4.0).round() as f32).collect();
        let (max, min) = (fold::<Max<f32>>(a, &x), fold::<Min<f32>>(a, &x));
        let lanes = lanes(a, &x);
        for (i, lane) in lanes.iter().enumerate() {
            assert_eq!(max[i], lane.iter().copied().fold(f32::NEG_INFINITY, f32::max), "{a:?}");
            assert_eq!(min[i], lane.iter().copied().fold(f32::INFINITY, f32::min), "{a:?}");
        }
        if a.n > 0 {
            let first = |l: &[f32], v: f32| l.iter().position(|&x| x == v).map_or(-1, |i| i as i64);
            let expected = |v: &[f32]| lanes.iter().zip(v).map(|(l, &v)| first(l, v)).collect::<Vec<_>>();
            assert_eq!(place(argmax, a, &x), expected(&max), "{a:?}");
            assert_eq!(place(argmin, a, &x), expected(&min), "{a:?}");
            let whole: Vec<i64> = x.iter().map(|&x| x as i64).collect();
            assert_eq!(place(argmax, a, &whole), expected(&max), "{a:?}");
        }
    }
}

#[test]
fn a_nan_is_both_the_largest_and_the_smallest() {
    for a in axes().filter(|a| a.n > 2) {
        let mut x: Vec<f64> = noise(size(a));
        // The last two of each lane: whatever the order of the merges, one NaN must survive, and the first be found.
        for o in 0..a.outer {
            x[(o * a.n + a.n - 2) * a.inner..(o + 1) * a.n * a.inner].fill(f64::NAN);
        }
        assert!(fold::<Max<f64>>(a, &x).iter().chain(&fold::<Min<f64>>(a, &x)).all(|x| x.is_nan()), "{a:?}");
        assert!(
            place(argmax, a, &x).iter().chain(&place(argmin, a, &x)).all(|&i| i == a.n as i64 - 2),
            "{a:?}"
        );
    }
}

#[test]
fn extremes_of_infinities_and_limits_are_found() {
    let a = Axis { outer: 1, n: 3, inner: 1 };
    assert_eq!(fold::<Max<f32>>(a, &[f32::NEG_INFINITY; 3]), [f32::NEG_INFINITY]);
    assert_eq!(place(argmax, a, &[f32::NEG_INFINITY; 3]), [0]);
    assert_eq!(fold::<Min<i8>>(a, &[127; 3]), [127]);
    assert_eq!(fold::<Max<i64>>(a, &[i64::MIN; 3]), [i64::MIN]);
    assert_eq!(fold::<Max<bool>>(a, &[false, true, false]), [true]);
    assert_eq!(place(argmin, a, &[true, false, false]), [1]);
}

#[test]
fn truth_in_bytes_is_found_and_counted_as_by_loops() {
    for a in axes() {
        for bound in [-2.0, 0.0, 0.9999, 2.0] {
            let bytes: Vec<u8> = noise(size(a)).iter().map(|&x| u8::from(x > bound)).collect();
            let any: Vec<u8> = lanes(a, &bytes).iter().map(|l| u8::from(l.contains(&1))).collect();
            assert_eq!(fold::<Max<u8>>(a, &bytes), any, "{a:?}");
            let truth: Vec<bool> = bytes.iter().map(|&x| x == 1).collect();
            let found: Vec<u8> = fold::<Any>(a, &truth).iter().map(|&x| u8::from(x)).collect();
            assert_eq!(found, any, "{a:?}");
            let counts: Vec<u64> =
                lanes(a, &bytes).iter().map(|l| l.iter().map(|&x| u64::from(x)).sum()).collect();
            assert_eq!(fold::<Sum<u8>>(a, &bytes), counts, "{a:?}");
            assert!(fold::<Sum<bool>>(a, &truth).iter().zip(&counts).all(|(&n, &count)| n as u64 == count));
        }
    }
}

#[test]
fn scans_match_running_loops() {
    for a in axes() {
        let x: Vec<i32> = noise(size(a)).iter().map(|x| (x * 1e9) as i32 | 1).collect();
        let floats: Vec<f32> = noise(size(a)).iter().map(|&x| x as f32).collect();
        let sums = written(x.len(), |out| scan::<Sum<i32>>(a, &x, out));
        let products = written(x.len(), |out| scan::<Prod<i32>>(a, &x, out));
        let running = written(x.len(), |out| scan::<Sum<f32>>(a, &floats, out));
        let places: Vec<usize> = (0..x.len()).collect();
        for lane in lanes(a, &places) {
            let (mut sum, mut product, mut float, mut magnitude) = (0_i64, 1_i64, 0.0_f64, 0.0_f64);
            for i in lane {
                sum += i64::from(x[i]);
                product = product.wrapping_mul(i64::from(x[i]));
                float += f64::from(floats[i]);
                magnitude += f64::from(floats[i].abs());
                assert_eq!((sums[i], products[i]), (sum, product), "{a:?}");
                assert!((f64::from(running[i]) - float).abs() <= 1e-5 * magnitude, "{a:?}");
            }
        }
    }
}

fn sorted<T: Sortable>(n: usize, x: &[T], descending: bool) -> (Vec<T>, Vec<i64>) {
    let rows = x.len() / n.max(1);
    let out = written(x.len(), |out| sort(rows, n, x, out, descending));
    (out, written(x.len(), |out| argsort(rows, n, x, out, descending)))
}

#[test]
fn sorts_are_those_of_a_stable_comparison() {
    for n in [0, 1, 2, 31, 5000] {
        let x: Vec<f64> = noise(3 * n).iter().map(|x| (x * 100.0).round()).collect();
        for descending in [false, true] {
            let (values, places) = sorted(n, &x, descending);
            for (row, x) in x.chunks_exact(n.max(1)).enumerate() {
                let mut expected: Vec<usize> = (0..n).collect();
                expected.sort_by(|&i, &j| {
                    if descending { x[j].total_cmp(&(x[i] + 0.0)) } else { x[i].total_cmp(&x[j]) }
                });
                expected.sort_by(|&i, &j| {
                    let order = x[i].partial_cmp(&x[j]).expect("no NaN here").then(std::cmp::Ordering::Equal);
                    let order = if descending { order.reverse() } else { order };
                    order.then(if x[i] == x[j] { i.cmp(&j) } else { std::cmp::Ordering::Equal })
                });
                for (k, &i) in expected.iter().enumerate() {
                    assert_eq!(places[row * n + k], i as i64, "{n} {descending}");
                    assert_eq!(values[row * n + k], x[i], "{n} {descending}");
                }
            }
        }
    }
}

#[test]
fn nan_is_last_and_zeros_keep_their_order() {
    let nan = f32::NAN;
    let x = [nan, 0.0, -0.0, -1.0, f32::INFINITY, -nan, f32::NEG_INFINITY];
    let (up, places) = sorted(7, &x, false);
    assert_eq!(up[..5], [f32::NEG_INFINITY, -1.0, 0.0, 0.0, f32::INFINITY]);
    assert!(up[5].is_nan() && up[6].is_nan());
    assert_eq!(places, [6, 3, 1, 2, 4, 0, 5]);
    let (down, places) = sorted(7, &x, true);
    assert_eq!(down[..5], [f32::INFINITY, 0.0, 0.0, -1.0, f32::NEG_INFINITY]);
    assert_eq!(places, [4, 1, 2, 3, 6, 0, 5]);
}

#[test]
fn integers_and_bools_of_all_widths_sort() {
    assert_eq!(sorted(3, &[i8::MAX, i8::MIN, 0], false).0, [i8::MIN, 0, i8::MAX]);
    assert_eq!(sorted(3, &[0, u64::MAX, 1], true).0, [u64::MAX, 1, 0]);
    assert_eq!(sorted(3, &[i64::MAX, i64::MIN, 0], true).1, [0, 2, 1]);
    assert_eq!(sorted(4, &[true, false, true, false], false).1, [1, 3, 0, 2]);
    assert_eq!(sorted(4, &[true, false, true, false], true).1, [0, 2, 1, 3]);
}

#[test]
fn searches_find_the_place_before_or_after_equals() {
    let table = [-1.0_f32, 0.0, 0.0, 2.0, f32::NAN];
    let values = [-2.0, -1.0, -0.0, 1.0, 2.0, 3.0, f32::NAN];
    let search = |right| written(7, |out| searchsorted(&table, &values, right, out));
    assert_eq!(search(false), [0, 0, 1, 3, 3, 4, 4]);
    assert_eq!(search(true), [0, 1, 3, 3, 4, 4, 5]);
}
