//! Searching, for Python.

use crate::ops;
use crate::py::{Operand, PyTensor};
use crate::tape::Tensor;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

/// For each of `values` the place in the sorted vector `x` before which it would go: before equal ones (`side="left"`)
/// or after them (`side="right"`).
#[pyfunction]
#[pyo3(signature = (x, values, /, *, side = "left"))]
pub(super) fn searchsorted(x: Operand, values: &Bound<'_, PyAny>, side: &str) -> PyResult<PyTensor> {
    let right = match side {
        "left" => false,
        "right" => true,
        _ => {
            return Err(PyValueError::new_err(format!(
                "searchsorted: side is \"left\" or \"right\", not {side:?}"
            )));
        }
    };
    Ok(ops::searchsorted(&x.0, &values.extract::<Operand>()?.0, right)?.into())
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
