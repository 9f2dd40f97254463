//! Rows folded together at their numbers, and rows mixed by a sparse matrix.

use super::dispatch::{Kernel, Shared, dispatch};
use super::lanes::{Lanes, across};
use super::number::Float;
use super::real::Real;
use super::reduce::Fold;
use crate::team;

/// Columns per task of [`scatter`]: wide enough for whole cache lines.
const COLUMNS: usize = 64;
/// Multiplications per task of [`resample`].
const CHUNK: usize = 1 << 14;

/// `out[o, rows[i], ..]` is folded with `x[o, i, ..]`, in order of `i`, so that rows named twice always meet the same way.
///
/// # Safety
/// Each number must be below `of`; `x` must be readable for `outer * rows.len() * width` elements and `out` readable
/// and writable for `outer * of * width`; they must not overlap.
pub unsafe fn scatter<K: Fold<In = T, Out = T>, T: Copy>(
    outer: usize,
    rows: &[i64],
    of: usize,
    width: usize,
    x: *const T,
    out: *mut T,
) {
    let (x, out, blocks) = (Shared(x.cast_mut()), Shared(out), width.div_ceil(COLUMNS));
    team::run(outer * blocks, outer * rows.len() * width / 2, |task| {
        let (o, j) = (task / blocks, task % blocks * COLUMNS);
        let n = COLUMNS.min(width - j);
        for (i, &row) in rows.iter().enumerate() {
            // SAFETY: a part of a row of each, of columns of this task's own.
            unsafe {
                let from = x.at((o * rows.len() + i) * width + j);
                let to = out.at((o * of + row as usize) * width + j);
                for k in 0..n {
                    *to.add(k) = K::push(*to.add(k), *from.add(k));
                }
            }
        }
    });
}

/// A sparse matrix: row `r` has `weights[k]` in column `columns[k]` for `k` from `starts[r]` up to `starts[r + 1]`.
#[derive(Clone, Copy, Debug)]
pub struct Sparse<'a, T> {
    /// One number more than there are rows.
    pub starts: &'a [i64],
    /// The columns, row by row.
    pub columns: &'a [i64],
    /// What is in them.
    pub weights: &'a [T],
}

/// The rows from `first` up to `last` of all matrices' rows, each `width` elements, into `out`.
struct Rows<'a, T> {
    matrix: Sparse<'a, T>,
    of: usize,
    width: usize,
    x: *const T,
    out: *mut T,
    first: usize,
    last: usize,
}

impl<T: Float> Kernel for Rows<'_, T> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<const FMA: bool>(self) {
        let rows = self.matrix.starts.len() - 1;
        for at in self.first..self.last {
            let (o, row) = (at / rows, at % rows);
            let range = self.matrix.starts[row] as usize..self.matrix.starts[row + 1] as usize;
            // SAFETY: the caller's promise.
            unsafe {
                let row = Row::<T, FMA> {
                    columns: &self.matrix.columns[range.clone()],
                    weights: &self.matrix.weights[range],
                    width: self.width,
                    x: self.x.add(o * self.of * self.width),
                    out: self.out.add(at * self.width),
                };
                across(&row, self.width);
            }
        }
    }
}

struct Row<'a, T, const FMA: bool> {
    columns: &'a [i64],
    weights: &'a [T],
    width: usize,
    x: *const T,
    out: *mut T,
}

impl<T: Float, const FMA: bool> Lanes for Row<'_, T, FMA> {
    #[inline(always)]
    unsafe fn lanes<const L: usize>(&self, at: usize) {
        let mut sum = [T::ZERO; L];
        // SAFETY: elements of rows that the caller vouches for.
        unsafe {
            for (&column, &weight) in self.columns.iter().zip(self.weights) {
                let x = *self.x.add(column as usize * self.width + at).cast::<[T; L]>();
                for l in 0..L {
                    let product = x[l].lane::<FMA>().mul_add(weight.lane::<FMA>(), sum[l].lane::<FMA>());
                    sum[l] = T::of::<FMA>(product);
                }
            }
            *self.out.add(at).cast::<[T; L]>() = sum;
        }
    }
}

/// `out[o, r, ..]` = the sum over the columns `c` of row `r` of `weight * x[o, c, ..]`.
///
/// # Safety
/// The matrix must be in order and its columns below `of`; `x` must be readable for `outer * of * width` elements, `out`
/// writable for `outer * rows * width`; they must not overlap.
pub unsafe fn resample<T: Float>(
    outer: usize,
    matrix: Sparse<'_, T>,
    of: usize,
    width: usize,
    x: *const T,
    out: *mut T,
) {
    let rows = outer * (matrix.starts.len() - 1);
    let work = (matrix.columns.len() / (matrix.starts.len() - 1).max(1) + 1) * (width + 8);
    let group = (CHUNK / work).max(1);
    let (x, out) = (Shared(x.cast_mut()), Shared(out));
    team::run(rows.div_ceil(group), rows * work / 4, |task| {
        let (first, last) = (task * group, rows.min((task + 1) * group));
        // SAFETY: the caller's promise, for rows of the task's own.
        unsafe { dispatch(Rows { matrix, of, width, x: x.at(0), out: out.at(0), first, last }) };
    });
}
