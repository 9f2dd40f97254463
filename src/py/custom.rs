//! Gradient rules written in Python.

use super::hints::add_function;
use super::operand::Operand;
use super::tensor::PyTensor;
use crate::array::Array;
use crate::error::{Error, Raised, Result};
use crate::shape;
use crate::tape::{self, Context, Differentiable, Grads, Keeps, Operation, Tensor};
use crate::team;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};
use std::any::Any;
use std::fmt;

/// A rule given by a Python function.
struct Custom(Py<PyAny>);

/// The Python function in an operation, if it has one.
pub(super) fn rule_of(op: &dyn Operation) -> Option<&Py<PyAny>> {
    (op as &dyn Any).downcast_ref::<Custom>().map(|custom| &custom.0)
}

impl fmt::Debug for Custom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("custom")
    }
}

impl Operation for Custom {
    fn name(&self) -> &'static str {
        "custom"
    }
    fn parameters(&self) -> tape::Parameters {
        tape::Parameters::new()
    }
    fn forward(&self, _: &[&Array]) -> Result<Array> {
        Err(Error::Unsupported("custom: the value is computed in Python".into()))
    }
}

impl Differentiable for Custom {
    fn keeps(&self) -> Keeps {
        Keeps::Nothing
    }
    fn backward(&self, cx: &Context<'_>, g: &Tensor) -> Result<Grads> {
        let rule = |py: Python<'_>| {
            let g = Bound::new(py, PyTensor::from(g.clone()))?;
            let found = super::call(self.0.bind(py), (g,))?;
            let found: Vec<Bound<'_, PyAny>> = match found.cast::<PyTuple>() {
                Ok(tuple) => tuple.iter().collect(),
                Err(_) => {
                    found.cast::<PyList>().map(|l| l.iter().collect()).unwrap_or_else(|_| vec![found.clone()])
                }
            };
            if found.len() != cx.inputs() {
                return Err(PyValueError::new_err(format!(
                    "custom_gradient: {} gradients for {} arguments",
                    found.len(),
                    cx.inputs()
                )));
            }
            let mut grads = Grads::new();
            for (i, dx) in found.into_iter().enumerate() {
                grads.push(if dx.is_none() || !cx.wants(i) {
                    None
                } else {
                    Some(checked(dx.extract::<Operand>()?.0, cx.shape(i))?)
                });
            }
            Ok(grads)
        };
        // Python code is interrupted by the interpreter, and never unwound through.
        team::unbroken(|| Python::attach(rule)).map_err(raise)
    }
}

fn checked(dx: Tensor, shape: &[usize]) -> Result<Tensor> {
    if shape::broadcast("custom_gradient", dx.shape(), shape).is_ok_and(|s| s[..] == *dx.shape()) {
        return Ok(dx);
    }
    let (got, want) = (shape::show(dx.shape()), shape::show(shape));
    Err(Error::Shape(format!("custom_gradient: a gradient of shape {got} for an argument of shape {want}")))
}

/// An exception on its way through Rust.
pub(super) fn raise(e: PyErr) -> Error {
    Error::Raised(Raised::new(e))
}

/// Records that `value` was computed from `inputs` and that `rule` takes a gradient of it back to each of them.
#[pyfunction]
#[pyo3(signature = (value, inputs, rule, /))]
fn custom(value: Operand, inputs: &Bound<'_, PyAny>, rule: Py<PyAny>) -> PyResult<PyTensor> {
    let inputs = super::many(inputs)?;
    let value = value.0.into_array();
    Ok(tape::record(Custom(rule), &inputs.iter().collect::<Vec<_>>(), value, Vec::new())?.into())
}

pub(super) fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    add_function!(m, custom)
}
