//! From what was captured to programs that are written to files.

use super::actions::Action;
use super::captured::Captured;
use super::guard::Found;
use super::results::Counts;
use crate::array::Array;
use crate::programs::{Given, Input, Program, kept};
use crate::py::programs::{Form, Saved};
use crate::py::random::{Generator, default_generator};
use crate::py::tensor::PyTensor;
use crate::random::Generator as Stream;
use crate::tape::Tensor;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::collections::HashMap;
use std::sync::Arc;

/// The tensors that programs keep: those that are reached without arguments, and the places of generators.
struct State<'py, 'a> {
    names: &'a HashMap<usize, String>,
    numbers: HashMap<usize, usize>,
    kept: Vec<(String, Bound<'py, PyTensor>)>,
}

impl<'py> State<'py, '_> {
    /// The number of what is at an address, whose values `tensor` makes.
    fn number(
        &mut self,
        address: usize,
        kind: &str,
        tensor: impl FnOnce() -> PyResult<Bound<'py, PyTensor>>,
    ) -> PyResult<usize> {
        if let Some(&number) = self.numbers.get(&address) {
            return Ok(number);
        }
        let number = self.kept.len();
        let name = self.names.get(&address).cloned().unwrap_or_else(|| format!("{kind}{number}"));
        let is_taken = self.kept.iter().any(|(other, _)| *other == name);
        let name = if is_taken { format!("{name}.{number}") } else { name };
        self.kept.push((name, tensor()?));
        self.numbers.insert(address, number);
        Ok(number)
    }

    fn tensor(&mut self, x: &Bound<'py, PyTensor>) -> PyResult<usize> {
        // The program has a tensor of its own, with the values of now.
        let copy = || Bound::new(x.py(), PyTensor::from(Tensor::from(x.get().get().into_array())));
        self.number(x.as_ptr() as usize, "tensor", copy)
    }

    fn place(&mut self, generator: &Bound<'py, Generator>) -> PyResult<usize> {
        let place = || {
            let stream: Stream = *generator.get().stream();
            let place = stream.place();
            let words: Array = Array::from_slice(&[2], &[place.key, place.counter])?;
            Bound::new(generator.py(), PyTensor::from(Tensor::from(words)))
        };
        self.number(generator.as_ptr() as usize, "generator", place)
    }
}

/// The programs of these captures, and the tensors that they keep by name.
pub(super) fn saved<'py>(
    py: Python<'py>,
    all: &[&Captured],
    bound: Option<&Bound<'py, PyAny>>,
    names: &HashMap<usize, String>,
) -> PyResult<(Saved, Bound<'py, PyDict>)> {
    let mut state = State { names, numbers: HashMap::new(), kept: Vec::new() };
    let mut programs = Vec::new();
    for captured in all {
        programs.extend(program(py, captured, bound, &mut state)?.map(Arc::new));
    }
    if programs.is_empty() {
        return Err(PyValueError::new_err(
            "save: what the program depends on is not what it was when it was captured; call it twice again before",
        ));
    }
    let dict = PyDict::new(py);
    for (name, tensor) in &state.kept {
        dict.set_item(name, tensor)?;
    }
    Ok((Saved::new(py, programs)?, dict))
}

/// The program of a capture, if what it depends on is what it was.
fn program<'py>(
    py: Python<'py>,
    captured: &Captured,
    bound: Option<&Bound<'py, PyAny>>,
    state: &mut State<'py, '_>,
) -> PyResult<Option<Program>> {
    let mut found = Found::default();
    let [args, kwargs] = match captured.guard.get().held(py, bound, &mut found)? {
        Some(Ok(forms)) => forms,
        Some(Err(what)) => {
            return Err(PyTypeError::new_err(format!(
                "save: the program is given {what}, and one in a file takes tensors, numbers, texts, tuples, lists and dicts; \
                 compile a function that reaches it without arguments, flux.compile(lambda x: model(x)), or flux.compile(model)"
            )));
        }
        None => return Ok(None),
    };
    let mut slots = Vec::new();
    args.slots(&mut slots);
    kwargs.slots(&mut slots);
    slots.sort_unstable();
    slots.dedup();
    let argument = |slot: usize| slots.binary_search(&slot).ok();
    // Those that are kept get their numbers below, if they are read.
    let input = |slot: usize| argument(slot).map_or(Input::State(usize::MAX), Input::Argument);
    let mut inputs: Vec<Input> = (0..found.tensors.len()).map(input).collect();
    let mut draws = Vec::new();
    for action in &captured.actions {
        match action {
            Action::Update(..) => {
                return Err(PyTypeError::new_err(
                    "save: the program updates parameters; save the model, flux.save(path, model), and compile what \
                     predicts, flux.compile(model), for a program in a file",
                ));
            }
            Action::Draw(place, draw) => {
                let generator = match place {
                    Some(place) => found.generators[*place].clone(),
                    None => default_generator(py)?.into_bound(py),
                };
                draws.push((state.place(&generator)?, draw.clone()));
            }
        }
    }
    let mut stores = Vec::new();
    for &(slot, number) in &captured.stores {
        if argument(slot).is_some() {
            return Err(PyTypeError::new_err(
                "save: the program changes a tensor that it is given; let it return the new values",
            ));
        }
        stores.push((state.tensor(&found.tensors[slot])?, captured.wanted[number]));
    }
    // What is returned as it was given is a value like others.
    let mut results = captured.wanted.clone();
    let mut object = |number: usize| {
        let tensor = found.object(number)?.cast_exact::<PyTensor>().ok()?;
        let slot = found.tensors.iter().position(|other| other.is(tensor))?;
        results.push(slot as u32);
        Some(results.len() - 1)
    };
    let result = captured.result.form(py, &mut object, &mut Counts::default())?;
    let read = captured.capture.steps().iter().flat_map(|step| &step.inputs).chain(&results);
    let mut is_read = vec![false; inputs.len()];
    read.filter(|&&n| (n as usize) < inputs.len()).for_each(|&n| is_read[n as usize] = true);
    for (slot, input) in inputs.iter_mut().enumerate() {
        if is_read[slot] && matches!(input, Input::State(_)) {
            *input = Input::State(state.tensor(&found.tensors[slot])?);
        }
    }
    let call = Form::Tuple(vec![args, kwargs]).renumbered(&|slot| argument(slot).unwrap_or(slot));
    Ok(Some(kept(Given {
        capture: &captured.capture,
        inputs: &inputs,
        results: &results,
        stores: &stores,
        draws: &draws,
        call: call.text(py)?,
        result: result.text(py)?,
    })?))
}
