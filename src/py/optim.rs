//! The optimiser step: it is done whole, for all parameters that have a rule and a gradient, or not at all.

mod found;
mod fused;
mod key;
mod moved;
mod shared;
mod structure;
mod written;

use super::compiled::{updated, updating};
use super::hints::add_function;
use super::plan::namespace;
use super::rules::{self, Links};
use super::run::detached;
use super::state::Leaf;
use super::step;
use super::tensor::{PyTensor, check_assignable};
use crate::array::Array;
use crate::optim;
use crate::tape::profile::{During, Pass};
use crate::tape::{self, Tensor, is_captured};
use found::Found;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyFrozenSet;
pub(super) use structure::fits;
use structure::{holds_leaf, parameters};
use written::Made;

/// One optimiser step: walks the state, the model and the gradients together and changes the model's tensors and the
/// state in place.
#[pyfunction]
#[pyo3(signature = (state, model, grads, /))]
fn update<'py>(
    state: &Bound<'py, PyAny>,
    model: &Bound<'py, PyAny>,
    grads: &Bound<'py, PyAny>,
) -> PyResult<()> {
    let mut all = parameters(state, model, grads, None)?;
    shared::agree(state, model, &mut all)?;
    if !all.has_gradients && holds_leaf(state)? {
        return Err(PyTypeError::new_err(
            "update: nothing to train: no parameter that has a rule has a gradient: the loss does not depend on any of \
             them; it may be made of another model's tensors, or of values that were taken out by numpy(), item(), \
             float(), save() or stop_gradient()",
        ));
    }
    change(model, all.found, step::is_open(false))
}

/// What became of a step.
#[derive(PartialEq)]
pub(super) enum Outcome {
    /// It was done.
    Done,
    /// No parameter has a gradient; nothing was changed.
    NoGradient,
    /// A gradient is infinite or NaN; nothing was changed.
    NotFinite,
}

/// [`update`] where there is something to do, and all gradients are finite. `caller` is who does the step.
pub(super) fn update_if_finite<'py>(
    caller: &str,
    state: &Bound<'py, PyAny>,
    model: &Bound<'py, PyAny>,
    grads: &Bound<'py, PyAny>,
) -> PyResult<Outcome> {
    let mut all = parameters(state, model, grads, Some(caller))?;
    shared::agree(state, model, &mut all)?;
    if !all.has_gradients {
        return Ok(Outcome::NoGradient);
    }
    let found = &all.found;
    let size = found.iter().map(|f| f.grad.size()).sum();
    // From the end: see `kernels::update::is_finite`.
    let look = || found.iter().rev().try_fold(true, |all, f| Ok(all && optim::is_finite(f.grad.array())?));
    if !detached(state.py(), size, look)? {
        return Ok(Outcome::NotFinite);
    }
    change(model, all.found, step::is_open(true))?;
    Ok(Outcome::Done)
}

/// Changes the parameters and their states, all or none; `is_within` a step that may be undone.
fn change(model: &Bound<'_, PyAny>, mut rest: Vec<Found>, is_within: bool) -> PyResult<()> {
    let py = model.py();
    let _pass = During::new(Pass::Update);
    let captured = if is_captured() { noted(py, &rest) } else { None };
    for f in rest.iter().filter(|_| is_within) {
        step::note(f.tensor.bind(py));
        step::note_leaf(f.leaf.bind(py));
    }
    // Nothing is stored before everything that may fail has been done.
    let (mut groups, mut made) = (Vec::with_capacity(1), Vec::new());
    while let Some(first) = rest.first() {
        let rule = first.rule.bind(py).clone();
        let together: Vec<Found> = match rest.iter().all(|f| f.rule.is(&rule)) {
            true => std::mem::take(&mut rest),
            false => rest.extract_if(.., |f| f.rule.is(&rule)).collect(),
        };
        match Links::of(&rule)? {
            Some(plan) => groups.push(fused::alike(&rule, &plan, together)?),
            None => made.extend(written::steps(&rule, together, model)?),
        }
    }
    fused::step(py, &groups)?;
    if is_captured() && !made.is_empty() {
        tape::refuse(|| "a rule of the optimiser is written in Python".into());
    }
    made.into_iter().for_each(Made::store);
    if let Some(Noted { pairs, grads, changed }) = captured {
        updated(pairs, &grads, &changed);
    }
    Ok(())
}

/// A step that is captured: where what it changes is, and its gradients.
struct Noted<'py> {
    pairs: Vec<(usize, usize, bool)>,
    grads: Vec<Array>,
    changed: Vec<Bound<'py, PyTensor>>,
}

#[cold]
fn noted<'py>(py: Python<'py>, all: &[Found]) -> Option<Noted<'py>> {
    let updates: Vec<_> =
        all.iter().map(|f| Update { py, leaf: &f.leaf, tensor: &f.tensor, is_item: f.is_item }).collect();
    let pairs = updating(&updates)?;
    let grads = all.iter().map(|f| f.grad.array().clone()).collect();
    let changed = all.iter().flat_map(|f| std::iter::once(&f.tensor).chain(&f.state));
    Some(Noted { pairs, grads, changed: changed.map(|t| t.bind(py).clone()).collect() })
}

/// A parameter that is about to be updated.
pub(super) struct Update<'py> {
    pub(super) py: Python<'py>,
    pub(super) leaf: &'py Py<Leaf>,
    pub(super) tensor: &'py Py<PyTensor>,
    pub(super) is_item: bool,
}

/// A step that can be done: all that may fail has been done.
pub(super) struct Prepared(Vec<Vec<fused::Alike>>);

impl Prepared {
    pub(super) fn step(self, py: Python<'_>) -> PyResult<()> {
        fused::step(py, &self.0)
    }
}

/// The step of parameters that are where they were, with other gradients; `None` where a rule has no kernel.
pub(super) fn again<'a, 'py: 'a>(
    py: Python<'py>,
    pairs: impl ExactSizeIterator<Item = ((&'a Bound<'py, Leaf>, &'a Bound<'py, PyTensor>, bool), Array)>,
) -> PyResult<Option<Prepared>> {
    let mut rest = Vec::with_capacity(pairs.len());
    for ((leaf, tensor, is_item), grad) in pairs {
        check_assignable(tensor)?;
        rest.extend(Found::new(py, (leaf, tensor, is_item), Tensor::from(grad), None));
    }
    let mut groups = Vec::with_capacity(1);
    while let Some(first) = rest.first() {
        let rule = first.rule.bind(py).clone();
        let together: Vec<Found> = match rest.iter().all(|f| f.rule.is(&rule)) {
            true => std::mem::take(&mut rest),
            false => rest.extract_if(.., |f| f.rule.is(&rule)).collect(),
        };
        match Links::of(&rule)? {
            Some(plan) => groups.push(fused::alike(&rule, &plan, together)?),
            None => return Ok(None),
        }
    }
    Ok(Some(Prepared(groups)))
}

pub(super) fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<Leaf>()?;
    m.add("kernels", PyFrozenSet::new(m.py(), rules::names())?)?;
    m.add("Namespace", namespace(m.py())?)?;
    add_function!(m, update)
}
