//! Running statistics of layers.

use super::operand::Operand;
use super::step;
use super::tensor::PyTensor;
use crate::array::Array;
use crate::optim;
use crate::tape::{self, Tensor, Value};
use pyo3::prelude::*;
use std::sync::Arc;

/// Moves a running mean and variance towards those of a batch: `(1 - momentum) * mu + momentum * mean`, and so the
/// variance, times `correction`. Where a number would not be finite both stay as they were, and the answer is False.
#[pyfunction]
#[pyo3(signature = (mu, var, mean, variance, momentum, correction, /))]
fn track(
    mu: &Bound<'_, PyTensor>,
    var: &Bound<'_, PyTensor>,
    mean: Operand,
    variance: Operand,
    momentum: f64,
    correction: f64,
) -> PyResult<bool> {
    if tape::is_captured() {
        return tracked(mu, var, &mean.0, &variance.0, momentum, correction);
    }
    let mean = optim::moved(mu.get().get().array(), mean.0.array(), momentum, momentum)?;
    let variance =
        optim::moved(var.get().get().array(), variance.0.array(), momentum, momentum * correction)?;
    if !(optim::is_finite(&mean)? && optim::is_finite(&variance)?) {
        return Ok(false);
    }
    for (running, moved) in [(mu, mean), (var, variance)] {
        step::note(running);
        running.get().set(moved.into());
    }
    Ok(true)
}

/// [`track`] for a program: what it computes, unless that is not finite.
#[cold]
fn tracked(
    mu: &Bound<'_, PyTensor>,
    var: &Bound<'_, PyTensor>,
    mean: &Tensor,
    variance: &Tensor,
    momentum: f64,
    correction: f64,
) -> PyResult<bool> {
    let f = move |x: &[&Array]| optim::tracked(x, momentum, correction);
    let (old_mu, old_var) = (mu.get().get(), var.get().get());
    let inputs = [old_mu.array(), old_var.array(), mean.array(), variance.array()];
    let both = f(&inputs)?;
    let key =
        vec![("momentum".into(), Value::Float(momentum)), ("correction".into(), Value::Float(correction))];
    tape::derive("track", key, &inputs, &[&both[0], &both[1]], Arc::new(f));
    for (running, moved) in [mu, var].into_iter().zip(both) {
        step::note(running);
        running.get().set(moved.into());
    }
    Ok(true)
}

pub(super) fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(track, m)?)
}
