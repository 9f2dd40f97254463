//! Rules that have a kernel: one call changes all their parameters, or none.

use super::found::Found;
use crate::array::Array;
use crate::error::Result;
use crate::fork;
use crate::optim::{self, Member, Parameter, Stage};
use crate::py::rules::{self, Links};
use crate::py::run::detached;
use crate::py::state::Clocks;
use crate::py::tensor::{foreign, take};
use crate::tape::Tensor;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use smallvec::SmallVec;
use std::sync::MutexGuard;

/// Parameters whose rule is at the same step, and their clocks after it.
pub(super) struct Alike {
    stages: Vec<Stage>,
    next: Clocks,
    is_mixed: bool,
    together: Vec<Found>,
}

/// The parameters that share a rule by the step they are at.
pub(super) fn alike(rule: &Bound<'_, PyAny>, plan: &Links<'_>, mut rest: Vec<Found>) -> PyResult<Vec<Alike>> {
    let is_mixed = plan.is_mixed;
    if is_mixed && rest.iter().any(|f| f.state.is_empty()) {
        return Err(PyValueError::new_err(format!("update: the state does not fit the rule {rule}")));
    }
    let mut found = Vec::with_capacity(1);
    while let Some(first) = rest.first() {
        let clocks = first.clocks.clone();
        let (stages, next) = rules::stages(plan, &clocks)?;
        let together = match rest.iter().all(|f| f.clocks == clocks) {
            true => std::mem::take(&mut rest),
            false => rest.extract_if(.., |f| f.clocks == clocks).collect(),
        };
        found.push(Alike { stages, next, is_mixed, together });
    }
    Ok(found)
}

/// A parameter in the middle of its step: nobody else reaches its tensors, whose arrays are in `parameter` meanwhile.
struct Locked<'a> {
    found: &'a Found,
    rule: &'a Alike,
    own: MutexGuard<'a, Tensor>,
    state: SmallVec<[MutexGuard<'a, Tensor>; 3]>,
    parameter: Parameter,
}

impl<'a> Locked<'a> {
    /// Memory of somebody else's is added to `others`: to let go of it may run Python code, and is for when no lock is
    /// held.
    fn new(found: &'a Found, rule: &'a Alike, others: &mut Vec<Array>) -> Self {
        let mut own = found.tensor.get().lock();
        let mut state: SmallVec<[_; 3]> = found.state.iter().map(|t| t.get().lock()).collect();
        others.extend(state.iter().chain([&own]).filter_map(|t| foreign(t)));
        let mut taken = state.iter_mut().map(|t| take(t));
        // The first tensor of such a state is the parameter in another type.
        let wide = if rule.is_mixed { taken.next() } else { None };
        let (value, rounded) = match wide {
            Some(wide) => (wide, Some(take(&mut own))),
            None => (take(&mut own), None),
        };
        let parameter =
            Parameter { value, rounded, state: taken.collect(), grad: found.grad.array().clone() };
        Locked { found, rule, own, state, parameter }
    }

    /// Gives the tensors their arrays back.
    fn unlock(self, is_done: bool) {
        let Locked { found, rule, mut own, mut state, parameter } = self;
        let Parameter { value, rounded, state: arrays, .. } = parameter;
        let (wide, value) = match rounded {
            Some(rounded) => (Some(value), rounded),
            None => (None, value),
        };
        *own = value.into();
        for (tensor, array) in state.iter_mut().zip(wide.into_iter().chain(arrays)) {
            **tensor = array.into();
        }
        if is_done && !rule.next.is_empty() {
            found.leaf.get().tick(rule.next.clone());
        }
    }
}

/// Does the steps of all kernels, or none where one does not fit. A group is what shares a rule.
pub(super) fn step(py: Python<'_>, groups: &[Vec<Alike>]) -> PyResult<()> {
    let found = || groups.iter().flatten().flat_map(|a| &a.together);
    let (count, size) = found().fold((0, 0), |(count, size), f| (count + 1, size + f.grad.size()));
    if count == 0 {
        return Ok(());
    }
    // A step holds the locks of many tensors: only one may do so. Ctrl-C would come between the tensors and the clocks.
    let all = || {
        let (mut locked, mut others) = (Vec::with_capacity(count), Vec::new());
        for rule in groups.iter().flatten() {
            locked.extend(rule.together.iter().map(|found| Locked::new(found, rule, &mut others)));
        }
        let mut each = locked.iter_mut();
        let members = |group: &Vec<Alike>| {
            let count = group.iter().map(|a| a.together.len()).sum();
            each.by_ref().take(count).map(|l| Member::new(&l.rule.stages, &mut l.parameter)).collect()
        };
        let mut members: Vec<Vec<Member<'_>>> = groups.iter().map(members).collect();
        let done = optim::update(&mut members);
        drop(members);
        locked.into_iter().for_each(|l| l.unlock(done.is_ok()));
        (done, others)
    };
    let (done, _others): (Result<()>, _) = detached(py, size, || Ok(fork::whole(all)))?;
    Ok(done?)
}
