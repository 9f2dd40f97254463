//! Softmax, its logarithm and its normaliser over the last axis, cross-entropy with integer labels, and gradients.
//!
//! All subtract the maximum of the row first, so nothing overflows; a row is read from cache after its first pass.

use super::block::{load, store};
use super::dispatch::{Kernel, Shared, dispatch};
use super::number::{Float, Number};
use super::real::Real;
use super::reduce::{Max, Sum, fold_across, fold_row};
use crate::team;

/// Elements per task.
const CHUNK: usize = 1 << 13;
/// Lanes computed side by side.
const LANES: usize = 32;
/// Lanes for what is left of a multiple of [`LANES`], and for short rows.
const FEW: usize = 16;
/// Vectors added one after another before they join the total; keeps the error of long sums small.
const BLOCK: usize = 32;

/// What is done to one row.
trait RowOp: Sync {
    /// Nanoseconds per element.
    const NANOS: f64;
    /// Computes row `row` of `n` elements.
    ///
    /// # Safety
    /// That of the function that made the operation.
    unsafe fn row<const FMA: bool>(&self, row: usize, n: usize);
}

unsafe fn run<K: RowOp>(op: &K, rows: usize, n: usize) {
    let group = (CHUNK / n.max(1)).max(1);
    team::run(rows.div_ceil(group), ((rows * (n + FEW)) as f64 * K::NANOS) as usize, |task| {
        let (first, last) = (task * group, rows.min((task + 1) * group));
        // SAFETY: the caller's promise, for rows of the task's own.
        unsafe { dispatch(Rows { op, first, last, n }) };
    });
}

struct Rows<'a, K> {
    op: &'a K,
    first: usize,
    last: usize,
    n: usize,
}

impl<K: RowOp> Kernel for Rows<'_, K> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<const FMA: bool>(self) {
        for row in self.first..self.last {
            // SAFETY: the caller's promise.
            unsafe { self.op.row::<FMA>(row, self.n) };
        }
    }
}

/// A sum whose terms come in vectors.
trait Terms<T> {
    /// The `L` terms from the `i`-th on, of which those from `len` on are to be zero.
    unsafe fn terms<const FMA: bool, const L: usize>(&self, i: usize, len: usize) -> [T; L];
}

#[inline(always)]
unsafe fn sum<T: Float, K: Terms<T>, const FMA: bool>(k: &K, n: usize) -> T {
    let mut total = T::ZERO;
    let mut i = 0;
    // SAFETY: the terms asked for are among the `n`.
    unsafe {
        if n >= LANES {
            let mut sums = [T::ZERO; LANES];
            while i + LANES <= n {
                let mut block = [T::ZERO; LANES];
                let end = n.min(i + BLOCK * LANES);
                while i + LANES <= end {
                    add(&mut block, k.terms::<FMA, LANES>(i, LANES));
                    i += LANES;
                }
                add(&mut sums, block);
            }
            total = fold_across::<Sum<T>, LANES>(sums);
        }
        while i < n {
            total = total.plus(fold_across::<Sum<T>, FEW>(k.terms::<FMA, FEW>(i, n - i)));
            i += FEW;
        }
    }
    total
}

#[inline(always)]
fn add<T: Number, const L: usize>(sums: &mut [T; L], terms: [T; L]) {
    for l in 0..L {
        sums[l] = sums[l].plus(terms[l]);
    }
}

/// `exp(x - shift)`, also written to `out` if that is not null.
struct Exp<T> {
    x: *const T,
    shift: T,
    out: *mut T,
}

impl<T: Float> Terms<T> for Exp<T> {
    #[inline(always)]
    unsafe fn terms<const FMA: bool, const L: usize>(&self, i: usize, len: usize) -> [T; L] {
        // SAFETY: `len` elements from `i` on are within the row.
        unsafe {
            let x = load::<T, L>(self.x.add(i), len, T::LOWEST);
            let mut e = [T::ZERO; L];
            for l in 0..L {
                e[l] = T::of::<FMA>((x[l].lane::<FMA>() - self.shift.lane::<FMA>()).exp());
            }
            if !self.out.is_null() {
                store(self.out.add(i), len, &e);
            }
            if len < L {
                // `exp(-inf - shift)` is zero, except where `shift` is infinite or NaN.
                for (l, e) in e.iter_mut().enumerate() {
                    *e = if l < len { *e } else { T::ZERO };
                }
            }
            e
        }
    }
}

/// `a * b`.
struct Product<T> {
    a: *const T,
    b: *const T,
}

