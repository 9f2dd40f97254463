//! Softmax, its logarithm and its normaliser over the last axis, and their gradients.
//!
//! All subtract the maximum of the row first, so nothing overflows; a row is read from cache after its first pass.

mod short;
mod walk;

use super::abreast::SHORT;
use super::cost::rowwise;
use super::dispatch::{Compute, compute};
use super::number::Float;
use super::real::Real;
use super::reduce::{Max, Sum, fold_row};
use crate::memory::unwritten::{Unwritten, assume_written, fill_with};
use crate::team::{self, Fill, Pieces};
use std::mem::MaybeUninit;
use walk::FEW;
pub(super) use walk::{Each, change, each, highest, sum_of};

/// A result that has as many rows as the argument.
type Rowwise<'a, T> = Pieces<'a, MaybeUninit<T>>;

/// Elements per task.
const CHUNK: usize = 1 << 13;
/// Gradients of rows of fewer elements are computed side by side.
const TURNED_BACK: usize = 24;

/// A floating type with an exponential for numbers that are not positive, which is all that softmax takes.
pub trait Logit: Float {
    /// `exp(self)`, and zero where that is not a normal number; NaN for NaN. `self` must be at most 0.
    fn exp_down<const FMA: bool>(self) -> Self;
}

impl Logit for f64 {
    #[inline(always)]
    fn exp_down<const FMA: bool>(self) -> f64 {
        f64::of::<FMA>(self.lane::<FMA>().exp())
    }
}

impl Logit for f32 {
    /// Half the instructions of the general function: no overflow, no denormals. Within 1.2 ulp.
    #[inline(always)]
    fn exp_down<const FMA: bool>(self) -> f32 {
        const LOWEST: f32 = -87.0;
        /// Added, it leaves an integer in the low bits.
        const ROUND: f32 = (3 << 22) as f32;
        /// Few digits, so that its product with an integer is exact without FMA too.
        const LN_2_HIGH: f32 = 355.0 / 512.0;
        const LN_2_LOW: f32 = (std::f64::consts::LN_2 - 355.0 / 512.0) as f32;
        /// Minimax for `exp(r)`, `|r| <= ln(2) / 2`, highest power first; relative error 4e-9.
        const POWERS: [f32; 7] =
            [1.381_46e-3, 8.368_717e-3, 4.166_839e-2, 0.166_665_21, 0.499_999_94, 1.0, 1.0];
        let x = if self < LOWEST { LOWEST } else { self };
        let shifted = multiply_add::<FMA>(x, std::f32::consts::LOG2_E, ROUND);
        let n = shifted - ROUND;
        let r = multiply_add::<FMA>(n, -LN_2_LOW, multiply_add::<FMA>(n, -LN_2_HIGH, x));
        let mut p = POWERS[0];
        for c in &POWERS[1..] {
            p = multiply_add::<FMA>(p, r, *c);
        }
        let e = f32::from_bits(p.to_bits().wrapping_add(shifted.to_bits() << 23));
        if self < LOWEST { 0.0 } else { e }
    }
}

#[inline(always)]
fn multiply_add<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// What is done to rows, each to its part of `S`.
pub(super) trait RowOp<S: Fill>: Sync {
    /// Nanoseconds per element.
    const NANOS: f64;
    /// Computes the rows of a task from row `first` on.
    fn rows<const FMA: bool>(&self, first: usize, part: S::Part) -> S::Filled;
}

/// Does `op` to `rows` rows of `n` elements; `share` says what a task gets that has so many rows.
pub(super) fn run<S: Fill, K: RowOp<S>>(
    op: &K,
    rows: usize,
    n: usize,
    share: impl FnOnce(usize) -> S,
) -> S::Whole {
    let group = (CHUNK / n.max(1)).max(1);
    team::fill(share(group), rowwise(rows, n + FEW, K::NANOS), |task, part| {
        compute(Rows::<S, K> { op, first: task * group, part })
    })
}

