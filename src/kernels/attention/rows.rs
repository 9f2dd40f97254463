//! What is done to each row of a block between its products.

use super::{Block, Inputs, from};
use crate::kernels::cost::rowwise;
use crate::kernels::dispatch::{Kernel, Shared, dispatch};
use crate::kernels::gemm::{Operand, Scalar};
use crate::kernels::number::Number;
use crate::kernels::softmax::{
    Each, Exp, Logit, Product, Scale, ScaledExp, SoftmaxGrad, change, each as write, highest, sum_of,
};
use crate::team;
use std::ptr::null;
use std::slice::{from_raw_parts, from_raw_parts_mut};

/// Elements per task.
const CHUNK: usize = 1 << 13;
/// What a row costs beside its elements, in elements.
const ROW: usize = 16;

/// What is done to one row.
pub(super) trait RowOp: Sync {
    /// Nanoseconds per element.
    const NANOS: f64;
    /// Computes row `row` of `n` elements. The task has `room` elements from the start of the row, and may read beyond its
    /// end as far as that.
    ///
    /// # Safety
    /// The row and what belongs to it must be in the memory that the operation points to, and no other task's.
    unsafe fn row<const FMA: bool>(&self, row: usize, n: usize, room: usize);
}

/// Does `op` to `rows` rows of `n` elements.
///
/// # Safety
/// What the operation points to must have that many rows, which nobody else uses.
pub(super) unsafe fn run<K: RowOp>(op: &K, rows: usize, n: usize) {
    let group = (CHUNK / n.max(1)).max(1);
    team::run(rows.div_ceil(group), rowwise(rows, n + ROW, K::NANOS), |task| {
        let (first, last) = (task * group, rows.min((task + 1) * group));
        // SAFETY: the rows from `first` to `last` are among the caller's, and this task's alone.
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
            // SAFETY: whoever dispatches this has those rows, as `run` has.
            unsafe { self.op.row::<FMA>(row, self.n, (self.last - row) * self.n) };
        }
    }
}

/// Puts `f(x, b)`, or `f(x, x)`, in the place of `n` elements. Gives their sum if `SUM`.
///
/// # Safety
/// `x` must be writable for `room` elements and `b`, if it is not null, readable; nobody else may use them.
#[inline(always)]
unsafe fn each<T: Logit, K: Each<T>, const FMA: bool, const SUM: bool>(
    k: &K,
    x: *mut T,
    b: *const T,
    n: usize,
    room: usize,
) -> T {
    // SAFETY: the caller has `room` elements of each that `b` is not null for, apart from each other.
    unsafe {
        let b = if b.is_null() { None } else { Some(from_raw_parts(b, room)) };
        change::<T, K, FMA, SUM>(k, from_raw_parts_mut(x, room), b, n)
    }
}

impl<T: Logit + Scalar> Inputs<T> {
    /// Adds the bias to a row of `n` scores of a block and applies the mask; returns how many of them count, the others
    /// being behind the query's own place.
    #[inline(always)]
    unsafe fn finish<const FMA: bool>(&self, block: &Block, row: usize, x: *mut T, n: usize) -> usize {
        let query = block.rows.start + row;
        let n = if self.causal { n.min((query + 1).saturating_sub(block.keys.start)) } else { n };
        // SAFETY: bias and mask are as large as the scores.
        unsafe {
            if let Some(bias) = self.bias {
                let bias = bias.at(block.at, query, block.keys.start);
                each::<T, _, FMA, false>(&Plus, x, bias, n, n);
            }
            if let Some(mask) = self.mask {
                let mask = mask.at(block.at, query, block.keys.start);
                for j in 0..n {
                    *x.add(j) = if *mask.add(j) { *x.add(j) } else { T::LOWEST };
                }
            }
        }
        n
    }
}

struct Plus;

impl<T: Logit> Each<T> for Plus {
    #[inline(always)]
    fn each<const FMA: bool>(&self, a: T::Lane<FMA>, b: T::Lane<FMA>) -> T::Lane<FMA> {
        a + b
    }
}

/// `to = from * by`, which may be in place.
pub(super) struct Scaled<T> {
    pub(super) from: Operand<T>,
    pub(super) to: Shared<T>,
    pub(super) ld: usize,
    pub(super) by: T,
}

impl<T: Logit + Scalar> RowOp for Scaled<T> {
    const NANOS: f64 = 0.1;
    #[inline(always)]
    unsafe fn row<const FMA: bool>(&self, row: usize, n: usize, _: usize) {
        let (x, to) = (from(self.from, row).ptr, self.to.at(row * self.ld));
        // SAFETY: as `RowOp` asks, the row is one of those that are read and written, in one place or in places apart.
        unsafe {
            if self.from.cols == 1 && x == to.cast_const() {
                each::<T, _, FMA, false>(&Scale(self.by), to, null(), n, n);
            } else if self.from.cols == 1 {
                let x = from_raw_parts(x, n);
                write::<T, _, FMA, false>(&Scale(self.by), [x, x], from_raw_parts_mut(to.cast(), n));
            } else {
                (0..n).for_each(|j| *to.add(j) = *x.wrapping_offset(j as isize * self.from.cols) * self.by);
            }
        }
    }
}