impl<T: Float> Terms<T> for Product<T> {
    #[inline(always)]
    unsafe fn terms<const FMA: bool, const L: usize>(&self, i: usize, len: usize) -> [T; L] {
        // SAFETY: `len` elements from `i` on are within the rows.
        unsafe {
            let mut a = load::<T, L>(self.a.add(i), len, T::ZERO);
            let b = load::<T, L>(self.b.add(i), len, T::ZERO);
            for l in 0..L {
                a[l] = a[l].times(b[l]);
            }
            a
        }
    }
}

/// An element-wise function of the elements of one or two rows.
trait Each<T: Float> {
    fn each<const FMA: bool>(&self, a: T::Lane<FMA>, b: T::Lane<FMA>) -> T::Lane<FMA>;
}

/// `out = f(a, b)` over a row; `out` may be `a` or `b`.
#[inline(always)]
unsafe fn each<T: Float, K: Each<T>, const FMA: bool>(
    k: &K,
    a: *const T,
    b: *const T,
    out: *mut T,
    n: usize,
) {
    let mut i = 0;
    // SAFETY: the elements are among the `n` of each row.
    unsafe {
        while i + LANES <= n {
            each_block::<T, K, FMA, LANES>(k, a.add(i), b.add(i), out.add(i), LANES);
            i += LANES;
        }
        while i < n {
            each_block::<T, K, FMA, FEW>(k, a.add(i), b.add(i), out.add(i), n - i);
            i += FEW;
        }
    }
}

#[inline(always)]
unsafe fn each_block<T: Float, K: Each<T>, const FMA: bool, const L: usize>(
    k: &K,
    a: *const T,
    b: *const T,
    out: *mut T,
    len: usize,
) {
    // SAFETY: the caller has `len` elements in each.
    unsafe {
        let (mut a, b) = (load::<T, L>(a, len, T::ZERO), load::<T, L>(b, len, T::ZERO));
        for l in 0..L {
            a[l] = T::of::<FMA>(k.each::<FMA>(a[l].lane::<FMA>(), b[l].lane::<FMA>()));
        }
        store(out, len, &a);
    }
}

/// The maximum of a row, and the sum of `exp(x - maximum)`, whose terms go to `out` if that is not null.
#[inline(always)]
unsafe fn normaliser<T: Float, const FMA: bool>(x: *const T, n: usize, out: *mut T) -> (T, T) {
    // SAFETY: the caller has `n` elements in each.
    unsafe {
        let max = fold_row::<Max<T>>(x, n);
        (max, sum::<T, _, FMA>(&Exp { x, shift: max, out }, n))
    }
}

struct Scale<T>(T);

impl<T: Float> Each<T> for Scale<T> {
    #[inline(always)]
    fn each<const FMA: bool>(&self, a: T::Lane<FMA>, _: T::Lane<FMA>) -> T::Lane<FMA> {
        a * self.0.lane::<FMA>()
    }
}

struct Softmax<T> {
    x: Shared<T>,
    out: Shared<T>,
}

impl<T: Float> RowOp for Softmax<T> {
    const NANOS: f64 = 0.4;
    #[inline(always)]
    unsafe fn row<const FMA: bool>(&self, row: usize, n: usize) {
        let (x, out) = (self.x.at(row * n), self.out.at(row * n));
        // SAFETY: the caller's rows.
        unsafe {
            let (max, sum) = normaliser::<T, FMA>(x, n, out);
            if max == T::HIGHEST {
                return share(x, out, n);
            }
            let scale = T::of::<FMA>(T::ONE.lane::<FMA>() / sum.lane::<FMA>());
            each::<T, _, FMA>(&Scale(scale), out, out, out, n);
        }
    }
}

/// Softmax of a row with infinite elements, which share the probability equally.
#[cold]
unsafe fn share<T: Float>(x: *const T, out: *mut T, n: usize) {
    // SAFETY: the caller's row.
    unsafe {
        let mut count = T::ZERO;
        for i in 0..n {
            count = if *x.add(i) == T::HIGHEST { count.plus(T::ONE) } else { count };
        }
        let part = T::of::<false>(T::ONE.lane::<false>() / count.lane::<false>());
        for i in 0..n {
            *out.add(i) = if *x.add(i) == T::HIGHEST { part } else { T::ZERO };
        }
    }
}

