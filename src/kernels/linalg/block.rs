//! What factorisations do block by block: most of their work is products, which have kernels and threads of their own.

use super::Entry;
use crate::kernels::gemm::{Epilogue, Operand, gemm};
use crate::memory::{collected, filled};
use faer::linalg::matmul::matmul;
use faer::perm::swap_rows_idx;
use faer::prelude::ReborrowMut;
use faer::{Accum, MatMut, MatRef, Par};

/// Rows and columns of a block.
pub(super) const BLOCK: usize = 64;

/// Products of fewer multiplications are left to `faer`.
const SMALL: usize = 32 * 32 * 32;

/// `c - a b` in the place of `c`.
pub(super) fn subtract_product<T: Entry>(c: MatMut<'_, T>, a: MatRef<'_, T>, b: MatRef<'_, T>) {
    let (m, k, n) = (a.nrows(), a.ncols(), b.ncols());
    assert!(c.nrows() == m && c.ncols() == n && b.nrows() == k, "blocks that do not fit");
    let in_rows = c.col_stride() == 1 && c.row_stride() >= n as isize;
    if !in_rows || m.saturating_mul(n).saturating_mul(k) < SMALL {
        return matmul(c, Accum::Add, a, b, -T::ONE, Par::Seq);
    }
    let minus: Vec<T> = collected((0..m).flat_map(|i| (0..k).map(move |j| -a[(i, j)])));
    let left = Operand { ptr: minus.as_ptr(), rows: k as isize, cols: 1 };
    let right = Operand { ptr: b.as_ptr(), rows: b.row_stride(), cols: b.col_stride() };
    let epilogue = Epilogue { accumulate: true, ..Epilogue::NONE };
    // SAFETY: the operands are a vector of m times k elements and a matrix of k by n, which are borrowed; c, of m rows of
    // at least n elements, is borrowed for writing, so that nothing overlaps it.
    unsafe { gemm(m, n, k, left, right, c.as_ptr_mut(), c.row_stride() as usize, &epilogue) };
}

/// The rows of a matrix in the order `rows`: its row `i` becomes what its row `rows[i]` was.
pub(super) fn reorder<T: Entry>(mut a: MatMut<'_, T>, rows: &[usize]) {
    if a.ncols() == 0 {
        return;
    }
    let mut done = filled(rows.len(), false);
    for start in 0..rows.len() {
        let mut i = start;
        while !done[i] {
            done[i] = true;
            let next = rows[i];
            if next == start {
                break;
            }
            swap_rows_idx(a.rb_mut(), i, next);
            i = next;
        }
    }
}
