//! How a product is cut into chunks, and what is packed for them.
//!
//! There are two ways to go through a chunk, and each packs one operand panel by panel, just before it is used:
//! - by columns, for sums long enough that a panel of B is worth keeping in the first cache: a block of A is in place or
//!   packed beforehand, and each panel of B meets all of its rows;
//! - by rows, for short sums and narrow products, where C is most of the traffic and is written in order: B is in place
//!   or packed beforehand, and each panel of A meets all columns.

use super::pack::Pack;
use super::scratch::{self, Slot};
use super::table::{Kernels, Layout};
use super::tile::{Tile, WHOLE};
use super::vector::Vector;
use super::{Activation, Element, Epilogue, Operand};
use crate::team;
use std::mem::MaybeUninit;
use std::ops::Range;

/// What a chunk should take, in nanoseconds: enough that claiming it costs nothing, little enough to even out.
pub(in crate::kernels) const CHUNK_NANOS: usize = 10_000;

/// The most chunks of a product.
pub(super) const MOST_CHUNKS: usize = 64;

/// Terms of a sum that are added up in registers before C is visited: a panel of B of so many rows fits the first cache.
const DEPTH: usize = 320;

/// Elements of A that a thread packs at a time, so that they stay in its second cache.
const SLAB: usize = 144 << 10;

/// Rows of A that a thread packs at a time.
const BLOCK_ROWS: usize = 512;

/// Rows from which two threads do better with a block of A for each than with the same block twice.
const TWO_BLOCKS: usize = 192;

/// Elements of B that are packed beforehand at most.
const PACKED_B: usize = 128 << 10;

/// Sums up to this length are short: the product goes by rows.
const SHORT: usize = 128;

/// Columns of C that a panel of A meets in one go by rows.
const ROW_PIECE: usize = 512;

/// Products of so many multiplications are not cut, and pack B on the stack if at all.
const SMALL: usize = 64 * 64 * 64;

/// Elements of B that are packed on the stack.
const STACK: usize = 4096;

/// Rows of A up to which B is read in place when it goes by columns: more rows pay for packing it.
const FEW_ROWS: usize = 144;

/// Rows of A up to which A is read in place when the product goes by columns.
const DIRECT_ROWS: usize = 144;

/// Elements of a result of a matrix by a vector that are summed up in one go.
const VECTOR_PIECE: usize = 1024;

/// About how long a product takes on one thread.
pub(in crate::kernels) fn nanos(lanes: usize, m: usize, n: usize, k: usize) -> usize {
    let multiplications = m.saturating_mul(n.next_multiple_of(lanes)).saturating_mul(k);
    multiplications / (6 * lanes)
}

/// Part `i` of `total` cut evenly into `parts`.
#[inline]
pub(in crate::kernels) fn part(total: usize, parts: usize, i: usize) -> Range<usize> {
    let (base, extra) = (total / parts, total % parts);
    let start = i * base + i.min(extra);
    start..start + base + usize::from(i < extra)
}

/// The largest power of two up to `n`, at least one.
pub(super) fn power_of_two(n: usize) -> usize {
    1 << n.max(1).ilog2()
}

/// One product and where its matrices are.
pub(super) struct Product<'a, T: 'static> {
    pub(super) kernels: &'static Kernels<T>,
    pub(super) m: usize,
    pub(super) n: usize,
    pub(super) k: usize,
    pub(super) a: Operand<T>,
    pub(super) b: Operand<T>,
    pub(super) c: *mut T,
    pub(super) ldc: usize,
    pub(super) epilogue: &'a Epilogue<T>,
}

// SAFETY: the chunks of a product read A, B and the bias, and write disjoint parts of C.
unsafe impl<T: Sync> Sync for Product<'_, T> {}

/// A pointer that the chunks of a region share.
struct Ptr<T>(*mut T);

// SAFETY: whoever makes one sees to it that the chunks write disjoint parts, or only read.
unsafe impl<T> Sync for Ptr<T> {}

impl<T> Ptr<T> {
    fn get(&self) -> *mut T {
        self.0
    }
}

/// Where the rows of A of a product by rows are read.
#[derive(Clone, Copy)]
enum RowsOf {
    InPlace(Layout),
    Packed,
}

