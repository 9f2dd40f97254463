//! Files of tensors.

use super::hints::add_function;
use super::tensor::PyTensor;
use crate::array::Array;
use crate::files::{self, Notes};
use crate::tape::Tensor;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::path::PathBuf;

/// The tensors of a safetensors file by name, in the order of their data, and the texts of its metadata.
#[pyfunction]
#[pyo3(signature = (path, /))]
fn read_tensors(py: Python<'_>, path: PathBuf) -> PyResult<(Bound<'_, PyDict>, Notes)> {
    let (tensors, notes) = py.detach(|| files::read(&path))?;
    let named = PyDict::new(py);
    for (name, array) in tensors {
        named.set_item(name, PyTensor::from(Tensor::from(array)))?;
    }
    Ok((named, notes))
}

/// Writes tensors and texts to a safetensors file, which a kill at any moment leaves as it was or as it is to be.
#[pyfunction]
#[pyo3(signature = (path, tensors, notes, /))]
fn write_tensors(
    py: Python<'_>,
    path: PathBuf,
    tensors: Vec<(String, Bound<'_, PyTensor>)>,
    notes: Notes,
) -> PyResult<()> {
    let tensors: Vec<(String, Array)> =
        tensors.into_iter().map(|(name, t)| (name, t.get().get().array().clone())).collect();
    Ok(py.detach(|| files::write(&path, &tensors, &notes))?)
}

pub(super) fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    add_function!(m, read_tensors)?;
    add_function!(m, write_tensors)
}