/// `out = exp(x) / sum(exp(x))` over each of `rows` rows of `n`.
///
/// Elements that are infinite share the probability; a row of nothing but `-inf` has no distribution and gives NaN.
///
/// # Safety
/// `x` must be readable and `out` writable for `rows * n` elements; they must not overlap.
pub unsafe fn softmax<T: Float>(rows: usize, n: usize, x: *const T, out: *mut T) {
    // SAFETY: the caller's promise.
    unsafe { run(&Softmax { x: Shared(x.cast_mut()), out: Shared(out) }, rows, n) }
}

struct LogSoftmax<T> {
    x: Shared<T>,
    out: Shared<T>,
}

struct Shift<T> {
    max: T,
    log_sum: T,
}

impl<T: Float> Each<T> for Shift<T> {
    #[inline(always)]
    fn each<const FMA: bool>(&self, a: T::Lane<FMA>, _: T::Lane<FMA>) -> T::Lane<FMA> {
        (a - self.max.lane::<FMA>()) - self.log_sum.lane::<FMA>()
    }
}

impl<T: Float> RowOp for LogSoftmax<T> {
    const NANOS: f64 = 0.4;
    #[inline(always)]
    unsafe fn row<const FMA: bool>(&self, row: usize, n: usize) {
        let (x, out) = (self.x.at(row * n), self.out.at(row * n));
        // SAFETY: the caller's rows.
        unsafe {
            let (max, sum) = normaliser::<T, FMA>(x, n, std::ptr::null_mut());
            if max == T::HIGHEST {
                share(x, out, n);
                for i in 0..n {
                    let p = *out.add(i);
                    *out.add(i) = if p == T::ZERO { T::LOWEST } else { T::of::<FMA>(p.lane::<FMA>().ln()) };
                }
                return;
            }
            let log_sum = T::of::<FMA>(sum.lane::<FMA>().ln());
            each::<T, _, FMA>(&Shift { max, log_sum }, x, x, out, n);
        }
    }
}

/// `out = x - log(sum(exp(x)))` over each of `rows` rows of `n`; infinite elements as for [`softmax`].
///
/// # Safety
/// As for [`softmax`].
pub unsafe fn logsoftmax<T: Float>(rows: usize, n: usize, x: *const T, out: *mut T) {
    // SAFETY: the caller's promise.
    unsafe { run(&LogSoftmax { x: Shared(x.cast_mut()), out: Shared(out) }, rows, n) }
}

struct LogSumExp<T> {
    x: Shared<T>,
    out: Shared<T>,
}

impl<T: Float> RowOp for LogSumExp<T> {
    const NANOS: f64 = 0.3;
    #[inline(always)]
    unsafe fn row<const FMA: bool>(&self, row: usize, n: usize) {
        // SAFETY: the caller's row, and its result.
        unsafe {
            let (max, sum) = normaliser::<T, FMA>(self.x.at(row * n), n, std::ptr::null_mut());
            // `exp(x - max)` is NaN where both are infinite; the result is then `max` itself.
            let infinite = max == T::HIGHEST || max == T::LOWEST;
            let value = max.lane::<FMA>() + sum.lane::<FMA>().ln();
            *self.out.at(row) = if infinite { max } else { T::of::<FMA>(value) };
        }
    }
}

/// `out[row] = log(sum(exp(x[row])))` for `rows` rows of `n`; `-inf` for a row of nothing or of nothing but `-inf`.
///
/// # Safety
/// `x` must be readable for `rows * n` elements and `out` writable for `rows`; they must not overlap.
pub unsafe fn logsumexp<T: Float>(rows: usize, n: usize, x: *const T, out: *mut T) {
    // SAFETY: the caller's promise.
    unsafe { run(&LogSumExp { x: Shared(x.cast_mut()), out: Shared(out) }, rows, n) }
}

/// The rows of a gradient: the result of the function, the gradient at it, and the result.
struct Gradient<T, const LOG: bool> {
    y: Shared<T>,
    g: Shared<T>,
    out: Shared<T>,
}

struct SoftmaxGrad<T>(T);

impl<T: Float> Each<T> for SoftmaxGrad<T> {
    #[inline(always)]
    fn each<const FMA: bool>(&self, y: T::Lane<FMA>, g: T::Lane<FMA>) -> T::Lane<FMA> {
        y * (g - self.0.lane::<FMA>())
    }
}

struct LogSoftmaxGrad<T>(T);

impl<T: Float> Each<T> for LogSoftmaxGrad<T> {
    #[inline(always)]
    fn each<const FMA: bool>(&self, y: T::Lane<FMA>, g: T::Lane<FMA>) -> T::Lane<FMA> {
        g - y.exp() * self.0.lane::<FMA>()
    }
}

