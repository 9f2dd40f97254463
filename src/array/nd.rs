//! Arrays from and to `ndarray`.

use super::Array;
use crate::dtype::Element;
use crate::error::{Error, Result};
use crate::shape;
use ndarray::{ArrayD, ArrayView, ArrayViewD, Dimension, IxDyn, ShapeBuilder};

impl Array {
    /// The elements as an `ndarray` view, if they are of type `T` and no stride is negative.
    pub fn as_ndarray<T: Element>(&self) -> Option<ArrayViewD<'_, T>> {
        // `ndarray` wants to number all elements, of an empty array as if axes of length 0 had length 1.
        let bytes = self.shape.iter().try_fold(size_of::<T>(), |n, &d| n.checked_mul(d.max(1)));
        let numbered = bytes.is_some_and(|n| n <= isize::MAX as usize);
        if T::DTYPE != self.dtype || !numbered || self.strides.iter().any(|&s| s < 0) {
            return None;
        }
        let strides: Vec<usize> = self.strides.iter().map(|&s| s as usize).collect();
        let shape = IxDyn(&self.shape).strides(IxDyn(&strides));
        // SAFETY: shape and strides describe elements of this type that live as long as `self`.
        Some(unsafe { ArrayViewD::from_shape_ptr(shape, self.ptr()) })
    }

    /// A copy of an `ndarray` array of any layout.
    pub fn from_ndarray<T: Element, D: Dimension>(a: ArrayView<'_, T, D>) -> Result<Array> {
        let mut values = a.iter();
        // There are as many values as the shape has places.
        Array::from_fn("from_ndarray", a.shape(), |_| values.next().copied().unwrap_or_default())
    }

    /// The elements, converted to `T`, as an `ndarray` array of their own.
    pub fn to_ndarray<T: Element>(&self) -> Result<ArrayD<T>> {
        let values = self.to_vec()?;
        // `ndarray` has no room for the shape of an empty array whose other axes are too long to be multiplied.
        ArrayD::from_shape_vec(IxDyn(&self.shape), values)
            .map_err(|e| Error::Shape(format!("to_ndarray: shape {}: {e}", shape::show(&self.shape))))
    }
}
