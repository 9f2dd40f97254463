//! What a Python function computes, as a program.

use super::hints::add_function;
use super::{PyTensor, many};
use crate::array::Array;
use crate::tape::{Captured, Capturing, Kind, Parameters, Tensor, Value};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};

/// A value of a parameter as Python has it.
fn object<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        Value::Nothing => py.None().into_bound(py),
        Value::Bool(x) => x.into_pyobject(py)?.to_owned().into_any(),
        Value::Integer(x) => x.into_pyobject(py)?.into_any(),
        Value::Float(x) => x.into_pyobject(py)?.into_any(),
        Value::Name(x) => x.into_pyobject(py)?.into_any(),
        Value::List(x) => {
            let items = x.iter().map(|v| object(py, v)).collect::<PyResult<Vec<_>>>()?;
            PyTuple::new(py, items)?.into_any()
        }
        Value::Fields(x) => dict(py, x)?.into_any(),
    })
}

fn dict<'py>(py: Python<'py>, parameters: &Parameters) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for (name, value) in parameters {
        dict.set_item(&**name, object(py, value)?)?;
    }
    Ok(dict)
}

/// `(name, parameters, inputs, outputs)`.
fn row<'py>(py: Python<'py>, step: &Captured) -> PyResult<Bound<'py, PyAny>> {
    let (inputs, outputs) = (PyTuple::new(py, &step.inputs)?, PyTuple::new(py, &step.outputs)?);
    let parameters = match &step.kind {
        Kind::Operation(op, _) => dict(py, &op.parameters())?,
        Kind::Derived(_, parameters, _) => dict(py, parameters)?,
        Kind::Foreign(_) => PyDict::new(py),
    };
    Ok((step.name(), parameters, inputs, outputs).into_pyobject(py)?.into_any())
}

/// What `f()` computes: its tensors as numbers of values, the operations as `(name, parameters, inputs, outputs)`, and the
/// values, of which the first are those `given`. The operation of the number `stop` is an error.
#[pyfunction]
#[pyo3(signature = (f, given, /, stop = None))]
fn record<'py>(
    f: &Bound<'py, PyAny>,
    given: &Bound<'py, PyAny>,
    stop: Option<usize>,
) -> PyResult<(Vec<u32>, Bound<'py, PyList>, Vec<PyTensor>)> {
    let py = f.py();
    let given: Vec<Array> = many(given)?.into_iter().map(Tensor::into_array).collect();
    let capturing = Capturing::to_read(&given, stop);
    let results = many(&f.call0()?)?;
    let mut capture = capturing.close();
    let results = results.iter().map(|y| capture.number_of(y.array())).collect();
    let steps = capture.steps().iter().map(|step| row(py, step)).collect::<PyResult<Vec<_>>>()?;
    let values = capture.values().map(|x| PyTensor::from(Tensor::from(x.clone()))).collect();
    Ok((results, PyList::new(py, steps)?, values))
}

/// Whether tensors are where others are, one by one: of those that are alive, nothing has been written to one since the
/// other was made of it.
#[pyfunction]
#[pyo3(signature = (tensors, others, /))]
fn are_where(tensors: &Bound<'_, PyAny>, others: &Bound<'_, PyAny>) -> PyResult<bool> {
    let (tensors, others) = (many(tensors)?, many(others)?);
    let is_where = |(x, y): (&Tensor, &Tensor)| x.array().is_where(y.array());
    Ok(tensors.len() == others.len() && tensors.iter().zip(&others).all(is_where))
}

/// Whether what this thread computes is written down: what is remembered from earlier would be missing there.
#[pyfunction]
fn is_written() -> bool {
    crate::tape::is_written()
}

pub(super) fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    add_function!(m, are_where)?;
    add_function!(m, is_written)?;
    add_function!(m, record)
}
