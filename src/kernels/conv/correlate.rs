//! The convolution and its gradient for the input: each pixel of the result is a sum over the taps of its window.

use super::axis::Axis;
use super::band::{Band, Cut, Images, Unit};
use crate::isa::isa;
use crate::kernels::dispatch::Shared;
use crate::kernels::gemm::pack::Pack;
use crate::kernels::gemm::product::{nanos, part};
use crate::kernels::gemm::scratch::{self, Slot};
use crate::kernels::gemm::table::{Kernels, Layout};
use crate::kernels::gemm::tile::Tile;
use crate::kernels::gemm::{Activation, Element, Epilogue};
use crate::team;
use std::ops::Range;

/// Pixels that are computed at a time, at most.
const PIXELS: usize = 1024;

/// The number of chunks from which the channels of the result are not shared among threads.
const ENOUGH: usize = 16;

/// The weight of a group of channels: for each element of the window a matrix from the channels of the source to those
/// of the result.
#[derive(Clone, Copy, Debug)]
pub(super) struct Filters<T> {
    pub ptr: *const T,
    /// Elements of the window in each dimension.
    pub kernel: [usize; 3],
    /// Elements between matrices.
    pub tap: usize,
    /// Elements between channels of the source.
    pub along: isize,
    /// Elements between channels of the result.
    pub across: isize,
}

// SAFETY: what it points to is only read.
unsafe impl<T: Sync> Sync for Filters<T> {}

/// Writes the positions that `axes` name of a group of channels of the result.
///
/// # Safety
/// The source and the filters must be readable and the result writable where axes and channels say; the result must not
/// overlap the others nor be used by other threads meanwhile.
pub(super) unsafe fn correlate<T: Element>(
    axes: &[Axis; 3],
    images: usize,
    (source, channels): (Images<T>, usize),
    (result, columns): (Images<T>, usize),
    filters: Filters<T>,
    epilogue: &Epilogue<T>,
) {
    let kernels = T::kernels(isa());
    let terms = axes.iter().map(|a| a.taps.len()).product::<usize>() * channels;
    let cut = Cut::new(axes, images, channels, PIXELS);
    if cut.len() == 0 || columns == 0 {
        return;
    }
    let tiles = columns.div_ceil(kernels.cols());
    scratch::with(Slot::Many, terms * columns.next_multiple_of(kernels.lanes), |panels: *mut T| {
        let shared = Shared(panels);
        team::run(tiles, terms * columns / 8, |tile| {
            // SAFETY: the caller's promise; each tile has a panel of its own.
            unsafe { pack(kernels, axes, channels, columns, &filters, tile, shared.at(0)) };
        });
        let job = Job { kernels, axes, source, channels, result, columns, terms, panels, epilogue };
        let pieces = ENOUGH.div_ceil(cut.len()).min(tiles);
        let positions = images * axes.iter().map(|a| a.count).product::<usize>();
        team::run(cut.len() * pieces, nanos(kernels.lanes, positions, columns, terms), |i| {
            // SAFETY: the caller's promise; the panels are packed, and the chunks are disjoint.
            unsafe { job.chunk(&cut.unit(i / pieces), part(tiles, pieces, i % pieces)) };
        });
    });
}

/// Packs the filters for the columns of one tile, tap after tap in the order of the axes.
unsafe fn pack<T: Element>(
    kernels: &Kernels<T>,
    axes: &[Axis; 3],
    channels: usize,
    columns: usize,
    filters: &Filters<T>,
    tile: usize,
    panels: *mut T,
) {
    let [d, h, w] = axes;
    let first = tile * kernels.cols();
    let count = kernels.cols().min(columns - first);
    let width = count.next_multiple_of(kernels.lanes);
    let terms = d.taps.len() * h.taps.len() * w.taps.len() * channels;
    let mut dst = panels.wrapping_add(first * terms);
    for d in &d.taps {
        for h in &h.taps {
            for w in &w.taps {
                let element = (d.element * filters.kernel[1] + h.element) * filters.kernel[2] + w.element;
                let src = filters.ptr.wrapping_add(element * filters.tap);
                let src = src.wrapping_offset(first as isize * filters.across);
                let (across, along) = (filters.across, filters.along);
                // SAFETY: the caller's promise; the panel has room for all terms.
                unsafe { (kernels.pack)(&Pack { count, depth: channels, src, across, along, dst, width }) };
                dst = dst.wrapping_add(channels * width);
            }
        }
    }
}

