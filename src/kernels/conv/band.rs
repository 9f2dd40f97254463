//! The parts of a result that are computed at a time, and the pixels that they see.

use super::axis::Axis;
use crate::kernels::gemm::product::part;
use crate::kernels::gemm::scratch::{self, Slot};
use smallvec::SmallVec;
use std::ops::Range;

/// Elements of the source that are copied at a time: they stay in the second cache.
const BAND: usize = 64 << 10;

/// Positions of a line that are not split to keep a copy small.
const SHORT: usize = 32;

/// Copies of an element that are written at a time.
const SPLAT: usize = 8;

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
    /// With each plane as an image of its own.
    pub(super) fn flat(&self) -> Self {
        Images { size: [1, self.size[1], self.size[2]], ..*self }
    }

    pub(super) fn at(&self, image: usize, [d, h, w]: [usize; 3]) -> *mut T {
        let pixel = ((image * self.size[0] + d) * self.size[1] + h) * self.size[2] + w;
        self.ptr.wrapping_add(pixel * self.pitch)
    }
}

/// Positions of the result: of some images and one plane of them a range of lines, and of what each line holds.
#[derive(Clone, Debug)]
pub(super) struct Unit {
    pub images: Range<usize>,
    pub plane: usize,
    pub lines: Range<usize>,
    pub across: Range<usize>,
}

impl Unit {
    /// The lines of all images, as `(image, line)` counted from the first.
    pub(super) fn each_line(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let lines = self.lines.len();
        (0..self.images.len()).flat_map(move |image| (0..lines).map(move |line| (image, line)))
    }
}

/// How the positions of a result are cut into units; depends on the sizes alone.
pub(super) struct Cut<'a> {
    axes: &'a [Axis; 3],
    images: usize,
    /// Parts that the images, the lines of a plane, and a line are cut into.
    parts: [usize; 3],
}

impl<'a> Cut<'a> {
    /// Units of about `pixels` positions at most. The positions of a unit follow each other in the result.
    pub(super) fn new(axes: &'a [Axis; 3], images: usize, channels: usize, pixels: usize) -> Self {
        let [d, h, w] = axes;
        let band = |lines: usize, across: usize| d.reach(1) * h.reach(lines) * w.reach(across) * channels;
        let mut across = w.count;
        while across > pixels || across > SHORT && band(1, across) > BAND {
            across = across.div_ceil(2);
        }
        let mut lines = if across < w.count { 1 } else { (pixels / across).clamp(1, h.count) };
        while lines > 1 && band(lines, across) > BAND {
            lines = lines.div_ceil(2);
        }
        let is_whole = d.count == 1 && lines == h.count && across == w.count;
        let room = (pixels / (lines * across)).min(BAND / band(lines, across).max(1));
        let together = if is_whole { room.max(1) } else { 1 };
        Self {
            axes,
            images,
            parts: [images.div_ceil(together), h.count.div_ceil(lines), w.count.div_ceil(across)],
        }
    }

    /// Positions of a line that are in a unit, at most.
    pub(super) fn across(&self) -> usize {
        self.axes[2].count.div_ceil(self.parts[2])
    }

    pub(super) fn len(&self) -> usize {
        self.parts.iter().product::<usize>() * self.axes[0].count
    }

    pub(super) fn unit(&self, i: usize) -> Unit {
        let [d, h, w] = self.axes;
        let [images, lines, across] = self.parts;
        let (i, across) = (i / across, part(w.count, across, i % across));
        let (i, lines) = (i / lines, part(h.count, lines, i % lines));
        let (i, plane) = (i / d.count, i % d.count);
        Unit { images: part(self.images, images, i), plane, lines, across }
    }
}

/// The pixels that a unit sees: boxes without holes or a part of the images themselves.
#[derive(Debug)]
pub(super) struct Band<'a, T> {
    axes: &'a [Axis; 3],
    /// The pixel that the first tap of the first position sees.
    ptr: *const T,
    /// Elements between images.
    image: usize,
    /// Elements between pixels in each dimension.
    strides: [usize; 3],
}

