//! From what was captured to programs that are written to files.

use super::actions::{Action, pair};
use super::captured::Captured;
use super::guard::Found;
use super::results::Counts;
use crate::array::Array;
use crate::optim::rules::Part;
use crate::optim::saved::{Place, Rule, Update, rows};
use crate::programs::{Beside, Given, Input, Program, Source, Target, kept};
use crate::py::programs::{Form, Saved};
use crate::py::random::{Generator, default_generator};
use crate::py::rules::Links;
use crate::py::tensor::PyTensor;
use crate::random::{Draw, Generator as Stream};
use crate::tape::{Kind, Layout, Tensor};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// The tensors that programs keep: those that are reached without arguments, the places of generators, and what optimisers
/// remember, with their hyper-parameters.
struct State<'py, 'a> {
    names: &'a HashMap<usize, String>,
    numbers: HashMap<(usize, usize), usize>,
    kept: Vec<(String, Bound<'py, PyTensor>)>,
}

impl<'py> State<'py, '_> {
    /// The number of a part of what is at an address, whose values `tensor` makes.
    fn number(
        &mut self,
        part: (usize, usize),
        name: impl FnOnce(usize) -> String,
        tensor: impl FnOnce() -> PyResult<Bound<'py, PyTensor>>,
    ) -> PyResult<usize> {
        if let Some(&number) = self.numbers.get(&part) {
            return Ok(number);
        }
        let number = self.kept.len();
        let name = name(number);
        let is_taken = self.kept.iter().any(|(other, _)| *other == name);
        let name = if is_taken { format!("{name}.{number}") } else { name };
        self.kept.push((name, tensor()?));
        self.numbers.insert(part, number);
        Ok(number)
    }

    /// The name of what is at an address, or else its kind with a number.
    fn name(&self, address: usize, kind: &str) -> impl FnOnce(usize) -> String + use<> {
        let (name, kind) = (self.names.get(&address).cloned(), String::from(kind));
        move |number| name.unwrap_or_else(|| format!("{kind}{number}"))
    }

    fn tensor(&mut self, x: &Bound<'py, PyTensor>) -> PyResult<usize> {
        let address = x.as_ptr() as usize;
        self.number((address, 0), self.name(address, "tensor"), copy_of(x))
    }

    fn place(&mut self, generator: &Bound<'py, Generator>) -> PyResult<usize> {
        let place = || {
            let stream: Stream = *generator.get().stream();
            let place = stream.place();
            kept_as(generator.py(), Array::from_slice(&[2], &[place.key, place.counter])?)
        };
        let address = generator.as_ptr() as usize;
        self.number((address, 0), self.name(address, "generator"), place)
    }

    /// The hyper-parameters of a rule of a chain, by the name of its class.
    fn numbers_of(&mut self, rule: &Bound<'py, PyAny>, part: &Part) -> PyResult<Vec<usize>> {
        let (py, class) = (rule.py(), rule.get_type().name()?.to_string());
        let (mut rest, mut found) = (&part.numbers[..], Vec::new());
        for (i, (name, kind)) in part.kernel.fields.iter().enumerate() {
            let (numbers, others) = rest.split_at(kind.numbers());
            let shape: &[usize] = if numbers.len() == 1 { &[] } else { &[2] };
            let tensor = || kept_as(py, Array::from_slice(shape, numbers)?);
            found.push(self.number((rule.as_ptr() as usize, i), |_| format!("{class}.{name}"), tensor)?);
            rest = others;
        }
        Ok(found)
    }
}

/// The program has a tensor of its own, with the values of now.
fn copy_of<'py>(x: &Bound<'py, PyTensor>) -> impl FnOnce() -> PyResult<Bound<'py, PyTensor>> {
    || kept_as(x.py(), x.get().get().into_array())
}

