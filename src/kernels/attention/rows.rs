//! What is done to each row of a block between its products.

use super::{Block, Inputs, from};
use crate::kernels::dispatch::Shared;
use crate::kernels::gemm::{Element, Operand};
use crate::kernels::number::Number;
use crate::kernels::softmax::{
    Each, Exp, Logit, Product, RowOp, Scale, ScaledExp, SoftmaxGrad, each, highest,
};

impl<T: Logit + Element> Inputs<T> {
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
                each::<T, _, FMA, true, false>(&Plus, [x, bias], x, n, n);
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

impl<T: Logit + Element> RowOp for Scaled<T> {
    const NANOS: f64 = 0.1;
    #[inline(always)]
    unsafe fn row<const FMA: bool>(&self, row: usize, n: usize, _: usize) {
        let (x, to) = (from(self.from, row).ptr, self.to.at(row * self.ld));
        // SAFETY: the caller's rows.
        unsafe {
            if self.from.cols == 1 {
                each::<T, _, FMA, true, false>(&Scale(self.by), [x, x], to, n, n);
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

impl<T: Logit + Element> RowOp for Absorb<'_, T> {
    const NANOS: f64 = 0.5;
    #[inline(always)]
    unsafe fn row<const FMA: bool>(&self, row: usize, n: usize, room: usize) {
        let (x, y) = (self.x.at(row * n), self.y.at(row * self.ld));
        // SAFETY: the caller's rows.
        unsafe {
            let seen = self.inputs.finish::<FMA>(self.block, row, x, n);
            let [before, sum] = *self.kept.at(row);
            let here = highest(x, seen, room);
            let max = if here > before { here } else { before };
            let by = shift(max);
            let terms = each::<T, _, FMA, true, true>(&Exp(by), [x, x], x, seen, room);
            x.add(seen).write_bytes(0, n - seen);
            let decay = T::of::<FMA>(before.lane::<FMA>() - by.lane::<FMA>()).exp_down::<FMA>();
            *self.kept.at(row) = [max, sum * decay + terms];
            if before != T::LOWEST && before != max {
                let values = self.inputs.sizes.values;
                each::<T, _, FMA, true, false>(&Scale(decay), [y, y], y, values, values);
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

impl<T: Logit + Element> RowOp for Normalise<T> {
    const NANOS: f64 = 0.1;
    #[inline(always)]
    unsafe fn row<const FMA: bool>(&self, row: usize, n: usize, _: usize) {
        // SAFETY: the caller's rows.
        unsafe {
            let (y, [max, sum]) = (self.y.at(row * self.ld), *self.kept.at(row));
            let scale = T::of::<FMA>(<T as Number>::ONE.lane::<FMA>() / sum.lane::<FMA>());
            let scale = if sum == <T as Number>::ZERO { sum } else { scale };
            *self.kept.at(row) = [shift(max), scale];
            each::<T, _, FMA, true, false>(&Scale(scale), [y, y], y, n, n);
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

impl<T: Logit + Element> RowOp for Recall<'_, T> {
    const NANOS: f64 = 0.4;
    #[inline(always)]
    unsafe fn row<const FMA: bool>(&self, row: usize, n: usize, room: usize) {
        let x = self.x.at(row * n);
        // SAFETY: the caller's rows.
        unsafe {
            let seen = self.inputs.finish::<FMA>(self.block, row, x, n);
            let [max, scale] = *self.kept.at(row);
            each::<T, _, FMA, true, false>(&ScaledExp { max, scale }, [x, x], x, seen, room);
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

impl<T: Logit + Element> RowOp for Slope<T> {
    const NANOS: f64 = 0.3;
    #[inline(always)]
    unsafe fn row<const FMA: bool>(&self, row: usize, n: usize, room: usize) {
        let (p, dp) = (self.p.at(row * n), self.dp.at(row * n));
        let (y, g) = (self.y.at(row * self.ld), self.g.at(row * self.ld));
        // SAFETY: the caller's rows; nothing is stored through `y`.
        unsafe {
            let dot = each::<T, _, FMA, false, true>(&Product, [y, g], y, self.values, self.values);
            each::<T, _, FMA, true, false>(&SoftmaxGrad(dot), [p, dp], p, n, room);
            if let Some((dbias, ld)) = &self.dbias {
                p.copy_to_nonoverlapping(dbias.at(row * ld), n);
            }
        }
    }
}
