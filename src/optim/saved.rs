//! A step of an optimiser as a step of a program: all that it reads is given to it, so that a file can say it.
//!
//! Given are the hyper-parameters of the rules, each a tensor, and then for each parameter its gradient, its values, the
//! tensors of its rule's state and its clocks, if it has such: a row of three numbers for each, the two powers and the count.
//! The results are what all but the gradients and the hyper-parameters become.

use super::rules::{Clock, Clocks, Kernel, Part, kernel_of, stages};
use super::{Member, Parameter, Stage, update};
use crate::array::Array;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::tape::{Compute, Known, Parameters, Value, parameter};
use smallvec::SmallVec;
use std::sync::Arc;

/// A rule: its links, and whether the first tensor of its state is the parameter in another type.
#[derive(Clone)]
pub(crate) struct Rule {
    pub(crate) kernels: Vec<&'static Kernel>,
    pub(crate) is_mixed: bool,
}

/// A parameter: the number of its rule, and how many tensors and clocks that keeps for it.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) rule: usize,
    pub(crate) states: usize,
    pub(crate) clocks: usize,
}

/// A step for some parameters.
#[derive(Clone)]
pub(crate) struct Update {
    pub(crate) rules: Vec<Rule>,
    pub(crate) places: Vec<Place>,
}

/// A clock as numbers.
const PARTS: usize = 3;

/// Clocks as a tensor.
pub(crate) fn rows(clocks: &[Clock]) -> Result<Array> {
    let numbers: Vec<f64> = clocks.iter().flat_map(|c| [c.beta_t.0, c.beta_t.1, c.t as f64]).collect();
    Array::from_slice(&[clocks.len(), PARTS], &numbers)
}

fn clocks(x: &Array) -> Result<Clocks> {
    let x = x.contiguous()?;
    let rows = x.values::<f64>("update")?.chunks_exact(PARTS);
    Ok(rows.map(|row| Clock { beta_t: (row[0], row[1]), t: row[2] as u64 }).collect())
}

fn unfit() -> Error {
    Error::Value("update: what is kept does not fit the rule".into())
}

impl Update {
    /// What it is as data.
    #[cfg(feature = "python")]
    pub(crate) fn parameters(&self) -> Parameters {
        let rule = |rule: &Rule| {
            let names = rule.kernels.iter().map(|kernel| Value::Name(kernel.name.into())).collect();
            Value::Fields(vec![
                ("links".into(), Value::List(names)),
                ("mixed".into(), Value::Bool(rule.is_mixed)),
            ])
        };
        let place = |place: &Place| {
            let numbers = [place.rule, place.states, place.clocks];
            Value::List(numbers.iter().map(|&n| Value::Integer(n as i64)).collect())
        };
        vec![
            ("rules".into(), Value::List(self.rules.iter().map(rule).collect())),
            ("places".into(), Value::List(self.places.iter().map(place).collect())),
        ]
    }

    /// The step that the data says, if it is one.
    pub(crate) fn read(parameters: &Parameters) -> Option<Update> {
        let list = |name: &str| match parameters.iter().find(|(other, _)| other == name) {
            Some((_, Value::List(items))) => Some(items),
            _ => None,
        };
        let rule = |value: &Value| {
            let Value::Fields(fields) = value else { return None };
            let (_, Value::List(names)) = fields.iter().find(|(name, _)| name == "links")? else {
                return None;
            };
            let kernel = |name: &Value| match name {
                Value::Name(name) => kernel_of(name),
                _ => None,
            };
            let kernels = names.iter().map(kernel).collect::<Option<Vec<_>>>()?;
            Some(Rule { kernels, is_mixed: parameter(fields, "mixed")? })
        };
        let rules = list("rules")?.iter().map(rule).collect::<Option<Vec<Rule>>>()?;
        let place = |value: &Value| {
            let [rule, states, clocks] = <[usize; 3] as crate::tape::Parameter>::read(value)?;
            (rule < rules.len()).then_some(Place { rule, states, clocks })
        };
        let places = list("places")?.iter().map(place).collect::<Option<Vec<Place>>>()?;
        Some(Update { rules, places })
    }

