//! Systems whose matrix is triangular.

use super::block::{BLOCK, subtract_product};
use super::small::{self, FEW, SMALL};
use super::{Entry, Failed, each, guarded, together};
use crate::kernels::cost;
use crate::team::Pieces;
use faer::linalg::triangular_solve as faer_solve;
use faer::prelude::{Reborrow, ReborrowMut};
use faer::{MatMut, MatRef, Par};

/// What is known of a triangular matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Triangle {
    /// Whether its zeros are above the diagonal.
    pub lower: bool,
    /// Whether its diagonal is taken to be ones.
    pub unit: bool,
    /// Whether it is transposed before it is used; the other two say what it is as it lies.
    pub transposed: bool,
}

/// Solves `T X = B` in the place of B, block by block. `lower` is of T as it is given here.
pub(super) fn solve_in_place<T: Entry>(t: MatRef<'_, T>, lower: bool, unit: bool, mut b: MatMut<'_, T>) {
    let n = t.nrows();
    let blocks = n.div_ceil(BLOCK);
    for i in 0..blocks {
        let start = if lower { i } else { blocks - 1 - i } * BLOCK;
        let end = (start + BLOCK).min(n);
        let diagonal = t.submatrix(start, start, end - start, end - start);
        let x = b.rb_mut().subrows_mut(start, end - start);
        match (lower, unit) {
            (true, true) => faer_solve::solve_unit_lower_triangular_in_place(diagonal, x, Par::Seq),
            (true, false) => faer_solve::solve_lower_triangular_in_place(diagonal, x, Par::Seq),
            (false, true) => faer_solve::solve_unit_upper_triangular_in_place(diagonal, x, Par::Seq),
            (false, false) => faer_solve::solve_upper_triangular_in_place(diagonal, x, Par::Seq),
        }
        if lower {
            let (above, below) = b.rb_mut().split_at_row_mut(end);
            let t = t.submatrix(end, start, n - end, end - start);
            subtract_product(below, t, above.rb().subrows(start, end - start));
        } else {
            let (above, below) = b.rb_mut().split_at_row_mut(start);
            let t = t.submatrix(0, start, start, end - start);
            subtract_product(above, t, below.rb().subrows(0, end - start));
        }
    }
}

/// Solves `T X = B`, or with the transpose of T, in the place of each B of `n` rows and `columns`; `which` says the number
/// of its T.
pub fn solve<T: Entry>(
    t: &[T],
    which: &[usize],
    (n, columns): (usize, usize),
    triangle: Triangle,
    b: &mut [T],
) -> Result<(), Failed> {
    if b.is_empty() {
        return Ok(());
    }
    let nanos = cost::multiplying(n * n * columns / 2) + 100;
    let per = together(nanos);
    let size = n * columns;
    each(Pieces::of(b, per * size), per, nanos, |first, part| {
        let (lower, unit) = (triangle.lower != triangle.transposed, triangle.unit);
        for (i, b) in part.chunks_exact_mut(size).enumerate() {
            let values = &t[which[first + i] * n * n..][..n * n];
            if n <= SMALL && columns <= FEW {
                let strides = if triangle.transposed { [1, n] } else { [n, 1] };
                small::solve(small::Triangular { values, strides, lower, unit }, n, columns, b);
                continue;
            }
            guarded(|| {
                let t = MatRef::from_row_major_slice(values, n, n);
                let t = if triangle.transposed { t.transpose() } else { t };
                solve_in_place(t, lower, unit, MatMut::from_row_major_slice_mut(b, n, columns));
                Ok(())
            })
            .map_err(|failure| (i, failure))?;
        }
        Ok(())
    })
}
