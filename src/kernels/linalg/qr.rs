//! `A = Q R`, with orthonormal columns of Q and an upper triangular R.

use super::{Entry, Failed, each, guarded, scratch, together};
use crate::kernels::cost;
use crate::memory::filled;
use crate::team::Pieces;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::householder::{
    apply_block_householder_sequence_on_the_left_in_place_scratch as apply_scratch,
    apply_block_householder_sequence_on_the_left_in_place_with_conj as apply_reflections,
};
use faer::linalg::qr::no_pivoting::factor::{qr_in_place, qr_in_place_scratch, recommended_block_size};
use faer::{Conj, MatMut, MatRef, Par};

/// The rows and columns of a matrix.
type Sizes = (usize, usize);

/// Writes the columns of Q of each matrix of a batch as rows, as many as the slice has room for, and the rows of R that are
/// not zero. The matrices have elements.
pub fn factor<T: Entry>(a: &[T], (m, n): Sizes, q: &mut [T], r: &mut [T]) -> Result<(), Failed> {
    if a.is_empty() {
        return Ok(());
    }
    let (k, batch) = (m.min(n), a.len() / (m * n));
    let nanos = cost::multiplying(m * n * k).saturating_mul(2) + 50 * (m + n);
    let per = together(nanos);
    let columns = q.len() / (batch * m);
    let share = (Pieces::of(q, per * m * columns), Pieces::of(r, per * k * n));
    each(share, per, nanos, |first, (q, r)| {
        let mut work = Work::new((m, n), columns);
        for (i, (q, r)) in q.chunks_exact_mut(m * columns).zip(r.chunks_exact_mut(k * n)).enumerate() {
            work.factor(&a[(first + i) * m * n..][..m * n], q, r).map_err(|failure| (i, failure))?;
        }
        Ok(())
    })
}

/// Memory to factor with.
struct Work<T> {
    sizes: Sizes,
    matrix: Vec<T>,
    reflections: Vec<T>,
    block: usize,
    stack: MemBuffer,
}

impl<T: Entry> Work<T> {
    fn new((m, n): Sizes, columns: usize) -> Self {
        let k = m.min(n);
        let block = recommended_block_size::<T>(m, n);
        let request = qr_in_place_scratch::<T>(m, n, block, Par::Seq, Default::default());
        Work {
            sizes: (m, n),
            matrix: filled(m * n, T::ZERO),
            reflections: filled(block * k, T::ZERO),
            block,
            stack: scratch(request.or(apply_scratch::<T>(m, block, columns))),
        }
    }

    fn factor(&mut self, a: &[T], q: &mut [T], r: &mut [T]) -> Result<(), super::Failure> {
        let (m, n) = self.sizes;
        let k = m.min(n);
        if a.iter().any(|x| !x.is_number()) {
            q.fill(T::NAN);
            r.fill(T::NAN);
            return Ok(());
        }
        let (matrix, reflections) = (&mut self.matrix, &mut self.reflections);
        let (block, stack) = (self.block, &mut self.stack);
        guarded(|| {
            let mut matrix = MatMut::from_column_major_slice_mut(matrix, m, n);
            matrix.copy_from(MatRef::from_row_major_slice(a, m, n));
            let mut h = MatMut::from_column_major_slice_mut(reflections, block, k);
            let none = Default::default();
            qr_in_place(matrix.as_mut(), h.as_mut(), Par::Seq, MemStack::new(stack), none);
            for (i, row) in r.chunks_exact_mut(n).enumerate() {
                for (j, x) in row.iter_mut().enumerate() {
                    *x = if j < i { T::ZERO } else { matrix[(i, j)] };
                }
            }
            q.fill(T::ZERO);
            q.iter_mut().step_by(m + 1).for_each(|x| *x = T::ONE);
            let columns = q.len() / m;
            let q = MatMut::from_column_major_slice_mut(q, m, columns);
            let basis = matrix.as_ref().subcols(0, k);
            apply_reflections(basis, h.as_ref(), Conj::No, q, Par::Seq, MemStack::new(stack));
            Ok(())
        })
    }
}