fn kept_as(py: Python<'_>, x: Array) -> PyResult<Bound<'_, PyTensor>> {
    Bound::new(py, PyTensor::from(Tensor::from(x)))
}

/// A draw from a generator, of the place that is kept under that number.
fn drawing(place: usize, draw: &Draw) -> Beside {
    Beside {
        kind: Kind::Operation(Arc::new(draw.clone()), true),
        inputs: vec![Source::Kept(place)],
        outputs: vec![Target::Given(0), Target::Kept(place)],
    }
}

/// A step of an optimiser, which changes the tensors of these places.
fn updating<'py>(
    pairs: &[(usize, usize, bool)],
    changed: &[usize],
    found: &Found<'_, 'py>,
    state: &mut State<'py, '_>,
) -> PyResult<Beside> {
    let mut update = Update { rules: Vec::new(), places: Vec::new() };
    let (mut objects, mut inputs): (Vec<Bound<'py, PyAny>>, Vec<Source>) = (Vec::new(), Vec::new());
    let (mut places, mut outputs) = (Vec::new(), Vec::new());
    // What the step gave in the capture, if it did, of a tensor.
    let given = |tensor: &Bound<'py, PyTensor>, number: usize| match changed
        .iter()
        .position(|&place| found.tensors[place].is(tensor))
    {
        Some(i) => Target::Both(i, number),
        None => Target::Kept(number),
    };
    for (i, &one) in pairs.iter().enumerate() {
        let (leaf, tensor, _) = pair(found, one);
        let py = leaf.py();
        let (rule, tensors, clocks) = {
            let held = leaf.get().held();
            let tensors: Vec<_> = held.memory.tensors.iter().map(|t| t.bind(py).clone()).collect();
            (held.rule.bind(py).clone(), tensors, held.memory.clocks.clone())
        };
        let at = match objects.iter().position(|known| known.is(&rule)) {
            Some(at) => at,
            None => {
                let Some(links) = Links::of(&rule)? else {
                    return Err(PyTypeError::new_err(format!(
                        "save: the program updates parameters by {rule}, which is written in Python and has no place in a file"
                    )));
                };
                for (part, object) in links.parts.iter().zip(&links.rules) {
                    inputs.extend(state.numbers_of(object, part)?.into_iter().map(Source::Kept));
                }
                let kernels = links.parts.iter().map(|part| part.kernel).collect();
                update.rules.push(Rule { kernels, is_mixed: links.is_mixed });
                objects.push(rule.clone());
                objects.len() - 1
            }
        };
        update.places.push(Place { rule: at, states: tensors.len(), clocks: clocks.len() });
        let own = state.tensor(tensor)?;
        places.extend([Source::Given(i), Source::Kept(own)]);
        outputs.push(given(tensor, own));
        let address = leaf.as_ptr() as usize;
        for (k, tensor) in tensors.iter().enumerate() {
            let leaf = state.name(address, "optimiser");
            let name = move |number| format!("{}.{k}", leaf(number));
            let number = state.number((tensor.as_ptr() as usize, 0), name, copy_of(tensor))?;
            places.push(Source::Kept(number));
            outputs.push(given(tensor, number));
        }
        if !clocks.is_empty() {
            let leaf = state.name(address, "optimiser");
            let name = move |number| format!("{}.clock", leaf(number));
            let number = state.number((address, 0), name, || kept_as(py, rows(&clocks)?))?;
            places.push(Source::Kept(number));
            outputs.push(Target::Kept(number));
        }
    }
    inputs.extend(places);
    let kind = Kind::Derived("update", update.parameters(), update.compute());
    Ok(Beside { kind, inputs, outputs })
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
    let mut besides = Vec::new();
    let mut updated = HashSet::new();
    for action in &captured.actions {
        besides.push(match action {
            Action::Update(pairs, changed) => {
                if pairs.iter().any(|(_, slot, _)| argument(*slot).is_some()) {
                    return Err(given_and_changed("updates"));
                }
                updated.extend(pairs.iter().map(|(_, slot, _)| *slot));
                updating(pairs, changed, &found, state)?
            }
            Action::Draw(place, draw) => {
                let generator = match place {
                    Some(place) => found.generators[*place].clone(),
                    None => default_generator(py)?.into_bound(py),
                };
                drawing(state.place(&generator)?, draw)
            }
        });
    }
    let mut stores = Vec::new();
    for &(slot, number) in &captured.stores {
        if argument(slot).is_some() {
            return Err(given_and_changed("changes"));
        }
        stores.push((state.tensor(&found.tensors[slot])?, captured.wanted[number]));
    }
    // What is returned as it was given is a value like others.
    let mut results = captured.wanted.clone();
    let mut object = |number: usize| {
        let tensor = found.object(number)?.cast_exact::<PyTensor>().ok()?;
        let slot = found.tensors.iter().position(|other| other.is(tensor))?;
        // A tensor that the function changes is what it has become.
        let stored = captured.stores.iter().find(|(changed, _)| *changed == slot);
        let stored = stored.map(|&(_, number)| captured.wanted[number]);
        results.push(stored.or_else(|| updated_to(captured, slot)).unwrap_or(slot as u32));
        Some(results.len() - 1)
    };
    let result = captured.result.form(py, &mut object, &mut Counts::default())?;
    let read = captured.capture.steps().iter().flat_map(|step| &step.inputs).chain(&results);
    let mut is_read = vec![false; inputs.len()];
    read.filter(|&&n| (n as usize) < inputs.len()).for_each(|&n| is_read[n as usize] = true);
    for (slot, input) in inputs.iter_mut().enumerate() {
        if (is_read[slot] || updated.contains(&slot)) && matches!(input, Input::State(_)) {
            *input = Input::State(state.tensor(&found.tensors[slot])?);
        }
    }
    let call = Form::Tuple(vec![args, kwargs]).renumbered(&|slot| argument(slot).unwrap_or(slot));
    let layout = |(_, x): &(String, Bound<'py, PyTensor>)| {
        let (_, shape, strides, dtype) = x.get().get().array().identity();
        (shape, strides, dtype)
    };
    let layouts: Vec<Layout> = state.kept.iter().map(layout).collect();
    Ok(Some(kept(Given {
        capture: &captured.capture,
        inputs: &inputs,
        results: &results,
        stores: &stores,
        besides: &besides,
        kept: &layouts,
        call: call.text(py)?,
        result: result.text(py)?,
    })?))
}

/// The value to which steps of optimisers have brought the tensor of a place, if one has changed it.
fn updated_to(captured: &Captured, slot: usize) -> Option<u32> {
    let (number, at) =
        captured.actions.iter().enumerate().rev().find_map(|(number, action)| match action {
            Action::Update(_, changed) => Some((number, changed.iter().position(|&place| place == slot)?)),
            Action::Draw(..) => None,
        })?;
    let is_it = |kind: &Kind| matches!(kind, Kind::Foreign(other) if *other == number);
    let step = captured.capture.steps().iter().find(|step| is_it(&step.kind))?;
    step.outputs.get(at).copied()
}

/// The error of a program that changes what it is given.
fn given_and_changed(does: &str) -> PyErr {
    PyTypeError::new_err(format!(
        "save: the program {does} a tensor that it is given; let it return the new values, or reach the tensor without \
         arguments, as a closure does"
    ))
}
