//! Products with one row or one column.

use super::super::dispatch::Shared;
use super::Scalar;
use super::product::{CHUNK_NANOS, MOST_CHUNKS, Product, part, power_of_two};
use super::scratch::{self, Slot};
use super::vector::Vector;
use crate::team;
use std::mem::MaybeUninit;
use std::ops::Range;

/// Elements of a result of a matrix by a vector that are summed up in one go.
const VECTOR_PIECE: usize = 1024;

impl<T: Scalar> Product<'_, T> {
    /// A product with one row or one column, if its matrix is contiguous along either axis; otherwise does nothing and
    /// says false.
    pub(super) unsafe fn by_vector(&self) -> bool {
        // The result as `matrix x`: a single row of A times B is the transpose of B times that row.
        let (matrix, x, step) = if self.n == 1 {
            (self.a, (self.b.ptr, self.b.rows), self.ldc)
        } else {
            (self.b.transposed(), (self.a.ptr, self.a.cols), 1)
        };
        let (kernel, stride) = match (matrix.rows, matrix.cols) {
            (stride, 1) => (self.kernels.dots, stride),
            (1, stride) => (self.kernels.axpys, stride),
            _ => return false,
        };
        let count = self.m * self.n;
        let run = |x: *const T| {
            let x = Shared(x.cast_mut());
            let nanos = self.k.saturating_mul(count) * size_of::<T>() / 16;
            let pieces =
                power_of_two((nanos / CHUNK_NANOS).min(MOST_CHUNKS)).max(count.div_ceil(VECTOR_PIECE));
            let pieces = pieces.min(count.div_ceil(self.kernels.lanes));
            team::run(pieces, nanos, |i| {
                let piece = part(count, pieces, i);
                let mut out = [const { MaybeUninit::<T>::uninit() }; VECTOR_PIECE];
                let out = out.as_mut_ptr().cast::<T>();
                let matrix = matrix.at(piece.start, 0);
                // SAFETY: the matrix and the vector can be read, and these elements of C are the piece's; a piece has
                // at most `VECTOR_PIECE` elements.
                unsafe {
                    kernel(&Vector { count: piece.len(), depth: self.k, matrix, stride, x: x.at(0), out });
                    self.store_vector(piece, out, step);
                }
            });
        };
        if x.1 == 1 {
            run(x.0);
        } else {
            scratch::with(Slot::Many, self.k, |copy: *mut T| {
                for d in 0..self.k {
                    // SAFETY: the vector has `k` elements to read, and so has the scratch to write.
                    unsafe { *copy.add(d) = *x.0.wrapping_offset(d as isize * x.1) };
                }
                run(copy);
            });
        }
        true
    }

    unsafe fn store_vector(&self, piece: Range<usize>, sums: *const T, step: usize) {
        let bias_step = usize::from(self.n > 1);
        for i in piece.clone() {
            // SAFETY: the elements of C and of the bias are the piece's; `sums` has as many.
            unsafe {
                let c = self.c.add(i * step);
                let bias = if self.epilogue.bias.is_null() {
                    T::ZERO
                } else {
                    *self.epilogue.bias.add(i * bias_step)
                };
                let old = if self.epilogue.accumulate { *c } else { T::ZERO };
                *c = self.epilogue.finish(*sums.add(i - piece.start), old, bias);
            }
        }
        // SAFETY: the piece of C is ours, and finished.
        unsafe { if self.n == 1 { self.end(piece, 0..1) } else { self.end(0..1, piece) } };
    }
}
