//! What was captured, done again: one call of a program.

use super::actions::{Action, pair};
use super::captured::Captured;
use super::guard::{Found, Guard};
use super::results::Built;
use crate::py::optim::again;
use crate::py::random::{Generator, default_generator};
use crate::py::run::released;
use crate::py::step;
use crate::random::Generator as Stream;
use crate::tape::{self, Registers, Replay, Tensor};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use std::cell::RefCell;

/// A program that is ready to be done again.
pub(super) struct Program {
    pub(super) replay: Replay,
    pub(super) of: Py<Captured>,
    pub(super) guard: Py<Guard>,
    /// Why the programs before it did not do.
    pub(super) reason: Option<String>,
    /// Where the wanted values are in the end.
    pub(super) places: Vec<u32>,
    /// The objects that are to be kept of what the guard finds.
    pub(super) wanted: Vec<bool>,
    /// Whether each of these is nowhere else.
    pub(super) is_own: Vec<bool>,
    /// Whether a part of the result is in it again.
    pub(super) has_again: bool,
}

/// What became of a run.
pub(super) enum Ran<'py> {
    Done(Bound<'py, PyAny>),
    /// Nothing has been changed; the function itself will say why.
    NotDone,
}

/// The streams that a run draws from: what each was at first, and what it will be.
struct Streams<'py>(Vec<(Bound<'py, Generator>, Stream, Stream)>);

impl<'py> Streams<'py> {
    fn of(&mut self, generator: Bound<'py, Generator>) -> &mut Stream {
        let at = match self.0.iter().position(|(other, ..)| other.is(&generator)) {
            Some(at) => at,
            None => {
                let now = *generator.get().stream();
                self.0.push((generator, now, now));
                self.0.len() - 1
            }
        };
        &mut self.0[at].2
    }

    /// Moves the generators on, unless another thread has drawn from one meanwhile.
    fn keep(&mut self) -> bool {
        if !self.0.iter().all(|(generator, before, _)| *generator.get().stream() == *before) {
            return false;
        }
        for (generator, before, after) in &mut self.0 {
            *generator.get().stream() = *after;
            *before = *after;
        }
        true
    }
}

impl Program {
    /// A line for each step, and why it was made.
    pub(super) fn shown(&self) -> String {
        let reason = self.reason.iter().map(|reason| format!("since {reason}:\n")).collect::<String>();
        reason + &self.of.get().shown(&self.replay)
    }

    pub(super) fn run<'py>(&self, py: Python<'py>, found: &Found<'_, 'py>) -> PyResult<Ran<'py>> {
        let of = self.of.get();
        let mut registers = self.replay.start(|i| found.tensors[i].get().lock().array().clone());
        let (mut streams, mut is_changed) = (Streams(Vec::new()), false);
        loop {
            let next = match self.go_on(py, &mut registers)? {
                Ok(next) => next,
                Err(e) if is_changed => return Err(e.into()),
                // An operation that fails does so in the function, too.
                Err(_) => return Ok(Ran::NotDone),
            };
            let Some(stop) = next else { break };
            match &of.actions[stop.number] {
                Action::Draw(place, draw) => {
                    let generator = match place {
                        Some(place) => found.generators[*place].clone(),
                        None => default_generator(py)?.into_bound(py),
                    };
                    match draw.of(streams.of(generator)) {
                        Ok(drawn) => self.replay.give(&mut registers, |_| drawn.clone()),
                        Err(e) if is_changed => return Err(e.into()),
                        Err(_) => return Ok(Ran::NotDone),
                    }
                }
                Action::Update(pairs, changed) => {
                    let pairs = pairs.iter().map(|&p| pair(found, p)).zip(stop.inputs);
                    let Some(update) = again(py, pairs)? else {
                        match is_changed {
                            true => {
                                return Err(PyRuntimeError::new_err("update: a rule has changed meanwhile"));
                            }
                            false => return Ok(Ran::NotDone),
                        }
                    };
                    if !streams.keep() && !is_changed {
                        return Ok(Ran::NotDone);
                    }
                    update.step(py)?;
                    is_changed = true;
                    let now = |i: usize| found.tensors[changed[i]].get().lock().array().clone();
                    self.replay.give(&mut registers, now);
                }
            }
        }
        if !streams.keep() && !is_changed {
            return Ok(Ran::NotDone);
        }
        let registers = RefCell::new(registers);
        let value = |n: usize| match self.is_own[n] {
            true => self.replay.take(&mut registers.borrow_mut(), self.places[n]),
            false => self.replay.value(&registers.borrow(), self.places[n]).clone(),
        };
        for &(place, number) in &of.stores {
            step::note(&found.tensors[place]);
            found.tensors[place].get().set(Tensor::from(value(number)));
        }
        let mut built = Built { is_kept: self.has_again, ..Built::default() };
        let result = of.result.build(py, found, &value, &mut built)?;
        self.replay.close(registers.into_inner());
        Ok(Ran::Done(result))
    }

    /// Goes on to the next action, without the GIL where that takes long.
    fn go_on(
        &self,
        py: Python<'_>,
        registers: &mut Registers,
    ) -> PyResult<crate::error::Result<Option<tape::Stop>>> {
        released(py, self.replay.work(), || Ok(self.replay.run(registers)))
    }
}