struct Rows<'a, S: Fill, K> {
    op: &'a K,
    first: usize,
    part: S::Part,
}

impl<S: Fill, K: RowOp<S>> Compute for Rows<'_, S, K> {
    type Out = S::Filled;
    #[inline(always)]
    fn compute<const FMA: bool>(self) -> S::Filled {
        self.op.rows::<FMA>(self.first, self.part)
    }
}

/// The maximum of the first `n` elements, and the sum of `exp(x - maximum)`. The sum is NaN if an element is, or if the
/// maximum is infinite.
#[inline(always)]
pub(super) fn normaliser<T: Logit, const FMA: bool>(x: &[T], n: usize) -> (T, T) {
    let max = highest(x, n);
    (max, sum_of::<T, _, FMA>(&Exp(max), [x, x], n))
}

/// The [`normaliser`] of each of so many rows of `n` elements, for `found`, which gets the number of the row with it.
#[inline(always)]
pub(super) fn each_normaliser<T: Logit, const FMA: bool>(
    x: &[T],
    rows: usize,
    n: usize,
    mut found: impl FnMut(usize, T, T),
) {
    if 0 < n && n < SHORT {
        return short::each_normaliser::<T, FMA>(x, n, found);
    }
    for row in 0..rows {
        let (max, sum) = normaliser::<T, FMA>(&x[row * n..], n);
        found(row, max, sum);
    }
}

/// Whether the largest element of a row is infinite and none is NaN; `max` is that of [`normaliser`].
#[inline(always)]
pub(super) fn is_infinite<T: Float>(max: T, x: &[T]) -> bool {
    #[cold]
    fn no_nan<T: Float>(x: &[T]) -> bool {
        !fold_row::<Max<T>>(x).is_nan()
    }
    max == T::HIGHEST && no_nan(x)
}

/// `exp(x - max)`.
pub(super) struct Exp<T>(pub(super) T);

impl<T: Logit> Each<T> for Exp<T> {
    #[inline(always)]
    fn each<const FMA: bool>(&self, a: T::Lane<FMA>, _: T::Lane<FMA>) -> T::Lane<FMA> {
        T::of::<FMA>(a - self.0.lane::<FMA>()).exp_down::<FMA>().lane::<FMA>()
    }
}

pub(super) struct Product;

impl<T: Float> Each<T> for Product {
    #[inline(always)]
    fn each<const FMA: bool>(&self, a: T::Lane<FMA>, b: T::Lane<FMA>) -> T::Lane<FMA> {
        a * b
    }
}

pub(super) struct Scale<T>(pub(super) T);

impl<T: Float> Each<T> for Scale<T> {
    #[inline(always)]
    fn each<const FMA: bool>(&self, a: T::Lane<FMA>, _: T::Lane<FMA>) -> T::Lane<FMA> {
        a * self.0.lane::<FMA>()
    }
}

/// `exp(x - max) * scale`.
pub(super) struct ScaledExp<T> {
    pub(super) max: T,
    pub(super) scale: T,
}

impl<T: Logit> Each<T> for ScaledExp<T> {
    #[inline(always)]
    fn each<const FMA: bool>(&self, a: T::Lane<FMA>, _: T::Lane<FMA>) -> T::Lane<FMA> {
        let e = T::of::<FMA>(a - self.max.lane::<FMA>()).exp_down::<FMA>();
        e.lane::<FMA>() * self.scale.lane::<FMA>()
    }
}

/// Whether there are `rows` rows of `n` elements.
pub(super) fn is_rows<T>(x: &[T], rows: usize, n: usize) -> bool {
    rows.checked_mul(n) == Some(x.len())
}

/// From `x`, which has as many rows as `out`.
struct Softmax<'x, T> {
    x: &'x [T],
    n: usize,
}

