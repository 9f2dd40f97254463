//! A matrix B that many products have in common, packed once for all of them.

use super::product::{CHUNK_NANOS, MOST_CHUNKS, Product, part, power_of_two};
use super::scratch::{self, Slot};
use super::table::Kernels;
use super::{Element, Epilogue, Operand};
use crate::isa::isa;
use crate::team;

/// The matrix B of products whose A has few rows, for which packing it each time would take longer than they do.
pub struct Packed<T: 'static> {
    kernels: &'static Kernels<T>,
    k: usize,
    n: usize,
    b: Operand<T>,
    panels: *const T,
}

// SAFETY: the panels are only read, like a shared slice.
unsafe impl<T: Sync> Sync for Packed<T> {}

impl<T: Element> Packed<T> {
    /// Calls `f` with B (k, n), packed into memory that this thread keeps for the next time.
    ///
    /// # Safety
    /// B must be readable while `f` runs.
    pub unsafe fn with<R>(k: usize, n: usize, b: Operand<T>, f: impl FnOnce(&Self) -> R) -> R {
        let kernels = T::kernels(isa());
        scratch::with(Slot::Many, k * n.next_multiple_of(kernels.lanes), |panels: *mut T| {
            let packed = Packed { kernels, k, n, b, panels };
            if k > 0 {
                let product = packed.of(0, b, std::ptr::null_mut(), n, &Epilogue::NONE);
                for tile in 0..n.div_ceil(kernels.cols()) {
                    // SAFETY: B is readable, and there is room for all of its panels.
                    unsafe { product.pack_b_whole(tile, panels) };
                }
            }
            f(&packed)
        })
    }

    fn of<'a>(
        &self,
        m: usize,
        a: Operand<T>,
        c: *mut T,
        ldc: usize,
        epilogue: &'a Epilogue<T>,
    ) -> Product<'a, T> {
        Product { kernels: self.kernels, m, n: self.n, k: self.k, a, b: self.b, c, ldc, epilogue }
    }

    /// [`gemm`](super::gemm) with this B.
    ///
    /// # Safety
    /// As for [`gemm`](super::gemm).
    pub unsafe fn gemm(&self, m: usize, a: Operand<T>, c: *mut T, ldc: usize, epilogue: &Epilogue<T>) {
        let (n, cols) = (self.n, self.kernels.cols());
        if m == 0 || n == 0 {
            return;
        }
        let product = self.of(m, a, c, ldc, epilogue);
        if self.k == 0 {
            // SAFETY: the caller's promise.
            return unsafe { product.scalar() };
        }
        let (tiles, nanos) = (n.div_ceil(cols), product.nanos());
        let pieces = power_of_two((nanos / CHUNK_NANOS).min(MOST_CHUNKS).min(tiles));
        team::run(pieces, nanos, |i| {
            let tiles = part(tiles, pieces, i);
            let columns = tiles.start * cols..(tiles.end * cols).min(n);
            // SAFETY: the caller's promise; the pieces write columns of their own, and the panels are packed.
            unsafe { product.rows_chunk(0..m, columns, Some(self.panels), product.rows_of()) };
        });
    }
}
