//! Softmax, its logarithm and its normaliser over the last axis, and their gradients.
//!
//! All subtract the maximum of the row first, so nothing overflows; a row is read from cache after its first pass.

use super::dispatch::{Kernel, Shared, dispatch};
use super::lanes::{load, store};
use super::number::{Float, Number};
use super::real::Real;
use super::reduce::{Fold, Max, Sum, fold_across, fold_row};
use crate::team;
use std::marker::PhantomData;

/// Elements per task.
const CHUNK: usize = 1 << 13;
/// Lanes computed side by side.
const LANES: usize = 64;
/// Lanes for what is left of a multiple of [`LANES`], and for short rows.
const FEW: usize = 16;
/// Vectors added one after another before they join the total; keeps the error of long sums small.
const BLOCK: usize = 32;

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

/// What is done to one row.
pub(super) trait RowOp: Sync {
    /// Nanoseconds per element.
    const NANOS: f64;
    /// Computes row `row` of `n` elements. The task has `room` elements from the start of the row, and may read beyond
    /// its end as far as that: a whole vector is read faster than a part of one.
    ///
    /// # Safety
    /// That of the function that made the operation.
    unsafe fn row<const FMA: bool>(&self, row: usize, n: usize, room: usize);
}

pub(super) unsafe fn run<K: RowOp>(op: &K, rows: usize, n: usize) {
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
            unsafe { self.op.row::<FMA>(row, self.n, (self.last - row) * self.n) };
        }
    }
}

/// An element-wise function of the elements of one or two rows.
pub(super) trait Each<T: Float> {
    fn each<const FMA: bool>(&self, a: T::Lane<FMA>, b: T::Lane<FMA>) -> T::Lane<FMA>;
}

/// Computes `f(a, b)` over a row, writes it to `out` if `STORE`, and returns its sum if `SUM`. `out` may be `a` or `b`.
#[inline(always)]
pub(super) unsafe fn each<T: Float, K: Each<T>, const FMA: bool, const STORE: bool, const SUM: bool>(
    k: &K,
    [a, b]: [*const T; 2],
    out: *mut T,
    n: usize,
    room: usize,
) -> T {
    let mut total = T::ZERO;
    let mut i = 0;
    // SAFETY: `room` elements may be read, and `n` written if `STORE`; without it `out` is not used.
    unsafe {
        if n >= LANES {
            let mut sums = [T::ZERO; LANES];
            while i + LANES <= n {
                let mut block = [T::ZERO; LANES];
                let end = n.min(i + BLOCK * LANES);
                while i + LANES <= end {
                    let at = [a.wrapping_add(i), b.wrapping_add(i)];
                    each_block::<T, K, FMA, STORE, SUM, LANES>(
                        k,
                        at,
                        out.wrapping_add(i),
                        LANES,
                        LANES,
                        &mut block,
                    );
                    i += LANES;
                }
                for l in 0..LANES {
                    sums[l] = sums[l].plus(block[l]);
                }
            }
            total = fold_across::<Sum<T>, LANES>(sums);
        }
        while i < n {
            let (at, mut few) = ([a.wrapping_add(i), b.wrapping_add(i)], [T::ZERO; FEW]);
            each_block::<T, K, FMA, STORE, SUM, FEW>(k, at, out.wrapping_add(i), n - i, room - i, &mut few);
            total = total.plus(fold_across::<Sum<T>, FEW>(few));
            i += FEW;
        }
    }
    total
}

#[inline(always)]
unsafe fn each_block<
    T: Float,
    K: Each<T>,
    const FMA: bool,
    const STORE: bool,
    const SUM: bool,
    const L: usize,
>(
    k: &K,
    [a, b]: [*const T; 2],
    out: *mut T,
    len: usize,
    room: usize,
    sums: &mut [T; L],
) {
    // SAFETY: the caller has `room` elements in `a` and `b`, and `len` in `out`.
    unsafe {
        let (mut a, b) = (load::<T, L>(a, room, T::ZERO), load::<T, L>(b, room, T::ZERO));
        for l in 0..L {
            a[l] = T::of::<FMA>(k.each::<FMA>(a[l].lane::<FMA>(), b[l].lane::<FMA>()));
            if SUM {
                sums[l] = sums[l].plus(if l < len { a[l] } else { T::ZERO });
            }
        }
        if STORE {
            store(out, len, &a);
        }
    }
}

/// The largest element that is not NaN: one instruction, and the sum that follows finds the NaN.
struct Highest<T>(PhantomData<T>);

impl<T: Number> Fold for Highest<T> {
    type In = T;
    type Out = T;
    type Parts = Self;
    const START: T = T::LOWEST;
    #[inline(always)]
    fn push(acc: T, x: T) -> T {
        if x > acc { x } else { acc }
    }
    #[inline(always)]
    fn merge(a: T, b: T) -> T {
        if b > a { b } else { a }
    }
}

