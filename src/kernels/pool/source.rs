//! The elements of the source that neighbouring elements of the target read at a time: neighbours as well, or not.

use super::Shared;
use super::windows::Span;
use crate::memory::filled;

/// `L` elements of the source.
pub(super) trait Source<const L: usize> {
    /// Reads them from an array like the source.
    ///
    /// # Safety
    /// It must have them.
    unsafe fn read<T: Copy>(&self, x: &Shared<T>) -> [T; L];
    /// The place in the window of one of them.
    fn place(&self, l: usize) -> u32;
    /// Whether the window has it.
    fn is_there(&self, l: usize) -> bool;
}

/// Channels of one pixel.
pub(super) struct Together {
    pub(super) first: usize,
    pub(super) place: isize,
}

impl<const L: usize> Source<L> for Together {
    #[inline(always)]
    unsafe fn read<T: Copy>(&self, x: &Shared<T>) -> [T; L] {
        // SAFETY: the caller says that `x` has them.
        unsafe { *x.at(self.first).cast::<[T; L]>() }
    }
    #[inline(always)]
    fn place(&self, _: usize) -> u32 {
        self.place as u32
    }
    #[inline(always)]
    fn is_there(&self, _: usize) -> bool {
        true
    }
}

/// Channels of several pixels, which are anywhere in one line.
pub(super) struct Apart<'a, const L: usize> {
    /// The first element of the line.
    pub(super) row: usize,
    pub(super) offsets: &'a [u32; L],
    /// The place of each is this and one of those.
    pub(super) place: u32,
    pub(super) places: &'a [u32; L],
}

impl<const L: usize> Source<L> for Apart<'_, L> {
    #[inline(always)]
    unsafe fn read<T: Copy>(&self, x: &Shared<T>) -> [T; L] {
        // SAFETY: the caller says that `x` has them.
        unsafe {
            let mut found = [*x.at(self.row + self.offsets[0] as usize); L];
            for l in 1..L {
                found[l] = *x.at(self.row + self.offsets[l] as usize);
            }
            found
        }
    }
    #[inline(always)]
    fn place(&self, l: usize) -> u32 {
        self.place.wrapping_add(self.places[l])
    }
    #[inline(always)]
    fn is_there(&self, l: usize) -> bool {
        self.places[l] != NOWHERE
    }
}

/// The part of a place that says that the window of an element has no more pixels along the line. The offset beside it is
/// of an element that can be read.
const NOWHERE: u32 = u32::MAX;

/// Steps of elements that are written down, at most: as many as stay in a second-level cache.
const MOST: usize = 1 << 16;

/// What the elements of a line of the target read of a line of the source, one step along their windows after the other.
pub(super) struct Scattered {
    /// The steps.
    pub(super) length: usize,
    /// The elements of the line.
    width: usize,
    /// For each step, and each element at that.
    offsets: Vec<u32>,
    places: Vec<u32>,
    /// The parts of the first places.
    starts: Vec<u32>,
}

impl Scattered {
    /// That of pixels of so many channels; none where there is one in a line, or too much would be written down.
    pub(super) fn new(
        channels: usize,
        source: usize,
        spans: &[Span],
        apart: usize,
        step: isize,
    ) -> Option<Scattered> {
        let (width, length) = (spans.len() * channels, spans.iter().map(|s| s.length).max()?);
        let is_small =
            length.saturating_mul(width) <= MOST && source.saturating_mul(channels) < NOWHERE as usize;
        if channels == 0 || spans.len() == 1 || source == 0 || !is_small {
            return None;
        }
        let [mut offsets, mut places] = [0, NOWHERE].map(|none| filled(length * width, none));
        let mut starts = filled(width, 0);
        for (pixel, span) in spans.iter().enumerate() {
            for c in 0..channels {
                let e = pixel * channels + c;
                starts[e] = span.place as u32;
                for i in 0..span.length {
                    offsets[i * width + e] = ((span.start + i * apart) * channels + c) as u32;
                    places[i * width + e] = (span.place + i as isize * step) as u32;
                }
            }
        }
        Some(Scattered { length, width, offsets, places, starts })
    }

    /// The parts of the first places of `L` elements from element `e` of the line on.
    #[inline(always)]
    pub(super) fn starts<const L: usize>(&self, e: usize) -> [u32; L] {
        *first(&self.starts[e..])
    }

    /// What they read at a step: how far from the start of the line, and the parts of the places.
    #[inline(always)]
    pub(super) fn at<const L: usize>(&self, step: usize, e: usize) -> (&[u32; L], &[u32; L]) {
        let at = step * self.width + e;
        (first(&self.offsets[at..]), first(&self.places[at..]))
    }
}

#[inline(always)]
fn first<const L: usize>(x: &[u32]) -> &[u32; L] {
    x.first_chunk().expect("the elements are those of a line")
}
