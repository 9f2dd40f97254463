//! Rules around another one that take the gradients of many processes together.

use super::found::Found;
use crate::error::Error;
use crate::py::call;
use crate::py::once::intern;
use crate::py::tensor::PyTensor;
use crate::shape;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// Gives parameters whose rule has `_agreed` the gradients that `_agreed(model, tensors, gradients)` makes, and the rule
/// within it, which does the step.
pub(super) fn agree(model: &Bound<'_, PyAny>, found: &mut [Found]) -> PyResult<()> {
    let (py, mut done) = (model.py(), 0);
    while let Some(first) = found.get(done) {
        let rule = first.rule.bind(py).clone();
        match rule.getattr_opt(intern!(py, "_agreed"))? {
            Some(agreed) => {
                let inner = rule.getattr(intern!(py, "rule"))?;
                let mut together: Vec<_> = found.iter_mut().filter(|f| f.rule.is(&rule)).collect();
                share(&rule, &agreed, model, &mut together)?;
                together.into_iter().for_each(|f| f.rule = inner.clone().unbind());
            }
            None => done += found[done..].iter().take_while(|f| f.rule.is(&rule)).count(),
        }
    }
    Ok(())
}

fn share<'py>(
    rule: &Bound<'py, PyAny>,
    agreed: &Bound<'py, PyAny>,
    model: &Bound<'py, PyAny>,
    together: &mut [&mut Found],
) -> PyResult<()> {
    let py = rule.py();
    let tensors: Vec<_> = together.iter().map(|f| f.tensor.clone_ref(py)).collect();
    let grads: Vec<_> = together.iter().map(|f| PyTensor::from(f.grad.clone())).collect();
    let found: Vec<Bound<'py, PyTensor>> = call(agreed, (model, tensors, grads))?.extract()?;
    if found.len() != together.len() {
        let (wanted, got) = (together.len(), found.len());
        return Err(PyValueError::new_err(format!("update: {rule} must give {wanted} gradients, got {got}")));
    }
    for (f, grad) in together.iter_mut().zip(found) {
        let grad = grad.get().get();
        if grad.shape() != f.grad.shape() {
            let (wanted, got) = (shape::show(f.grad.shape()), shape::show(grad.shape()));
            let what = format!("update: {rule} must give a gradient of shape {wanted}, got {got}");
            return Err(Error::Shape(what).into());
        }
        f.grad = grad;
    }
    Ok(())
}