#[inline(always)]
pub(super) unsafe fn highest<T: Float>(x: *const T, n: usize, room: usize) -> T {
    // SAFETY: `room` elements may be read.
    unsafe {
        if n >= LANES {
            return fold_row::<Highest<T>>(x, n);
        }
        let mut lanes = [T::LOWEST; FEW];
        for i in (0..n).step_by(FEW) {
            let x = load::<T, FEW>(x.add(i), room - i, T::LOWEST);
            for l in 0..FEW {
                lanes[l] = Highest::<T>::push(lanes[l], if i + l < n { x[l] } else { T::LOWEST });
            }
        }
        fold_across::<Highest<T>, FEW>(lanes)
    }
}

/// The maximum of a row, and the sum of `exp(x - maximum)`, whose terms go to `out` if `STORE`. The sum is NaN if an
/// element is, or if the maximum is infinite.
#[inline(always)]
pub(super) unsafe fn normaliser<T: Logit, const FMA: bool, const STORE: bool>(
    x: *const T,
    out: *mut T,
    n: usize,
    room: usize,
) -> (T, T) {
    // SAFETY: the caller has `room` elements to read, and `n` to write if `STORE`.
    unsafe {
        let max = highest(x, n, room);
        (max, each::<T, _, FMA, STORE, true>(&Exp(max), [x, x], out, n, room))
    }
}

