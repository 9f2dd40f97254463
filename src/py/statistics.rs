//! Running statistics of layers.

use super::operand::Operand;
use super::step;
use super::tensor::PyTensor;
use crate::array::Array;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::optim;
use pyo3::prelude::*;

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
    let mean = moved(mu.get().get().array(), mean.0.array(), momentum, momentum)?;
    let variance = moved(var.get().get().array(), variance.0.array(), momentum, momentum * correction)?;
    if !(optim::is_finite(&mean)? && optim::is_finite(&variance)?) {
        return Ok(false);
    }
    for (running, moved) in [(mu, mean), (var, variance)] {
        step::note(running);
        running.get().set(moved.into());
    }
    Ok(true)
}

/// `(1 - momentum) * old + weight * new` in the type of `old`.
fn moved(old: &Array, new: &Array, momentum: f64, weight: f64) -> Result<Array> {
    if old.shape() != new.shape() {
        return Err(Error::Shape("track: statistics of different shapes".into()));
    }
    let (wide, new) = (old.cast(DType::F64)?.contiguous()?, new.cast(DType::F64)?.contiguous()?);
    let [from, to] =
        [&wide, &new].map(|a| a.as_slice::<f64>().expect("both were cast to float64 and made contiguous"));
    let moved = |i: usize| (1.0 - momentum) * from[i] + weight * to[i];
    Array::from_fn("track", old.shape(), moved)?.cast(old.dtype())
}

pub(super) fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(track, m)?)
}