/// Turns the scores of a block into terms of the softmax, over the largest score so far; the sum of terms and the
/// result of the keys before are brought to that scale.
pub(super) struct Absorb<'a, T> {
    pub(super) inputs: &'a Inputs<T>,
    pub(super) block: &'a Block,
    pub(super) x: Shared<T>,
    pub(super) y: Shared<T>,
    pub(super) ld: usize,
    pub(super) kept: Shared<[T; 2]>,
}

impl<T: Logit + Scalar> RowOp for Absorb<'_, T> {
    const NANOS: f64 = 0.5;
    #[inline(always)]
    unsafe fn row<const FMA: bool>(&self, row: usize, n: usize, room: usize) {
        let (x, y) = (self.x.at(row * n), self.y.at(row * self.ld));
        // SAFETY: as `RowOp` asks, the task has `room` scores from the row on, the row of results and what is kept of
        // it.
        unsafe {
            let seen = self.inputs.finish::<FMA>(self.block, row, x, n);
            let [before, sum] = *self.kept.at(row);
            let here = highest(from_raw_parts(x, room), seen);
            let max = if here > before { here } else { before };
            let by = shift(max);
            let terms = each::<T, _, FMA, true>(&Exp(by), x, null(), seen, room);
            x.add(seen).write_bytes(0, n - seen);
            let decay = T::of::<FMA>(before.lane::<FMA>() - by.lane::<FMA>()).exp_down::<FMA>();
            *self.kept.at(row) = [max, sum * decay + terms];
            if before != T::LOWEST && before != max {
                let values = self.inputs.sizes.values;
                each::<T, _, FMA, false>(&Scale(decay), y, null(), values, values);
            }
        }
    }
}

/// What is subtracted from the scores of a row: the largest, or nothing if no key is seen.
#[inline(always)]
fn shift<T: Logit>(max: T) -> T {
    if max == T::LOWEST { T::ZERO } else { max }
}

/// Divides each row of the result by its sum of terms, and keeps what [`Recall`] needs; a row without keys is zero.
pub(super) struct Normalise<T> {
    pub(super) y: Shared<T>,
    pub(super) ld: usize,
    pub(super) kept: Shared<[T; 2]>,
}

impl<T: Logit + Scalar> RowOp for Normalise<T> {
    const NANOS: f64 = 0.1;
    #[inline(always)]
    unsafe fn row<const FMA: bool>(&self, row: usize, n: usize, _: usize) {
        // SAFETY: as `RowOp` asks, the row of results and what is kept of it are this task's.
        unsafe {
            let (y, [max, sum]) = (self.y.at(row * self.ld), *self.kept.at(row));
            let scale = T::of::<FMA>(<T as Number>::ONE.lane::<FMA>() / sum.lane::<FMA>());
            let scale = if sum == <T as Number>::ZERO { sum } else { scale };
            *self.kept.at(row) = [shift(max), scale];
            each::<T, _, FMA, false>(&Scale(scale), y, null(), n, n);
        }
    }
}

/// Turns the scores of a block into probabilities, from what was kept of each row.
pub(super) struct Recall<'a, T> {
    pub(super) inputs: &'a Inputs<T>,
    pub(super) block: &'a Block,
    pub(super) x: Shared<T>,
    pub(super) kept: Shared<[T; 2]>,
}

impl<T: Logit + Scalar> RowOp for Recall<'_, T> {
    const NANOS: f64 = 0.4;
    #[inline(always)]
    unsafe fn row<const FMA: bool>(&self, row: usize, n: usize, room: usize) {
        let x = self.x.at(row * n);
        // SAFETY: as `RowOp` asks, the task has `room` scores from the row on, and what is kept of the row can be read.
        unsafe {
            let seen = self.inputs.finish::<FMA>(self.block, row, x, n);
            let [max, scale] = *self.kept.at(row);
            each::<T, _, FMA, false>(&ScaledExp { max, scale }, x, null(), seen, room);
            x.add(seen).write_bytes(0, n - seen);
        }
    }
}

/// Turns probabilities `p` into the gradient of the scores, `p (dp - g·y)`.
pub(super) struct Slope<T> {
    pub(super) p: Shared<T>,
    pub(super) dp: Shared<T>,
    pub(super) y: Shared<T>,
    pub(super) g: Shared<T>,
    pub(super) ld: usize,
    pub(super) values: usize,
    pub(super) dbias: Option<(Shared<T>, usize)>,
}

impl<T: Logit + Scalar> RowOp for Slope<T> {
    const NANOS: f64 = 0.3;
    #[inline(always)]
    unsafe fn row<const FMA: bool>(&self, row: usize, n: usize, room: usize) {
        let (p, dp) = (self.p.at(row * n), self.dp.at(row * n));
        let (y, g) = (self.y.at(row * self.ld), self.g.at(row * self.ld));
        // SAFETY: the caller has these rows: scores and their gradients side by side, `room` of them, and results and their
        // gradients of `values` elements, which are only read.
        unsafe {
            let [y, g] = [y, g].map(|x| from_raw_parts(x, self.values));
            let dot = sum_of::<T, _, FMA>(&Product, [y, g], self.values);
            each::<T, _, FMA, false>(&SoftmaxGrad(dot), p, dp, n, room);
            if let Some((dbias, ld)) = &self.dbias {
                p.copy_to_nonoverlapping(dbias.at(row * ld), n);
            }
        }
    }
}
