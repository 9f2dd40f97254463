//! Singular values and vectors.

use super::{Entry, Failed, Failure, each, guarded, scaled, scratch, together};
use crate::kernels::cost;
use crate::memory::filled;
use crate::team::Pieces;
use faer::diag::DiagMut;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::svd::{ComputeSvdVectors, svd, svd_scratch};
use faer::{MatMut, MatRef, Par};

/// The rows and columns of a matrix.
type Sizes = (usize, usize);

/// The singular values of each matrix of a batch in descending order.
pub fn values<T: Entry>(a: &[T], (m, n): Sizes, values: &mut [T]) -> Result<(), Failed> {
    if a.is_empty() {
        return Ok(());
    }
    let (k, nanos) = (m.min(n), nanos(m, n, 4));
    let per = together(nanos);
    each(Pieces::of(values, per * k), per, nanos, |first, values| {
        let mut work = Work::new((m, n), ComputeSvdVectors::No);
        for (i, values) in values.chunks_exact_mut(k).enumerate() {
            work.decompose(a, first + i, values, None).map_err(|failure| (i, failure))?;
        }
        Ok(())
    })
}

/// [`values`], and with them the left singular vectors, each a row, and the right ones: as many as there are values, or all
/// where the slices have room for them.
pub fn vectors<T: Entry>(
    a: &[T],
    (m, n): Sizes,
    values: &mut [T],
    left: &mut [T],
    right: &mut [T],
) -> Result<(), Failed> {
    if a.is_empty() {
        return Ok(());
    }
    let (k, batch, nanos) = (m.min(n), a.len() / (m * n), nanos(m, n, 16));
    let per = together(nanos);
    let (u, v) = (left.len() / batch, right.len() / batch);
    let which = if u == m * k && v == n * k { ComputeSvdVectors::Thin } else { ComputeSvdVectors::Full };
    let share = (Pieces::of(values, per * k), Pieces::of(left, per * u), Pieces::of(right, per * v));
    each(share, per, nanos, |first, (values, left, right)| {
        let mut work = Work::new((m, n), which);
        let both = left.chunks_exact_mut(u).zip(right.chunks_exact_mut(v));
        for (i, (values, both)) in values.chunks_exact_mut(k).zip(both).enumerate() {
            work.decompose(a, first + i, values, Some(both)).map_err(|failure| (i, failure))?;
        }
        Ok(())
    })
}

fn nanos(m: usize, n: usize, times: usize) -> usize {
    cost::factoring(m.min(n)).saturating_mul(times * (m.max(n) / m.min(n).max(1)).max(1))
}

/// Columns of so many elements one after the other.
fn columns<T: Entry>(values: &mut [T], length: usize) -> MatMut<'_, T> {
    let count = values.len() / length;
    MatMut::from_column_major_slice_mut(values, length, count)
}

/// Memory to decompose with.
struct Work<T> {
    sizes: Sizes,
    matrix: Vec<T>,
    stack: MemBuffer,
}

impl<T: Entry> Work<T> {
    fn new((m, n): Sizes, vectors: ComputeSvdVectors) -> Self {
        let request = svd_scratch::<T>(n, m, vectors, vectors, Par::Seq, Default::default());
        Work { sizes: (m, n), matrix: filled(m * n, T::ZERO), stack: scratch(request) }
    }

    /// Row by row a matrix is its transpose column by column, whose left vectors are the right ones of the matrix.
    fn decompose(
        &mut self,
        a: &[T],
        number: usize,
        values: &mut [T],
        vectors: Option<(&mut [T], &mut [T])>,
    ) -> Result<(), Failure> {
        let (m, n) = self.sizes;
        self.matrix.copy_from_slice(&a[number * m * n..][..m * n]);
        let scale = scaled(&mut self.matrix)?;
        let (matrix, stack) = (&self.matrix, &mut self.stack);
        let (left, right) = vectors.unzip();
        guarded(|| {
            let transposed = MatRef::from_column_major_slice(matrix, n, m);
            let u = right.map(|u| columns(u, n));
            let v = left.map(|v| columns(v, m));
            let s = DiagMut::from_slice_mut(values);
            svd(transposed, s, u, v, Par::Seq, MemStack::new(stack), Default::default())
                .map_err(|_| Failure::NoConvergence)
        })?;
        values.iter_mut().for_each(|x| *x *= scale);
        Ok(())
    }
}
