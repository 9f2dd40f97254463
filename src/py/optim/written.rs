//! Rules written in Python, which have no kernel.

use super::found::Found;
use crate::error::Error;
use crate::py::call;
use crate::py::once::intern;
use crate::py::operand::Operand;
use crate::py::state::{Leaf, Memory};
use crate::py::tensor::PyTensor;
use crate::py::tree;
use crate::tape::Tensor;
use crate::{ops, shape};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

/// What a rule written in Python makes of a parameter.
pub(super) struct Made {
    leaf: Py<Leaf>,
    tensor: Py<PyTensor>,
    value: Tensor,
    state: Memory,
}

impl Made {
    pub(super) fn store(self) {
        self.tensor.get().set(self.value);
        self.leaf.get().set_memory(self.state);
    }
}

/// A rule written in Python: `state, dx = rule.apply(state, x, dx)`, then `x - dx`.
///
/// A rule that looks at all its parameters together has `apply_all` instead, with lists.
pub(super) fn steps<'py>(
    rule: &Bound<'py, PyAny>,
    together: Vec<Found>,
    model: &Bound<'py, PyAny>,
) -> PyResult<Vec<Made>> {
    let py = rule.py();
    let answers = match rule.getattr_opt(intern!(py, "apply_all"))? {
        Some(apply_all) => {
            let states = together.iter().map(|f| f.leaf.get().state(py)).collect::<PyResult<Vec<_>>>()?;
            let tensors: Vec<_> = together.iter().map(|f| f.tensor.bind(py)).collect();
            let grads: Vec<_> = together.iter().map(|f| PyTensor::from(f.grad.clone())).collect();
            let result = call(&apply_all, (states, tensors, grads))?;
            let (states, dxs): (Vec<Bound<'py, PyAny>>, Vec<Bound<'py, PyAny>>) = result.extract()?;
            let counts = (together.len(), states.len(), dxs.len());
            if counts.0 != counts.1 || counts.0 != counts.2 {
                return Err(PyValueError::new_err(format!(
                    "update: {rule}.apply_all must return {} states and steps, got {} and {}",
                    counts.0, counts.1, counts.2
                )));
            }
            states.into_iter().zip(dxs).collect()
        }
        None => {
            let answer = |f: &Found| {
                let g = PyTensor::from(f.grad.clone());
                let result =
                    call(&rule.getattr(intern!(py, "apply"))?, (f.leaf.get().state(py)?, &f.tensor, g))?;
                result.extract().map_err(|_| {
                    let got = result.get_type();
                    PyTypeError::new_err(format!("update: {rule}.apply must return (state, dx), got {got}"))
                })
            };
            together.iter().map(answer).collect::<PyResult<Vec<_>>>()?
        }
    };
    together.into_iter().zip(answers).map(|(f, (state, dx))| made(rule, f, state, dx, model)).collect()
}

/// What becomes of a parameter by the state and the step that its rule gives.
fn made<'py>(
    rule: &Bound<'py, PyAny>,
    f: Found,
    state: Bound<'py, PyAny>,
    dx: Bound<'py, PyAny>,
    model: &Bound<'py, PyAny>,
) -> PyResult<Made> {
    let x = f.tensor.get().get();
    let wrong = |what: String| {
        let (path, shape) = (tree::path_of(model, f.tensor.bind(model.py())), shape::show(x.shape()));
        format!(
            "update: {rule}.apply gave {what} for {path}, of shape {shape}; it returns (state, dx), in this order, with \
             a dx of the parameter's shape, or None for no step"
        )
    };
    let is_step =
        |ob: &Bound<'py, PyAny>| ob.cast::<PyTensor>().is_ok_and(|t| t.get().get().shape() == x.shape());
    // A rule without a state that returns (dx, None) would make no step, for ever.
    if dx.is_none() && is_step(&state) && f.leaf.get().state(rule.py())?.bind(rule.py()).is_none() {
        return Err(PyTypeError::new_err(wrong("a new state and no step".into())));
    }
    let replaces = rule.getattr_opt(intern!(rule.py(), "replaces"))?.map_or(Ok(false), |r| r.is_truthy())?;
    let value = if dx.is_none() {
        x.clone()
    } else {
        let Ok(step) = dx.extract::<Operand>() else {
            return Err(PyTypeError::new_err(wrong(format!("a step of {}", dx.get_type()))));
        };
        // Broadcast it would be a step that nobody meant.
        if step.0.shape() != x.shape() {
            let got = shape::show(step.0.shape());
            return Err(Error::Shape(wrong(format!("a step of shape {got}"))).into());
        }
        let dx = ops::astype(&step.0, x.dtype())?;
        if replaces { dx } else { ops::subtract(&x, &dx)? }
    };
    Ok(Made { leaf: f.leaf, tensor: f.tensor, value: value.at(None), state: Memory::new(state)? })
}
