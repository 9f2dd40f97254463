//! Recurrent layers, for Python.

use crate::ops;
use crate::ops::{Kind, Weights};
use crate::py::{Operand, PyTensor, pair, released};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// Takes sequences of shape `(batch, time, features)` or `(time, features)` through a recurrent layer, or a single step
/// of shape `(batch, features)` or `(features,)`.
///
/// `kind` is "tanh", "relu", "lstm" or "gru", `states` the state and for an LSTM the memory to start from. Gives the
/// state after each step and, with `with_memory`, the last memory.
#[pyfunction]
#[pyo3(signature = (kind, x, states, weight_ih, weight_hh, bias = None, bias_hh = None, is_step = false, with_memory = false, /))]
#[expect(clippy::too_many_arguments, reason = "what a layer has")]
pub(super) fn recurrent(
    py: Python<'_>,
    kind: &str,
    x: &Bound<'_, PyAny>,
    states: Vec<Bound<'_, PyAny>>,
    weight_ih: &Bound<'_, PyAny>,
    weight_hh: Operand,
    bias: Option<Operand>,
    bias_hh: Option<Operand>,
    is_step: bool,
    with_memory: bool,
) -> PyResult<(PyTensor, Option<PyTensor>)> {
    let kind = match kind {
        "tanh" => Kind::Tanh,
        "relu" => Kind::Relu,
        "lstm" => Kind::Lstm,
        "gru" => Kind::Gru,
        _ => return Err(PyValueError::new_err(format!("recurrent: there is no kind {kind:?}"))),
    };
    let states = states.iter().map(|s| Ok(pair(s, weight_ih)?.0)).collect::<PyResult<Vec<_>>>()?;
    let [state, memory @ ..] = &states[..] else {
        return Err(PyValueError::new_err("recurrent: there is no state"));
    };
    let (x, weight_ih) = pair(x, weight_ih)?;
    let (bias, bias_hh) = (bias.as_ref().map(|b| &b.0), bias_hh.as_ref().map(|b| &b.0));
    let weights = Weights { weight_ih: &weight_ih, weight_hh: &weight_hh.0, bias, bias_hh };
    let size = x.size() + weight_ih.size() + weight_hh.0.size();
    let (y, memory) = released(py, size, || {
        ops::recurrent(kind, &x, state, memory.first(), &weights, is_step, with_memory)
    })?;
    Ok((y.into(), memory.map(PyTensor::from)))
}
