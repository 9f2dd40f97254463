//! How a product is cut into chunks, and what is packed for them.
//!
//! There are two ways to go through a chunk, [by rows](super::by_rows) and [by columns](super::by_columns), and each packs
//! one operand panel by panel, just before it is used. A vector has [a way of its own](super::by_vector).

use super::super::then;
use super::pack::Pack;
use super::table::{Access, Kernels};
use super::tile::{Tile, WHOLE};
use super::{Activation, Epilogue, Operand, Scalar};
use std::mem::MaybeUninit;
use std::ops::Range;
use std::slice::from_raw_parts_mut;

/// What a chunk should take, in nanoseconds: enough that claiming it costs nothing, little enough to even out.
pub(in crate::kernels) const CHUNK_NANOS: usize = 10_000;

/// The most chunks of a product.
pub(super) const MOST_CHUNKS: usize = 64;

/// Terms of a sum that are added up in registers before C is visited: a panel of B of so many rows fits the first cache.
const DEPTH: usize = 320;

/// Elements of B that are packed beforehand at most.
const PACKED_B: usize = 128 << 10;

/// Sums up to this length are short: the product goes by rows.
pub(super) const SHORT: usize = 128;

/// Products of so many multiplications are not cut, and pack B on the stack if at all.
pub(super) const SMALL: usize = 64 * 64 * 64;

/// Elements of B that are packed on the stack.
const STACK: usize = 4096;

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
    pub(super) epilogue: &'a Epilogue<'a, T>,
}

// SAFETY: the chunks of a product read A, B and the bias, and write disjoint parts of C.
unsafe impl<T: Sync> Sync for Product<'_, T> {}

impl<T: Scalar> Product<'_, T> {
    /// # Safety
    /// What [`super::gemm`] asks: A, B and the bias must be readable and C writable for the product, and nobody else may use
    /// C, or the part of it that a method is given. So it is for all methods that follow.
    pub(super) unsafe fn scalar(&self) {
        for i in 0..self.m {
            for j in 0..self.n {
                // SAFETY: `i`, `j` and `d` are inside of A, B and C, which are valid for the product, as this function
                // asks.
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
        // SAFETY: the loops have written all of C, which the caller has given to this thread alone.
        unsafe { self.end(0..self.m, 0..self.n) };
    }

    /// Some rows of some columns of C as runs. Whole rows follow on each other, and a run of many elements is quicker than
    /// one of each row's.
    fn runs(
        &self,
        rows: &Range<usize>,
        cols: &Range<usize>,
    ) -> (impl Iterator<Item = *mut T> + use<T>, usize) {
        let (count, len) = match cols.len() == self.ldc {
            true => (1, rows.len() * self.ldc),
            false => (rows.len(), cols.len()),
        };
        let (first, ldc) = (self.c.wrapping_add(rows.start * self.ldc + cols.start), self.ldc);
        ((0..count).map(move |i| first.wrapping_add(i * ldc)), len)
    }

    /// Applies a `Map` to finished rows.
    ///
    /// # Safety
    /// These rows and columns of C must be written, and nobody else use them meanwhile.
    pub(super) unsafe fn map(&self, rows: &Range<usize>, cols: &Range<usize>) {
        if let Activation::Map(map) = self.epilogue.activation {
            let (runs, len) = self.runs(rows, cols);
            for run in runs {
                // SAFETY: the run is inside C, and by the caller's word written and ours.
                map(unsafe { from_raw_parts_mut(run, len) });
            }
        }
    }

    /// Does to finished rows what somebody else does to them.
    ///
    /// # Safety
    /// As for [`Product::map`].
    pub(super) unsafe fn then(&self, rows: &Range<usize>, cols: &Range<usize>) {
        if let Some(then) = self.epilogue.then {
            let (runs, len) = self.runs(rows, cols);
            // SAFETY: by the caller's word these elements of C are written and ours.
            unsafe { then.done(&mut runs.map(|run| (run.cast(), len))) };
        }
    }

    /// Does all that is done last to finished rows.
    ///
    /// # Safety
    /// As for [`Product::map`].
    pub(super) unsafe fn end(&self, rows: Range<usize>, cols: Range<usize>) {
        // SAFETY: handed on.
        unsafe { self.map(&rows, &cols) };
        // SAFETY: handed on.
        unsafe { self.then(&rows, &cols) };
    }

    /// Any other product.
    pub(super) unsafe fn by_tiles(&self) {
        let (lanes, cols) = (self.kernels.lanes, self.kernels.cols());
        let in_place = if self.b.cols == 1 { Some(self.b.ptr) } else { None };
        let packed = self.k * self.n.next_multiple_of(lanes);
        // SAFETY: A, B and C are valid for the product, as `scalar` asks.
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
    pub(super) fn chunks(&self) -> usize {
        power_of_two((self.nanos() / CHUNK_NANOS).min(MOST_CHUNKS))
    }

    pub(super) fn nanos(&self) -> usize {
        nanos(self.kernels.lanes, self.m, self.n, self.k) + then::nanos(self.epilogue.then, self.m * self.n)
    }

    /// The parts of the sums, short enough for the first cache.
    pub(super) fn depths(&self) -> usize {
        self.k.div_ceil(DEPTH)
    }

    /// Part `p` of the sums.
    pub(super) fn terms(&self, p: usize) -> Range<usize> {
        part(self.k, self.depths(), p)
    }

    pub(super) unsafe fn pack_b(
        &self,
        terms: Range<usize>,
        columns: Range<usize>,
        width: usize,
        dst: *mut T,
    ) {
        // SAFETY: terms and columns are of B, which can be read, and `dst` has room for them.
        unsafe { self.pack(self.b.transposed(), terms, columns, width, dst) }
    }

    pub(super) unsafe fn pack_a(&self, terms: Range<usize>, rows: Range<usize>, width: usize, dst: *mut T) {
        // SAFETY: terms and rows are of A, which can be read, and `dst` has room for them.
        unsafe { self.pack(self.a, terms, rows, width, dst) }
    }

    unsafe fn pack(
        &self,
        of: Operand<T>,
        terms: Range<usize>,
        rows: Range<usize>,
        width: usize,
        dst: *mut T,
    ) {
        let (count, depth, src) = (rows.len(), terms.len(), of.at(rows.start, terms.start));
        // SAFETY: terms and rows are of the operand, which can be read, and `dst` has room for them.
        unsafe {
            (self.kernels.pack)(&Pack { count, depth, src, across: of.rows, along: of.cols, dst, width })
        };
    }

    #[inline(always)]
    pub(super) unsafe fn tile(
        &self,
        layout: Access,
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
        // SAFETY: rows and columns are of C and ours, the terms of the panels or of A and B; `isa` chose kernels that
        // this processor has.
        unsafe { self.kernels.tile(layout, rows.len(), columns.len())(&tile) };
    }
}
