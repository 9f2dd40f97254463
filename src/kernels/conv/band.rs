//! The parts of a result that are computed at a time, and the pixels that they see.

use super::axis::Axis;
use crate::kernels::gemm::product::part;
use crate::kernels::gemm::scratch::{self, Slot};
use smallvec::SmallVec;
use std::ops::Range;

/// Elements of the source that are copied at a time: they stay in the second cache.
const BAND: usize = 32 << 10;

/// A group of channels of a batch of images.
#[derive(Clone, Copy, Debug)]
pub(super) struct Images<T> {
    /// The first channel of the first pixel.
    pub ptr: *mut T,
    /// Pixels in each dimension.
    pub size: [usize; 3],
    /// Elements between pixels.
    pub pitch: usize,
}

// SAFETY: tasks only read what it points to, or write pixels or channels of their own.
unsafe impl<T: Sync> Sync for Images<T> {}

impl<T> Images<T> {
    pub(super) fn at(&self, image: usize, [d, h, w]: [usize; 3]) -> *mut T {
        let pixel = ((image * self.size[0] + d) * self.size[1] + h) * self.size[2] + w;
        self.ptr.wrapping_add(pixel * self.pitch)
    }
}

/// Positions of the result in one image: a range of lines, and of what each holds.
#[derive(Clone, Debug)]
pub(super) struct Unit {
    pub image: usize,
    pub plane: usize,
    pub lines: Range<usize>,
    pub across: Range<usize>,
}

/// How the positions of a result are cut into units; depends on the sizes alone.
pub(super) struct Cut<'a> {
    axes: &'a [Axis; 3],
    images: usize,
    /// Parts that the lines of a plane, and a line, are cut into.
    parts: [usize; 2],
}

impl<'a> Cut<'a> {
    /// Units of at most `pixels` positions, where that is at least a line or a part of one.
    pub(super) fn new(axes: &'a [Axis; 3], images: usize, channels: usize, pixels: usize) -> Self {
        let [d, h, w] = axes;
        let band = |lines: usize, across: usize| d.reach(1) * h.reach(lines) * w.reach(across) * channels;
        let mut across = w.count.max(1);
        while across > 1 && (across > pixels || band(1, across) > BAND && across > 32) {
            across = across.div_ceil(2);
        }
        let mut lines = if across < w.count { 1 } else { h.count.clamp(1, (pixels / across).max(1)) };
        while lines > 1 && band(lines, across) > BAND {
            lines = lines.div_ceil(2);
        }
        Self { axes, images, parts: [h.count.div_ceil(lines), w.count.div_ceil(across)] }
    }

    pub(super) fn len(&self) -> usize {
        self.images * self.axes[0].count * self.parts[0] * self.parts[1]
    }

    pub(super) fn unit(&self, i: usize) -> Unit {
        let [d, h, w] = self.axes;
        let [lines, across] = self.parts;
        let (rest, across) = (i / across, part(w.count, across, i % across));
        let (rest, lines) = (rest / lines, part(h.count, lines, rest % lines));
        Unit { image: rest / d.count, plane: rest % d.count, lines, across }
    }
}

/// The pixels that a unit sees: a box without holes or a part of the images themselves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Band<T> {
    /// The pixel that the first tap of the first position sees.
    ptr: *const T,
    /// Elements between pixels in each dimension.
    strides: [usize; 3],
}

impl<T: Copy> Band<T> {
    /// Calls `f` with what a unit sees of the first `channels` channels of the source.
    ///
    /// # Safety
    /// The source must be readable, and the unit be of a cut of `axes`.
    pub(super) unsafe fn with<R>(
        axes: &[Axis; 3],
        source: &Images<T>,
        channels: usize,
        unit: &Unit,
        f: impl FnOnce(&Self) -> R,
    ) -> R {
        let counts = [1, unit.lines.len(), unit.across.len()];
        let reach: [usize; 3] = std::array::from_fn(|a| axes[a].reach(counts[a]));
        let first = [unit.plane, unit.lines.start, unit.across.start];
        let first: [isize; 3] = std::array::from_fn(|a| (first[a] * axes[a].stride) as isize + axes[a].low());
        if source.pitch == channels && axes.iter().all(Axis::is_inside) {
            let ptr = source.at(unit.image, first.map(|i| i as usize)).cast_const();
            let line = source.size[2] * channels;
            return f(&Self { ptr, strides: [source.size[1] * line, line, channels] });
        }
        let line = reach[2] * channels;
        scratch::with(Slot::One, reach[0] * reach[1] * line, |copy: *mut T| {
            for d in 0..reach[0] {
                for h in 0..reach[1] {
                    let at = [first[0] + d as isize, first[1] + h as isize, first[2]];
                    // SAFETY: the caller's promise; the scratch has room for all lines.
                    unsafe {
                        copy_line(
                            source,
                            channels,
                            unit.image,
                            at,
                            copy.add((d * reach[1] + h) * line),
                            reach[2],
                        )
                    };
                }
            }
            f(&Self { ptr: copy, strides: [reach[1] * line, line, channels] })
        })
    }

    /// What position `(line, across)` of the unit sees through its first tap.
    pub(super) fn at(&self, axes: &[Axis; 3], line: usize, across: usize) -> *const T {
        self.ptr.wrapping_add(line * self.line(axes) + across * self.pixel(axes))
    }

    /// Elements from what a line sees to what the next one sees.
    pub(super) fn line(&self, axes: &[Axis; 3]) -> usize {
        axes[1].stride * self.strides[1]
    }

    /// Elements from what a position sees to what its neighbour in the line sees.
    pub(super) fn pixel(&self, axes: &[Axis; 3]) -> usize {
        axes[2].stride * self.strides[2]
    }

    /// Where each run of taps begins, counted from the first tap.
    pub(super) fn runs(&self, axes: &[Axis; 3]) -> SmallVec<[isize; 32]> {
        let [d, h, w] = axes;
        let offset = |a: usize, i: usize| {
            let steps = axes[a].taps[i].offset - axes[a].low();
            steps * self.strides[a] as isize
        };
        let mut runs = SmallVec::new();
        for i in 0..d.taps.len() {
            for j in 0..h.taps.len() {
                runs.extend(
                    (0..w.taps.len()).step_by(w.run()).map(|k| offset(0, i) + offset(1, j) + offset(2, k)),
                );
            }
        }
        runs
    }
}

/// Copies `count` pixels from `at` on, zeros where they are outside of the image.
unsafe fn copy_line<T: Copy>(
    source: &Images<T>,
    channels: usize,
    image: usize,
    at: [isize; 3],
    dst: *mut T,
    count: usize,
) {
    let [d, h, w] = at;
    let is_inside = |a: usize| (0..source.size[a] as isize).contains(&at[a]);
    let before = if is_inside(0) && is_inside(1) { (-w).clamp(0, count as isize) as usize } else { count };
    let end = (source.size[2] as isize - w).clamp(before as isize, count as isize) as usize;
    // SAFETY: the caller's promise for the pixels inside, and for `count` pixels of the copy; zero bytes are zeros.
    unsafe {
        dst.write_bytes(0, before * channels);
        if before < end {
            let src = source.at(image, [d as usize, h as usize, (w + before as isize) as usize]);
            let dst = dst.add(before * channels);
            if source.pitch == channels {
                dst.copy_from_nonoverlapping(src, (end - before) * channels);
            } else {
                for i in 0..end - before {
                    dst.add(i * channels).copy_from_nonoverlapping(src.add(i * source.pitch), channels);
                }
            }
        }
        dst.add(end * channels).write_bytes(0, (count - end) * channels);
    }
}
