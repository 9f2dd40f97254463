//! Tensors from and to what Rust has: numbers, arrays of them, and those of `ndarray`.
//!
//! `From` copies, and panics where there is no memory, as a `Vec` does; the functions give an error.

use super::Tensor;
use crate::array::Array;
use crate::dtype::{DType, Element};
use crate::error::Result;

impl Tensor {
    /// Zeros.
    ///
    /// ```
    /// use oxiflux::{DType, Tensor};
    /// let x = Tensor::zeros(&[2, 3], DType::F32)?;
    /// assert_eq!(x.to_string(), "[[0.0, 0.0, 0.0],\n [0.0, 0.0, 0.0]]");
    /// # Ok::<(), oxiflux::Error>(())
    /// ```
    pub fn zeros(shape: &[usize], dtype: DType) -> Result<Tensor> {
        Ok(Array::filled("zeros", shape, 0.0, dtype)?.into())
    }

    /// Ones.
    pub fn ones(shape: &[usize], dtype: DType) -> Result<Tensor> {
        Ok(Array::filled("ones", shape, 1.0, dtype)?.into())
    }

    /// All elements equal to a value, of its type.
    pub fn full<T: Element>(shape: &[usize], value: T) -> Result<Tensor> {
        Ok(Array::full("full", shape, value)?.into())
    }

    /// A copy of values in row-major order, which must be as many as the shape has.
    ///
    /// ```
    /// use oxiflux::Tensor;
    /// let x = Tensor::from_slice(&[3, 2], &[1, 2, 3, 4, 5, 6])?;
    /// assert_eq!(x.sum(0, false)?.to_vec::<i32>()?, [9, 12]);
    /// # Ok::<(), oxiflux::Error>(())
    /// ```
    pub fn from_slice<T: Element>(shape: &[usize], values: &[T]) -> Result<Tensor> {
        Ok(Array::from_slice(shape, values)?.into())
    }

    /// The elements, converted to `T`, as an `ndarray` array of their own. [`Array::as_ndarray`] gives a view of them.
    ///
    /// ```
    /// use oxiflux::Tensor;
    /// let a = ndarray::array![[1.0f32, 2.0], [3.0, 4.0]];
    /// let x = Tensor::from(&a.t());
    /// assert_eq!(x.to_ndarray::<f32>()?, a.t().into_dyn());
    /// # Ok::<(), oxiflux::Error>(())
    /// ```
    #[cfg(feature = "ndarray")]
    pub fn to_ndarray<T: Element>(&self) -> Result<ndarray::ArrayD<T>> {
        self.array().to_ndarray()
    }
}

/// The tensor of a conversion that has no way to say that there is no memory.
#[track_caller]
fn made(array: Result<Array>) -> Tensor {
    match array {
        Ok(array) => array.into(),
        Err(error) => panic!("{error}"),
    }
}

impl<T: Element> From<T> for Tensor {
    /// A single number, without axes.
    #[track_caller]
    fn from(value: T) -> Tensor {
        made(Array::scalar(value))
    }
}

impl<T: Element> From<&[T]> for Tensor {
    #[track_caller]
    fn from(values: &[T]) -> Tensor {
        made(Array::from_slice(&[values.len()], values))
    }
}

impl<T: Element> From<Vec<T>> for Tensor {
    #[track_caller]
    fn from(values: Vec<T>) -> Tensor {
        values.as_slice().into()
    }
}

impl<T: Element, const N: usize> From<[T; N]> for Tensor {
    #[track_caller]
    fn from(values: [T; N]) -> Tensor {
        values.as_slice().into()
    }
}

impl<T: Element, const N: usize, const M: usize> From<[[T; N]; M]> for Tensor {
    /// A matrix of rows.
    #[track_caller]
    fn from(rows: [[T; N]; M]) -> Tensor {
        made(Array::from_slice(&[M, N], rows.as_flattened()))
    }
}

impl<T: Element, const N: usize, const M: usize, const L: usize> From<[[[T; N]; M]; L]> for Tensor {
    #[track_caller]
    fn from(matrices: [[[T; N]; M]; L]) -> Tensor {
        made(Array::from_slice(&[L, M, N], matrices.as_flattened().as_flattened()))
    }
}

#[cfg(feature = "ndarray")]
impl<T, S, D> From<&ndarray::ArrayBase<S, D>> for Tensor
where
    T: Element,
    S: ndarray::Data<Elem = T>,
    D: ndarray::Dimension,
{
    /// A copy of an array or a view of any layout.
    #[track_caller]
    fn from(array: &ndarray::ArrayBase<S, D>) -> Tensor {
        made(Array::from_ndarray(array.view()))
    }
}

#[cfg(feature = "ndarray")]
impl<T, S, D> From<ndarray::ArrayBase<S, D>> for Tensor
where
    T: Element,
    S: ndarray::Data<Elem = T>,
    D: ndarray::Dimension,
{
    #[track_caller]
    fn from(array: ndarray::ArrayBase<S, D>) -> Tensor {
        Tensor::from(&array)
    }
}
