//! Where the elements of arrays are: what tells an array from others, and whether two share memory.

use super::Array;
use crate::dtype::DType;
use crate::shape::{Dims, Strides};

impl Array {
    /// Where its elements are and how they are laid out: what tells it from others that are alive.
    pub(crate) fn identity(&self) -> (usize, Dims, Strides, DType) {
        (self.start.addr(), Dims::from_slice(&self.shape), Strides::from_slice(&self.strides), self.dtype)
    }

    /// The number of its block, and where in it the elements begin: what tells its memory from all that ever was, if that
    /// is known.
    pub(crate) fn told(&self) -> Option<(u64, usize)> {
        let offset = self.start.addr().wrapping_sub(self.buffer.data().addr());
        self.buffer.number().map(|number| (number, offset))
    }

    /// Its elements are not written in place; see [`Buffer::is_to_stay`].
    pub(crate) fn is_to_stay(&self) {
        self.buffer.is_to_stay();
    }

    /// Where its block begins, and the bytes of that: none, if the memory is somebody else's.
    pub(crate) fn block(&self) -> (usize, usize) {
        (self.buffer.data().addr(), self.buffer.capacity())
    }

    /// Whether another that is alive has the same elements in the same memory.
    #[cfg(feature = "python")]
    pub(crate) fn is_where(&self, other: &Array) -> bool {
        self.start == other.start
            && self.dtype == other.dtype
            && self.shape == other.shape
            && self.strides == other.strides
    }

    /// The addresses between which the elements are.
    #[cfg(feature = "python")]
    pub(crate) fn span(&self) -> (usize, usize) {
        let (mut first, mut last) = (0, 0);
        for (&n, &stride) in self.shape.iter().zip(&self.strides) {
            let reach = (n as isize - 1).wrapping_mul(stride);
            if reach < 0 { first += reach } else { last += reach }
        }
        if self.size() == 0 {
            return (0, 0);
        }
        let (start, size) = (self.start.addr() as isize, self.dtype.size() as isize);
        ((start + first * size) as usize, (start + (last + 1) * size) as usize)
    }

    /// Whether the elements begin where those of another array do.
    #[cfg(feature = "python")]
    pub(crate) fn shares_memory(&self, other: &Array) -> bool {
        self.start == other.start
    }
}
