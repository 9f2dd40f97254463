//! Softmax and its relatives for short rows, which are computed side by side.

use super::{Each, Exp, LogSoftmaxGrad, Logit, Product, Scale, Shift, SoftmaxGrad};
use crate::kernels::abreast::{BLOCK, Columns, ROWS, SHORT, lane_sums, places, turn, turn_back};
use crate::kernels::real::Real;
use crate::memory::unwritten::Unwritten;

/// A number for each row.
type Side<T> = [T; ROWS];

/// The largest element of each row that is not NaN, as [`super::highest`] finds it.
#[inline(always)]
fn highest<T: Logit>(x: &Columns<T>, n: usize) -> Side<T> {
    let mut max = [T::LOWEST; ROWS];
    for c in places(0..n) {
        for l in 0..ROWS {
            max[l] = if x[c][l] > max[l] { x[c][l] } else { max[l] };
        }
    }
    max
}

/// `f(a, b)` for each row at one place.
#[inline(always)]
fn at<T: Logit, K: Each<T>, const FMA: bool>(f: impl Fn(usize) -> K, a: &Side<T>, b: &Side<T>) -> Side<T> {
    let mut y = *a;
    for l in 0..ROWS {
        y[l] = T::of::<FMA>(f(l).each::<FMA>(a[l].lane::<FMA>(), b[l].lane::<FMA>()));
    }
    y
}

#[inline(always)]
fn each_of<T: Logit, const FMA: bool>(x: &Side<T>, f: impl Fn(T::Lane<FMA>) -> T::Lane<FMA>) -> Side<T> {
    let mut y = *x;
    for y in &mut y {
        *y = T::of::<FMA>(f(y.lane::<FMA>()));
    }
    y
}

/// The maximum of each row, and the sum of `exp(x - maximum)`: [`super::normaliser`].
#[inline(always)]
fn normalisers<T: Logit, const FMA: bool>(x: &Columns<T>, n: usize) -> [Side<T>; 2] {
    let max = highest(x, n);
    let [sum] = lane_sums!(T, n, |c| [at::<T, _, FMA>(|l| Exp(max[l]), &x[c], &x[c])]);
    [max, sum]
}

/// [`super::softmax`] of rows of a task, or its logarithm. Rows among which one may have an infinite element are given to
/// `infinite` once more.
#[inline(always)]
pub(super) fn softmax<T: Logit, const FMA: bool, const LOG: bool>(
    x: &[T],
    n: usize,
    out: &mut Unwritten<T>,
    infinite: impl Fn(&[T], &mut Unwritten<T>),
) {
    let mut columns = [[T::ZERO; ROWS]; SHORT];
    for (i, out) in out.chunks_mut(ROWS * n).enumerate() {
        let x = &x[i * ROWS * n..];
        turn(x, n, &mut columns);
        let max = if LOG {
            let [max, sums] = normalisers::<T, FMA>(&columns, n);
            let logs = each_of::<T, FMA>(&sums, |sum| sum.ln());
            for c in places(0..n) {
                let shift = |l: usize| Shift { max: max[l], log_sum: logs[l] };
                columns[c] = at::<T, _, FMA>(shift, &columns[c], &columns[c]);
            }
            max
        } else {
            let max = highest(&columns, n);
            let [sums] = lane_sums!(T, n, |c| {
                columns[c] = at::<T, _, FMA>(|l| Exp(max[l]), &columns[c], &columns[c]);
                [columns[c]]
            });
            let scales = each_of::<T, FMA>(&sums, |sum| T::ONE.lane::<FMA>() / sum);
            for c in places(0..n) {
                columns[c] = at::<T, _, FMA>(|l| Scale(scales[l]), &columns[c], &columns[c]);
            }
            max
        };
        turn_back(&columns, n, out);
        if max.contains(&T::HIGHEST) {
            for (x, out) in x.chunks_exact(n).zip(out.chunks_exact_mut(n)) {
                infinite(x, out);
            }
        }
    }
}

/// The maximum of each row of a task, and the sum of `exp(x - maximum)`, for `found`, which gets the number of the row
/// with them.
#[inline(always)]
pub(super) fn each_normaliser<T: Logit, const FMA: bool>(
    x: &[T],
    n: usize,
    mut found: impl FnMut(usize, T, T),
) {
    let (mut columns, rows) = ([[T::ZERO; ROWS]; SHORT], x.len() / n);
    for first in (0..rows).step_by(ROWS) {
        turn(&x[first * n..], n, &mut columns);
        let [max, sum] = normalisers::<T, FMA>(&columns, n);
        for l in 0..ROWS.min(rows - first) {
            found(first + l, max[l], sum[l]);
        }
    }
}

/// [`super::softmax_grad`] of rows of a task, or [`super::logsoftmax_grad`].
#[inline(always)]
pub(super) fn gradient<T: Logit, const FMA: bool, const LOG: bool>(
    [y, g]: [&[T]; 2],
    n: usize,
    out: &mut Unwritten<T>,
) {
    let [mut of_y, mut of_g] = [[[T::ZERO; ROWS]; SHORT]; 2];
    for (i, out) in out.chunks_mut(ROWS * n).enumerate() {
        turn(&y[i * ROWS * n..], n, &mut of_y);
        turn(&g[i * ROWS * n..], n, &mut of_g);
        if LOG {
            let [sums] = lane_sums!(T, n, |c| [of_g[c]]);
            for c in places(0..n) {
                of_y[c] = at::<T, _, FMA>(|l| LogSoftmaxGrad(sums[l]), &of_y[c], &of_g[c]);
            }
        } else {
            let [dots] = lane_sums!(T, n, |c| [at::<T, _, FMA>(|_| Product, &of_y[c], &of_g[c])]);
            for c in places(0..n) {
                of_y[c] = at::<T, _, FMA>(|l| SoftmaxGrad(dots[l]), &of_y[c], &of_g[c]);
            }
        }
        turn_back(&of_y, n, out);
    }
}
