//! Shapes and strides of several operands that are walked together.

use smallvec::SmallVec;

/// Axes up to which a layout needs no allocation.
const INLINE: usize = 6;

/// One shape with the strides of `N` operands; at least one axis, none of size 1 unless it is the only one, and no two
/// neighbours that all operands could walk as one.
pub(super) struct Layout<const N: usize> {
    pub(super) shape: SmallVec<[usize; INLINE]>,
    pub(super) strides: SmallVec<[[isize; N]; INLINE]>,
}

impl<const N: usize> Layout<N> {
    pub(super) fn new(shape: &[usize], strides: [&[isize]; N]) -> Self {
        let mut layout = Layout { shape: SmallVec::new(), strides: SmallVec::new() };
        for (axis, &n) in shape.iter().enumerate() {
            if n != 1 {
                layout.push(n, strides.map(|s| s[axis]));
            }
        }
        if layout.shape.is_empty() {
            layout.push(1, [1; N]);
        }
        layout
    }

    /// Adds an axis inside the others.
    pub(super) fn push(&mut self, n: usize, strides: [isize; N]) {
        if let (Some(outer), Some(outer_strides)) = (self.shape.last_mut(), self.strides.last_mut())
            && (0..N).all(|i| outer_strides[i] == strides[i] * n as isize)
        {
            *outer *= n;
            *outer_strides = strides;
            return;
        }
        self.shape.push(n);
        self.strides.push(strides);
    }

    /// The innermost axis.
    pub(super) fn inner(&self) -> (usize, [isize; N]) {
        let last = self.shape.len() - 1;
        (self.shape[last], self.strides[last])
    }
}

/// A place in a layout: an index for each axis, and where that is in each operand.
pub(super) struct Odometer<'a, const N: usize> {
    shape: &'a [usize],
    strides: &'a [[isize; N]],
    index: SmallVec<[usize; INLINE]>,
    /// In elements.
    pub(super) offsets: [isize; N],
}

impl<'a, const N: usize> Odometer<'a, N> {
    /// The place with this number, in row-major order.
    pub(super) fn new(shape: &'a [usize], strides: &'a [[isize; N]], number: usize) -> Self {
        let mut index = SmallVec::from_elem(0, shape.len());
        let (mut rest, mut offsets) = (number, [0; N]);
        for axis in (0..shape.len()).rev() {
            index[axis] = rest % shape[axis];
            rest /= shape[axis];
            for i in 0..N {
                offsets[i] += index[axis] as isize * strides[axis][i];
            }
        }
        Odometer { shape, strides, index, offsets }
    }

    /// How many places there are from here to the end of the innermost axis.
    pub(super) fn left(&self) -> usize {
        self.shape.last().map_or(1, |n| n - self.index[self.index.len() - 1])
    }

    /// The indices of the two innermost axes.
    pub(super) fn tail(&self) -> (usize, usize) {
        let n = self.index.len();
        (self.index[n - 2], self.index[n - 1])
    }

    /// Steps `n` places forward, which may not be past the end of the innermost axis.
    pub(super) fn advance(&mut self, n: usize) {
        let mut step = n;
        for axis in (0..self.shape.len()).rev() {
            self.index[axis] += step;
            for i in 0..N {
                self.offsets[i] += step as isize * self.strides[axis][i];
            }
            if self.index[axis] < self.shape[axis] {
                return;
            }
            for i in 0..N {
                self.offsets[i] -= self.shape[axis] as isize * self.strides[axis][i];
            }
            self.index[axis] = 0;
            step = 1;
        }
    }
}
