//! Normalisation, for Python.

use crate::ops;
use crate::ops::Together;
use crate::py::{Operand, PyTensor, pair, run};
use crate::tape::Tensor;
use pyo3::prelude::*;

/// The input as a tensor, in the type of the parameter that it meets.
fn met(x: &Bound<'_, PyAny>, like: Option<&Bound<'_, PyAny>>) -> PyResult<Tensor> {
    Ok(match like {
        Some(like) => pair(x, like)?.0,
        None => x.extract::<Operand>()?.0,
    })
}

fn given(parameter: Option<&Bound<'_, PyAny>>) -> PyResult<Option<Tensor>> {
    parameter.map(|p| Ok(p.extract::<Operand>()?.0)).transpose()
}

/// `(x - mean) / sqrt(var + eps) * scale + bias`, the means and the variances.
///
/// `lead` axes keep moments of their own; the elements of the last `trail` axes, whose sizes are those of `scale`
/// and `bias`, fall into `groups` groups; the moments are taken over all else.
#[pyfunction]
#[pyo3(signature = (x, scale, bias, lead, trail, groups, eps, /))]
pub(super) fn norm(
    x: &Bound<'_, PyAny>,
    scale: Option<&Bound<'_, PyAny>>,
    bias: Option<&Bound<'_, PyAny>>,
    lead: usize,
    trail: usize,
    groups: usize,
    eps: f64,
) -> PyResult<(PyTensor, PyTensor, PyTensor)> {
    let (x, scale, bias) = (met(x, scale)?, given(scale)?, given(bias)?);
    let together = Together { lead, trail, groups };
    let mut moments = None;
    let y = run(&[&x], || {
        let [y, mean, var] = ops::norm(&x, scale.as_ref(), bias.as_ref(), together, eps)?;
        moments = Some((mean, var));
        Ok(y)
    })?;
    let (mean, var) = moments.unwrap_or_else(|| (x.clone(), x));
    Ok((y, mean.into(), var.into()))
}

/// `(x - mean) / sqrt(var + eps) * scale + bias` for means and variances of the last axis, which get no gradient.
#[pyfunction]
#[pyo3(signature = (x, mean, var, scale, bias, eps, /))]
pub(super) fn norm_with(
    x: &Bound<'_, PyAny>,
    mean: &Bound<'_, PyAny>,
    var: Operand,
    scale: Option<&Bound<'_, PyAny>>,
    bias: Option<&Bound<'_, PyAny>>,
    eps: f64,
) -> PyResult<PyTensor> {
    let (x, mean) = pair(x, mean)?;
    let (scale, bias) = (given(scale)?, given(bias)?);
    run(&[&x], || ops::norm_with(&x, [&mean, &var.0], scale.as_ref(), bias.as_ref(), eps))
}

/// `x / sqrt(mean(x^2) + eps) * scale`, with the mean over the axes from `lead` on, whose sizes are those of `scale`.
#[pyfunction]
#[pyo3(signature = (x, scale, lead, eps, /))]
pub(super) fn rms_norm(
    x: &Bound<'_, PyAny>,
    scale: Option<&Bound<'_, PyAny>>,
    lead: usize,
    eps: f64,
) -> PyResult<PyTensor> {
    let (x, scale) = (met(x, scale)?, given(scale)?);
    run(&[&x], || ops::rms_norm(&x, scale.as_ref(), lead, eps))
}