impl<'a, T: Logit> RowOp<Rowwise<'a, T>> for Softmax<'_, T> {
    const NANOS: f64 = 0.4;
    #[inline(always)]
    fn rows<const FMA: bool>(&self, first: usize, out: &'a mut Unwritten<T>) -> &'a mut [T] {
        let (n, all) = (self.n, &self.x[first * self.n..][..out.len()]);
        if n < SHORT {
            return short_rows::<T, FMA, false>(all, n, out, share_equally::<T, FMA>);
        }
        for (i, out) in out.chunks_exact_mut(n).enumerate() {
            let x = &all[i * n..];
            let max = highest(x, n);
            let (terms, sum) = each::<T, _, FMA, true>(&Exp(max), [x, x], out);
            if is_infinite(max, &x[..n]) {
                share_equally::<T, FMA>(&x[..n], out);
            } else {
                let scale = T::of::<FMA>(T::ONE.lane::<FMA>() / sum.lane::<FMA>());
                change::<T, _, FMA, false>(&Scale(scale), terms, None, n);
            }
        }
        // SAFETY: tasks get whole rows, and both branches write all of one.
        unsafe { assume_written(out) }
    }
}

/// Softmax of short rows, or its logarithm; `shared` is for those that have infinite elements and no NaN.
#[inline(always)]
fn short_rows<'a, T: Logit, const FMA: bool, const LOG: bool>(
    x: &[T],
    n: usize,
    out: &'a mut Unwritten<T>,
    shared: impl Fn(&[T], &mut Unwritten<T>),
) -> &'a mut [T] {
    let infinite = |x: &[T], out: &mut Unwritten<T>| {
        if x.contains(&T::HIGHEST) && is_infinite(T::HIGHEST, x) {
            shared(x, out);
        }
    };
    if n > 0 {
        short::softmax::<T, FMA, LOG>(x, n, out, infinite);
    }
    // SAFETY: tasks get whole rows, each of which is written; of none, there is no place.
    unsafe { assume_written(out) }
}

/// How many elements of a row are infinite.
#[cold]
pub(super) fn infinite<T: Logit>(x: &[T]) -> T {
    x.iter().filter(|&&x| x == T::HIGHEST).fold(T::ZERO, |count, _| count.plus(T::ONE))
}

/// One for each of `n` infinite elements together.
#[cold]
fn share_equally<T: Logit, const FMA: bool>(x: &[T], out: &mut Unwritten<T>) {
    share(x, out, T::of::<FMA>(T::ONE.lane::<FMA>() / infinite(x).lane::<FMA>()), T::ZERO);
}

/// The logarithm of what [`share_equally`] gives.
#[cold]
fn log_of_shares<T: Logit, const FMA: bool>(x: &[T], out: &mut Unwritten<T>) {
    let part = T::of::<FMA>((T::ONE.lane::<FMA>() / infinite(x).lane::<FMA>()).ln());
    share(x, out, part, T::LOWEST);
}

/// `part` for the infinite elements of a row, `rest` for the others.
#[cold]
pub(super) fn share<'o, T: Logit>(x: &[T], out: &'o mut Unwritten<T>, part: T, rest: T) -> &'o mut [T] {
    fill_with(out, |i| if x[i] == T::HIGHEST { part } else { rest })
}

/// `out = exp(x) / sum(exp(x))` over each of `rows` rows of `n`. Gives the result.
///
/// Elements that are infinite share the probability; a row of nothing but `-inf` has no distribution and gives NaN.
///
/// # Panics
/// Where `x` or `out` has not as many elements.
pub fn softmax<'a, T: Logit>(rows: usize, n: usize, x: &[T], out: &'a mut Unwritten<T>) -> &'a mut [T] {
    assert!(is_rows(x, rows, n) && is_rows(out, rows, n), "softmax: {rows} rows of {n} are not {}", x.len());
    run(&Softmax { x, n }, rows, n, |group| Pieces::of(out, (group * n).max(1)))
}

/// From `x`, which has as many rows as `out`.
struct LogSoftmax<'x, T> {
    x: &'x [T],
    n: usize,
}