impl<'a, T: Copy> Band<'a, T> {
    /// Calls `f` with what a unit sees of the first channels of the source, each of them as many times as is said.
    ///
    /// # Safety
    /// The source must be readable, and the unit be of a cut of `axes`.
    pub(super) unsafe fn with<R>(
        axes: &'a [Axis; 3],
        source: &Images<T>,
        (channels, times): (usize, usize),
        unit: &Unit,
        f: impl FnOnce(&Self) -> R,
    ) -> R {
        let width = channels * times;
        let counts = [1, unit.lines.len(), unit.across.len()];
        let reach: [usize; 3] = std::array::from_fn(|a| axes[a].reach(counts[a]));
        let first = [unit.plane, unit.lines.start, unit.across.start];
        let first: [isize; 3] = std::array::from_fn(|a| (first[a] * axes[a].stride) as isize + axes[a].low());
        let strides = |size: &[usize; 3]| [size[1] * size[2] * width, size[2] * width, width];
        if source.pitch == channels && times == 1 && axes.iter().all(Axis::is_inside) {
            let ptr = source.at(unit.images.start, first.map(|i| i as usize)).cast_const();
            let strides = strides(&source.size);
            return f(&Self { axes, ptr, image: source.size[0] * strides[0], strides });
        }
        let strides = strides(&reach);
        let image = reach[0] * strides[0];
        let slack = if times > 1 { SPLAT } else { 0 };
        scratch::with(Slot::One, unit.images.len() * image + slack, |copy: *mut T| {
            let mut dst = copy;
            for image in unit.images.clone() {
                for d in 0..reach[0] {
                    for h in 0..reach[1] {
                        let at = [first[0] + d as isize, first[1] + h as isize, first[2]];
                        // SAFETY: the source can be read where the axes say, as this function asks; the scratch has
                        // room for all lines, and for what is written behind the last.
                        unsafe { copy_line(source, (channels, times), image, at, dst, reach[2]) };
                        dst = dst.wrapping_add(strides[1]);
                    }
                }
            }
            f(&Self { axes, ptr: copy, image, strides })
        })
    }

    /// What a position of the unit sees through its first tap.
    pub(super) fn at(&self, image: usize, line: usize, across: usize) -> *const T {
        self.ptr.wrapping_add(self.line(image, line) + across * self.pixel())
    }

    /// Elements from what the first position of the unit sees to what the first of a line sees.
    pub(super) fn line(&self, image: usize, line: usize) -> usize {
        image * self.image + line * self.axes[1].stride * self.strides[1]
    }

    /// Elements from what a position sees to what its neighbour in the line sees.
    pub(super) fn pixel(&self) -> usize {
        self.axes[2].stride * self.strides[2]
    }

    /// Where each run of so many taps begins, counted from the first tap.
    pub(super) fn runs(&self, run: usize) -> SmallVec<[isize; 32]> {
        let offsets = |a: usize, step: usize| {
            let axis = &self.axes[a];
            axis.taps
                .iter()
                .step_by(step)
                .map(move |tap| (tap.offset - axis.low()) * self.strides[a] as isize)
        };
        let planes = offsets(0, 1);
        let lines = planes.flat_map(|d| offsets(1, 1).map(move |h| d + h));
        lines.flat_map(|dh| offsets(2, run).map(move |w| dh + w)).collect()
    }
}

/// Copies `count` pixels from `at` on, each channel as many times as is said, zeros where they are outside of the image.
///
/// # Safety
/// The image must be one of the source, which can be read, and `dst` have room for the pixels; where channels are repeated,
/// for [`SPLAT`] elements more.
unsafe fn copy_line<T: Copy>(
    source: &Images<T>,
    (channels, times): (usize, usize),
    image: usize,
    at: [isize; 3],
    dst: *mut T,
    count: usize,
) {
    let [d, h, w] = at;
    let width = channels * times;
    let is_inside = |a: usize| (0..source.size[a] as isize).contains(&at[a]);
    let before = if is_inside(0) && is_inside(1) { (-w).clamp(0, count as isize) as usize } else { count };
    let end = (source.size[2] as isize - w).clamp(before as isize, count as isize) as usize;
    // SAFETY: the pixels inside of the image can be read and `count` pixels of the copy are ours, as this function
    // asks; zero bytes are zeros.
    unsafe {
        dst.write_bytes(0, before * width);
        if before < end {
            let src = source.at(image, [d as usize, h as usize, (w + before as isize) as usize]);
            let dst = dst.add(before * width);
            if times > 1 {
                for i in 0..end - before {
                    for c in 0..channels {
                        splat(*src.add(i * source.pitch + c), times, dst.add(i * width + c * times));
                    }
                }
            } else if source.pitch == channels {
                dst.copy_from_nonoverlapping(src, (end - before) * channels);
            } else {
                for i in 0..end - before {
                    dst.add(i * channels).copy_from_nonoverlapping(src.add(i * source.pitch), channels);
                }
            }
        }
        dst.add(end * width).write_bytes(0, (count - end) * width);
    }
}

/// Writes an element so many times, and maybe up to [`SPLAT`] times, where what is written next belongs.
///
/// # Safety
/// There must be room for so many elements and [`SPLAT`].
#[inline(always)]
unsafe fn splat<T: Copy>(x: T, times: usize, dst: *mut T) {
    for i in (0..times).step_by(SPLAT) {
        // SAFETY: less than `SPLAT` elements behind those that are asked for are written.
        unsafe { dst.add(i).cast::<[T; SPLAT]>().write_unaligned([x; SPLAT]) };
    }
}
