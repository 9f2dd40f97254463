//! Softmax and its relatives for short rows, which are computed side by side.

use super::{Each, Exp, LogSoftmaxGrad, Logit, Product, Scale, Shift, SoftmaxGrad};
use crate::kernels::abreast::{Columns, ROWS, SHORT, for_each, turn, turn_back};
use crate::kernels::real::Real;
use crate::memory::unwritten::Unwritten;

/// Terms that are added one after another before they join the total: keeps the error small.
const BLOCK: usize = 8;

/// A number for each row.
type Side<T> = [T; ROWS];

/// The largest element of each row that is not NaN, as [`super::highest`] finds it.
#[inline(always)]
fn highest<T: Logit>(x: &Columns<T>, n: usize) -> Side<T> {
    let mut max = [T::LOWEST; ROWS];
    for_each(n, |c| {
        for l in 0..ROWS {
            max[l] = if x[c][l] > max[l] { x[c][l] } else { max[l] };
        }
    });
    max
}

/// The sum of what `term` gives for each place.
#[inline(always)]
fn sum<T: Logit>(n: usize, mut term: impl FnMut(usize) -> Side<T>) -> Side<T> {
    let mut total = [T::ZERO; ROWS];
    for_each(n.div_ceil(BLOCK), |b| {
        let mut block = [T::ZERO; ROWS];
        for_each(BLOCK.min(n - b * BLOCK), |c| {
            let term = term(b * BLOCK + c);
            for l in 0..ROWS {
                block[l] = block[l].plus(term[l]);
            }
        });
        for l in 0..ROWS {
            total[l] = total[l].plus(block[l]);
        }
    });
    total
}

/// `f(a, b)` for each row at one place.
#[inline(always)]
fn at<T: Logit, K: Each<T>, const FMA: bool>(
    f: impl Fn(usize) -> K,
    a: &Side<T>,
    b: &Side<T>,
) -> Side<T> {
    std::array::from_fn(|l| T::of::<FMA>(f(l).each::<FMA>(a[l].lane::<FMA>(), b[l].lane::<FMA>())))
}

#[inline(always)]
fn each_of<T: Logit, const FMA: bool>(x: &Side<T>, f: impl Fn(T::Lane<FMA>) -> T::Lane<FMA>) -> Side<T> {
    std::array::from_fn(|l| T::of::<FMA>(f(x[l].lane::<FMA>())))
}

/// Calls `f` with the rows of a task, as many as are side by side at a time: with the first of them, and as columns.
#[inline(always)]
fn abreast<T: Logit>(x: &[T], n: usize, mut f: impl FnMut(usize, &mut Columns<T>)) {
    let mut columns = [[T::ZERO; ROWS]; SHORT];
    for (i, x) in x.chunks(ROWS * n).enumerate() {
        turn(x, n, &mut columns);
        f(i * ROWS, &mut columns);
    }
}

/// The maximum of each row, and the sum of `exp(x - maximum)`: [`super::normaliser`].
#[inline(always)]
fn normalisers<T: Logit, const FMA: bool>(x: &Columns<T>, n: usize) -> [Side<T>; 2] {
    let max = highest(x, n);
    [max, sum(n, |c| at::<T, _, FMA>(|l| Exp(max[l]), &x[c], &x[c]))]
}

/// [`super::softmax`] of rows of a task, or its logarithm. Rows among which one may have an infinite element are given to
/// `infinite` once more.
#[inline(always)]
pub(super) fn softmax<T: Logit, const FMA: bool, const LOG: bool>(
    x: &[T],
    n: usize,
    out: &mut Unwritten<T>,
    mut infinite: impl FnMut(&[T], &mut Unwritten<T>),
) {
    abreast(x, n, |first, columns| {
        let max = highest(columns, n);
        if LOG {
            let sums = sum(n, |c| at::<T, _, FMA>(|l| Exp(max[l]), &columns[c], &columns[c]));
            let logs = each_of::<T, FMA>(&sums, |sum| sum.ln());
            for_each(n, |c| {
                let shift = |l: usize| Shift { max: max[l], log_sum: logs[l] };
                columns[c] = at::<T, _, FMA>(shift, &columns[c], &columns[c]);
            });
        } else {
            let sums = sum(n, |c| {
                columns[c] = at::<T, _, FMA>(|l| Exp(max[l]), &columns[c], &columns[c]);
                columns[c]
            });
            let scales = each_of::<T, FMA>(&sums, |sum| T::ONE.lane::<FMA>() / sum);
            for_each(n, |c| columns[c] = at::<T, _, FMA>(|l| Scale(scales[l]), &columns[c], &columns[c]));
        }
        let places = first * n..out.len().min((first + ROWS) * n);
        turn_back(columns, n, &mut out[places.clone()]);
        if max.contains(&T::HIGHEST) {
            for (x, out) in x[places.clone()].chunks_exact(n).zip(out[places].chunks_exact_mut(n)) {
                infinite(x, out);
            }
        }
    });
}

/// The maximum of each row of a task, and the sum of `exp(x - maximum)`, for `found`, which gets the row.
#[inline(always)]
pub(super) fn each_normaliser<T: Logit, const FMA: bool>(
    x: &[T],
    n: usize,
    mut found: impl FnMut(usize, T, T),
) {
    let rows = x.len() / n;
    abreast(x, n, |first, columns| {
        let [max, sum] = normalisers::<T, FMA>(columns, n);
        for l in 0..ROWS.min(rows - first) {
            found(first + l, max[l], sum[l]);
        }
    });
}

/// [`super::softmax_grad`] of rows of a task, or [`super::logsoftmax_grad`].
#[inline(always)]
pub(super) fn gradient<T: Logit, const FMA: bool, const LOG: bool>(
    [y, g]: [&[T]; 2],
    n: usize,
    out: &mut Unwritten<T>,
) {
    let mut of_g = [[T::ZERO; ROWS]; SHORT];
    abreast(y, n, |first, y| {
        let places = first * n..out.len().min((first + ROWS) * n);
        turn(&g[places.clone()], n, &mut of_g);
        if LOG {
            let sums = sum(n, |c| of_g[c]);
            for_each(n, |c| y[c] = at::<T, _, FMA>(|l| LogSoftmaxGrad(sums[l]), &y[c], &of_g[c]));
        } else {
            let dots = sum(n, |c| at::<T, _, FMA>(|_| Product, &y[c], &of_g[c]));
            for_each(n, |c| y[c] = at::<T, _, FMA>(|l| SoftmaxGrad(dots[l]), &y[c], &of_g[c]));
        }
        turn_back(y, n, &mut out[places]);
    });
}
