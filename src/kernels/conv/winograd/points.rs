//! The values of tiles at the points.

use super::tiles::Patch;
use super::transform::{POINTS, Spread};

/// A line of a cache.
const APART: usize = 16;

/// A matrix for each point: of rows, which are tiles or channels, and channels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Points<T> {
    ptr: *mut T,
    /// Elements between rows.
    pub row: usize,
    /// Elements between points: no power of two, so that points do not share the sets of a cache.
    pub pitch: usize,
}

impl<T> Points<T> {
    /// Elements of so many rows at all points.
    pub(super) fn room(rows: usize, row: usize) -> usize {
        POINTS * (rows * row + APART)
    }

    pub(super) fn new(ptr: *mut T, rows: usize, row: usize) -> Self {
        Self { ptr, row, pitch: rows * row + APART }
    }

    pub(super) fn at(&self, point: usize, row: usize) -> *mut T {
        self.ptr.wrapping_add(point * self.pitch + row * self.row)
    }

    /// What makes row `row` of the first channels of a patch.
    pub(super) fn spread(&self, (pixels, [line, pixel]): Patch<T>, channels: usize, row: usize) -> Spread<T> {
        Spread { pixels, line, pixel, channels, points: self.at(0, row), pitch: self.pitch }
    }
}
