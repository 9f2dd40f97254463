//! `x.at[key].set(value)`: a copy of a tensor with a part changed.

use super::error::DTypeError;
use super::operand::value;
use super::{PyTensor, fitted, floating, index, run, weak};
use crate::ops::{self, Change};
use crate::tape::Tensor;
use pyo3::prelude::*;

/// What `x.at` is: `x.at[key]` is a part of it that can be changed in a copy.
#[pyclass(module = "oxiflux", frozen)]
pub(super) struct At(Tensor);

impl At {
    /// That of a tensor.
    pub(super) fn of(x: Tensor) -> At {
        At(x)
    }
}

#[pymethods]
impl At {
    fn __getitem__(&self, key: Py<PyAny>) -> Part {
        Part { x: self.0.clone(), key }
    }
    fn __repr__(&self) -> &'static str {
        "<x.at: x.at[i].set(v) is a copy of x with v in the place of x[i]>"
    }
}

/// A part of a tensor, of which the methods give copies of the whole with that part changed.
///
/// The value broadcasts to the part, and takes the dtype of the tensor. Where a place is named more than once, `set`
/// keeps the last value, and the others take all. Gradients go to the tensor and to the value.
#[pyclass(module = "oxiflux", frozen)]
pub(super) struct Part {
    x: Tensor,
    key: Py<PyAny>,
}

impl Part {
    fn changed(&self, given: &Bound<'_, PyAny>, change: Change, method: &str) -> PyResult<PyTensor> {
        let (x, dtype) = (&self.x, self.x.dtype());
        let value = match given.cast_exact::<PyTensor>() {
            Ok(tensor) => value(tensor),
            Err(_) => weak(given, dtype)?,
        };
        let is_lost = !dtype.is_float() && value.dtype().is_float();
        if is_lost && (change != Change::Set || crate::tape::is_recorded(&value)) {
            let other = value.dtype();
            return Err(DTypeError::new_err(format!(
                "at[].{method}: {dtype} cannot take values of {other}; use x.astype({other}).at[i].{method}(v)"
            )));
        }
        let value = if dtype.is_float() && value.dtype().is_float() {
            floating(&value, dtype)?
        } else {
            fitted(value.array(), dtype)?.into()
        };
        let key = index::parts(self.key.bind(given.py()))?;
        run(&[x, &value], || ops::changed(x, &key, &value, change))
    }
}

#[pymethods]
impl Part {
    /// The part itself, `x[key]`.
    fn get(&self, py: Python<'_>) -> PyResult<PyTensor> {
        index::get(&self.x, self.key.bind(py))
    }
    /// A copy with the value in the place of the part.
    fn set(&self, value: &Bound<'_, PyAny>) -> PyResult<PyTensor> {
        self.changed(value, Change::Set, "set")
    }
    /// A copy with the value added to the part.
    fn add(&self, value: &Bound<'_, PyAny>) -> PyResult<PyTensor> {
        self.changed(value, Change::Add, "add")
    }
    /// A copy with the part multiplied by the value.
    fn multiply(&self, value: &Bound<'_, PyAny>) -> PyResult<PyTensor> {
        self.changed(value, Change::Multiply, "multiply")
    }
    /// `multiply`, as JAX calls it.
    fn mul(&self, value: &Bound<'_, PyAny>) -> PyResult<PyTensor> {
        self.changed(value, Change::Multiply, "multiply")
    }
    /// A copy with the lesser of the part and the value.
    fn min(&self, value: &Bound<'_, PyAny>) -> PyResult<PyTensor> {
        self.changed(value, Change::Min, "min")
    }
    /// A copy with the larger of the part and the value.
    fn max(&self, value: &Bound<'_, PyAny>) -> PyResult<PyTensor> {
        self.changed(value, Change::Max, "max")
    }
}
