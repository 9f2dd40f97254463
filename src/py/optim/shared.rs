//! Rules around another one that take the gradients of many processes together.

use super::found::{Found, Pair};
use super::structure::{Parameters, pairs, serves_two};
use crate::error::Error;
use crate::py::call;
use crate::py::once::intern;
use crate::py::tensor::{PyTensor, check_assignable};
use crate::shape;
use crate::tape::{self, is_captured};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::collections::{HashMap, HashSet};

/// Gives parameters whose rule has `_agreed` the gradients that `_agreed(model, tensors, gradients)` makes, unless that is
/// None, and the rule within it, which does the step. Of parameters without a gradient here the others may have one.
pub(super) fn agree<'py>(
    state: &Bound<'py, PyAny>,
    model: &Bound<'py, PyAny>,
    all: &mut Parameters,
) -> PyResult<()> {
    let (py, mut shares, mut at) = (model.py(), all.found.is_empty(), 0);
    while let Some(first) = all.found.get(at).filter(|_| !shares) {
        shares = agreed_of(first.rule.bind(py))?.is_some();
        at += all.found[at..].iter().take_while(|f| f.rule.is(&first.rule)).count();
    }
    if !shares {
        return Ok(());
    }
    let mut rest: Vec<Member<'_>> = match all.has_gaps {
        true => with_gaps(state, model, &all.found)?,
        false => (0..all.found.len()).map(Member::Given).collect(),
    };
    let before = all.found.len();
    while let Some(first) = rest.first() {
        let rule = first.rule(py, &all.found).into_bound(py);
        let together: Vec<_> = rest.extract_if(.., |m| m.rule(py, &all.found).is(&rule)).collect();
        let Some(agreed) = agreed_of(&rule)? else { continue };
        if !agreed.is_none() {
            share(&rule, &agreed, model, &together, &mut all.found)?;
        }
        let inner = rule.getattr(intern!(py, "rule"))?;
        all.found.iter_mut().filter(|f| f.rule.is(&rule)).for_each(|f| f.rule = inner.clone().unbind());
    }
    all.has_gradients |= all.found.len() > before;
    let mut seen = HashSet::new();
    let tensors =
        |f: &Found| std::iter::once(&f.tensor).chain(&f.state).map(|t| t.as_ptr()).collect::<Vec<_>>();
    match all.found.len() > before && !all.found.iter().flat_map(tensors).all(|t| seen.insert(t)) {
        true => Err(serves_two()),
        false => Ok(()),
    }
}

fn agreed_of<'py>(rule: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    rule.getattr_opt(intern!(rule.py(), "_agreed"))
}

/// A parameter of which the ranks take the gradient together.
enum Member<'py> {
    /// The one of this number among those that have a gradient here.
    Given(usize),
    /// One that has none here.
    Gap(Pair<'py>),
}

impl Member<'_> {
    fn rule(&self, py: Python<'_>, found: &[Found]) -> Py<PyAny> {
        match self {
            Member::Given(i) => found[*i].rule.clone_ref(py),
            Member::Gap(pair) => pair.leaf.get().held().rule.clone_ref(py),
        }
    }
}

/// All parameters that are not frozen, each once.
#[cold]
fn with_gaps<'py>(
    state: &Bound<'py, PyAny>,
    model: &Bound<'py, PyAny>,
    found: &[Found],
) -> PyResult<Vec<Member<'py>>> {
    let given: HashMap<_, _> = found.iter().enumerate().map(|(i, f)| (f.tensor.as_ptr(), i)).collect();
    let (mut seen, mut members) = (HashSet::new(), Vec::new());
    for pair in pairs(state, model)? {
        if seen.insert(pair.tensor.as_ptr()) && !pair.leaf.get().held().frozen {
            members.push(match given.get(&pair.tensor.as_ptr()) {
                Some(&i) => Member::Given(i),
                None => Member::Gap(pair),
            });
        }
    }
    Ok(members)
}

/// Puts the gradients that all ranks have together among those found.
fn share<'py>(
    rule: &Bound<'py, PyAny>,
    agreed: &Bound<'py, PyAny>,
    model: &Bound<'py, PyAny>,
    together: &[Member<'py>],
    all: &mut Vec<Found>,
) -> PyResult<()> {
    let py = rule.py();
    if is_captured() {
        tape::refuse(|| {
            "its update is one of all ranks together; compile the loss and its gradient, as train(…, compile=True) \
             does, and leave update out"
                .into()
        });
    }
    let (mut tensors, mut grads) = (Vec::new(), Vec::new());
    for member in together {
        match member {
            Member::Given(i) => {
                tensors.push(all[*i].tensor.bind(py).clone());
                grads.push(Some(PyTensor::from(all[*i].grad.clone())));
            }
            Member::Gap(pair) => {
                tensors.push(pair.tensor.clone());
                grads.push(None);
            }
        }
    }
    let found: Vec<Option<Bound<'py, PyTensor>>> = call(agreed, (model, &tensors, grads))?.extract()?;
    if found.len() != together.len() {
        let (wanted, got) = (together.len(), found.len());
        return Err(PyValueError::new_err(format!("update: {rule} must give {wanted} gradients, got {got}")));
    }
    for ((member, tensor), grad) in together.iter().zip(&tensors).zip(found) {
        let Some(grad) = grad.map(|grad| grad.get().get()) else { continue };
        if let Some(shape) = tensor.get().shape_unless(grad.shape()) {
            let (wanted, got) = (shape::show(&shape), shape::show(grad.shape()));
            let what = format!("update: {rule} must give a gradient of shape {wanted}, got {got}");
            return Err(Error::Shape(what).into());
        }
        match member {
            Member::Given(i) => all[*i].grad = grad,
            Member::Gap(pair) => {
                check_assignable(tensor)?;
                all.extend(Found::new(py, (&pair.leaf, &pair.tensor, pair.is_item), grad, None));
            }
        }
    }
    Ok(())
}
