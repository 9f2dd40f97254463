//! One dimension of a convolution: which positions of the source a position of the result sums over.

use smallvec::SmallVec;

/// A window in one dimension: output `o` sees the inputs `o * stride + k * dilation - before` for `k < kernel`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Length of the input.
    pub input: usize,
    /// Elements of the window, at least one.
    pub kernel: usize,
    /// Length of the output.
    pub output: usize,
    /// From one window to the next, at least one.
    pub stride: usize,
    /// From one element of a window to the next, at least one.
    pub dilation: usize,
    /// Zeros before the input.
    pub before: usize,
}

/// An element of the window, and how far from the position of the window it lies in the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tap {
    pub element: usize,
    pub offset: isize,
}

/// One dimension of a correlation: position `start + i * step` of the result sums over the positions
/// `i * stride + offset` of the source, with zeros outside.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    /// Length of the source.
    pub source: usize,
    /// Positions of the result.
    pub count: usize,
    pub start: usize,
    pub step: usize,
    pub stride: usize,
    /// By ascending offset, evenly apart.
    pub taps: SmallVec<[Tap; 8]>,
}

impl Window {
    /// Whether there is one pixel before and behind, and it is the same.
    pub(super) fn is_one_pixel(&self) -> bool {
        [self.input, self.kernel, self.output] == [1; 3] && self.before == 0
    }

    /// From the input to the output.
    pub(super) fn forward(&self) -> Axis {
        let offset = |k: usize| (k * self.dilation) as isize - self.before as isize;
        let taps = (0..self.kernel).map(|element| Tap { element, offset: offset(element) }).collect();
        Axis { source: self.input, count: self.output, start: 0, step: 1, stride: self.stride, taps }
    }

    /// From the output to the input: the inputs that have the same remainder by the stride see the same elements of
    /// their windows.
    pub(super) fn phases(&self) -> SmallVec<[Axis; 2]> {
        let stride = self.stride as isize;
        (0..self.stride.min(self.input))
            .map(|start| {
                let distance = |k: usize| (start + self.before) as isize - (k * self.dilation) as isize;
                let reached = (0..self.kernel).rev().filter(|&k| distance(k) % stride == 0);
                let taps =
                    reached.map(|element| Tap { element, offset: distance(element) / stride }).collect();
                let count = (self.input - start).div_ceil(self.stride);
                Axis { source: self.output, count, start, step: self.stride, stride: 1, taps }
            })
            .collect()
    }
}

impl Axis {
    /// The offset of the first tap.
    pub(super) fn low(&self) -> isize {
        self.taps[0].offset
    }

    /// How many positions of the source, from the first to the last, so many positions of the result see.
    pub(super) fn reach(&self, count: usize) -> usize {
        (count - 1) * self.stride + (self.taps[self.taps.len() - 1].offset - self.low()) as usize + 1
    }

    /// Whether no position of the result sees a zero outside of the source.
    pub(super) fn is_inside(&self) -> bool {
        self.low() >= 0 && self.low() as usize + self.reach(self.count) <= self.source
    }

    /// Whether each position of the result sees the same one of the source, and no other.
    pub(super) fn is_identity(&self) -> bool {
        self.is_plain(1) && self.low() == 0 && self.count == self.source
    }

    /// Whether it is all positions of the result, side by side like those of the source, each of which sees `taps`
    /// neighbours.
    pub(super) fn is_plain(&self, taps: usize) -> bool {
        let is_dense = self.start == 0 && self.step == 1 && self.stride == 1;
        is_dense && self.taps.len() == taps && self.run() == taps
    }

    /// Neighbouring taps that are neighbours in the source as well.
    pub(super) fn run(&self) -> usize {
        match *self.taps {
            [a, b, ..] if b.offset - a.offset != 1 => 1,
            _ => self.taps.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which inputs an output sees through which elements of the window, by the definition.
    fn pairs(w: &Window) -> Vec<(usize, usize, usize)> {
        let mut pairs = Vec::new();
        for o in 0..w.output {
            for k in 0..w.kernel {
                if let Some(i) =
                    (o * w.stride + k * w.dilation).checked_sub(w.before).filter(|&i| i < w.input)
                {
                    pairs.push((i, k, o));
                }
            }
        }
        pairs.sort_unstable();
        pairs
    }

    #[test]
    fn phases_and_forward_pair_the_same_positions() {
        for (input, kernel, stride, dilation, before, after) in [
            (7, 3, 1, 1, 1, 1),
            (8, 3, 2, 1, 0, 1),
            (9, 2, 3, 2, 2, 0),
            (5, 1, 2, 1, 0, 0),
            (1, 3, 4, 1, 1, 1),
            (11, 3, 2, 2, 4, 3),
        ] {
            let output = (input + before + after - (kernel - 1) * dilation - 1) / stride + 1;
            let window = Window { input, kernel, output, stride, dilation, before };
            let seen = |axis: &Axis, turned: bool| {
                let mut pairs = Vec::new();
                for i in 0..axis.count {
                    for tap in &axis.taps {
                        let source = (i * axis.stride) as isize + tap.offset;
                        let result = axis.start + i * axis.step;
                        if (0..axis.source as isize).contains(&source) {
                            let source = source as usize;
                            pairs.push(if turned {
                                (result, tap.element, source)
                            } else {
                                (source, tap.element, result)
                            });
                        }
                    }
                }
                pairs
            };
            let mut forward = seen(&window.forward(), false);
            let mut backward: Vec<_> = window.phases().iter().flat_map(|axis| seen(axis, true)).collect();
            forward.sort_unstable();
            backward.sort_unstable();
            assert_eq!(forward, pairs(&window), "{window:?}");
            assert_eq!(backward, pairs(&window), "{window:?}");
        }
    }

    #[test]
    fn taps_ascend_evenly() {
        let window = Window { input: 20, kernel: 7, output: 5, stride: 4, dilation: 3, before: 5 };
        for axis in window.phases().iter().chain([&window.forward()]) {
            let offsets: Vec<isize> = axis.taps.iter().map(|t| t.offset).collect();
            let steps: Vec<isize> = offsets.windows(2).map(|o| o[1] - o[0]).collect();
            assert!(steps.iter().all(|&s| s > 0 && s == steps[0]), "{offsets:?}");
        }
    }
}
