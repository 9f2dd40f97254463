//! Products by rows, for short sums and narrow products, where C is most of the traffic and is written in order: B is in
//! place or packed beforehand, and each panel of A meets all columns.

use super::super::cost::packing;
use super::super::dispatch::Shared;
use super::Scalar;
use super::product::{Product, SHORT, SMALL, part};
use super::scratch::{self, Slot};
use super::table::Access;
use crate::team;
use std::ops::Range;

/// Columns of C that a panel of A meets in one go by rows.
const ROW_PIECE: usize = 512;

/// Where the rows of A of a product by rows are read.
#[derive(Clone, Copy)]
pub(super) enum RowsOf {
    InPlace(Access),
    Packed,
}

impl<T: Scalar> Product<'_, T> {
    pub(super) unsafe fn by_rows(&self) {
        let (lanes, cols) = (self.kernels.lanes, self.kernels.cols());
        let run = |b: Option<*const T>| {
            let pieces = self.n.div_ceil(ROW_PIECE);
            let parts = self.chunks().min(self.m.div_ceil(self.kernels.rows));
            let rows_of = self.rows_of();
            let b = b.map(|b| Shared(b.cast_mut()));
            team::run(parts * pieces, self.nanos(), |i| {
                let rows = part(self.m, parts, i / pieces);
                let tiles = part(self.n.div_ceil(cols), pieces, i % pieces);
                let columns = tiles.start * cols..(tiles.end * cols).min(self.n);
                // SAFETY: A, B and C are valid for the product, as `scalar` asks; the chunks are disjoint.
                unsafe { self.rows_chunk(rows, columns, b.as_ref().map(|b| b.at(0).cast_const()), rows_of) };
            });
        };
        if self.b.cols == 1 {
            return run(None);
        }
        scratch::with(Slot::Many, self.k * self.n.next_multiple_of(lanes), |panels: *mut T| {
            let tiles = self.n.div_ceil(cols);
            let shared = Shared(panels);
            team::run(tiles, packing(self.k * self.n), |tile| {
                // SAFETY: B can be read; each tile has a panel of its own.
                unsafe { self.pack_b_whole(tile, shared.at(0)) };
            });
            run(Some(panels));
        });
    }

    /// How rows of A are best read when the product goes by rows.
    pub(super) fn rows_of(&self) -> RowsOf {
        let small = self.m * self.n * self.k <= SMALL;
        // Rows that are whole pages apart meet in the same set of the first cache.
        let meet = (self.a.rows * size_of::<T>() as isize) % 4096 == 0;
        if self.a.rows == 1 && (small || self.n <= 2 * self.kernels.cols() || self.k <= SHORT / 2) {
            RowsOf::InPlace(Access::Panel)
        } else if self.a.cols == 1 && !meet && (small || self.n <= 2 * self.kernels.cols()) {
            RowsOf::InPlace(Access::Rows)
        } else {
            RowsOf::Packed
        }
    }

    /// Packs all rows of B for the columns of one tile, part after part of the sums.
    pub(super) unsafe fn pack_b_whole(&self, tile: usize, panels: *mut T) {
        let (lanes, cols) = (self.kernels.lanes, self.kernels.cols());
        let columns = tile * cols..((tile + 1) * cols).min(self.n);
        for p in 0..self.depths() {
            let terms = part(self.k, self.depths(), p);
            let width = columns.len().next_multiple_of(lanes);
            let offset = terms.start * self.n.next_multiple_of(lanes) + columns.start * terms.len();
            // SAFETY: terms and columns are of B, which can be read; `panels` has room for all panels.
            unsafe { self.pack_b(terms, columns.clone(), width, panels.add(offset)) };
        }
    }

    /// Rows of the tallest tile for `columns` columns.
    fn height(&self, columns: usize) -> usize {
        if columns <= self.kernels.lanes { 2 * self.kernels.rows } else { self.kernels.rows }
    }

    pub(super) unsafe fn rows_chunk(
        &self,
        rows: Range<usize>,
        columns: Range<usize>,
        b: Option<*const T>,
        from: RowsOf,
    ) {
        let height = self.height(columns.len());
        let width = height.next_multiple_of(self.kernels.lanes);
        let through = |own: *mut T| {
            for p in 0..self.depths() {
                let terms = part(self.k, self.depths(), p);
                let panels = rows.len().div_ceil(height);
                for i in 0..panels {
                    let r = part(rows.len(), panels, i);
                    let r = rows.start + r.start..rows.start + r.end;
                    // SAFETY: these rows and columns of C are the chunk's; `own` has room for a panel when it is used.
                    unsafe {
                        let (layout, a, a_stride) = match from {
                            RowsOf::InPlace(Access::Panel) => {
                                (Access::Panel, self.a.at(r.start, terms.start), self.a.cols)
                            }
                            RowsOf::InPlace(Access::Rows) => {
                                (Access::Rows, self.a.at(r.start, terms.start), self.a.rows)
                            }
                            RowsOf::Packed => {
                                self.pack_a(terms.clone(), r.clone(), width, own);
                                (Access::Panel, own.cast_const(), width as isize)
                            }
                        };
                        self.row_of_tiles(layout, a, a_stride, r, columns.clone(), terms.clone(), b);
                    }
                }
            }
            // SAFETY: these rows and columns of C are the chunk's, and finished.
            unsafe { self.end(rows.clone(), columns.clone()) };
        };
        match from {
            RowsOf::InPlace(_) => through(std::ptr::null_mut()),
            RowsOf::Packed => scratch::with(Slot::One, width * self.k.div_ceil(self.depths()), through),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the inner loop of one method")]
    #[inline]
    unsafe fn row_of_tiles(
        &self,
        layout: Access,
        a: *const T,
        a_stride: isize,
        rows: Range<usize>,
        columns: Range<usize>,
        terms: Range<usize>,
        panels: Option<*const T>,
    ) {
        let (lanes, cols) = (self.kernels.lanes, self.kernels.cols());
        for j in columns.clone().step_by(cols) {
            let count = cols.min(columns.end - j);
            // SAFETY: these rows and columns of C are the chunk's; the panels were packed by `pack_b_whole`.
            unsafe {
                let (b, b_stride) = match panels {
                    None => (self.b.at(terms.start, j), self.b.rows),
                    Some(panels) => (
                        panels.add(terms.start * self.n.next_multiple_of(lanes) + j * terms.len()),
                        count.next_multiple_of(lanes) as isize,
                    ),
                };
                self.tile(layout, (a, a_stride), (b, b_stride), rows.clone(), j..j + count, &terms);
            }
        }
    }
}
