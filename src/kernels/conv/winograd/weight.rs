//! The gradient for the weight, tile by tile.

use super::Tiled;
use super::points::Points;
use super::tiles::Tiles;
use super::transform::{Collect, POINTS, SIDE, Transforms, WINDOW};
use crate::isa::isa;
use crate::kernels::conv::axis::Axis;
use crate::kernels::conv::band::Images;
use crate::kernels::conv::multiply::multiply;
use crate::kernels::conv::weight::{Rows, sum_units};
use crate::kernels::gemm::product::{nanos, part};
use crate::kernels::gemm::scratch::{self, Slot};
use crate::kernels::gemm::table::{Access, Kernels};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

/// Tiles that are summed up at a time: they and their sums stay in the second cache.
const BLOCK: usize = 28;

/// Sums that are kept at a time for each point: channels of the source times columns.
const SUMS: usize = 72 * 64;

/// Writes the gradient for the weight of one group; says whether it is finite.
///
/// # Safety
/// As for [`crate::kernels::conv::weight::weight_gradient`]; the axes must be such that the transforms were chosen for
/// them.
pub(in crate::kernels::conv) unsafe fn weight_gradient<T: Tiled>(
    transforms: &'static Transforms<T>,
    axes: &[Axis; 3],
    images: usize,
    (source, channels): (Images<T>, usize),
    (dy, columns): (Images<T>, usize),
    dweight: Rows<T>,
) -> bool {
    let kernels = T::kernels(isa());
    let tiles = Tiles::new(axes, images);
    let rows = WINDOW * WINDOW * channels;
    let job = Job { kernels, transforms, source: source.flat(), channels, dy: dy.flat(), tiles };
    let nanos = nanos(kernels.lanes, tiles.len(), columns, POINTS * channels);
    let blocks = tiles.len().div_ceil(BLOCK);
    let is_finite = AtomicBool::new(true);
    // SAFETY: images, gradient and weight are where axes and channels say, as this function asks; each sum is given to
    // one task.
    unsafe {
        let pieces = columns.div_ceil(kernels.cols());
        sum_units(blocks, [rows, columns], pieces, nanos, dweight, |sum, pieces, to| {
            let columns = pieces.start * kernels.cols()..(pieces.end * kernels.cols()).min(columns);
            let parts = (channels * columns.len()).div_ceil(SUMS).min(channels);
            for rows in (0..parts).map(|i| part(channels, parts, i)) {
                let blocks = sum.clone().map(|i| part(tiles.len(), blocks, i));
                if !job.sum(blocks, rows, columns.clone(), to) {
                    is_finite.store(false, Ordering::Relaxed);
                }
            }
        });
    }
    is_finite.into_inner()
}

struct Job<T: 'static> {
    kernels: &'static Kernels<T>,
    transforms: &'static Transforms<T>,
    source: Images<T>,
    channels: usize,
    dy: Images<T>,
    tiles: Tiles,
}

impl<T: Tiled> Job<T> {
    /// Writes the sum over some blocks of tiles, for some channels of the source, in some columns; says whether it is
    /// finite.
    ///
    /// # Safety
    /// Images and gradient must be where axes and channels say, and nobody else use this part of the sum meanwhile.
    unsafe fn sum(
        &self,
        blocks: impl Iterator<Item = Range<usize>>,
        rows: Range<usize>,
        columns: Range<usize>,
        (total, pitch): Rows<T>,
    ) -> bool {
        let lanes = self.kernels.lanes;
        let (deep, wide) = (rows.len().next_multiple_of(lanes), columns.len().next_multiple_of(lanes));
        let rooms =
            [(BLOCK, deep), (BLOCK, wide), (rows.len(), wide)].map(|(n, row)| Points::<T>::room(n, row));
        let patch = SIDE * SIDE * deep.max(wide);
        let source = Images { ptr: self.source.ptr.wrapping_add(rows.start), ..self.source };
        let result = Images { ptr: self.dy.ptr.wrapping_add(columns.start), ..self.dy };
        scratch::with(Slot::One, rooms.iter().sum::<usize>() + patch, |memory: *mut T| {
            let (dy, sums) = (memory.wrapping_add(rooms[0]), memory.wrapping_add(rooms[0] + rooms[1]));
            let own = sums.wrapping_add(rooms[2]);
            let sums = Points::new(sums, rows.len(), wide);
            // SAFETY: the images can be read and the sums are ours, as this function asks; the memory has room for the
            // points of both, for their sums and for a patch.
            unsafe {
                for (number, block) in blocks.enumerate() {
                    let n = block.len();
                    let (seen, dy) = (Points::new(memory, n, deep), Points::new(dy, n, wide));
                    for (i, place) in block.map(|tile| self.tiles.place(tile)).enumerate() {
                        let patch = self.tiles.seen(&place, &source, rows.len(), own);
                        (self.transforms.source)(&seen.spread(patch, rows.len(), i));
                        let patch = self.tiles.own(&place, &result, columns.len(), own);
                        (self.transforms.result)(&dy.spread(patch, columns.len(), i));
                    }
                    for point in 0..POINTS {
                        let a = (seen.at(point, 0).cast_const(), deep);
                        let b = |first: usize| (dy.at(point, 0).wrapping_add(first).cast_const(), wide);
                        let size = [rows.len(), n, columns.len()];
                        multiply(
                            self.kernels,
                            Access::Panel,
                            size,
                            a,
                            b,
                            (sums.at(point, 0), wide),
                            number > 0,
                        );
                    }
                }
                let mut is_finite = true;
                for i in 0..rows.len() {
                    let channel = rows.start + i;
                    is_finite &= (self.transforms.gradient)(&Collect {
                        points: sums.at(0, i),
                        pitch: sums.pitch,
                        channels: columns.len(),
                        pixels: total.wrapping_add(channel * pitch + columns.start),
                        line: WINDOW * self.channels * pitch,
                        pixel: self.channels * pitch,
                        size: [WINDOW; 2],
                        bias: std::ptr::null(),
                        relu: false,
                    });
                }
                is_finite
            }
        })
    }
}
