//! One call of a function, kept to be done again: what it computed, what it did beside that, and what it returned.

use super::actions::{Action, Actions};
use super::guard::{Found, Guard};
use super::results::{Part, Reading};
use crate::array::Array;
use crate::py::{call, numpy};
use crate::tape::{Capture, Capturing, Replay};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use std::collections::HashMap;

/// What was captured in one call.
#[pyclass(frozen, module = "oxiflux._core")]
pub(super) struct Captured {
    pub(super) capture: Capture,
    pub(super) actions: Vec<Action>,
    /// The places of tensors that are given other values, and the numbers of these among those wanted.
    pub(super) stores: Vec<(usize, usize)>,
    pub(super) result: Part,
    pub(super) wanted: Vec<u32>,
    pub(super) guard: Py<Guard>,
}

/// Gives tensors whose memory overlaps copies of their own: what is computed is told by where it is. Says whether that
/// can be done.
fn part(found: &Found<'_, '_>, others: &[Array]) -> PyResult<bool> {
    let mut spans: Vec<(usize, usize, Option<usize>)> = found
        .tensors
        .iter()
        .enumerate()
        .map(|(i, x)| (x.get().lock().array().span(), Some(i)))
        .chain(others.iter().map(|x| (x.span(), None)))
        .map(|((start, end), i)| (start, end, i))
        .filter(|(start, end, _)| start < end)
        .collect();
    spans.sort_unstable();
    let mut reach = 0;
    for (start, end, i) in spans {
        if start < reach {
            let Some(i) = i else { return Ok(false) };
            let tensor = found.tensors[i].get();
            let x = tensor.get();
            if x.array().is_foreign() {
                return Ok(false);
            }
            tensor.set(x.array().copy()?.into());
        }
        reach = reach.max(end);
    }
    Ok(true)
}

/// What a call of `f` returns, and what was captured of it or why that cannot be done again; `None` if it has changed what
/// it depends on.
#[pyfunction]
#[pyo3(signature = (guard, f, args, kwargs, /))]
pub(super) fn capture<'py>(
    guard: &Bound<'py, Guard>,
    f: &Bound<'py, PyAny>,
    args: &Bound<'py, PyTuple>,
    kwargs: Option<&Bound<'py, PyDict>>,
) -> PyResult<(Bound<'py, PyAny>, Option<Py<Captured>>, Option<String>)> {
    let py = guard.py();
    let refused = |result, why: &str| Ok((result, None, Some(String::from(why))));
    let plain = || call::call_with(f, args, kwargs);
    let (mut found, mut after) = (Found::default(), Found::default());
    if !guard.get().look(args, kwargs, &mut found)? {
        return Ok((plain()?, None, None)); // it has changed since it was described
    }
    let constants: Vec<Array> =
        found.arrays.iter().map(numpy::view).collect::<PyResult<Vec<_>>>()?.into_iter().flatten().collect();
    if !part(&found, &constants)? {
        return refused(plain()?, "tensors and arrays of NumPy share memory");
    }
    let given: Vec<Array> = found.tensors.iter().map(|x| x.get().get().into_array()).collect();
    Actions::open(&found, given.clone());
    let capturing = Capturing::open(&given, &constants);
    let result = plain();
    let mut capture = capturing.close();
    let actions = Actions::close();
    let result = result?;
    if !guard.get().look(args, kwargs, &mut after)? {
        return Ok((result, None, None));
    }
    let same = |a: &[usize], b: &[usize]| a == b;
    let addresses = |found: &Found<'_, 'py>| -> Vec<usize> {
        let tensors = found.tensors.iter().map(|x| x.as_ptr() as usize);
        let leaves = found.leaves.iter().map(|x| x.as_ptr() as usize);
        tensors.chain(leaves).chain(found.generators.iter().map(|x| x.as_ptr() as usize)).collect()
    };
    if !same(&addresses(&found), &addresses(&after)) {
        return Ok((result, None, None));
    }
    if let Some(why) = capture.refusal() {
        return refused(result, why);
    }
    let Some(Actions { list, known, .. }) = actions else { return refused(result, "it was captured within") };
    let (mut wanted, mut stores) = (Vec::new(), Vec::new());
    for (place, (tensor, known)) in found.tensors.iter().zip(&known).enumerate() {
        let now = tensor.get().get();
        if now.array().identity() == known.identity() {
            continue;
        }
        let Some(number) = capture.number(now.array()) else {
            return refused(result, "a tensor is assigned values of which it is not known what made them");
        };
        stores.push((place, wanted.len()));
        wanted.push(number);
    }
    let known: HashMap<usize, usize> = found
        .objects
        .iter()
        .rev() // the first of them stands for all
        .map(|(number, ob)| (ob.as_ptr() as usize, *number))
        .collect();
    let mut reading = Reading { capture: &capture, known, wanted: &mut wanted, built: Vec::new() };
    let part = match reading.part(&result, 0)? {
        Ok(part) => part,
        Err(what) => return refused(result, &format!("it returns {what}")),
    };
    drop((reading.built, given));
    capture.settle()?;
    let guard = guard.clone().unbind();
    let captured = Captured { capture, actions: list, stores, result: part, wanted, guard };
    Ok((result, Some(Py::new(py, captured)?), None))
}

#[pymethods]
impl Captured {
    /// Whether another call did the same.
    fn is_like(&self, py: Python<'_>, other: &Captured) -> bool {
        self.capture.is_like(&other.capture)
            && self.stores == other.stores
            && self.wanted == other.wanted
            && self.actions.len() == other.actions.len()
            && self.actions.iter().zip(&other.actions).all(|(a, b)| a.is_like(b))
            && self.result.is_like(&other.result, py)
    }
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.guard)
    }
}

impl Captured {
    pub(super) fn shown(&self, replay: &Replay) -> String {
        let of = |action: &usize| match &self.actions[*action] {
            Action::Update(pairs, _) => format!("update {} parameters", pairs.len()),
            Action::Draw(_, what) => format!("draw {what}"),
        };
        let mut text =
            self.capture.shown(&|action| of(&action), &|n| replay.home(n), &|step| replay.note(step));
        for &(place, number) in &self.stores {
            text += &format!("%{place} := %{}\n", self.wanted[number]);
        }
        text + &replay.summary() + "\n"
    }
}
