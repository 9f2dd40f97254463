//! The gradient for the weight: each element of the window is a matrix of sums over the pixels.

use super::axis::Axis;
use super::band::{Band, Cut, Images, Unit};
use super::winograd::{self, Purpose, Tiled};
use crate::isa::isa;
use crate::kernels::cost::multiplying;
use crate::kernels::dispatch::Shared;
use crate::kernels::gemm::Scalar;
use crate::kernels::gemm::pack::Pack;
use crate::kernels::gemm::product::{nanos, part};
use crate::kernels::gemm::scratch::{self, Slot};
use crate::kernels::gemm::table::{Access, Kernels};
use crate::kernels::gemm::tile::Tile;
use crate::team;
use std::ops::Range;

/// Pixels that are summed up in registers before the weight is visited: so many rows of `dy` fit the first cache.
const PIXELS: usize = 320;

/// Chunks that a gradient is cut into, if it can be.
const CHUNKS: usize = 16;

/// Elements of the sums over parts of the pixels, all together, at most.
const PARTIAL: usize = 1 << 20;

/// A matrix to write: where it is, and how many elements apart its rows are.
pub(super) type Rows<T> = (*mut T, usize);

/// Writes the gradient for the weight of one group.
///
/// # Safety
/// Source and `dy` must be readable and `dweight` writable as axes and channels say; `dweight` must not overlap the
/// others nor be used by other threads meanwhile.
pub(super) unsafe fn weight_gradient<T: Tiled>(
    axes: &[Axis; 3],
    images: usize,
    (source, channels): (Images<T>, usize),
    (dy, columns): (Images<T>, usize),
    dweight: Rows<T>,
) {
    // SAFETY: handed on from this function's caller.
    unsafe {
        if let Some(transforms) = winograd::chosen(Purpose::Weight, axes, images, channels, columns)
            && winograd::weight_gradient(transforms, axes, images, (source, channels), (dy, columns), dweight)
        {
            return;
        }
        plain(axes, images, (source, channels), (dy, columns), dweight);
    }
}

/// [`weight_gradient`] as the sums that it stands for.
///
/// # Safety
/// As for [`weight_gradient`].
pub(super) unsafe fn plain<T: Scalar>(
    axes: &[Axis; 3],
    images: usize,
    (source, channels): (Images<T>, usize),
    (dy, columns): (Images<T>, usize),
    dweight: Rows<T>,
) {
    let kernels = T::kernels(isa());
    let rows = axes.iter().map(|a| a.taps.len()).product::<usize>() * channels;
    let cut = Cut::new(axes, images, channels, PIXELS);
    let positions = images * axes.iter().map(|a| a.count).product::<usize>();
    let nanos = nanos(kernels.lanes, rows, columns, positions);
    let job = Job { kernels, axes, source, channels, dy, columns };
    let tiles = columns.div_ceil(kernels.cols());
    // SAFETY: images, gradient and weight are where axes and channels say, as this function asks; the sums of units are
    // given to one task each.
    unsafe {
        sum_units(cut.len(), [rows, columns], tiles, nanos, dweight, |units, tiles, to| {
            for unit in units.clone() {
                job.unit(&cut.unit(unit), tiles.clone(), to, unit > units.start);
            }
        });
    }
}

/// Writes a matrix of sums over units. `sum(units, tiles, matrix)` writes the sums over some units to the columns of some
/// of the tiles. Which sums are added up together depends on the sizes alone.
///
/// # Safety
/// The matrix must be writable and nobody else use it meanwhile; `sum` must keep to its columns.
pub(super) unsafe fn sum_units<T: Scalar>(
    units: usize,
    [rows, columns]: [usize; 2],
    tiles: usize,
    nanos: usize,
    (total, pitch): Rows<T>,
    sum: impl Fn(Range<usize>, Range<usize>, Rows<T>) + Sync,
) {
    let size = rows * columns;
    if size == 0 {
        return;
    }
    if units == 0 {
        for row in 0..rows {
            // SAFETY: the total has that many rows and columns, as this function asks, and is ours; zero bytes are the
            // number 0.
            unsafe { total.wrapping_add(row * pitch).write_bytes(0, columns) };
        }
        return;
    }
    let sums = CHUNKS.min(units).min(PARTIAL / size).max(1);
    let pieces = (CHUNKS / sums).clamp(1, tiles);
    // The first sum is in the matrix itself, to which the others are added.
    scratch::with(Slot::Many, (sums - 1) * size, |partial: *mut T| {
        let (partial, total) = (Shared(partial), Shared(total));
        team::run(sums * pieces, nanos, |i| {
            let (part_of, tiles) = (i / pieces, part(tiles, pieces, i % pieces));
            let to = match part_of.checked_sub(1) {
                None => (total.at(0), pitch),
                Some(before) => (partial.at(before * size), columns),
            };
            sum(part(units, sums, part_of), tiles, to);
        });
        let parts = rows.min(CHUNKS);
        team::run(parts, multiplying(sums * size), |i| {
            for row in part(rows, parts, i) {
                for sum in 0..sums - 1 {
                    // SAFETY: the sums are written; each task adds to rows of its own.
                    unsafe {
                        add_row(total.at(row * pitch), partial.at(sum * size + row * columns), columns)
                    };
                }
            }
        });
    });
}

