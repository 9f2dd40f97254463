//! Eigenvalues and eigenvectors of symmetric matrices.

use super::{Entry, Failed, Failure, each, guarded, scaled, scratch, together};
use crate::kernels::cost;
use crate::team::Pieces;
use faer::diag::DiagMut;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::evd::{ComputeEigenvectors, self_adjoint_evd, self_adjoint_evd_scratch};
use faer::{MatMut, MatRef, Par};

/// The eigenvalues of each matrix of a batch in ascending order. The matrices, of which one triangle is read, are
/// overwritten.
pub fn values<T: Entry>(a: &mut [T], n: usize, values: &mut [T]) -> Result<(), Failed> {
    if a.is_empty() {
        return Ok(());
    }
    let nanos = 4 * cost::factoring(n);
    let per = together(nanos);
    each((Pieces::of(a, per * n * n), Pieces::of(values, per * n)), per, nanos, |_, (a, values)| {
        let mut stack = stack::<T>(n, ComputeEigenvectors::No);
        for (i, (a, values)) in a.chunks_exact_mut(n * n).zip(values.chunks_exact_mut(n)).enumerate() {
            one(a, n, values, None, &mut stack).map_err(|failure| (i, failure))?;
        }
        Ok(())
    })
}

/// [`values`], and beside them the eigenvectors, each a row.
pub fn vectors<T: Entry>(a: &mut [T], n: usize, values: &mut [T], vectors: &mut [T]) -> Result<(), Failed> {
    if a.is_empty() {
        return Ok(());
    }
    let nanos = 10 * cost::factoring(n);
    let per = together(nanos);
    let share = (Pieces::of(a, per * n * n), Pieces::of(values, per * n), Pieces::of(vectors, per * n * n));
    each(share, per, nanos, |_, (a, values, vectors)| {
        let mut stack = stack::<T>(n, ComputeEigenvectors::Yes);
        let matrices = a.chunks_exact_mut(n * n).zip(vectors.chunks_exact_mut(n * n));
        for (i, ((a, vectors), values)) in matrices.zip(values.chunks_exact_mut(n)).enumerate() {
            one(a, n, values, Some(vectors), &mut stack).map_err(|failure| (i, failure))?;
        }
        Ok(())
    })
}

fn stack<T: Entry>(n: usize, vectors: ComputeEigenvectors) -> MemBuffer {
    scratch(self_adjoint_evd_scratch::<T>(n, vectors, Par::Seq, Default::default()))
}

fn one<T: Entry>(
    a: &mut [T],
    n: usize,
    values: &mut [T],
    vectors: Option<&mut [T]>,
    stack: &mut MemBuffer,
) -> Result<(), Failure> {
    let scale = scaled(a)?;
    guarded(|| {
        let (a, s) = (MatRef::from_column_major_slice(a, n, n), DiagMut::from_slice_mut(values));
        let u = vectors.map(|u| MatMut::from_column_major_slice_mut(u, n, n));
        self_adjoint_evd(a, s, u, Par::Seq, MemStack::new(stack), Default::default())
            .map_err(|_| Failure::NoConvergence)
    })?;
    values.iter_mut().for_each(|x| *x *= scale);
    Ok(())
}
