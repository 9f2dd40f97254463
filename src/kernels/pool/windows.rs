//! Where the windows of a pooling lie on the images, and which of them hold a pixel.

use super::source::Scattered;

/// Pixels of fewer channels are computed side by side: those of results, and those of images, each of which reads little.
const FEW: usize = 4;
const FEW_BACK: usize = 8;

/// Windows over a batch of images of three axes; images with fewer have leading axes of length 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Windows {
    /// The number of images.
    pub batch: usize,
    /// The numbers at each pixel.
    pub channels: usize,
    /// The lengths of an image.
    pub input: [usize; 3],
    /// The number of windows along each axis.
    pub output: [usize; 3],
    /// The lengths of a window.
    pub size: [usize; 3],
    /// How far apart windows start.
    pub stride: [usize; 3],
    /// How far apart the pixels of a window are.
    pub dilation: [usize; 3],
    /// How far before the image the first one starts.
    pub before: [usize; 3],
}

/// What a pixel of the target reads along one axis: `length` pixels of the source from `start`, as far apart as the walk
/// says. `place` is the axis' part of the place in the window of the first of them.
#[derive(Clone, Copy)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) length: usize,
    pub(super) place: isize,
}

/// Which pixels of the source each pixel of the target reads.
pub(super) struct Walk {
    pub(super) batch: usize,
    pub(super) channels: usize,
    pub(super) source: [usize; 3],
    pub(super) spans: [Vec<Span>; 3],
    /// How far apart the pixels of the source are that are read.
    pub(super) apart: [usize; 3],
    /// By how much the place in the window grows from one of them to the next.
    pub(super) steps: [isize; 3],
    /// What a line of the target reads of one of the source, where channels are few.
    pub(super) line: Option<Scattered>,
}

impl Windows {
    /// The numbers of all images, and of all results.
    ///
    /// # Panics
    /// Where windows do not lie on the images: one starts past their end, or is padding alone before them.
    pub(super) fn sizes(&self) -> [usize; 2] {
        for i in 0..3 {
            let last = self.output[i].saturating_sub(1).saturating_mul(self.stride[i]);
            let fits = self.stride[i] > 0
                && self.dilation[i] > 0
                && self.before[i] < self.extent(i)
                && last <= self.input[i] + self.before[i];
            assert!(fits, "pooling: windows that leave the images: {self:?}");
        }
        [self.input, self.output]
            .map(|lengths| self.batch * self.channels * lengths.iter().product::<usize>())
    }

    /// The number of pixels in a window.
    pub fn area(&self) -> usize {
        self.size.iter().product()
    }

    /// How many pixels there are from the first to the last of a window, both counted.
    pub fn extent(&self, axis: usize) -> usize {
        extent(self.size[axis], self.dilation[axis])
    }

    /// How many pixels of each window along an axis lie before place `end` of the image, and not before the image itself
    /// if that is the `inside`.
    pub fn counts(&self, axis: usize, end: usize, inside: bool) -> Vec<usize> {
        let (before, dilation) = (self.before[axis], self.dilation[axis]);
        let count = |t: usize| {
            let from = t * self.stride[axis];
            let first = if inside { before.saturating_sub(from).div_ceil(dilation) } else { 0 };
            (end + before).saturating_sub(from).div_ceil(dilation).min(self.size[axis]).saturating_sub(first)
        };
        (0..self.output[axis]).map(count).collect()
    }

    /// The parts of a place that one step along each axis of a window is worth.
    fn units(&self) -> [isize; 3] {
        [(self.size[1] * self.size[2]) as isize, self.size[2] as isize, 1]
    }

    /// From images to results.
    pub(super) fn forward(&self) -> Walk {
        let spans = |i: usize| {
            let counts = self.counts(i, self.input[i], true).into_iter();
            counts.enumerate().map(move |(t, length)| {
                let (from, before) = (t * self.stride[i], self.before[i]);
                let first = before.saturating_sub(from).div_ceil(self.dilation[i]);
                let start = if length == 0 { 0 } else { from + first * self.dilation[i] - before };
                Span { start, length, place: first as isize * self.units()[i] }
            })
        };
        self.walk(self.input, [0, 1, 2].map(|i| spans(i).collect()), self.dilation, self.units(), FEW)
    }

    /// From results to images.
    pub(super) fn backward(&self) -> Walk {
        // The windows that hold a pixel are so far apart.
        let apart = [0, 1, 2].map(|i| self.dilation[i] / gcd(self.stride[i], self.dilation[i]));
        let spans = |i: usize| {
            let (stride, dilation) = (self.stride[i], self.dilation[i]);
            (0..self.input[i]).map(move |t| {
                let at = t + self.before[i];
                let first = (at + 1).saturating_sub(self.extent(i)).div_ceil(stride);
                let end = (at / stride + 1).min(self.output[i]);
                let holds = |&o: &usize| (at - o * stride).is_multiple_of(dilation);
                match (first..end.min(first + apart[i])).find(holds) {
                    Some(start) => Span {
                        start,
                        length: (end - start).div_ceil(apart[i]),
                        place: ((at - start * stride) / dilation) as isize * self.units()[i],
                    },
                    None => Span { start: 0, length: 0, place: 0 },
                }
            })
        };
        let step = |i: usize| (apart[i] * self.stride[i] / self.dilation[i]) as isize;
        let steps = [0, 1, 2].map(|i| -self.units()[i] * step(i));
        self.walk(self.output, [0, 1, 2].map(|i| spans(i).collect()), apart, steps, FEW_BACK)
    }

    fn walk(
        &self,
        source: [usize; 3],
        spans: [Vec<Span>; 3],
        apart: [usize; 3],
        steps: [isize; 3],
        few: usize,
    ) -> Walk {
        let (batch, channels) = (self.batch, self.channels);
        let line = if channels < few {
            Scattered::new(channels, source[2], &spans[2], apart[2], steps[2])
        } else {
            None
        };
        Walk { batch, channels, source, spans, apart, steps, line }
    }
}

/// How many pixels there are from the first of `size` to the last, both counted, that are `dilation` apart.
pub fn extent(size: usize, dilation: usize) -> usize {
    size.saturating_sub(1).saturating_mul(dilation).saturating_add(1)
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}
