//! Products by columns, for sums long enough that a panel of B is worth keeping in the first cache: a block of A is in
//! place or packed beforehand, and each panel of B meets all of its rows.

use super::super::then;
use super::Scalar;
use super::product::{CHUNK_NANOS, MOST_CHUNKS, Product, part, power_of_two};
use super::scratch::{self, Slot};
use super::table::{Access, Kernels};
use crate::team;
use std::ops::Range;

/// Elements of A that a thread packs at a time, so that they stay in its second cache.
const SLAB: usize = 144 << 10;

/// Rows of A that a thread packs at a time.
const BLOCK_ROWS: usize = 512;

/// Rows from which two threads do better with a block of A for each than with the same block twice.
const TWO_BLOCKS: usize = 192;

/// Rows of A up to which B is read in place when it goes by columns: more rows pay for packing it.
const FEW_ROWS: usize = 144;

/// Rows of A up to which A is read in place when the product goes by columns.
const DIRECT_ROWS: usize = 144;

/// What somebody else does to runs of fewer elements is better done to whole rows in the end.
const SHORT_RUN: usize = 256;

impl<T: Scalar> Product<'_, T> {
    pub(super) unsafe fn by_columns(&self) {
        let depths = self.depths();
        let in_place = self.a.cols == 1 && self.m <= DIRECT_ROWS;
        let blocks = match in_place {
            true => 1,
            false => self.m.div_ceil(BLOCK_ROWS).max(if self.m >= TWO_BLOCKS { 2 } else { 1 }),
        };
        let longest = self.m.div_ceil(blocks) * self.k.div_ceil(depths);
        let slabs = if in_place { 1 } else { depths.div_ceil((SLAB / longest).max(1)) };
        for s in 0..slabs {
            // SAFETY: A, B and C are valid for the product, as `scalar` asks; these terms are a part of all.
            unsafe { self.slab(blocks, part(depths, slabs, s), in_place) };
        }
        if self.is_late(blocks) {
            let nanos = then::nanos(self.epilogue.then, self.m * self.n);
            let parts = power_of_two((nanos / CHUNK_NANOS).min(MOST_CHUNKS)).min(self.m);
            team::run(parts, nanos, |i| {
                // SAFETY: all of C is written, and these rows are this task's.
                unsafe { self.then(&part(self.m, parts, i), &(0..self.n)) };
            });
        }
    }

    /// Into how many pieces the columns are cut for each of `blocks` of rows.
    fn pieces(&self, blocks: usize) -> usize {
        let units = self.n.div_ceil(self.kernels.lanes);
        (self.chunks() / blocks).clamp(1, power_of_two(units / 4))
    }

    /// Whether chunks have too few columns for what somebody else does to their elements.
    fn is_late(&self, blocks: usize) -> bool {
        let pieces = self.pieces(blocks);
        self.epilogue.then.is_some() && pieces > 1 && self.n / pieces < SHORT_RUN
    }

    /// Adds the parts `depths` of the sums, for all of C in `blocks` of rows.
    ///
    /// Each thread packs the block of A that it works on for itself: lines that another core has just written take longer
    /// to fetch than to make. Chunks of one block are next to each other, so a thread seldom changes blocks.
    unsafe fn slab(&self, blocks: usize, depths: Range<usize>, in_place: bool) {
        let lanes = self.kernels.lanes;
        let (units, pieces) = (self.n.div_ceil(lanes), self.pieces(blocks));
        let terms = self.terms(depths.start).start..self.terms(depths.end - 1).end;
        let key = scratch::keys(blocks);
        let nanos = (self.nanos() / self.k).saturating_mul(terms.len()).max(1);
        let is_late = self.is_late(blocks);
        team::run(blocks * pieces, nanos, |chunk| {
            let (block, units) = (chunk / pieces, part(units, pieces, chunk % pieces));
            let rows = part(self.m, blocks, block);
            let columns = units.start * lanes..(units.end * lanes).min(self.n);
            let panels = Panels::new(rows, self.kernels);
            // SAFETY: A, B and C are valid for the product, as `scalar` asks; the chunks are disjoint.
            unsafe {
                if in_place {
                    return self.columns_chunk(&panels, columns, depths.clone(), None, is_late);
                }
                scratch::filled(
                    key + block as u64,
                    panels.len() * terms.len(),
                    |packed: *mut T| {
                        for p in depths.clone().map(|p| self.terms(p)) {
                            for i in 0..panels.count {
                                let dst = packed.add(panels.offset(i, &p, terms.start));
                                self.pack_a(p.clone(), panels.rows(i), panels.width, dst);
                            }
                        }
                    },
                    |packed: *mut T| {
                        let packed = Some((packed, terms.start));
                        self.columns_chunk(&panels, columns, depths.clone(), packed, is_late);
                    },
                );
            }
        });
    }

    /// One chunk by columns, with A packed from some term on, or row-major in place.
    unsafe fn columns_chunk(
        &self,
        panels: &Panels,
        columns: Range<usize>,
        depths: Range<usize>,
        packed: Option<(*mut T, usize)>,
        is_late: bool,
    ) {
        let (lanes, cols) = (self.kernels.lanes, self.kernels.cols());
        let in_place = self.b.cols == 1 && panels.all.len() <= FEW_ROWS;
        let own = if in_place { 0 } else { cols * self.k.div_ceil(self.depths()) };
        scratch::with(Slot::One, own, |own: *mut T| {
            for p in depths.clone().map(|p| self.terms(p)) {
                for j in columns.clone().step_by(cols) {
                    let j = j..(j + cols).min(columns.end);
                    // SAFETY: these rows and columns of C are the chunk's; `own` has room for a panel of B, and the
                    // panels of A are packed.
                    unsafe {
                        let b = if in_place {
                            (self.b.at(p.start, j.start), self.b.rows)
                        } else {
                            let wide = j.len().next_multiple_of(lanes);
                            self.pack_b(p.clone(), j.clone(), wide, own);
                            (own.cast_const(), wide as isize)
                        };
                        for i in 0..panels.count {
                            let rows = panels.rows(i);
                            let (layout, a) = match packed {
                                None => (Access::Rows, (self.a.at(rows.start, p.start), self.a.rows)),
                                Some((packed, start)) => {
                                    let a = packed.add(panels.offset(i, &p, start)).cast_const();
                                    (Access::Panel, (a, panels.width as isize))
                                }
                            };
                            self.tile(layout, a, b, rows, j.clone(), &p);
                        }
                    }
                }
            }
        });
        if depths.end == self.depths() {
            // SAFETY: these rows and columns of C are the chunk's, and finished.
            unsafe {
                self.map(&panels.all, &columns);
                if !is_late {
                    self.then(&panels.all, &columns);
                }
            }
        }
    }
}

/// Rows cut evenly into panels, and where those lie when packed one after the other, part after part of the sums.
pub(super) struct Panels {
    all: Range<usize>,
    pub(super) count: usize,
    pub(super) width: usize,
}

impl Panels {
    pub(super) fn new<T>(all: Range<usize>, kernels: &Kernels<T>) -> Self {
        let count = all.len().div_ceil(kernels.rows);
        Self { all, count, width: kernels.rows.next_multiple_of(kernels.lanes) }
    }

    /// The rows of panel `i`.
    pub(super) fn rows(&self, i: usize) -> Range<usize> {
        let rows = part(self.all.len(), self.count, i);
        self.all.start + rows.start..self.all.start + rows.end
    }

    /// Elements of all panels for each term.
    pub(super) fn len(&self) -> usize {
        self.count * self.width
    }

    /// Where panel `i` is for `terms`, when packing began with the term `start`.
    pub(super) fn offset(&self, i: usize, terms: &Range<usize>, start: usize) -> usize {
        (terms.start - start) * self.len() + i * self.width * terms.len()
    }
}
