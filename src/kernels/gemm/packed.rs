//! A matrix B that many products have in common, packed once for all of them.

use super::by_columns::Panels;
use super::product::{CHUNK_NANOS, MOST_CHUNKS, Product, part, power_of_two};
use super::scratch::{self, Slot};
use super::table::{Access, Kernels};
use super::{Epilogue, Operand, Scalar};
use crate::isa::isa;
use crate::team;
use std::ops::Range;

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

impl<T: Scalar> Packed<T> {
    /// Calls `f` with B (k, n), packed into memory that this thread keeps for the next time.
    ///
    /// # Safety
    /// B must be readable while `f` runs.
    pub unsafe fn with<R>(k: usize, n: usize, b: Operand<T>, f: impl FnOnce(&Self) -> R) -> R {
        let kernels = T::kernels(isa());
        scratch::with(Slot::Many, k * n.next_multiple_of(kernels.lanes), |panels: *mut T| {
            let packed = Packed { kernels, k, n, b, panels };
            if k > 0 {
                let product = packed.product(0, b, std::ptr::null_mut(), n, &Epilogue::NONE);
                for tile in 0..n.div_ceil(kernels.cols()) {
                    // SAFETY: B is readable, and there is room for all of its panels.
                    unsafe { product.pack_b_whole(tile, panels) };
                }
            }
            f(&packed)
        })
    }

    fn product<'a>(
        &self,
        m: usize,
        a: Operand<T>,
        c: *mut T,
        ldc: usize,
        epilogue: &'a Epilogue<'a, T>,
    ) -> Product<'a, T> {
        Product { kernels: self.kernels, m, n: self.n, k: self.k, a, b: self.b, c, ldc, epilogue }
    }

    /// [`gemm`](super::gemm) with this B, for an epilogue without a `Map` and without what somebody else does.
    ///
    /// # Safety
    /// As for [`gemm`](super::gemm).
    pub unsafe fn gemm(&self, m: usize, a: Operand<T>, c: *mut T, ldc: usize, epilogue: &Epilogue<'_, T>) {
        let (n, cols) = (self.n, self.kernels.cols());
        if m == 0 || n == 0 {
            return;
        }
        let product = self.product(m, a, c, ldc, epilogue);
        if self.k == 0 {
            // SAFETY: the operands and C are valid for the product, as this function asks.
            return unsafe { product.scalar() };
        }
        let (tiles, nanos) = (n.div_ceil(cols), product.nanos());
        let pieces = power_of_two((nanos / CHUNK_NANOS).min(MOST_CHUNKS).min(tiles));
        team::run(pieces, nanos, |i| {
            let tiles = part(tiles, pieces, i);
            // SAFETY: the operands and C are valid for the product, as this function asks; the pieces write columns of
            // their own.
            unsafe { self.columns(&product, tiles.start * cols..(tiles.end * cols).min(n)) };
        });
    }

    /// All rows of some columns: each panel of B meets all panels of A, which are packed before.
    unsafe fn columns(&self, product: &Product<'_, T>, columns: Range<usize>) {
        let (lanes, cols) = (self.kernels.lanes, self.kernels.cols());
        let panels = Panels::new(0..product.m, self.kernels);
        scratch::with(Slot::One, panels.len() * product.k.div_ceil(product.depths()), |own: *mut T| {
            for terms in (0..product.depths()).map(|p| product.terms(p)) {
                let a = |i: usize| own.wrapping_add(panels.offset(i, &terms, terms.start));
                for i in 0..panels.count {
                    // SAFETY: these rows and terms are of A, which can be read; `own` has room for all panels.
                    unsafe { product.pack_a(terms.clone(), panels.rows(i), panels.width, a(i)) };
                }
                for j in columns.clone().step_by(cols) {
                    let j = j..(j + cols).min(columns.end);
                    let at = terms.start * self.n.next_multiple_of(lanes) + j.start * terms.len();
                    let b = (self.panels.wrapping_add(at), j.len().next_multiple_of(lanes) as isize);
                    for i in 0..panels.count {
                        let a = (a(i).cast_const(), panels.width as isize);
                        // SAFETY: these rows and columns of C are this piece's; both panels are packed.
                        unsafe { product.tile(Access::Panel, a, b, panels.rows(i), j.clone(), &terms) };
                    }
                }
            }
        });
    }
}