/// Whether the largest element of a row is infinite and none is NaN; `max` is that of [`normaliser`].
#[inline(always)]
pub(super) unsafe fn is_infinite<T: Float>(max: T, x: *const T, n: usize) -> bool {
    #[cold]
    unsafe fn no_nan<T: Float>(x: *const T, n: usize) -> bool {
        // SAFETY: the caller's row.
        unsafe { !fold_row::<Max<T>>(x, n).is_nan() }
    }
    // SAFETY: the caller's row.
    max == T::HIGHEST && unsafe { no_nan(x, n) }
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

struct Softmax<T> {
    x: Shared<T>,
    out: Shared<T>,
}

impl<T: Logit> RowOp for Softmax<T> {
    const NANOS: f64 = 0.4;
    #[inline(always)]
    unsafe fn row<const FMA: bool>(&self, row: usize, n: usize, room: usize) {
        let (x, out) = (self.x.at(row * n), self.out.at(row * n));
        // SAFETY: the caller's rows.
        unsafe {
            // A short row is cheaper computed again than stored and read back.
            let short = n < LANES;
            let (max, sum) = if short {
                normaliser::<T, FMA, false>(x, out, n, room)
            } else {
                normaliser::<T, FMA, true>(x, out, n, room)
            };
            if is_infinite(max, x, n) {
                let part = T::ONE.lane::<FMA>() / infinite(x, n).lane::<FMA>();
                return share(x, out, n, T::of::<FMA>(part));
            }
            let scale = T::of::<FMA>(T::ONE.lane::<FMA>() / sum.lane::<FMA>());
            if short {
                each::<T, _, FMA, true, false>(&ScaledExp { max, scale }, [x, x], out, n, room);
            } else {
                each::<T, _, FMA, true, false>(&Scale(scale), [out, out], out, n, n);
            }
        }
    }
}

/// How many elements of a row are infinite.
#[cold]
pub(super) unsafe fn infinite<T: Logit>(x: *const T, n: usize) -> T {
    // SAFETY: the caller's row.
    (0..n).filter(|&i| unsafe { *x.add(i) } == T::HIGHEST).fold(T::ZERO, |count, _| count.plus(T::ONE))
}

/// `part` for the infinite elements of a row, 0 for the others; `out` may be `x`.
#[cold]
pub(super) unsafe fn share<T: Logit>(x: *const T, out: *mut T, n: usize, part: T) {
    for i in 0..n {
        // SAFETY: the caller's row.
        unsafe { *out.add(i) = if *x.add(i) == T::HIGHEST { part } else { T::ZERO } }
    }
}

/// `out = exp(x) / sum(exp(x))` over each of `rows` rows of `n`.
///
/// Elements that are infinite share the probability; a row of nothing but `-inf` has no distribution and gives NaN.
///
/// # Safety
/// `x` must be readable and `out` writable for `rows * n` elements; they must not overlap.
pub unsafe fn softmax<T: Logit>(rows: usize, n: usize, x: *const T, out: *mut T) {
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

impl<T: Logit> Each<T> for Shift<T> {
    #[inline(always)]
    fn each<const FMA: bool>(&self, a: T::Lane<FMA>, _: T::Lane<FMA>) -> T::Lane<FMA> {
        (a - self.max.lane::<FMA>()) - self.log_sum.lane::<FMA>()
    }
}

impl<T: Logit> RowOp for LogSoftmax<T> {
    const NANOS: f64 = 0.4;
    #[inline(always)]
    unsafe fn row<const FMA: bool>(&self, row: usize, n: usize, room: usize) {
        let (x, out) = (self.x.at(row * n), self.out.at(row * n));
        // SAFETY: the caller's rows.
        unsafe {
            let (max, sum) = normaliser::<T, FMA, false>(x, std::ptr::null_mut(), n, room);
            if is_infinite(max, x, n) {
                let log = T::of::<FMA>((T::ONE.lane::<FMA>() / infinite(x, n).lane::<FMA>()).ln());
                for i in 0..n {
                    *out.add(i) = if *x.add(i) == T::HIGHEST { log } else { T::LOWEST };
                }
                return;
            }
            let log_sum = T::of::<FMA>(sum.lane::<FMA>().ln());
            each::<T, _, FMA, true, false>(&Shift { max, log_sum }, [x, x], out, n, room);
        }
    }
}

/// `out = x - log(sum(exp(x)))` over each of `rows` rows of `n`; infinite elements as for [`softmax`].
///
/// # Safety
/// As for [`softmax`].
pub unsafe fn logsoftmax<T: Logit>(rows: usize, n: usize, x: *const T, out: *mut T) {
    // SAFETY: the caller's promise.
    unsafe { run(&LogSoftmax { x: Shared(x.cast_mut()), out: Shared(out) }, rows, n) }
}

struct LogSumExp<T> {
    x: Shared<T>,
    out: Shared<T>,
}

impl<T: Logit> RowOp for LogSumExp<T> {
    const NANOS: f64 = 0.3;
    #[inline(always)]
    unsafe fn row<const FMA: bool>(&self, row: usize, n: usize, room: usize) {
        // SAFETY: the caller's row, and its result.
        unsafe {
            let x = self.x.at(row * n);
            let (max, sum) = normaliser::<T, FMA, false>(x, std::ptr::null_mut(), n, room);
            *self.out.at(row) = if max == T::HIGHEST || max == T::LOWEST {
                // `exp(x - max)` is NaN where both are infinite; the result is then `max` itself, or NaN.
                fold_row::<Max<T>>(x, n)
            } else {
                T::of::<FMA>(max.lane::<FMA>() + sum.lane::<FMA>().ln())
            };
        }
    }
}

/// `out[row] = log(sum(exp(x[row])))` for `rows` rows of `n`; `-inf` for a row of nothing or of nothing but `-inf`.
///
/// # Safety
/// `x` must be readable for `rows * n` elements and `out` writable for `rows`; they must not overlap.
pub unsafe fn logsumexp<T: Logit>(rows: usize, n: usize, x: *const T, out: *mut T) {
    // SAFETY: the caller's promise.
    unsafe { run(&LogSumExp { x: Shared(x.cast_mut()), out: Shared(out) }, rows, n) }
}

/// The rows of a gradient: the result of the function, the gradient at it, and the result.
struct Gradient<T, const LOG: bool> {
    y: Shared<T>,
    g: Shared<T>,
    out: Shared<T>,
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

impl<T: Logit, const LOG: bool> RowOp for Gradient<T, LOG> {
    const NANOS: f64 = 0.4;
    #[inline(always)]
    unsafe fn row<const FMA: bool>(&self, row: usize, n: usize, room: usize) {
        let (y, g, out) = (self.y.at(row * n), self.g.at(row * n), self.out.at(row * n));
        // SAFETY: the caller's rows.
        unsafe {
            if LOG {
                let sum = fold_row::<Sum<T>>(g, n);
                each::<T, _, FMA, true, false>(&LogSoftmaxGrad(sum), [y, g], out, n, room);
            } else {
                let dot = each::<T, _, FMA, false, true>(&Product, [y, g], out, n, room);
                each::<T, _, FMA, true, false>(&SoftmaxGrad(dot), [y, g], out, n, room);
            }
        }
    }
}

/// The gradient of [`softmax`] at its result `y`: `out = y * (g - sum(g * y))` over each row.
///
/// # Safety
/// `y` and `g` must be readable and `out` writable for `rows * n` elements; `out` may be one of them.
pub unsafe fn softmax_grad<T: Logit>(rows: usize, n: usize, y: *const T, g: *const T, out: *mut T) {
    let op = Gradient::<T, false> { y: Shared(y.cast_mut()), g: Shared(g.cast_mut()), out: Shared(out) };
    // SAFETY: the caller's promise.
    unsafe { run(&op, rows, n) }
}

/// The gradient of [`logsoftmax`] at its result `y`: `out = g - exp(y) * sum(g)` over each row.
///
/// # Safety
/// As for [`softmax_grad`].
pub unsafe fn logsoftmax_grad<T: Logit>(rows: usize, n: usize, y: *const T, g: *const T, out: *mut T) {
    let op = Gradient::<T, true> { y: Shared(y.cast_mut()), g: Shared(g.cast_mut()), out: Shared(out) };
    // SAFETY: the caller's promise.
    unsafe { run(&op, rows, n) }
}
