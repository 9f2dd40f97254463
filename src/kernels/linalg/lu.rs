//! `P A = L U`, with the largest pivot of each column, and the systems that it solves.

use super::block::{BLOCK, reorder, subtract_product};
use super::small::{FEW, SMALL};
use super::triangular::solve_in_place;
use super::{Entry, Failed, each, guarded, scratch, small, together};
use crate::kernels::cost;
use crate::memory::{collected, filled};
use crate::team::Pieces;
use faer::dyn_stack::MemStack;
use faer::linalg::lu::partial_pivoting::factor::{lu_in_place, lu_in_place_scratch};
use faer::linalg::triangular_solve::solve_unit_lower_triangular_in_place;
use faer::prelude::{Reborrow, ReborrowMut};
use faer::{MatMut, MatRef, Par};

/// Factors each matrix of a batch in its place: L without its diagonal of ones below that of U. Row `i` of `P A` is row
/// `rows[i]` of A.
pub fn factor<T: Entry>(a: &mut [T], n: usize, rows: &mut [i64]) -> Result<(), Failed> {
    if a.is_empty() {
        return Ok(());
    }
    let nanos = cost::factoring(n);
    let per = together(nanos);
    let share = (Pieces::of(a, per * n * n), Pieces::of(rows, per * n));
    each(share, per, nanos, |_, (a, rows)| {
        if n <= SMALL {
            let matrices = a.chunks_exact_mut(n * n).zip(rows.chunks_exact_mut(n));
            matrices.for_each(|(a, rows)| small::lu(a, n, rows));
            return Ok(());
        }
        let mut work = Work::new(n);
        for (i, (a, rows)) in a.chunks_exact_mut(n * n).zip(rows.chunks_exact_mut(n)).enumerate() {
            guarded(|| {
                work.factor(MatMut::from_row_major_slice_mut(a, n, n), rows);
                Ok(())
            })
            .map_err(|failure| (i, failure))?;
        }
        Ok(())
    })
}

/// Memory to factor with.
struct Work<T> {
    panel: Vec<T>,
    order: Vec<usize>,
    inverse: Vec<usize>,
    stack: faer::dyn_stack::MemBuffer,
}

impl<T: Entry> Work<T> {
    fn new(n: usize) -> Self {
        let width = BLOCK.min(n);
        Work {
            panel: filled(n * width, T::ZERO),
            order: filled(n, 0),
            inverse: filled(n, 0),
            stack: scratch(lu_in_place_scratch::<usize, T>(n, width, Par::Seq, Default::default())),
        }
    }

    fn factor(&mut self, mut a: MatMut<'_, T>, rows: &mut [i64]) {
        let n = a.nrows();
        for (i, row) in rows.iter_mut().enumerate() {
            *row = i as i64;
        }
        for start in (0..n).step_by(BLOCK) {
            let (left, width) = (n - start, BLOCK.min(n - start));
            // Column by column, which is how the library is quickest.
            let mut panel = MatMut::from_column_major_slice_mut(&mut self.panel[..left * width], left, width);
            panel.copy_from(a.rb().submatrix(start, start, left, width));
            let (order, inverse) = (&mut self.order[..left], &mut self.inverse[..left]);
            lu_in_place(
                panel.rb_mut(),
                order,
                inverse,
                Par::Seq,
                MemStack::new(&mut self.stack),
                Default::default(),
            );
            reorder(a.rb_mut().submatrix_mut(start, 0, left, start), order);
            reorder(a.rb_mut().submatrix_mut(start, start + width, left, left - width), order);
            a.rb_mut().submatrix_mut(start, start, left, width).copy_from(panel.rb());
            let old: Vec<i64> = collected(rows[start..].iter().copied());
            for (row, &from) in rows[start..].iter_mut().zip(order.iter()) {
                *row = old[from];
            }
            let (_, mut right, below, rest) =
                a.rb_mut().submatrix_mut(start, start, left, left).split_at_mut(width, width);
            solve_unit_lower_triangular_in_place(panel.rb().subrows(0, width), right.rb_mut(), Par::Seq);
            subtract_product(rest, below.rb(), right.rb());
        }
    }
}

/// Whether the order of the rows exchanges an odd number of pairs.
pub fn is_odd(rows: &[i64]) -> bool {
    if rows.len() <= SMALL {
        let later = |i: usize| rows[i + 1..].iter().fold(false, |odd, &row| odd ^ (row < rows[i]));
        return (0..rows.len()).fold(false, |odd, i| odd ^ later(i));
    }
    let mut seen = filled(rows.len(), false);
    let mut odd = false;
    for start in 0..rows.len() {
        let mut i = start;
        while !std::mem::replace(&mut seen[i], true) {
            i = rows[i] as usize;
            odd ^= i != start;
        }
    }
    odd
}

/// The right-hand sides of a batch, each of the factors' `n` rows, and the number of its factors.
#[derive(Clone, Copy, Debug)]
pub struct System<'a, T> {
    /// The factors, as [`factor`] leaves them.
    pub factors: &'a [T],
    /// Their orders of rows.
    pub rows: &'a [i64],
    /// The length of a matrix.
    pub n: usize,
    /// Whether the transpose of the matrix is meant.
    pub transposed: bool,
}

impl<T: Entry> System<'_, T> {
    /// Solves `A X = B` for right-hand sides of so many columns, in their place; `which` says the number of each one's
    /// factors. No pivot is zero.
    pub fn solve(&self, which: &[usize], columns: usize, b: &mut [T]) -> Result<(), Failed> {
        if b.is_empty() {
            return Ok(());
        }
        let n = self.n;
        let nanos = cost::multiplying(n * n * columns) + 100;
        let per = together(nanos);
        let size = n * columns;
        each(Pieces::of(b, per * size), per, nanos, |first, part| {
            let mut moved = filled(size, T::ZERO);
            for (i, b) in part.chunks_exact_mut(size).enumerate() {
                let k = which[first + i];
                if n <= SMALL && columns <= FEW {
                    let (lu, rows) = (&self.factors[k * n * n..][..n * n], &self.rows[k * n..][..n]);
                    small::solve_factored((lu, rows), self.transposed, n, columns, (b, &mut moved));
                    continue;
                }
                guarded(|| {
                    self.solve_one(k, columns, b, &mut moved);
                    Ok(())
                })
                .map_err(|failure| (i, failure))?;
            }
            Ok(())
        })
    }

    fn solve_one(&self, k: usize, columns: usize, b: &mut [T], moved: &mut [T]) {
        let n = self.n;
        let factors = MatRef::from_row_major_slice(&self.factors[k * n * n..][..n * n], n, n);
        let rows = &self.rows[k * n..][..n];
        let row = |i: usize| i * columns..(i + 1) * columns;
        if self.transposed {
            let mut x = MatMut::from_row_major_slice_mut(b, n, columns);
            solve_in_place(factors.transpose(), true, false, x.rb_mut());
            solve_in_place(factors.transpose(), false, true, x);
            for (i, &to) in rows.iter().enumerate() {
                moved[row(to as usize)].copy_from_slice(&b[row(i)]);
            }
            b.copy_from_slice(moved);
        } else {
            for (i, &from) in rows.iter().enumerate() {
                moved[row(i)].copy_from_slice(&b[row(from as usize)]);
            }
            b.copy_from_slice(moved);
            let mut x = MatMut::from_row_major_slice_mut(b, n, columns);
            solve_in_place(factors, true, true, x.rb_mut());
            solve_in_place(factors, false, false, x);
        }
    }
}
