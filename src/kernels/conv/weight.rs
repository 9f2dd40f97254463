//! The gradient for the weight: each element of the window is a matrix of sums over the pixels.

use super::axis::Axis;
use super::band::{Band, Cut, Images, Unit};
use crate::isa::isa;
use crate::kernels::dispatch::Shared;
use crate::kernels::gemm::Element;
use crate::kernels::gemm::pack::Pack;
use crate::kernels::gemm::product::{nanos, part};
use crate::kernels::gemm::scratch::{self, Slot};
use crate::kernels::gemm::table::{Kernels, Layout};
use crate::kernels::gemm::tile::Tile;
use crate::team;
use std::ops::Range;

/// Pixels that are summed up in registers before the weight is visited: so many rows of `dy` fit the first cache.
const PIXELS: usize = 320;

/// Chunks that a gradient is cut into, if it can be.
const CHUNKS: usize = 16;

/// Elements of the sums over parts of the pixels, all together, at most.
const PARTIAL: usize = 1 << 20;

/// Writes the gradient for the weight of one group, whose rows are `pitch` elements apart.
///
/// # Safety
/// Source and `dy` must be readable and `dweight` writable as axes and channels say; `dweight` must not overlap the
/// others nor be used by other threads meanwhile.
pub(super) unsafe fn weight_gradient<T: Element>(
    axes: &[Axis; 3],
    images: usize,
    (source, channels): (Images<T>, usize),
    (dy, columns): (Images<T>, usize),
    dweight: *mut T,
    pitch: usize,
) {
    let kernels = T::kernels(isa());
    let rows = axes.iter().map(|a| a.taps.len()).product::<usize>() * channels;
    let cut = Cut::new(axes, images, channels, PIXELS);
    let tiles = columns.div_ceil(kernels.cols());
    if cut.len() == 0 {
        for row in 0..rows {
            // SAFETY: the caller's promise; zero bytes are zeros.
            unsafe { dweight.wrapping_add(row * pitch).write_bytes(0, columns) };
        }
        return;
    }
    if rows * columns == 0 {
        return;
    }
    let sums = CHUNKS.min(cut.len()).min(PARTIAL / (rows * columns)).max(1);
    let pieces = (CHUNKS / sums).clamp(1, tiles);
    let positions = images * axes.iter().map(|a| a.count).product::<usize>();
    // The first sum is the gradient itself, to which the others are added.
    scratch::with(Slot::Many, (sums - 1) * rows * columns, |partial: *mut T| {
        let (partial, total) = (Shared(partial), Shared(dweight));
        let job = Job { kernels, axes, source, channels, dy, columns };
        team::run(sums * pieces, nanos(kernels.lanes, rows, columns, positions), |i| {
            let (sum, tiles) = (i / pieces, part(tiles, pieces, i % pieces));
            let to = match sum {
                0 => (total.at(0), pitch),
                _ => (partial.at((sum - 1) * rows * columns), columns),
            };
            for (k, unit) in part(cut.len(), sums, sum).enumerate() {
                // SAFETY: the caller's promise; the chunks write sums or columns of their own.
                unsafe { job.unit(&cut.unit(unit), tiles.clone(), to, k > 0) };
            }
        });
        team::run(rows.min(CHUNKS), sums * rows * columns / 4, |chunk| {
            for row in part(rows, rows.min(CHUNKS), chunk) {
                for sum in 0..sums - 1 {
                    // SAFETY: the sums are written; each chunk adds to rows of its own.
                    unsafe { add(total.at(row * pitch), partial.at((sum * rows + row) * columns), columns) };
                }
            }
        });
    });
}

/// `total += x`, for `n` elements.
unsafe fn add<T: Element>(total: *mut T, x: *const T, n: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        for i in 0..n {
            *total.add(i) = *total.add(i) + *x.add(i);
        }
    }
}

struct Job<'a, T: 'static> {
    kernels: &'static Kernels<T>,
    axes: &'a [Axis; 3],
    source: Images<T>,
    channels: usize,
    dy: Images<T>,
    columns: usize,
}

// SAFETY: the chunks only read what a job points to.
unsafe impl<T: Sync> Sync for Job<'_, T> {}

impl<T: Element> Job<'_, T> {
    /// Adds the pixels of one unit, for the columns of some tiles; or starts a sum with them.
    unsafe fn unit(&self, unit: &Unit, tiles: Range<usize>, to: (*mut T, usize), accumulate: bool) {
        let pixels = unit.lines.len() * unit.across.len();
        // SAFETY: the caller's promise.
        unsafe {
            Band::with(self.axes, &self.source, self.channels, unit, |band| {
                scratch::with(Slot::Many, pixels * self.kernels.cols(), |panel: *mut T| {
                    for tile in tiles {
                        let first = tile * self.kernels.cols();
                        let count = self.kernels.cols().min(self.columns - first);
                        let width = count.next_multiple_of(self.kernels.lanes);
                        let src = self
                            .dy
                            .at(unit.image, [unit.plane, unit.lines.start, unit.across.start])
                            .wrapping_add(first);
                        let (across, along) = (1, self.dy.pitch as isize);
                        (self.kernels.pack)(&Pack {
                            count,
                            depth: pixels,
                            src,
                            across,
                            along,
                            dst: panel,
                            width,
                        });
                        self.column_of_tiles(
                            unit,
                            band,
                            (panel, width, count),
                            (to.0.wrapping_add(first), to.1),
                            accumulate,
                        );
                    }
                });
            });
        }
    }

    unsafe fn column_of_tiles(
        &self,
        unit: &Unit,
        band: &Band<T>,
        (panel, width, cols): (*const T, usize, usize),
        (c, c_stride): (*mut T, usize),
        accumulate: bool,
    ) {
        let lines: Vec<isize> = (0..unit.lines.len()).map(|i| (i * band.line(self.axes)) as isize).collect();
        let height = if cols <= self.kernels.lanes { 2 * self.kernels.rows } else { self.kernels.rows };
        let rows = self.channels * self.axes[2].run();
        let count = rows.div_ceil(height);
        for (i, &run) in band.runs(self.axes).iter().enumerate() {
            for j in 0..count {
                let r = part(rows, count, j);
                let tile = Tile {
                    depth: unit.across.len(),
                    parts: lines.as_slice(),
                    a: band.at(self.axes, 0, 0).wrapping_offset(run).wrapping_add(r.start),
                    a_stride: band.pixel(self.axes) as isize,
                    b: panel,
                    b_stride: width as isize,
                    c: c.wrapping_add((i * rows + r.start) * c_stride),
                    c_stride,
                    cols,
                    accumulate,
                    bias: std::ptr::null(),
                    relu: false,
                };
                // SAFETY: the caller's promise; `isa` chose kernels that this processor has.
                unsafe { self.kernels.tile(Layout::Panel, r.len(), cols)(&tile) };
            }
        }
    }
}
