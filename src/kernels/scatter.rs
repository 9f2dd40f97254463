//! Rows folded together at their numbers, and rows mixed by a sparse matrix.

use super::cost::{multiplying, scattering};
use super::dispatch::{Compute, Shared, compute};
use super::lanes::{Lanes, across};
use super::number::Float;
use super::real::Real;
use super::reduce::Fold;
use crate::memory::unwritten::{Unwritten, assume_written};
use crate::team::{self, Pieces, Tiles};

/// Columns per task of [`scatter`]: wide enough for whole cache lines.
const COLUMNS: usize = 64;
/// Multiplications per task of [`resample`].
const CHUNK: usize = 1 << 14;

/// `out[o, rows[i], ..]` is folded with `x[o, i, ..]`, in order of `i`, so that rows named twice always meet the same way.
///
/// # Panics
/// Where a number is not below `of`, or `x` or `out` has not as many elements.
pub fn scatter<K: Fold<In = T, Out = T>, T: Copy + Send + Sync>(
    outer: usize,
    rows: &[i64],
    of: usize,
    width: usize,
    x: &[T],
    out: &mut [T],
) {
    meet(outer, rows, of, width, x, out, |to, x| *to = K::push(*to, x));
}

/// `out[o, rows[i], ..]` becomes `x[o, i, ..]`, in order of `i`: of rows named twice the last stays.
///
/// # Panics
/// As for [`scatter`].
pub fn overwrite<T: Copy + Send + Sync>(
    outer: usize,
    rows: &[i64],
    of: usize,
    width: usize,
    x: &[T],
    out: &mut [T],
) {
    meet(outer, rows, of, width, x, out, |to, x| *to = x);
}

#[inline(always)]
fn meet<T: Copy + Send + Sync>(
    outer: usize,
    rows: &[i64],
    of: usize,
    width: usize,
    x: &[T],
    out: &mut [T],
    push: impl Fn(&mut T, T) + Sync,
) {
    let n = rows.len();
    assert!(
        x.len() == outer * n * width && out.len() == outer * of * width,
        "scatter: {n} rows of {width} to {of} do not fit {} elements and {} places",
        x.len(),
        out.len()
    );
    if n == 0 || width == 0 || out.is_empty() {
        assert!(x.is_empty(), "scatter: there are no {of} rows to name");
        return;
    }
    let blocks = width.div_ceil(COLUMNS);
    let nanos = scattering(outer * n, width);
    team::each(Tiles::of(out, of, width, COLUMNS), nanos, |task, mut out| {
        let (o, j) = (task / blocks, task % blocks * COLUMNS);
        for (i, &row) in rows.iter().enumerate() {
            let from = &x[(o * n + i) * width + j..][..out.columns()];
            for (to, &x) in out.row(row as usize).iter_mut().zip(from) {
                push(to, x);
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

impl<T> Sparse<'_, T> {
    /// How many rows there are.
    fn rows(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// Whether each row is among the columns and the weights, which are as many, and each column is below `of`.
    fn is_whole(&self, of: usize) -> bool {
        let n = self.columns.len();
        let ordered = self.starts.windows(2).all(|w| 0 <= w[0] && w[0] <= w[1] && w[1] as usize <= n);
        ordered
            && self.weights.len() == n
            && self.columns.iter().all(|&column| (0..of as i64).contains(&column))
    }
}

/// Rows of all matrices' rows from `first` on, each `width` elements, into `out`.
struct Rows<'x, 'a, T> {
    matrix: Sparse<'x, T>,
    of: usize,
    width: usize,
    x: &'x [T],
    first: usize,
    out: &'a mut Unwritten<T>,
}

impl<'a, T: Float> Compute for Rows<'_, 'a, T> {
    type Out = &'a mut [T];
    #[inline(always)]
    fn compute<const FMA: bool>(self) -> &'a mut [T] {
        let Rows { matrix, of, width, x, first, out } = self;
        let rows = matrix.rows();
        for (i, out) in out.chunks_exact_mut(width).enumerate() {
            let (o, row) = ((first + i) / rows, (first + i) % rows);
            let range = matrix.starts[row] as usize..matrix.starts[row + 1] as usize;
            let row = MixedRow::<T, FMA> {
                columns: &matrix.columns[range.clone()],
                weights: &matrix.weights[range],
                x: &x[o * of * width..][..of * width],
                out: Shared(out.as_mut_ptr().cast()),
                width,
            };
            // SAFETY: `resample` has checked that the columns are below `of`, as many rows as `x` has here, and `out` is a
            // row of the task's own of `width` places.
            unsafe { across(&row, width) };
        }
        // SAFETY: tasks get whole rows, and `across` comes by each element of one.
        unsafe { assume_written(out) }
    }
}

struct MixedRow<'x, T, const FMA: bool> {
    columns: &'x [i64],
    weights: &'x [T],
    x: &'x [T],
    out: Shared<T>,
    width: usize,
}

impl<T: Float, const FMA: bool> Lanes for MixedRow<'_, T, FMA> {
    const WIDEST: usize = 64;
    #[inline(always)]
    unsafe fn lanes<const L: usize>(&self, at: usize) {
        let mut sum = [T::ZERO; L];
        for (&column, &weight) in self.columns.iter().zip(self.weights) {
            let x = self.x.as_ptr().wrapping_add(column as usize * self.width + at);
            // SAFETY: the column is one of the rows of `x`, of `width` elements, of which `L` from `at` on are asked for.
            let x = unsafe { *x.cast::<[T; L]>() };
            for l in 0..L {
                let product = x[l].lane::<FMA>().mul_add(weight.lane::<FMA>(), sum[l].lane::<FMA>());
                sum[l] = T::of::<FMA>(product);
            }
        }
        // SAFETY: `out` is a row of `width` places, of which `L` from `at` on are asked for.
        unsafe { *self.out.at(at).cast::<[T; L]>() = sum };
    }
}

/// `out[o, r, ..]` = the sum over the columns `c` of row `r` of `weight * x[o, c, ..]`. Gives the result.
///
/// # Panics
/// Where the matrix is not in order or names a column that is not below `of`, or `x` or `out` has not as many elements.
pub fn resample<'a, T: Float>(
    outer: usize,
    matrix: Sparse<'_, T>,
    of: usize,
    width: usize,
    x: &[T],
    out: &'a mut Unwritten<T>,
) -> &'a mut [T] {
    let rows = outer * matrix.rows();
    let fits = x.len() == outer * of * width && out.len() == rows * width && matrix.is_whole(of);
    assert!(fits, "resample: {rows} rows of {width} from {of} do not fit {} elements", x.len());
    let work = (matrix.columns.len() / matrix.rows().max(1) + 1) * (width + 8);
    let group = (CHUNK / work).max(1);
    team::fill(Pieces::of(out, (group * width).max(1)), multiplying(rows * work), |task, out| {
        compute(Rows { matrix, of, width, x, first: task * group, out })
    })
}
