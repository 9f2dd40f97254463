//! Indices written as Rust writes ranges.

use super::Index;
use crate::tape::Tensor;
use std::ops::{Range, RangeFrom, RangeFull, RangeTo};

/// An index for [`Tensor::index`]: for each axis a number, a range or a tensor of numbers, of which negative ones count from
/// the back; or any [`Index`](crate::ops::Index), such as a mask.
///
/// ```
/// use oxiflux::{Tensor, index};
/// let x = Tensor::from([[1, 2, 3], [4, 5, 6]]);
/// assert_eq!(x.index(index![1])?.to_string(), "[4, 5, 6]");
/// assert_eq!(x.index(index![.., -1])?.to_string(), "[3, 6]");
/// assert_eq!(x.index(index![..1, 1..])?.to_string(), "[[2, 3]]");
/// assert_eq!(x.index(index![0, &Tensor::from([2, 0, 2])])?.to_string(), "[3, 1, 3]");
/// # Ok::<(), oxiflux::Error>(())
/// ```
#[macro_export]
macro_rules! index {
    ($($part:expr),* $(,)?) => {
        &[$($crate::ops::Index::from($part)),*]
    };
}

impl From<isize> for Index {
    fn from(i: isize) -> Index {
        Index::At(i)
    }
}

impl From<&Tensor> for Index {
    /// Elements of an axis by number.
    fn from(numbers: &Tensor) -> Index {
        Index::Array(numbers.array().clone())
    }
}

macro_rules! ranges {
    ($($range:ty, $r:ident: $start:expr, $stop:expr;)+) => {$(
        impl From<$range> for Index {
            fn from($r: $range) -> Index {
                Index::Slice { start: $start, stop: $stop, step: None }
            }
        }
    )+};
}
ranges! {
    Range<isize>, r: Some(r.start), Some(r.end);
    RangeFrom<isize>, r: Some(r.start), None;
    RangeTo<isize>, r: None, Some(r.end);
    RangeFull, _r: None, None;
}
