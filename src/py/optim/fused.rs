//! Rules that have a kernel: one call changes all their parameters, or none.

use super::found::Found;
use crate::array::Array;
use crate::error::Result;
use crate::fork;
use crate::optim::rules::Clocks;
use crate::optim::{self, InPlace, Member, Parameter, Stage};
use crate::py::rules::{self, Links};
use crate::py::run::detached;
use crate::py::tensor::{foreign, take};
use crate::shape::Dims;
use crate::tape::Tensor;
use crate::tape::profile::{Begun, Pass, Shapes, is_profiled};
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

/// The locks of a parameter in the middle of its step: nobody else reaches its tensors.
struct Locked<'a> {
    found: &'a Found,
    rule: &'a Alike,
    own: MutexGuard<'a, Tensor>,
    state: SmallVec<[MutexGuard<'a, Tensor>; 3]>,
}

impl<'a> Locked<'a> {
    fn new(found: &'a Found, rule: &'a Alike) -> Self {
        let own = found.tensor.get().lock();
        Locked { found, rule, own, state: found.state.iter().map(|t| t.get().lock()).collect() }
    }

    /// The parameter with its arrays where they are, if that is how its rule keeps them.
    fn in_place(&mut self) -> Option<InPlace<'_>> {
        let state = self.state.iter_mut().map(|t| t.array_mut()).collect();
        let (value, grad) = (self.own.array_mut(), self.found.grad.array());
        (!self.rule.is_mixed).then_some(InPlace { rule: &self.rule.stages, value, grad, state })
    }

    /// Takes the arrays out of the tensors. Memory of somebody else's is added to `others`: to let go of it may run Python
    /// code, and is for when no lock is held.
    fn take(&mut self, others: &mut Vec<Array>) -> Parameter {
        others.extend(self.state.iter().chain([&self.own]).filter_map(|t| foreign(t)));
        let mut taken = self.state.iter_mut().map(|t| take(t));
        // The first tensor of such a state is the parameter in another type.
        let wide = if self.rule.is_mixed { taken.next() } else { None };
        let (value, rounded) = match wide {
            Some(wide) => (wide, Some(take(&mut self.own))),
            None => (take(&mut self.own), None),
        };
        Parameter { value, rounded, state: taken.collect(), grad: self.found.grad.array().clone() }
    }

    /// Gives the tensors their arrays back.
    fn give(&mut self, parameter: Parameter) {
        let Parameter { value, rounded, state: arrays, .. } = parameter;
        let (wide, value) = match rounded {
            Some(rounded) => (Some(value), rounded),
            None => (None, value),
        };
        *self.own = value.into();
        for (tensor, array) in self.state.iter_mut().zip(wide.into_iter().chain(arrays)) {
            **tensor = array.into();
        }
    }
}

/// For a profile: a step of so many numbers.
fn begun(groups: &[Vec<Alike>], size: usize) -> Option<Begun> {
    let dtype = groups.iter().flatten().flat_map(|a| &a.together).next()?.grad.dtype();
    let shapes = || Shapes::from_iter([(Dims::from_slice(&[size]), dtype)]);
    if is_profiled() { Begun::now("update".into(), Pass::Update, shapes()) } else { None }
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
            locked.extend(rule.together.iter().map(|found| Locked::new(found, rule)));
        }
        let plain: Option<Vec<_>> = locked.iter_mut().map(Locked::in_place).collect();
        let done = match plain.is_some_and(|mut plain| optim::update_in_place(&mut plain)) {
            true => Ok(()),
            false => taken(groups, &mut locked, &mut others),
        };
        if done.is_ok() {
            for Locked { found, rule, .. } in locked.iter().filter(|l| !l.rule.next.is_empty()) {
                found.leaf.get().tick(rule.next.clone());
            }
        }
        drop(locked);
        (done, others)
    };
    let begun = begun(groups, size);
    let (done, _others): (Result<()>, _) = detached(py, size, || Ok(fork::whole(all)))?;
    if let Some(begun) = begun {
        // A parameter is read and written, and so is each that is kept for it; its gradient is read.
        begun.moved(found().map(|f| f.grad.size() * f.grad.dtype().size() * (3 + 2 * f.state.len())).sum());
    }
    Ok(done?)
}

/// The steps of arrays that are taken out of their tensors meanwhile.
fn taken(groups: &[Vec<Alike>], locked: &mut [Locked<'_>], others: &mut Vec<Array>) -> Result<()> {
    let mut parameters: Vec<Parameter> = locked.iter_mut().map(|l| l.take(others)).collect();
    let mut each = locked.iter().zip(&mut parameters);
    let members = |group: &Vec<Alike>| {
        let count = group.iter().map(|a| a.together.len()).sum();
        each.by_ref().take(count).map(|(l, parameter)| Member::new(&l.rule.stages, parameter)).collect()
    };
    let mut members: Vec<Vec<Member<'_>>> = groups.iter().map(members).collect();
    let done = optim::update(&mut members);
    drop(members);
    locked.iter_mut().zip(parameters).for_each(|(l, parameter)| l.give(parameter));
    done
}
