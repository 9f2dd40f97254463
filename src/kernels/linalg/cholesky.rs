//! `A = L Lᵀ` for symmetric positive definite matrices.

use super::block::{BLOCK, subtract_product};
use super::small::{self, SMALL};
use super::{Entry, Failed, Failure, each, guarded, scratch, together};
use crate::kernels::cost;
use crate::memory::filled;
use crate::team::Pieces;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt::factor::{cholesky_in_place, cholesky_in_place_scratch};
use faer::linalg::triangular_solve::solve_lower_triangular_in_place;
use faer::prelude::{Reborrow, ReborrowMut};
use faer::{MatMut, Par};

/// Rows of the rest that are updated in one product: what lies above the diagonal in them is computed for nothing.
const BAND: usize = 256;

/// Rows and columns of a matrix that are read in both orders while they are in cache.
const TILE: usize = 16;

/// The lower triangle of `(A + Aᵀ) / 2` in the place of that of A.
#[inline(always)]
fn make_symmetric<T: Entry>(a: &mut [T], n: usize) {
    let half = T::ONE / (T::ONE + T::ONE);
    for (top, left) in
        (0..n).step_by(TILE).flat_map(|top| (0..=top).step_by(TILE).map(move |left| (top, left)))
    {
        for i in top..n.min(top + TILE) {
            for j in left..i.min(left + TILE) {
                a[i * n + j] = a[i * n + j] * half + a[j * n + i] * half;
            }
        }
    }
}

/// Writes L of the mean of each matrix of a batch and its transpose in its place.
pub fn factor<T: Entry>(a: &mut [T], n: usize) -> Result<(), Failed> {
    if a.is_empty() {
        return Ok(());
    }
    let nanos = cost::factoring(n) / 2;
    let per = together(nanos);
    each(Pieces::of(a, per * n * n), per, nanos, |_, part| {
        if n <= SMALL {
            let mut matrices = part.chunks_exact_mut(n * n).enumerate();
            return matrices.try_for_each(|(i, a)| {
                make_symmetric(a, n);
                small::cholesky(a, n).map_err(|failure| (i, failure))
            });
        }
        let width = BLOCK.min(n);
        let mut panel = filled(width * width, T::ZERO);
        let mut stack = scratch(cholesky_in_place_scratch::<T>(width, Par::Seq, Default::default()));
        for (i, a) in part.chunks_exact_mut(n * n).enumerate() {
            make_symmetric(a, n);
            guarded(|| factor_one(MatMut::from_row_major_slice_mut(a, n, n), &mut panel, &mut stack))
                .map_err(|failure| (i, failure))?;
        }
        Ok(())
    })
}

fn factor_one<T: Entry>(mut a: MatMut<'_, T>, panel: &mut [T], stack: &mut MemBuffer) -> Result<(), Failure> {
    let n = a.nrows();
    for start in (0..n).step_by(BLOCK) {
        let width = BLOCK.min(n - start);
        let end = start + width;
        // Column by column, which is how the library is quickest.
        let mut l = MatMut::from_column_major_slice_mut(&mut panel[..width * width], width, width);
        l.copy_from_triangular_lower(a.rb().submatrix(start, start, width, width));
        cholesky_in_place(l.rb_mut(), Default::default(), Par::Seq, MemStack::new(stack), Default::default())
            .map_err(|_| Failure::NotPositive)?;
        // The library lets NaN pass.
        if (0..width).any(|i| !l[(i, i)].is_number()) {
            return Err(Failure::NotPositive);
        }
        a.rb_mut().submatrix_mut(start, start, width, width).copy_from_triangular_lower(l.rb());
        let (mut below, mut rest) = a.rb_mut().subrows_mut(end, n - end).split_at_col_mut(end);
        let mut column = below.rb_mut().subcols_mut(start, width);
        solve_lower_triangular_in_place(l.rb(), column.rb_mut().transpose_mut(), Par::Seq);
        for row in (0..n - end).step_by(BAND) {
            let rows = BAND.min(n - end - row);
            let (left, right) = (column.rb().subrows(row, rows), column.rb().subrows(0, row + rows));
            subtract_product(rest.rb_mut().submatrix_mut(row, 0, rows, row + rows), left, right.transpose());
        }
    }
    for i in 0..n {
        a.rb_mut().row_mut(i).subcols_mut(i + 1, n - i - 1).fill(T::ZERO);
    }
    Ok(())
}