/// A correlation and where its operands are.
struct Job<'a, T: 'static> {
    kernels: &'static Kernels<T>,
    axes: &'a [Axis; 3],
    source: Images<T>,
    channels: usize,
    result: Images<T>,
    columns: usize,
    /// Terms of each sum.
    terms: usize,
    panels: *const T,
    epilogue: &'a Epilogue<T>,
}

// SAFETY: the chunks read the source, the panels and the bias, and write disjoint parts of the result.
unsafe impl<T: Sync> Sync for Job<'_, T> {}

impl<T: Element> Job<'_, T> {
    /// One unit of the result in the columns of some tiles.
    unsafe fn chunk(&self, unit: &Unit, tiles: Range<usize>) {
        // SAFETY: the caller's promise.
        unsafe {
            Band::with(self.axes, &self.source, self.channels, unit, |band| {
                let runs = band.runs(self.axes);
                for tile in tiles.clone() {
                    self.column_of_tiles(unit, tile, band, &runs);
                }
            });
            self.map(unit, tiles);
        }
    }

    unsafe fn column_of_tiles(&self, unit: &Unit, tile: usize, band: &Band<T>, runs: &[isize]) {
        let first = tile * self.kernels.cols();
        let cols = self.kernels.cols().min(self.columns - first);
        let height = if cols <= self.kernels.lanes { 2 * self.kernels.rows } else { self.kernels.rows };
        let count = unit.across.len().div_ceil(height);
        let bias = if self.epilogue.bias.is_null() {
            std::ptr::null()
        } else {
            self.epilogue.bias.wrapping_add(first)
        };
        for line in 0..unit.lines.len() {
            for i in 0..count {
                let rows = part(unit.across.len(), count, i);
                let tile = Tile {
                    depth: self.channels * self.axes[2].run(),
                    parts: runs,
                    a: band.at(self.axes, line, rows.start),
                    a_stride: band.pixel(self.axes) as isize,
                    b: self.panels.wrapping_add(first * self.terms),
                    b_stride: cols.next_multiple_of(self.kernels.lanes) as isize,
                    c: self.pixel(unit, line, rows.start).wrapping_add(first),
                    c_stride: self.axes[2].step * self.result.pitch,
                    cols,
                    accumulate: false,
                    bias,
                    relu: matches!(self.epilogue.activation, Activation::Relu),
                };
                // SAFETY: the caller's promise; `isa` chose kernels that this processor has.
                unsafe { self.kernels.tile(Layout::Rows, rows.len(), cols)(&tile) };
            }
        }
    }

    /// The pixel of the result at a position of a unit.
    fn pixel(&self, unit: &Unit, line: usize, across: usize) -> *mut T {
        let at = [unit.plane, unit.lines.start + line, unit.across.start + across];
        let at = std::array::from_fn(|a| self.axes[a].start + at[a] * self.axes[a].step);
        self.result.at(unit.image, at)
    }

    /// Applies a `Map` to a finished chunk.
    unsafe fn map(&self, unit: &Unit, tiles: Range<usize>) {
        let Activation::Map(map) = self.epilogue.activation else { return };
        let columns = tiles.start * self.kernels.cols()..(tiles.end * self.kernels.cols()).min(self.columns);
        let pixels = unit.across.len();
        // Pixels side by side with all their channels are one piece.
        let whole = columns.len() == self.result.pitch && self.axes[2].step == 1;
        let (pieces, len) = if whole { (1, pixels * columns.len()) } else { (pixels, columns.len()) };
        for line in 0..unit.lines.len() {
            for i in 0..pieces {
                // SAFETY: the caller's promise; the piece is inside of the chunk.
                unsafe { map(self.pixel(unit, line, i).wrapping_add(columns.start), len) };
            }
        }
    }
}