impl<T: Element> Product<'_, T> {
    /// # Safety
    /// The promise of [`super::gemm`], for this and all methods that follow.
    pub(super) unsafe fn scalar(&self) {
        for i in 0..self.m {
            for j in 0..self.n {
                // SAFETY: the caller's promise; `i`, `j` and `d` are inside.
                unsafe {
                    let mut sum = T::ZERO;
                    for d in 0..self.k {
                        sum = sum + *self.a.at(i, d) * *self.b.at(d, j);
                    }
                    let c = self.c.add(i * self.ldc + j);
                    let bias =
                        if self.epilogue.bias.is_null() { T::ZERO } else { *self.epilogue.bias.add(j) };
                    let old = if self.epilogue.accumulate { *c } else { T::ZERO };
                    *c = self.epilogue.finish(sum, old, bias);
                }
            }
        }
        // SAFETY: the caller's promise.
        unsafe { self.map(0..self.m, 0..self.n) };
    }

    /// Applies a `Map` to finished rows.
    unsafe fn map(&self, rows: Range<usize>, cols: Range<usize>) {
        if let Activation::Map(map) = self.epilogue.activation {
            for i in rows {
                // SAFETY: the caller's promise; the piece is inside C.
                unsafe { map(self.c.add(i * self.ldc + cols.start), cols.len()) };
            }
        }
    }

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
            let x = Ptr(x.cast_mut());
            let nanos = self.k.saturating_mul(count) * size_of::<T>() / 16;
            let pieces =
                power_of_two((nanos / CHUNK_NANOS).min(MOST_CHUNKS)).max(count.div_ceil(VECTOR_PIECE));
            let pieces = pieces.min(count.div_ceil(self.kernels.lanes));
            team::run(pieces, nanos, |i| {
                let piece = part(count, pieces, i);
                let mut out = [const { MaybeUninit::<T>::uninit() }; VECTOR_PIECE];
                let out = out.as_mut_ptr().cast::<T>();
                let matrix = matrix.at(piece.start, 0);
                // SAFETY: the caller's promise; a piece has at most `VECTOR_PIECE` elements.
                unsafe {
                    kernel(&Vector { count: piece.len(), depth: self.k, matrix, stride, x: x.get(), out });
                    self.store_vector(piece, out, step);
                }
            });
        };
        if x.1 == 1 {
            run(x.0);
        } else {
            scratch::with(Slot::Many, self.k, |copy: *mut T| {
                for d in 0..self.k {
                    // SAFETY: the caller's promise, and the scratch has `k` elements.
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
            // SAFETY: the caller's promise; `sums` has the elements of the piece.
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
        // SAFETY: the caller's promise.
        unsafe { if self.n == 1 { self.map(piece, 0..1) } else { self.map(0..1, piece) } };
    }

    /// Any other product.
    pub(super) unsafe fn by_tiles(&self) {
        let (lanes, cols) = (self.kernels.lanes, self.kernels.cols());
        let in_place = if self.b.cols == 1 { Some(self.b.ptr) } else { None };
        let packed = self.k * self.n.next_multiple_of(lanes);
        // SAFETY: the caller's promise.
        unsafe {
            if self.m * self.n * self.k <= SMALL {
                if in_place.is_some() {
                    return self.rows_chunk(0..self.m, 0..self.n, None, self.rows_of());
                }
                if packed <= STACK {
                    let mut memory = [const { MaybeUninit::<T>::uninit() }; STACK];
                    let panels = memory.as_mut_ptr().cast::<T>();
                    for tile in 0..self.n.div_ceil(cols) {
                        self.pack_b_whole(tile, panels);
                    }
                    return self.rows_chunk(0..self.m, 0..self.n, Some(panels), self.rows_of());
                }
            }
            if (self.k <= SHORT || self.n <= cols) && (in_place.is_some() || packed <= PACKED_B) {
                self.by_rows();
            } else {
                self.by_columns();
            }
        }
    }

    /// Chunks that the product is worth, a power of two so that they suit most numbers of threads.
    fn chunks(&self) -> usize {
        power_of_two((self.nanos() / CHUNK_NANOS).min(MOST_CHUNKS))
    }

    pub(super) fn nanos(&self) -> usize {
        nanos(self.kernels.lanes, self.m, self.n, self.k)
    }

    /// The parts of the sums, short enough for the first cache.
    pub(super) fn depths(&self) -> usize {
        self.k.div_ceil(DEPTH)
    }

    // By rows.

    unsafe fn by_rows(&self) {
        let (lanes, cols) = (self.kernels.lanes, self.kernels.cols());
        let run = |b: Option<*const T>| {
            let pieces = self.n.div_ceil(ROW_PIECE);
            let parts = self.chunks().min(self.m.div_ceil(self.kernels.rows));
            let rows_of = self.rows_of();
            let b = b.map(|b| Ptr(b.cast_mut()));
            team::run(parts * pieces, self.nanos(), |i| {
                let rows = part(self.m, parts, i / pieces);
                let tiles = part(self.n.div_ceil(cols), pieces, i % pieces);
                let columns = tiles.start * cols..(tiles.end * cols).min(self.n);
                // SAFETY: the caller's promise; the chunks are disjoint.
                unsafe { self.rows_chunk(rows, columns, b.as_ref().map(|b| b.get().cast_const()), rows_of) };
            });
        };
        if self.b.cols == 1 {
            return run(None);
        }
        scratch::with(Slot::Many, self.k * self.n.next_multiple_of(lanes), |panels: *mut T| {
            let tiles = self.n.div_ceil(cols);
            let shared = Ptr(panels);
            team::run(tiles, self.k * self.n / 8, |tile| {
                // SAFETY: the caller's promise; each tile has a panel of its own.
                unsafe { self.pack_b_whole(tile, shared.get()) };
            });
            run(Some(panels));
        });
    }

    /// How rows of A are best read when the product goes by rows.
    fn rows_of(&self) -> RowsOf {
        let small = self.m * self.n * self.k <= SMALL;
        // Rows that are whole pages apart meet in the same set of the first cache.
        let meet = (self.a.rows * size_of::<T>() as isize) % 4096 == 0;
        if self.a.rows == 1 && (small || self.n <= 2 * self.kernels.cols() || self.k <= SHORT / 2) {
            RowsOf::InPlace(Layout::Panel)
        } else if self.a.cols == 1 && !meet && (small || self.n <= 2 * self.kernels.cols()) {
            RowsOf::InPlace(Layout::Rows)
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
            // SAFETY: the caller's promise; `panels` has room for all panels.
            unsafe { self.pack_b(terms, columns.clone(), width, panels.add(offset)) };
        }
    }

    unsafe fn pack_b(&self, terms: Range<usize>, columns: Range<usize>, width: usize, dst: *mut T) {
        let src = self.b.at(terms.start, columns.start);
        let (across, along) = (self.b.cols, self.b.rows);
        // SAFETY: the caller's promise.
        unsafe {
            (self.kernels.pack)(&Pack {
                count: columns.len(),
                depth: terms.len(),
                src,
                across,
                along,
                dst,
                width,
            });
        }
    }

    pub(super) unsafe fn pack_a(&self, terms: Range<usize>, rows: Range<usize>, width: usize, dst: *mut T) {
        let src = self.a.at(rows.start, terms.start);
        let (across, along) = (self.a.rows, self.a.cols);
        // SAFETY: the caller's promise.
        unsafe {
            (self.kernels.pack)(&Pack {
                count: rows.len(),
                depth: terms.len(),
                src,
                across,
                along,
                dst,
                width,
            });
        }
    }

    /// Rows of the tallest tile for `columns` columns.
    fn height(&self, columns: usize) -> usize {
        if columns <= self.kernels.lanes { 2 * self.kernels.rows } else { self.kernels.rows }
    }

    unsafe fn rows_chunk(
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
                    // SAFETY: the caller's promise; `own` has room for a panel when it is used.
                    unsafe {
                        let (layout, a, a_stride) = match from {
                            RowsOf::InPlace(Layout::Panel) => {
                                (Layout::Panel, self.a.at(r.start, terms.start), self.a.cols)
                            }
                            RowsOf::InPlace(Layout::Rows) => {
                                (Layout::Rows, self.a.at(r.start, terms.start), self.a.rows)
                            }
                            RowsOf::Packed => {
                                self.pack_a(terms.clone(), r.clone(), width, own);
                                (Layout::Panel, own.cast_const(), width as isize)
                            }
                        };
                        self.row_of_tiles(layout, a, a_stride, r, columns.clone(), terms.clone(), b);
                    }
                }
            }
            // SAFETY: the caller's promise; the chunk is finished.
            unsafe { self.map(rows.clone(), columns.clone()) };
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
        layout: Layout,
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
            // SAFETY: the caller's promise; the panels were packed by `pack_b_whole`.
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

    #[inline(always)]
    pub(super) unsafe fn tile(
        &self,
        layout: Layout,
        (a, a_stride): (*const T, isize),
        (b, b_stride): (*const T, isize),
        rows: Range<usize>,
        columns: Range<usize>,
        terms: &Range<usize>,
    ) {
        let last = terms.end == self.k;
        let bias = if last && !self.epilogue.bias.is_null() {
            self.epilogue.bias.wrapping_add(columns.start)
        } else {
            std::ptr::null()
        };
        let tile = Tile {
            depth: terms.len(),
            parts: WHOLE,
            a,
            a_stride,
            b,
            b_stride,
            c: self.c.wrapping_add(rows.start * self.ldc + columns.start),
            c_stride: self.ldc,
            cols: columns.len(),
            accumulate: self.epilogue.accumulate || terms.start > 0,
            bias,
            relu: last && matches!(self.epilogue.activation, Activation::Relu),
        };
        // SAFETY: the caller's promise; `isa` chose kernels that this processor has.
        unsafe { self.kernels.tile(layout, rows.len(), columns.len())(&tile) };
    }

    // By columns.

    unsafe fn by_columns(&self) {
        let depths = self.depths();
        if self.a.cols == 1 && self.m <= DIRECT_ROWS {
            // SAFETY: the caller's promise.
            return unsafe { self.slab(1, 0..depths, true) };
        }
        let blocks = self.m.div_ceil(BLOCK_ROWS).max(if self.m >= TWO_BLOCKS { 2 } else { 1 });
        let longest = self.m.div_ceil(blocks) * self.k.div_ceil(depths);
        let slabs = depths.div_ceil((SLAB / longest).max(1));
        for s in 0..slabs {
            // SAFETY: the caller's promise.
            unsafe { self.slab(blocks, part(depths, slabs, s), false) };
        }
    }

    /// Adds the parts `depths` of the sums, for all of C in `blocks` of rows.
    ///
    /// Each thread packs the block of A that it works on for itself: lines that another core has just written take longer
    /// to fetch than to make. Chunks of one block are next to each other, so a thread seldom changes blocks.
    unsafe fn slab(&self, blocks: usize, depths: Range<usize>, in_place: bool) {
        let lanes = self.kernels.lanes;
        let units = self.n.div_ceil(lanes);
        let pieces = (self.chunks() / blocks).clamp(1, power_of_two(units / 4));
        let terms = self.terms(depths.start).start..self.terms(depths.end - 1).end;
        let key = scratch::keys(blocks);
        let nanos = (self.nanos() / self.k).saturating_mul(terms.len()).max(1);
        team::run(blocks * pieces, nanos, |chunk| {
            let (block, units) = (chunk / pieces, part(units, pieces, chunk % pieces));
            let rows = part(self.m, blocks, block);
            let columns = units.start * lanes..(units.end * lanes).min(self.n);
            let panels = Panels::new(rows, self.kernels);
            // SAFETY: the caller's promise; the chunks are disjoint.
            unsafe {
                if in_place {
                    return self.columns_chunk(&panels, columns, depths.clone(), None);
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
                        self.columns_chunk(&panels, columns, depths.clone(), Some((packed, terms.start)))
                    },
                );
            }
        });
    }

    /// Part `p` of the sums.
    pub(super) fn terms(&self, p: usize) -> Range<usize> {
        part(self.k, self.depths(), p)
    }

    /// One chunk by columns, with A packed from some term on, or row-major in place.
    unsafe fn columns_chunk(
        &self,
        panels: &Panels,
        columns: Range<usize>,
        depths: Range<usize>,
        packed: Option<(*mut T, usize)>,
    ) {
        let (lanes, cols) = (self.kernels.lanes, self.kernels.cols());
        let in_place = self.b.cols == 1 && panels.all.len() <= FEW_ROWS;
        let own = if in_place { 0 } else { cols * self.k.div_ceil(self.depths()) };
        scratch::with(Slot::One, own, |own: *mut T| {
            for p in depths.clone().map(|p| self.terms(p)) {
                for j in columns.clone().step_by(cols) {
                    let j = j..(j + cols).min(columns.end);
                    // SAFETY: the caller's promise; `own` has room for a panel of B, and the panels of A are packed.
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
                                None => (Layout::Rows, (self.a.at(rows.start, p.start), self.a.rows)),
                                Some((packed, start)) => {
                                    let a = packed.add(panels.offset(i, &p, start)).cast_const();
                                    (Layout::Panel, (a, panels.width as isize))
                                }
                            };
                            self.tile(layout, a, b, rows, j.clone(), &p);
                        }
                    }
                }
            }
        });
        if depths.end == self.depths() {
            // SAFETY: the caller's promise; the chunk is finished.
            unsafe { self.map(panels.all.clone(), columns) };
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
