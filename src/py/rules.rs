//! The rules that have a kernel: how the object of each, or of a chain of them, is read.

use super::once::{Once, intern};
use crate::optim::Stage;
use crate::optim::rules::{Clock, Clocks, KERNELS, Kind, Part, stages as stages_of};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyString;
use smallvec::SmallVec;

/// Adds the numbers of a hyper-parameter as the object of a rule has it now.
fn read(rule: &Bound<'_, PyAny>, name: &Bound<'_, PyString>, kind: Kind, to: &mut Numbers) -> PyResult<()> {
    let value = rule.getattr(name)?;
    match kind {
        Kind::Number => to.push(value.extract()?),
        Kind::Pair => {
            let (first, second) = value.extract().or_else(|_| PyResult::Ok((value.extract()?, 0.0)))?;
            to.extend([first, second]);
        }
        Kind::Truth => to.push(f64::from(u8::from(value.is_truthy()?))),
        Kind::Count => to.push(value.extract::<u64>()? as f64),
    }
    Ok(())
}

type Numbers = SmallVec<[f64; 6]>;

/// The names of the hyper-parameters of each kernel.
fn fields(py: Python<'_>, kernel: usize) -> PyResult<&'static [Py<PyString>]> {
    static NAMES: Once<Vec<Vec<Py<PyString>>>> = Once::new();
    let names = |fields: &[(&str, Kind)]| {
        fields.iter().map(|(name, _)| PyString::intern(py, name).unbind()).collect::<Vec<_>>()
    };
    let all = NAMES
        .get_or_find(py, || PyResult::Ok(KERNELS.iter().map(|kernel| names(kernel.fields)).collect()))?;
    Ok(&all[kernel])
}

/// What a rule is in a chain.
#[derive(Clone, Copy)]
enum Role {
    /// Rules in order.
    Chain,
    /// What keeps the parameter in another type; around all other rules, or else in Python.
    MixedPrecision,
    /// The kernel of this number.
    Kernel(usize),
}

/// What is made of several rules.
const WHOLES: [(&str, Role); 2] = [("chain", Role::Chain), ("mixed_precision", Role::MixedPrecision)];

/// The names of all kernels.
pub(super) fn names() -> Vec<&'static str> {
    WHOLES.iter().map(|(name, _)| *name).chain(KERNELS.iter().map(|kernel| kernel.name)).collect()
}

/// A rule all of whose links have kernels.
pub(super) struct Links<'py> {
    /// The links in order, with their hyper-parameters of now.
    pub(super) parts: SmallVec<[Part; 1]>,
    /// The objects of the links.
    pub(super) rules: SmallVec<[Bound<'py, PyAny>; 1]>,
    /// Whether the first tensor of the state is the parameter in another type.
    pub(super) is_mixed: bool,
}

impl<'py> Links<'py> {
    /// The plan of a rule; `None` where it has to be done in Python.
    pub(super) fn of(rule: &Bound<'py, PyAny>) -> PyResult<Option<Self>> {
        let mut plan = Links { parts: SmallVec::new(), rules: SmallVec::new(), is_mixed: false };
        let is_fused = match role(rule)? {
            Some(Role::MixedPrecision) => {
                plan.is_mixed = true;
                let inner = rule.getattr(intern!(rule.py(), "rule"))?;
                let role = role(&inner)?;
                plan.add(&inner, role)?
            }
            role => plan.add(rule, role)?,
        };
        Ok(is_fused.then_some(plan))
    }

    /// Adds the links of a rule. Says whether each has a kernel.
    fn add(&mut self, rule: &Bound<'py, PyAny>, found: Option<Role>) -> PyResult<bool> {
        match found {
            None | Some(Role::MixedPrecision) => return Ok(false),
            Some(Role::Chain) => {
                for part in rule.getattr(intern!(rule.py(), "rules"))?.try_iter()? {
                    let part = part?;
                    let found = role(&part)?;
                    if !self.add(&part, found)? {
                        return Ok(false);
                    }
                }
            }
            Some(Role::Kernel(at)) => {
                let (py, kernel, mut numbers) = (rule.py(), &KERNELS[at], Numbers::new());
                for (name, (_, kind)) in fields(py, at)?.iter().zip(kernel.fields) {
                    read(rule, name.bind(py), *kind, &mut numbers)?;
                }
                self.parts.push(Part { kernel, numbers });
                self.rules.push(rule.clone());
            }
        }
        Ok(true)
    }
}

/// What the class of a rule says of its kernel.
fn role(rule: &Bound<'_, PyAny>) -> PyResult<Option<Role>> {
    let name = rule.getattr_opt(intern!(rule.py(), "kernel"))?.and_then(|n| n.cast_into::<PyString>().ok());
    let Some(name) = name else { return Ok(None) };
    let name = name.to_cow()?;
    let kernel = || KERNELS.iter().position(|kernel| kernel.name == name).map(Role::Kernel);
    Ok(WHOLES.iter().find(|(known, _)| **known == name).map(|(_, role)| *role).or_else(kernel))
}

/// The stages of a chain for a parameter whose state has these clocks, and the clocks after the step.
pub(super) fn stages(plan: &Links<'_>, clocks: &[Clock]) -> PyResult<(Vec<Stage>, Clocks)> {
    let unfit = |at: usize| format!("update: the state does not fit the rule {}", plan.rules[at]);
    stages_of(&plan.parts, clocks).map_err(|at| PyValueError::new_err(unfit(at)))
}
