//! Sums and products, for Python: in a type that may be chosen.

use crate::array::Array;
use crate::dtype::DType;
use crate::error::Result;
use crate::ops;
use crate::py::{Operand, PyTensor, run};
use crate::shape::{self, Axes};
use crate::tape::Tensor;
use pyo3::prelude::*;

/// What is computed from a tensor in a type, if one was asked for, and given in that type.
pub(in crate::py) fn in_type(
    x: &Tensor,
    dtype: Option<DType>,
    f: impl FnOnce(&Tensor) -> Result<Tensor>,
) -> Result<Tensor> {
    match dtype {
        None => f(x),
        Some(dtype) => ops::astype(&f(&ops::astype(x, dtype)?)?, dtype),
    }
}

/// The sum over axes. Integers are summed in 64 bits, or in `dtype`, to which the elements are converted first.
#[pyfunction]
#[pyo3(
    signature = (x, /, axis = Axes::All, keepdims = false, *, dtype = None),
    text_signature = "(x, /, axis=None, keepdims=False, *, dtype=None)"
)]
pub(super) fn sum(x: Operand, axis: Axes, keepdims: bool, dtype: Option<DType>) -> PyResult<PyTensor> {
    run(&[&x.0], || in_type(&x.0, dtype, |x| ops::sum(x, axis, keepdims)))
}

/// The product over axes. Integers are multiplied in 64 bits, or in `dtype`, to which the elements are converted first.
#[pyfunction]
#[pyo3(
    signature = (x, /, axis = Axes::All, keepdims = false, *, dtype = None),
    text_signature = "(x, /, axis=None, keepdims=False, *, dtype=None)"
)]
pub(super) fn prod(x: Operand, axis: Axes, keepdims: bool, dtype: Option<DType>) -> PyResult<PyTensor> {
    run(&[&x.0], || in_type(&x.0, dtype, |x| ops::prod(x, axis, keepdims)))
}

/// The sum of the elements up to each, along an axis, which only a vector may leave out. Integers are summed in 64 bits, or
/// in `dtype`, to which the elements are converted first. With `include_initial`, 0 comes before the first sum.
#[pyfunction]
#[pyo3(signature = (x, /, axis = None, *, dtype = None, include_initial = false))]
pub(super) fn cumulative_sum(
    x: Operand,
    axis: Option<isize>,
    dtype: Option<DType>,
    include_initial: bool,
) -> PyResult<PyTensor> {
    run(&[&x.0], || {
        let sums = in_type(&x.0, dtype, |x| ops::cumulative_sum(x, axis))?;
        if include_initial { after("cumulative_sum", 0.0, sums, axis) } else { Ok(sums) }
    })
}

/// The product of the elements up to each, along an axis, which only a vector may leave out. Integers are multiplied in
/// 64 bits, or in `dtype`, to which the elements are converted first. With `include_initial`, 1 comes before the first
/// product.
#[pyfunction]
#[pyo3(signature = (x, /, axis = None, *, dtype = None, include_initial = false))]
pub(super) fn cumulative_prod(
    x: Operand,
    axis: Option<isize>,
    dtype: Option<DType>,
    include_initial: bool,
) -> PyResult<PyTensor> {
    run(&[&x.0], || {
        let products = in_type(&x.0, dtype, |x| ops::cumulative_prod(x, axis))?;
        if include_initial { after("cumulative_prod", 1.0, products, axis) } else { Ok(products) }
    })
}

/// A running result with the value of no elements before it.
fn after(op: &'static str, value: f64, results: Tensor, axis: Option<isize>) -> Result<Tensor> {
    let axis = shape::axis(op, axis.unwrap_or(-1), results.ndim())?;
    let mut first = results.shape().to_vec();
    first[axis] = 1;
    let first = Tensor::from(Array::filled(op, &first, value, results.dtype())?);
    ops::concat(&[&first, &results], axis as isize)
}