struct Shift<T> {
    max: T,
    log_sum: T,
}

impl<T: Logit> Each<T> for Shift<T> {
    #[inline(always)]
    fn each<const FMA: bool>(&self, a: T::Lane<FMA>, _: T::Lane<FMA>) -> T::Lane<FMA> {
        (a - self.max.lane::<FMA>()) - self.log_sum.lane::<FMA>()
    }
}

impl<'a, T: Logit> RowOp<Rowwise<'a, T>> for LogSoftmax<'_, T> {
    const NANOS: f64 = 0.4;
    #[inline(always)]
    fn rows<const FMA: bool>(&self, first: usize, out: &'a mut Unwritten<T>) -> &'a mut [T] {
        let (n, all) = (self.n, &self.x[first * self.n..][..out.len()]);
        if n < SHORT {
            return short_rows::<T, FMA, true>(all, n, out, log_of_shares::<T, FMA>);
        }
        for (i, out) in out.chunks_exact_mut(n).enumerate() {
            let x = &all[i * n..];
            let (max, sum) = normaliser::<T, FMA>(x, n);
            if is_infinite(max, &x[..n]) {
                log_of_shares::<T, FMA>(&x[..n], out);
            } else {
                let log_sum = T::of::<FMA>(sum.lane::<FMA>().ln());
                each::<T, _, FMA, false>(&Shift { max, log_sum }, [x, x], out);
            }
        }
        // SAFETY: tasks get whole rows, and both branches write all of one.
        unsafe { assume_written(out) }
    }
}

/// `out = x - log(sum(exp(x)))` over each of `rows` rows of `n`; infinite elements as for [`softmax`]. Gives the result.
///
/// # Panics
/// As for [`softmax`].
pub fn logsoftmax<'a, T: Logit>(rows: usize, n: usize, x: &[T], out: &'a mut Unwritten<T>) -> &'a mut [T] {
    assert!(
        is_rows(x, rows, n) && is_rows(out, rows, n),
        "logsoftmax: {rows} rows of {n} are not {}",
        x.len()
    );
    run(&LogSoftmax { x, n }, rows, n, |group| Pieces::of(out, (group * n).max(1)))
}

/// From `x`, which has rows of `n`.
struct LogSumExp<'x, T> {
    x: &'x [T],
    n: usize,
}

impl<'a, T: Logit> RowOp<Rowwise<'a, T>> for LogSumExp<'_, T> {
    const NANOS: f64 = 0.3;
    #[inline(always)]
    fn rows<const FMA: bool>(&self, first: usize, out: &'a mut Unwritten<T>) -> &'a mut [T] {
        let (n, all) = (self.n, &self.x[first * self.n..][..out.len() * self.n]);
        each_normaliser::<T, FMA>(all, out.len(), n, |i, max, sum| {
            out[i].write(if max == T::HIGHEST || max == T::LOWEST {
                // `exp(x - max)` is NaN where both are infinite; the result is then `max` itself, or NaN.
                fold_row::<Max<T>>(&all[i * n..][..n])
            } else {
                T::of::<FMA>(max.lane::<FMA>() + sum.lane::<FMA>().ln())
            });
        });
        // SAFETY: each row has been found, and its place is written then.
        unsafe { assume_written(out) }
    }
}

/// `out[row] = log(sum(exp(x[row])))` for `rows` rows of `n`; `-inf` for a row of nothing or of nothing but `-inf`. Gives
/// the result.
///
/// # Panics
/// Where `x` has not as many elements, or `out` not one for each row.
pub fn logsumexp<'a, T: Logit>(rows: usize, n: usize, x: &[T], out: &'a mut Unwritten<T>) -> &'a mut [T] {
    assert!(is_rows(x, rows, n) && out.len() == rows, "logsumexp: {rows} rows of {n} are not {}", x.len());
    run(&LogSumExp { x, n }, rows, n, |group| Pieces::of(out, group))
}