/// `total += x`, for `n` elements.
///
/// # Safety
/// Both must have as many, and nobody else use the total meanwhile.
unsafe fn add_row<T: Scalar>(total: *mut T, x: *const T, n: usize) {
    for i in 0..n {
        // SAFETY: both have `n` elements, as this function asks, and the total is ours.
        unsafe { *total.add(i) = *total.add(i) + *x.add(i) };
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

// SAFETY: the tasks only read what a job points to.
unsafe impl<T: Sync> Sync for Job<'_, T> {}

impl<T: Scalar> Job<'_, T> {
    /// Adds the pixels of one unit, for the columns of some tiles; or starts the sums with them.
    ///
    /// # Safety
    /// Images and gradient must be where axes and channels say, and nobody else use the sums meanwhile.
    unsafe fn unit(&self, unit: &Unit, tiles: Range<usize>, to: Rows<T>, accumulate: bool) {
        let pixels = unit.images.len() * unit.lines.len() * unit.across.len();
        // SAFETY: images and gradient can be read, and the sums are ours, as this function asks; the pixels of a unit
        // follow each other in `dy`.
        unsafe {
            Band::with(self.axes, &self.source, (self.channels, 1), unit, |band| {
                scratch::with(Slot::Many, pixels * self.kernels.cols(), |panel: *mut T| {
                    for tile in tiles {
                        let first = tile * self.kernels.cols();
                        let count = self.kernels.cols().min(self.columns - first);
                        let width = count.next_multiple_of(self.kernels.lanes);
                        let pixel = [unit.plane, unit.lines.start, unit.across.start];
                        let src = self.dy.at(unit.images.start, pixel).wrapping_add(first);
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
                        let to = (to.0.wrapping_add(first), to.1);
                        self.column_of_tiles(unit, band, (panel, width, count), to, accumulate);
                    }
                });
            });
        }
    }

    unsafe fn column_of_tiles(
        &self,
        unit: &Unit,
        band: &Band<'_, T>,
        (panel, width, cols): (*const T, usize, usize),
        (c, c_stride): Rows<T>,
        accumulate: bool,
    ) {
        let lines: Vec<isize> =
            unit.each_line().map(|(image, line)| band.line(image, line) as isize).collect();
        let height = if cols <= self.kernels.lanes { 2 * self.kernels.rows } else { self.kernels.rows };
        let run = self.axes[2].run();
        let rows = self.channels * run;
        let count = rows.div_ceil(height);
        for (i, &run) in band.runs(run).iter().enumerate() {
            for j in 0..count {
                let r = part(rows, count, j);
                let tile = Tile {
                    depth: unit.across.len(),
                    parts: lines.as_slice(),
                    a: band.at(0, 0, 0).wrapping_offset(run).wrapping_add(r.start),
                    a_stride: band.pixel() as isize,
                    b: panel,
                    b_stride: width as isize,
                    c: c.wrapping_add((i * rows + r.start) * c_stride),
                    c_stride,
                    cols,
                    accumulate,
                    bias: std::ptr::null(),
                    relu: false,
                };
                // SAFETY: the terms of the tile are of the band and the panel, and its sums are ours; `isa` chose
                // kernels that this processor has.
                unsafe { self.kernels.tile(Access::Panel, r.len(), cols)(&tile) };
            }
        }
    }
}
