//! Sorting and searching, for Python.

use crate::error::Error;
use crate::ops;
use crate::py::{Operand, PyTensor, compared, run};
use crate::shape;
use crate::tape::Tensor;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

/// The elements in ascending order along an axis, NaN last. Equal elements keep their order, whether that is asked for by
/// `stable` or not.
#[pyfunction]
#[pyo3(
    signature = (x, /, axis = -1, descending = false, *, stable = true),
    text_signature = "(x, /, axis=-1, descending=False, *, stable=True)"
)]
pub(super) fn sort(x: Operand, axis: isize, descending: bool, stable: bool) -> PyResult<PyTensor> {
    let _ = stable;
    run(&[&x.0], || ops::sort(&x.0, axis, descending))
}

/// The places of the elements in ascending order along an axis, NaN last. Equal elements keep their order, whether that is
/// asked for by `stable` or not.
#[pyfunction]
#[pyo3(
    signature = (x, /, axis = -1, descending = false, *, stable = true),
    text_signature = "(x, /, axis=-1, descending=False, *, stable=True)"
)]
pub(super) fn argsort(x: Operand, axis: isize, descending: bool, stable: bool) -> PyResult<PyTensor> {
    let _ = stable;
    run(&[&x.0], || ops::argsort(&x.0, axis, descending))
}

/// For each of `values` the place in the sorted vector `x` before which it would go: before equal ones (`side="left"`)
/// or after them (`side="right"`). With `sorter`, the places of its elements in order as `argsort` gives them, `x` need
/// not be sorted.
#[pyfunction]
#[pyo3(signature = (x, values, /, *, side = "left", sorter = None))]
pub(super) fn searchsorted(
    x: &Bound<'_, PyAny>,
    values: &Bound<'_, PyAny>,
    side: &str,
    sorter: Option<Operand>,
) -> PyResult<PyTensor> {
    let right = match side {
        "left" => false,
        "right" => true,
        _ => {
            return Err(PyValueError::new_err(format!(
                "searchsorted: side is \"left\" or \"right\", not {side:?}"
            )));
        }
    };
    // A number is looked for in the precision of `x`.
    let (mut x, values) = compared(x, values)?;
    if let Some(Operand(sorter)) = sorter {
        if x.ndim() == 1 && sorter.shape() != x.shape() {
            let (sorter, x) = (shape::show(sorter.shape()), shape::show(x.shape()));
            return Err(Error::Shape(format!(
                "searchsorted: sorter has a place for each element of x, but the shapes are {sorter} and {x}"
            ))
            .into());
        }
        x = ops::take(&x, &sorter, 0)?;
    }
    run(&[&x, &values], || ops::searchsorted(&x, &values, right))
}

/// Where the elements are not zero: for each axis the places along it, in row-major order.
#[pyfunction]
#[pyo3(signature = (x, /))]
pub(super) fn nonzero<'py>(py: Python<'py>, x: Operand) -> PyResult<Bound<'py, PyTuple>> {
    if x.0.ndim() == 0 {
        return Err(PyValueError::new_err(
            "nonzero: a 0-d tensor has no axes to have places on; use x.reshape(1), or x != 0",
        ));
    }
    let places = ops::nonzero(ops::truth(&x.0)?.array())?;
    PyTuple::new(py, places.into_iter().map(|a| PyTensor::from(Tensor::from(a))))
}

/// The truth of one element. A program looks at it again, and is not done where it is another.
#[pyfunction]
#[pyo3(signature = (x, /))]
pub(super) fn holds(x: Operand) -> PyResult<bool> {
    Ok(ops::holds(&x.0)?)
}

/// Whether all of some integers are at least 0 and below `n`.
#[pyfunction]
#[pyo3(signature = (numbers, n, /))]
pub(super) fn are_below(numbers: Operand, n: usize) -> PyResult<bool> {
    Ok(ops::are_below(&numbers.0, n)?)
}
