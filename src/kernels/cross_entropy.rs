//! Cross-entropy of logits with integer labels, and its gradient.

use super::dispatch::Shared;
use super::real::Real;
use super::softmax::{Logit, RowOp, ScaledExp, each, infinite, is_infinite, normaliser, run, share};

struct CrossEntropy<T> {
    x: Shared<T>,
    labels: Shared<i64>,
    loss: Shared<T>,
    kept: Shared<[T; 2]>,
}

impl<T: Logit> RowOp for CrossEntropy<T> {
    const NANOS: f64 = 0.3;
    #[inline(always)]
    unsafe fn row<const FMA: bool>(&self, row: usize, n: usize, room: usize) {
        let x = self.x.at(row * n);
        // SAFETY: the caller's row, label and results.
        unsafe {
            let (max, sum) = normaliser::<T, FMA, false>(x, std::ptr::null_mut(), n, room);
            let wanted = *x.add(*self.labels.at(row) as usize);
            if is_infinite(max, x, n) {
                let count = infinite(x, n);
                *self.kept.at(row) = [max, count];
                *self.loss.at(row) =
                    if wanted == max { T::of::<FMA>(count.lane::<FMA>().ln()) } else { T::HIGHEST };
                return;
            }
            *self.kept.at(row) = [max, sum];
            *self.loss.at(row) =
                T::of::<FMA>(sum.lane::<FMA>().ln() + (max.lane::<FMA>() - wanted.lane::<FMA>()));
        }
    }
}

/// `loss[row] = logsumexp(x[row]) - x[row, labels[row]]` for `rows` rows of `n` logits.
///
/// `kept[row]` is what [`cross_entropy_grad`] needs: the maximum `m` of the row and the sum of `exp(x - m)`, or, if `m` is
/// infinite, how many elements are, which share the probability. Their
/// logarithm in one number, `m + log(sum)`, would lose the digits of the logits that matter when those are large.
///
/// # Safety
/// `x` must be readable for `rows * n` elements, `labels` for `rows`, each in `0..n`; `loss` and `kept` must be
/// writable for `rows`.
pub unsafe fn cross_entropy<T: Logit>(
    rows: usize,
    n: usize,
    x: *const T,
    labels: *const i64,
    loss: *mut T,
    kept: *mut [T; 2],
) {
    let (x, labels) = (Shared(x.cast_mut()), Shared(labels.cast_mut()));
    // SAFETY: the caller's promise.
    unsafe { run(&CrossEntropy { x, labels, loss: Shared(loss), kept: Shared(kept) }, rows, n) }
}

struct CrossEntropyGrad<T> {
    x: Shared<T>,
    labels: Shared<i64>,
    kept: Shared<[T; 2]>,
    g: Shared<T>,
    g_stride: usize,
    out: Shared<T>,
}

impl<T: Logit> RowOp for CrossEntropyGrad<T> {
    const NANOS: f64 = 0.4;
    #[inline(always)]
    unsafe fn row<const FMA: bool>(&self, row: usize, n: usize, room: usize) {
        let (x, out) = (self.x.at(row * n), self.out.at(row * n));
        // SAFETY: the caller's rows, label and gradient.
        unsafe {
            let ([max, sum], g) = (*self.kept.at(row), *self.g.at(row * self.g_stride));
            let scale = T::of::<FMA>(g.lane::<FMA>() / sum.lane::<FMA>());
            if max == T::HIGHEST && !sum.is_nan() {
                share(x, out, n, scale);
            } else {
                each::<T, _, FMA, true, false>(&ScaledExp { max, scale }, [x, x], out, n, room);
            }
            let wanted = out.add(*self.labels.at(row) as usize);
            *wanted = T::of::<FMA>((*wanted).lane::<FMA>() - g.lane::<FMA>());
        }
    }
}

/// The gradient of [`cross_entropy`]: `out = (softmax(x) - onehot(label)) * g[row]`; `g_stride` is 0 or 1.
///
/// # Safety
/// As for [`cross_entropy`], which has written `kept`; `g` must be readable for `rows` elements `g_stride` apart, and
/// `out` writable for `rows * n`; it may be `x`.
#[allow(clippy::too_many_arguments)]
pub unsafe fn cross_entropy_grad<T: Logit>(
    rows: usize,
    n: usize,
    x: *const T,
    labels: *const i64,
    kept: *const [T; 2],
    g: *const T,
    g_stride: usize,
    out: *mut T,
) {
    let op = CrossEntropyGrad {
        x: Shared(x.cast_mut()),
        labels: Shared(labels.cast_mut()),
        kept: Shared(kept.cast_mut()),
        g: Shared(g.cast_mut()),
        g_stride,
        out: Shared(out),
    };
    // SAFETY: the caller's promise.
    unsafe { run(&op, rows, n) }
}
