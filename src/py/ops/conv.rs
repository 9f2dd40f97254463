//! Convolutions, for Python.

use super::dense::activated;
use crate::ops;
use crate::ops::Sliding;
use crate::py::{Operand, named, pair, run};
use pyo3::prelude::*;

/// `activation(x * weight + bias)`, a cross-correlation of `x` of shape `(batch, *spatial, in)` with a weight of shape
/// `(*window, in // groups, out)`; `pad` is `(before, after)` of each dimension, one pair after the other.
///
/// An activation of this module is computed in the same pass; any other callable is called with the result.
#[pyfunction]
#[pyo3(signature = (x, weight, bias, activation, /, stride, pad, dilation, groups))]
#[expect(clippy::too_many_arguments, reason = "the parameters of every convolution")]
pub(super) fn conv<'py>(
    py: Python<'py>,
    x: &Bound<'py, PyAny>,
    weight: &Bound<'py, PyAny>,
    bias: Option<Operand>,
    activation: Option<Bound<'py, PyAny>>,
    stride: Vec<usize>,
    pad: Vec<usize>,
    dilation: Vec<usize>,
    groups: usize,
) -> PyResult<Bound<'py, PyAny>> {
    let (x, weight) = pair(x, weight).map_err(|e| named("conv", e))?;
    let bias = bias.as_ref().map(|b| &b.0);
    let sliding = Sliding { stride: &stride, pad: &pad, dilation: &dilation, groups };
    activated(py, activation, |fused| run(&[&x, &weight], || ops::conv(&x, &weight, bias, fused, &sliding)))
}

/// `activation(y + bias)` with the gradient `y` for its input of a convolution whose result has the gradient `x`: `x` has
/// the shape `(batch, *spatial, in)`, the weight `(*window, out // groups, in)`; `outpad` is added to each length.
#[pyfunction]
#[pyo3(signature = (x, weight, bias, activation, /, stride, pad, dilation, groups, outpad))]
#[expect(clippy::too_many_arguments, reason = "the parameters of every convolution")]
pub(super) fn conv_transpose<'py>(
    py: Python<'py>,
    x: &Bound<'py, PyAny>,
    weight: &Bound<'py, PyAny>,
    bias: Option<Operand>,
    activation: Option<Bound<'py, PyAny>>,
    stride: Vec<usize>,
    pad: Vec<usize>,
    dilation: Vec<usize>,
    groups: usize,
    outpad: Vec<usize>,
) -> PyResult<Bound<'py, PyAny>> {
    let (x, weight) = pair(x, weight).map_err(|e| named("conv", e))?;
    let bias = bias.as_ref().map(|b| &b.0);
    let sliding = Sliding { stride: &stride, pad: &pad, dilation: &dilation, groups };
    activated(py, activation, |fused| {
        run(&[&x, &weight], || ops::conv_transpose(&x, &weight, bias, fused, &sliding, &outpad))
    })
}
