//! Dense layers, for Python, and which of its functions are activations.

use super::super::once::Once;
use crate::ops;
use crate::ops::formula::Activation;
use crate::py::{Operand, PyTensor, call, named, pair, run};
use pyo3::prelude::*;
use std::collections::HashMap;

/// What `f` computes with an activation of this module in the same pass; any other callable is called with the result.
pub(super) fn activated<'py>(
    py: Python<'py>,
    activation: Option<Bound<'py, PyAny>>,
    f: impl FnOnce(Option<&'static Activation>) -> PyResult<PyTensor>,
) -> PyResult<Bound<'py, PyAny>> {
    let fused = activation.as_ref().map(known).transpose()?.flatten();
    let y = Bound::new(py, f(fused)?)?;
    match activation {
        Some(f) if fused.is_none() => call(&f, (y,)),
        _ => Ok(y.into_any()),
    }
}

/// The activation that a Python function of this module is.
fn known(f: &Bound<'_, PyAny>) -> PyResult<Option<&'static Activation>> {
    static TABLE: Once<HashMap<usize, &'static Activation>> = Once::new();
    let py = f.py();
    let table = TABLE.get_or_find(py, || {
        let core = py.import("oxiflux._core")?;
        ops::activations().map(|a| Ok((core.getattr(a.name)?.as_ptr() as usize, a))).collect::<PyResult<_>>()
    })?;
    Ok(table.get(&(f.as_ptr() as usize)).copied())
}

/// `activation(x @ weight + bias)` for `x` of shape `(.., in)`, `weight` of shape `(in, out)` and `bias` of shape `(out,)`.
///
/// An activation of this module is computed in the same pass; any other callable is called with the result.
#[pyfunction]
#[pyo3(signature = (x, weight, bias = None, activation = None, /))]
pub(super) fn dense<'py>(
    py: Python<'py>,
    x: &Bound<'py, PyAny>,
    weight: &Bound<'py, PyAny>,
    bias: Option<Operand>,
    activation: Option<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let (x, weight) = pair(x, weight).map_err(|e| named("dense", e))?;
    let bias = bias.as_ref().map(|b| &b.0);
    activated(py, activation, |fused| run(&[&x, &weight], || ops::dense(&x, &weight, bias, fused)))
}