/// The rows of a gradient: from the result of the function and the gradient at it.
struct Gradient<'x, T, const LOG: bool> {
    y: &'x [T],
    g: &'x [T],
    n: usize,
}

/// The gradient of the softmax for the result `a` and the gradient `b` at it, whose dot product this holds.
pub(super) struct SoftmaxGrad<T>(pub(super) T);

impl<T: Logit> Each<T> for SoftmaxGrad<T> {
    #[inline(always)]
    fn each<const FMA: bool>(&self, y: T::Lane<FMA>, g: T::Lane<FMA>) -> T::Lane<FMA> {
        y * (g - self.0.lane::<FMA>())
    }
}

struct LogSoftmaxGrad<T>(T);

impl<T: Logit> Each<T> for LogSoftmaxGrad<T> {
    #[inline(always)]
    fn each<const FMA: bool>(&self, y: T::Lane<FMA>, g: T::Lane<FMA>) -> T::Lane<FMA> {
        g - T::of::<FMA>(y).exp_down::<FMA>().lane::<FMA>() * self.0.lane::<FMA>()
    }
}

impl<'a, T: Logit, const LOG: bool> RowOp<Rowwise<'a, T>> for Gradient<'_, T, LOG> {
    const NANOS: f64 = 0.4;
    #[inline(always)]
    fn rows<const FMA: bool>(&self, first: usize, out: &'a mut Unwritten<T>) -> &'a mut [T] {
        let n = self.n;
        let [ys, gs] = [self.y, self.g].map(|x| &x[first * n..][..out.len()]);
        if 0 < n && n < TURNED_BACK {
            short::gradient::<T, FMA, LOG>([ys, gs], n, out);
            // SAFETY: tasks get whole rows, each of which is written.
            return unsafe { assume_written(out) };
        }
        for (i, out) in out.chunks_exact_mut(n).enumerate() {
            let (y, g) = (&ys[i * n..], &gs[i * n..]);
            if LOG {
                let sum = fold_row::<Sum<T>>(&g[..n]);
                each::<T, _, FMA, false>(&LogSoftmaxGrad(sum), [y, g], out);
            } else {
                let dot = sum_of::<T, _, FMA>(&Product, [y, g], n);
                each::<T, _, FMA, false>(&SoftmaxGrad(dot), [y, g], out);
            }
        }
        // SAFETY: tasks get whole rows, and both branches write all of one.
        unsafe { assume_written(out) }
    }
}

fn gradient<'a, T: Logit, const LOG: bool>(
    rows: usize,
    n: usize,
    [y, g]: [&[T]; 2],
    out: &'a mut Unwritten<T>,
) -> &'a mut [T] {
    let fits = is_rows(y, rows, n) && is_rows(g, rows, n) && is_rows(out, rows, n);
    assert!(fits, "softmax: {rows} rows of {n} are not {} and {}", y.len(), g.len());
    run(&Gradient::<T, LOG> { y, g, n }, rows, n, |group| Pieces::of(out, (group * n).max(1)))
}

/// The gradient of [`softmax`] at its result `y`: `out = y * (g - sum(g * y))` over each row. Gives the gradient.
///
/// # Panics
/// As for [`softmax`].
pub fn softmax_grad<'a, T: Logit>(
    rows: usize,
    n: usize,
    y: &[T],
    g: &[T],
    out: &'a mut Unwritten<T>,
) -> &'a mut [T] {
    gradient::<T, false>(rows, n, [y, g], out)
}

/// The gradient of [`logsoftmax`] at its result `y`: `out = g - exp(y) * sum(g)` over each row. Gives the gradient.
///
/// # Panics
/// As for [`softmax`].
pub fn logsoftmax_grad<'a, T: Logit>(
    rows: usize,
    n: usize,
    y: &[T],
    g: &[T],
    out: &'a mut Unwritten<T>,
) -> &'a mut [T] {
    gradient::<T, true>(rows, n, [y, g], out)
}