    /// Whether it can be done with such inputs; how many results it has. What is more is looked at in every step.
    pub(crate) fn check(&self, x: &Known<'_>) -> Result<usize> {
        let mut kinds = Vec::new();
        for (_, kind) in self.rules.iter().flat_map(|rule| &rule.kernels).flat_map(|kernel| kernel.fields) {
            kinds.push(kind.numbers());
        }
        // Neither is more than there are inputs, where all is well.
        let of_place = |place: &Place| place.states.saturating_add(2 + usize::from(place.clocks > 0));
        let count = self.places.iter().map(of_place).fold(kinds.len(), usize::saturating_add);
        x.count(count)?;
        for (i, &numbers) in kinds.iter().enumerate() {
            x.typed(i, DType::F64)?;
            x.shaped(i, if numbers == 1 { &[] } else { &[2] })?;
        }
        let mut at = kinds.len();
        for place in &self.places {
            for i in at..at + 2 + place.states {
                x.shaped(i, x.shape(at))?;
                x.holds(x.dtype(i).is_float(), || format!("input {i} is a float, not {}", x.dtype(i)))?;
            }
            at += 2 + place.states;
            if place.clocks > 0 {
                x.typed(at, DType::F64)?;
                x.shaped(at, &[place.clocks, PARTS])?;
                at += 1;
            }
        }
        Ok(count - kinds.len() - self.places.len())
    }

    /// The step.
    pub(crate) fn compute(self) -> Compute {
        Arc::new(move |x| self.step(x))
    }

    fn step(&self, x: &[&Array]) -> Result<Vec<Array>> {
        let mut x = x.iter().copied();
        let mut next = || x.next().ok_or_else(unfit);
        let mut chains = Vec::with_capacity(self.rules.len());
        for rule in &self.rules {
            let mut chain = Vec::with_capacity(rule.kernels.len());
            for &kernel in &rule.kernels {
                let mut numbers = SmallVec::new();
                for _ in kernel.fields {
                    numbers.extend_from_slice(next()?.contiguous()?.values("update")?);
                }
                chain.push(Part { kernel, numbers });
            }
            chains.push(chain);
        }
        // Parameters whose rules are at the same step have the same stages.
        let mut steps: Vec<(usize, Clocks, Vec<Stage>, Clocks)> = Vec::new();
        let (mut parameters, mut at) = (Vec::new(), Vec::new());
        for place in &self.places {
            let (grad, own) = (next()?.clone(), next()?.clone());
            let mut state = SmallVec::new();
            for _ in 0..place.states {
                state.push(next()?.clone());
            }
            let now = if place.clocks > 0 { clocks(next()?)? } else { Clocks::new() };
            let known = steps.iter().position(|(rule, clocks, ..)| *rule == place.rule && *clocks == now);
            at.push(known.unwrap_or(steps.len()));
            if known.is_none() {
                let (stages, after) = stages(&chains[place.rule], &now).map_err(|_| unfit())?;
                steps.push((place.rule, now, stages, after));
            }
            let wide = match self.rules[place.rule].is_mixed {
                true if state.is_empty() => return Err(unfit()),
                true => Some(state.remove(0)),
                false => None,
            };
            parameters.push(match wide {
                Some(value) => Parameter { value, rounded: Some(own), grad, state },
                None => Parameter { value: own, rounded: None, grad, state },
            });
        }
        let mut groups: Vec<Vec<Member<'_>>> = self.rules.iter().map(|_| Vec::new()).collect();
        for ((parameter, place), &step) in parameters.iter_mut().zip(&self.places).zip(&at) {
            groups[place.rule].push(Member::new(&steps[step].2, parameter));
        }
        update(&mut groups)?;
        drop(groups);
        let mut results = Vec::new();
        for ((Parameter { value, rounded, state, .. }, place), step) in
            parameters.into_iter().zip(&self.places).zip(at)
        {
            let (own, wide) = match rounded {
                Some(rounded) => (rounded, Some(value)),
                None => (value, None),
            };
            results.extend(std::iter::once(own).chain(wide).chain(state));
            if place.clocks > 0 {
                results.push(rows(&steps[step].3)?);
            }
        }
        Ok(results)
    }
}