impl<T: Float, const LOG: bool> RowOp for Gradient<T, LOG> {
    const NANOS: f64 = 0.4;
    #[inline(always)]
    unsafe fn row<const FMA: bool>(&self, row: usize, n: usize) {
        let (y, g, out) = (self.y.at(row * n), self.g.at(row * n), self.out.at(row * n));
        // SAFETY: the caller's rows.
        unsafe {
            if LOG {
                each::<T, _, FMA>(&LogSoftmaxGrad(fold_row::<Sum<T>>(g, n)), y, g, out, n);
            } else {
                let dot = sum::<T, _, FMA>(&Product { a: y, b: g }, n);
                each::<T, _, FMA>(&SoftmaxGrad(dot), y, g, out, n);
            }
        }
    }
}

/// The gradient of [`softmax`] at its result `y`: `out = y * (g - sum(g * y))` over each row.
///
/// # Safety
/// `y` and `g` must be readable and `out` writable for `rows * n` elements; `out` may be one of them.
pub unsafe fn softmax_grad<T: Float>(rows: usize, n: usize, y: *const T, g: *const T, out: *mut T) {
    let op = Gradient::<T, false> { y: Shared(y.cast_mut()), g: Shared(g.cast_mut()), out: Shared(out) };
    // SAFETY: the caller's promise.
    unsafe { run(&op, rows, n) }
}

/// The gradient of [`logsoftmax`] at its result `y`: `out = g - exp(y) * sum(g)` over each row.
///
/// # Safety
/// As for [`softmax_grad`].
pub unsafe fn logsoftmax_grad<T: Float>(rows: usize, n: usize, y: *const T, g: *const T, out: *mut T) {
    let op = Gradient::<T, true> { y: Shared(y.cast_mut()), g: Shared(g.cast_mut()), out: Shared(out) };
    // SAFETY: the caller's promise.
    unsafe { run(&op, rows, n) }
}

struct CrossEntropy<T> {
    x: Shared<T>,
    labels: Shared<i64>,
    loss: Shared<T>,
    kept: Shared<[T; 2]>,
}

impl<T: Float> RowOp for CrossEntropy<T> {
    const NANOS: f64 = 0.3;
    #[inline(always)]
    unsafe fn row<const FMA: bool>(&self, row: usize, n: usize) {
        let x = self.x.at(row * n);
        // SAFETY: the caller's row, label and results.
        unsafe {
            let (max, sum) = normaliser::<T, FMA>(x, n, std::ptr::null_mut());
            let wanted = *x.add(*self.labels.at(row) as usize);
            *self.kept.at(row) = [max, sum];
            *self.loss.at(row) =
                T::of::<FMA>(sum.lane::<FMA>().ln() + (max.lane::<FMA>() - wanted.lane::<FMA>()));
        }
    }
}

/// `loss[row] = logsumexp(x[row]) - x[row, labels[row]]` for `rows` rows of `n` logits.
///
/// `kept[row]` is what [`cross_entropy_grad`] needs: the maximum `m` of the row and the sum of `exp(x - m)`. Their
/// logarithm in one number, `m + log(sum)`, would lose the digits of the logits that matter when those are large.
///
/// # Safety
/// `x` must be readable for `rows * n` elements, `labels` for `rows`, each in `0..n`; `loss` and `kept` must be
/// writable for `rows`.
pub unsafe fn cross_entropy<T: Float>(
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

struct ScaledExp<T> {
    max: T,
    scale: T,
}

impl<T: Float> Each<T> for ScaledExp<T> {
    #[inline(always)]
    fn each<const FMA: bool>(&self, a: T::Lane<FMA>, _: T::Lane<FMA>) -> T::Lane<FMA> {
        (a - self.max.lane::<FMA>()).exp() * self.scale.lane::<FMA>()
    }
}

impl<T: Float> RowOp for CrossEntropyGrad<T> {
    const NANOS: f64 = 0.4;
    #[inline(always)]
    unsafe fn row<const FMA: bool>(&self, row: usize, n: usize) {
        let (x, out) = (self.x.at(row * n), self.out.at(row * n));
        // SAFETY: the caller's rows, label and gradient.
        unsafe {
            let ([max, sum], g) = (*self.kept.at(row), *self.g.at(row * self.g_stride));
            let scale = T::of::<FMA>(g.lane::<FMA>() / sum.lane::<FMA>());
            each::<T, _, FMA>(&ScaledExp { max, scale }, x, x, out, n);
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
pub unsafe fn cross_entropy_grad<T: Float>(
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
