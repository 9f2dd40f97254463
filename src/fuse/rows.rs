//! What is there once for each row of a shape: how it lies, and how it is read for the elements of the row.

use super::operand::{Operand, strides};
pub(super) use super::program::Layout;
use crate::shape;

/// Rows of so many elements are at hand as a whole while they are worked on.
const LONGEST: usize = 1 << 13;

/// Whether rows of that length can be worked on one by one.
pub(super) fn are_short(n: usize) -> bool {
    (2..=LONGEST).contains(&n)
}

/// Whether there is one element for each row of `n`, of `size` elements in all, and these lie in order.
pub(crate) fn is_of_rows(layout: &Layout, size: usize, n: usize) -> bool {
    shape::size(&layout.0) * n == size && shape::is_row_major(&layout.0, &layout.1)
}

/// Whether a value, which shows one element for each row of `n`, does so for all elements of the row.
pub(super) fn are_spread(layout: &Layout, target: &[usize], n: usize) -> bool {
    let rows = shape::size(target) / n;
    strides(&layout.0, &layout.1, target)
        .is_some_and(|strides| Operand::new(target, &strides).is_of_rows(rows, n))
}
