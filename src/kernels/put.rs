//! Writing a contiguous array into a strided place, arrays one after the other, and rows by number.

use super::cost::moving;
use super::dispatch::Shared;
use crate::memory::unwritten::{Unwritten, Writer};
use crate::shape::offset;
use crate::team::{self, Pieces};

/// Elements per task.
const CHUNK: usize = 1 << 15;

/// Copies `x`, row-major of `shape`, to where `strides` (in elements) lead from element `start` of `out`.
///
/// # Panics
/// Where `x` has not as many elements, or the strides lead out of `out` or twice to one place.
pub fn put<T: Copy + Send + Sync>(shape: &[usize], x: &[T], out: &mut [T], start: usize, strides: &[isize]) {
    let size: usize = shape.iter().product();
    assert!(
        x.len() == size
            && strides.len() == shape.len()
            && (size == 0 || is_apart(shape, out.len(), start, strides)),
        "put: {} elements of shape {shape:?} do not fit {} places from {start} on with strides {strides:?}",
        x.len(),
        out.len()
    );
    if size == 0 {
        return;
    }
    let (Some((&(mut n), mut lead)), Some(&step)) = (shape.split_last(), strides.last()) else {
        out[start] = x[0];
        return;
    };
    // Axes that follow on each other at both sides are one.
    while let [rest @ .., last] = lead
        && strides[rest.len()] == n as isize * step
    {
        (n, lead) = (n * last, rest);
    }
    let rows: usize = lead.iter().product();
    let (to, group) = (Shared(out.as_mut_ptr()), (CHUNK / n.max(1)).max(1));
    team::run(rows.div_ceil(group), moving(rows, n), |task| {
        for row in task * group..rows.min((task + 1) * group) {
            let (from, to) = (&x[row * n..][..n], to.at(start).wrapping_offset(offset(row, lead, strides)));
            // SAFETY: `is_apart` has found that the strides stay in `out`, which is borrowed for writing, and that no two
            // elements have one place: this row's are no other task's.
            unsafe {
                if step == 1 {
                    to.copy_from_nonoverlapping(from.as_ptr(), n);
                } else {
                    for (i, &x) in from.iter().enumerate() {
                        *to.offset(i as isize * step) = x;
                    }
                }
            }
        }
    });
}

/// Whether strides lead from `start` to places below `n`, to each once: the step of each axis is longer than all that the
/// axes after it reach together.
fn is_apart(shape: &[usize], n: usize, start: usize, strides: &[isize]) -> bool {
    let (mut low, mut high) = (start, start);
    for (&length, &stride) in shape.iter().zip(strides).rev() {
        if length > 1 {
            let (step, reach) = (stride.unsigned_abs(), high - low);
            let Some(far) = (length - 1).checked_mul(step) else { return false };
            let end = if stride < 0 { low.checked_sub(far) } else { high.checked_add(far) };
            match end {
                Some(end) if step > reach => (low, high) = (low.min(end), high.max(end)),
                _ => return false,
            }
        }
    }
    high < n
}

/// Matrices of as many rows side by side: row `i` of the result is row `i` of each, one after the other. The matrices come
/// with the lengths of their rows. Gives the result.
///
/// # Panics
/// Where a matrix has not as many elements, or the result has not as many as all have together.
pub fn side_by_side<'a, T: Copy + Send + Sync>(
    rows: usize,
    matrices: &[(&[T], usize)],
    out: &'a mut Unwritten<T>,
) -> &'a mut [T] {
    let width: usize = matrices.iter().map(|(_, n)| n).sum();
    let fit = matrices.iter().all(|(x, n)| x.len() == rows * n) && out.len() == rows * width;
    assert!(
        fit,
        "side by side: matrices of {rows} rows of {width} elements do not fill {} places",
        out.len()
    );
    let group = (CHUNK / width.max(1)).max(1);
    let (pieces, is_narrow) = (matrices.len().max(1), matrices.iter().all(|&(_, n)| n == 1));
    team::fill(Pieces::of(out, (group * width).max(1)), moving(rows * pieces, width / pieces), |task, out| {
        let mut out = Writer::new(out);
        for row in task * group..rows.min((task + 1) * group) {
            if is_narrow {
                out.extend(matrices.iter().map(|(x, _)| x[row]));
                continue;
            }
            for (x, n) in matrices {
                out.write(&x[row * n..][..*n]);
            }
        }
        out.finish()
    })
}

/// `out[o, i, ..] = x[o, rows[i], ..]` for `outer` matrices of `of` rows of `width` elements. Gives the result.
///
/// # Panics
/// Where a row number is not below `of`, or `x` or `out` has not as many elements.
pub fn gather<'a, T: Copy + Send + Sync>(
    outer: usize,
    rows: &[i64],
    of: usize,
    width: usize,
    x: &[T],
    out: &'a mut Unwritten<T>,
) -> &'a mut [T] {
    let n = rows.len();
    assert!(
        x.len() == outer * of * width && out.len() == outer * n * width,
        "gather: {n} of {of} rows of {width} do not fit {} elements and {} places",
        x.len(),
        out.len()
    );
    let group = (CHUNK / width.max(1)).max(1);
    team::fill(Pieces::of(out, (group * width).max(1)), moving(outer * n, width), |task, out| {
        let (mut at, end) = (task * group, (outer * n).min((task + 1) * group));
        let mut out = Writer::new(out);
        // Matrix by matrix, as far as the rows of this task are in it.
        while at < end {
            let (o, first) = (at / n, at % n);
            let rows = &rows[first..n.min(first + end - at)];
            let x = &x[o * of * width..][..of * width];
            if width == 1 {
                out.extend(rows.iter().map(|&row| x[row as usize]));
            } else {
                for &row in rows {
                    assert!((row as usize) < of, "gather: there is no row {row} of {of}");
                    out.write(&x[row as usize * width..][..width]);
                }
            }
            at += rows.len();
        }
        out.finish()
    })
}
