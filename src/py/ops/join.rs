//! Joining, for Python.

use crate::ops;
use crate::py::{PyTensor, meeting, run};
use pyo3::prelude::*;

/// The tensors one after the other along an axis that they have; their other axes must agree.
#[pyfunction]
#[pyo3(signature = (tensors, /, axis = Some(0)), text_signature = "(tensors, /, axis=0)")]
pub(super) fn concat(tensors: &Bound<'_, PyAny>, axis: Option<isize>) -> PyResult<PyTensor> {
    let mut tensors = meeting(tensors)?;
    if axis.is_none() {
        for t in &mut tensors {
            *t = ops::reshape_to(t, &[t.size()])?;
        }
    }
    let tensors: Vec<_> = tensors.iter().collect();
    run(&tensors, || ops::concat(&tensors, axis.unwrap_or(0)))
}

/// The tensors, all of one shape, along a new axis.
#[pyfunction]
#[pyo3(signature = (tensors, /, axis = 0))]
pub(super) fn stack(tensors: &Bound<'_, PyAny>, axis: isize) -> PyResult<PyTensor> {
    let tensors = meeting(tensors)?;
    let tensors: Vec<_> = tensors.iter().collect();
    run(&tensors, || ops::stack(&tensors, axis))
}
