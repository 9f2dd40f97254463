//! The window at the points, packed for the products.

use super::transform::{POINTS, Spread, Transforms, WINDOW};
use crate::kernels::conv::correlate::Filters;
use crate::kernels::gemm::Scalar;
use crate::kernels::gemm::pack::Pack;
use crate::kernels::gemm::scratch::{self, Slot};
use crate::kernels::gemm::table::Kernels;
use std::ops::Range;

/// Channels of the source whose filters are packed at a time: they stay in the first cache.
const DEPTH: usize = 32;

/// A line of a cache.
const APART: usize = 16;

/// Filters of `channels` channels of the source and some of the result, at all points: for each point the panels of its
/// product, one tile of columns after the other.
pub(super) struct Panels<T> {
    pub ptr: *mut T,
    pub channels: usize,
    /// Columns of all panels, as full registers.
    pub width: usize,
}

// SAFETY: each task writes panels of its own, and those that read them come later.
unsafe impl<T: Sync> Sync for Panels<T> {}

impl<T: Scalar> Panels<T> {
    /// Elements between the panels of a point and of the next: no power of two, so that points do not share the sets of
    /// a cache.
    fn plane(channels: usize, width: usize) -> usize {
        channels * width + APART
    }

    /// The panel of a point whose first column is `first`, and the elements of its rows.
    pub(super) fn panel(&self, point: usize, first: usize, cols: usize) -> (*const T, usize) {
        let panel =
            self.ptr.wrapping_add(point * Self::plane(self.channels, self.width) + first * self.channels);
        (panel, cols.min(self.width - first))
    }

    /// Packs one panel for all points: the columns from `first` on, which in the filters are `columns`, and the terms
    /// `terms`.
    ///
    /// # Safety
    /// The filters must be readable and the panels be ours.
    pub(super) unsafe fn pack(
        &self,
        (kernels, transforms): (&Kernels<T>, &Transforms<T>),
        (filters, taps): (&Filters<T>, &[*const T]),
        first: usize,
        columns: Range<usize>,
        terms: Range<usize>,
    ) {
        let (count, width) = (columns.len(), columns.len().next_multiple_of(kernels.lanes));
        let (across, along) = (filters.across, filters.along);
        scratch::with(Slot::One, WINDOW * WINDOW * DEPTH * width, |own: *mut T| {
            for from in terms.clone().step_by(DEPTH) {
                let depth = DEPTH.min(terms.end - from);
                for (tap, src) in taps.iter().enumerate() {
                    let src = src.wrapping_offset(columns.start as isize * across + from as isize * along);
                    let dst = own.wrapping_add(tap * depth * width);
                    // SAFETY: these channels and columns are of the filters, and `own` has room for them.
                    unsafe { (kernels.pack)(&Pack { count, depth, src, across, along, dst, width }) };
                }
                for k in 0..depth {
                    let tap = (depth * width) as isize;
                    let spread = Spread {
                        pixels: own.wrapping_add(k * width),
                        line: WINDOW as isize * tap,
                        pixel: tap,
                        channels: count,
                        points: self
                            .ptr
                            .wrapping_add(first * self.channels + (from - terms.start + k) * width),
                        pitch: Self::plane(self.channels, self.width),
                    };
                    // SAFETY: the elements of the window are packed, the panels ours, and `isa` chose transforms that
                    // this processor has.
                    unsafe { (transforms.window)(&spread) };
                }
            }
        });
    }
}

/// Elements of panels for so many channels and columns.
pub(super) fn room(channels: usize, width: usize) -> usize {
    POINTS * (channels * width + APART)
}
