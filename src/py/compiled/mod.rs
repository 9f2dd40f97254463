//! Functions that are captured and done again: the life of a program is in `oxiflux.compiled`, one call is here. It is
//! long, since a capture and a replay go through the same stations, which are told beside each other.

mod actions;
mod fields;
mod guard;
mod results;

pub(super) use actions::{drawn, drawn_place, updated, updating};

use super::hints::add_function;
use super::optim::again;
use super::random::{Generator, default_generator};
use super::run::released;
use super::step;
use super::tensor::check_assignable;
use super::{call, numpy};
use crate::array::Array;
use crate::random::Generator as Stream;
use crate::tape::{self, Capture, Capturing, Registers, Replay, Tensor};
use actions::{Action, Actions, pair};
use guard::{Found, Guard};
use pyo3::exceptions::PyRuntimeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use results::{Built, Part, Reading};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What was captured in one call.
#[pyclass(frozen, module = "oxiflux._core")]
struct Captured {
    capture: Capture,
    actions: Vec<Action>,
    /// The places of tensors that are given other values, and the numbers of these among those wanted.
    stores: Vec<(usize, usize)>,
    result: Part,
    wanted: Vec<u32>,
    guard: Py<Guard>,
}

/// A program that is ready to be done again.
struct Program {
    replay: Replay,
    of: Py<Captured>,
    guard: Py<Guard>,
    /// Where the wanted values are in the end.
    places: Vec<u32>,
    /// The objects that are to be kept of what the guard finds.
    wanted: Vec<bool>,
    /// Whether a part of the result is in it again.
    has_again: bool,
}

/// What became of a run.
enum Ran<'py> {
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
    fn run<'py>(&self, py: Python<'py>, found: &Found<'_, 'py>) -> PyResult<Ran<'py>> {
        let of = self.of.get();
        let given = found.tensors.iter().enumerate().map(|(i, x)| match self.replay.is_read(i) {
            true => x.get().lock().array().clone(),
            false => Array::nothing(),
        });
        let mut registers = self.replay.start(given);
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
                Action::Draw(place, _, draw) => {
                    let generator = match place {
                        Some(place) => found.generators[*place].clone(),
                        None => default_generator(py)?.into_bound(py),
                    };
                    match draw(streams.of(generator)) {
                        Ok(drawn) => self.replay.give(&mut registers, |_| drawn.clone()),
                        Err(e) if is_changed => return Err(e.into()),
                        Err(_) => return Ok(Ran::NotDone),
                    }
                }
                Action::Update(pairs, changed) => {
                    let pairs = pairs.iter().map(|&p| pair(found, p)).zip(stop.inputs);
                    for (pair, _) in pairs.clone() {
                        check_assignable(pair.1)?;
                    }
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
        let value = |n: usize| self.replay.value(&registers, self.places[n]).clone();
        for &(place, number) in &of.stores {
            step::note(&found.tensors[place]);
            found.tensors[place].get().set(Tensor::from(value(number)));
        }
        let mut built = Built { is_kept: self.has_again, ..Built::default() };
        Ok(Ran::Done(of.result.build(py, found, &value, &mut built)?))
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
fn capture<'py>(
    guard: &Bound<'py, Guard>,
    f: &Bound<'py, PyAny>,
    args: &Bound<'py, PyTuple>,
    kwargs: Option<&Bound<'py, PyDict>>,
) -> PyResult<(Bound<'py, PyAny>, Option<Py<Captured>>, Option<String>)> {
    let py = guard.py();
    let refused = |result, why: &str| Ok((result, None, Some(String::from(why))));
    let plain = || super::call::call_with(f, args, kwargs);
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
    fn shown(&self, replay: &Replay) -> String {
        let of = |action: &usize| match &self.actions[*action] {
            Action::Update(pairs, _) => format!("update {} parameters", pairs.len()),
            Action::Draw(_, what, _) => format!("draw {what}"),
        };
        let mut text = self.capture.shown(&|action| of(&action), &|step| replay.fate(step).to_string());
        for &(place, number) in &self.stores {
            text += &format!("%{place} := %{}\n", self.wanted[number]);
        }
        text
    }
}

/// A function that is captured and done again.
#[pyclass(name = "compiled", dict, weakref, frozen, module = "oxiflux")]
pub(super) struct Compiled {
    /// The function, and who is asked where no program fits: `missed(args, kwargs)`. Nothing after it was cleared.
    held: Mutex<Option<(Py<PyAny>, Py<PyAny>)>>,
    programs: Mutex<Vec<Arc<Program>>>,
    /// Whether nothing is captured any more.
    is_settled: AtomicBool,
    hits: AtomicU64,
    misses: AtomicU64,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[pymethods]
impl Compiled {
    #[new]
    fn new(function: Py<PyAny>, missed: Py<PyAny>) -> Self {
        Compiled {
            held: Mutex::new(Some((function, missed))),
            programs: Mutex::default(),
            is_settled: AtomicBool::new(false),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }
    }

    #[pyo3(signature = (*args, **kwargs))]
    fn __call__<'py>(
        &self,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.call(args, kwargs, false)
    }

    /// Adds the program of what was captured.
    fn add(&self, captured: &Bound<'_, Captured>) {
        let of = captured.get();
        let (replay, places) = Replay::of(&of.capture, &of.wanted);
        let guard = of.guard.clone_ref(captured.py());
        let mut found = Vec::new();
        let has_again = of.result.survey(&mut found);
        let wanted = guard.get().wanted(&found);
        let program = Program { replay, of: captured.clone().unbind(), guard, places, wanted, has_again };
        locked(&self.programs).insert(0, Arc::new(program));
    }

    /// The programs as text, a line for each step, the one that was done last before the others.
    fn shown(&self) -> Vec<String> {
        let programs: Vec<_> = locked(&self.programs).iter().cloned().collect();
        programs.iter().map(|program| program.of.get().shown(&program.replay)).collect()
    }

    /// Captures nothing any more.
    fn settle(&self) {
        self.is_settled.store(true, Ordering::Relaxed);
    }

    /// Whether nothing is captured any more.
    #[getter]
    fn is_settled(&self) -> bool {
        self.is_settled.load(Ordering::Relaxed)
    }

    /// How many programs there are, the bytes of their constants, and the calls that one was done again for and those
    /// that none fitted.
    #[getter]
    fn counts(&self) -> (usize, usize, u64, u64) {
        let programs = locked(&self.programs);
        let bytes = programs.iter().map(|p| p.replay.bytes()).sum();
        (programs.len(), bytes, self.hits.load(Ordering::Relaxed), self.misses.load(Ordering::Relaxed))
    }

    /// The function itself.
    #[getter]
    fn __wrapped__(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        locked(&self.held).as_ref().map(|(f, _)| f.clone_ref(py))
    }

    fn __get__<'py>(
        slf: Bound<'py, Self>,
        ob: Option<Bound<'py, PyAny>>,
        _class: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        match ob {
            Some(ob) => slf.py().import("types")?.getattr("MethodType")?.call1((slf, ob)),
            None => Ok(slf.into_any()),
        }
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        match self.__wrapped__(py) {
            Some(f) => Ok(format!("compile({})", f.bind(py).repr()?)),
            None => Ok("compile(…)".into()),
        }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        if let Ok(held) = self.held.try_lock()
            && let Some((f, missed)) = &*held
        {
            visit.call(f)?;
            visit.call(missed)?;
        }
        if let Ok(programs) = self.programs.try_lock() {
            for program in programs.iter() {
                visit.call(&program.of)?;
                visit.call(&program.guard)?;
            }
        }
        Ok(())
    }

    fn __clear__(&self) {
        let held = locked(&self.held).take();
        let programs = std::mem::take(&mut *locked(&self.programs));
        drop((held, programs));
    }
}

impl Compiled {
    /// A call; `is_own` is that of the step that is open, which is compiled so.
    pub(super) fn call<'py>(
        &self,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
        is_own: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = args.py();
        // Within a gradient, or what is captured or recorded itself, it is a part of that.
        if !tape::is_plain() || step::is_open(is_own) {
            return self.plain(args, kwargs);
        }
        let mut at = 0;
        loop {
            let Some(program) = locked(&self.programs).get(at).cloned() else { break };
            let mut found = Found::wanting(&program.wanted);
            // What cannot be compared is not what it was.
            if program.guard.get().look(args, kwargs, &mut found).unwrap_or(false) {
                if at > 0 {
                    let mut programs = locked(&self.programs);
                    if programs.get(at).is_some_and(|p| Arc::ptr_eq(p, &program)) {
                        programs[..=at].rotate_right(1);
                    }
                }
                return match program.run(py, &found)? {
                    Ran::Done(result) => {
                        self.hits.fetch_add(1, Ordering::Relaxed);
                        Ok(result)
                    }
                    Ran::NotDone => self.plain(args, kwargs),
                };
            }
            at += 1;
        }
        self.misses.fetch_add(1, Ordering::Relaxed);
        if self.is_settled.load(Ordering::Relaxed) {
            return self.plain(args, kwargs);
        }
        let (_, missed) = self.held(py)?;
        let given = PyTuple::new(py, [args.as_any().clone(), kwargs_of(py, kwargs)])?;
        call::call_with(missed.bind(py), &given, None)
    }

    /// The function and who is asked where no program fits.
    fn held(&self, py: Python<'_>) -> PyResult<(Py<PyAny>, Py<PyAny>)> {
        let held = locked(&self.held).as_ref().map(|(f, missed)| (f.clone_ref(py), missed.clone_ref(py)));
        held.ok_or_else(|| PyRuntimeError::new_err("compile: the function is gone"))
    }

    /// A call of the function itself.
    fn plain<'py>(
        &self,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (function, _) = self.held(args.py())?;
        call::call_with(function.bind(args.py()), args, kwargs)
    }
}

fn kwargs_of<'py>(py: Python<'py>, kwargs: Option<&Bound<'py, PyDict>>) -> Bound<'py, PyAny> {
    match kwargs {
        Some(kwargs) => kwargs.clone().into_any(),
        None => py.None().into_bound(py),
    }
}

/// Where the program is: the line of the user's code that is being done.
fn place() -> String {
    Python::attach(|py| {
        let line =
            || -> PyResult<String> { py.import("oxiflux.compiled")?.getattr("line")?.call0()?.extract() };
        line().unwrap_or_default()
    })
}

pub(super) fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    tape::say_where(place);
    m.add_class::<Guard>()?;
    m.add_class::<Captured>()?;
    m.add_class::<Compiled>()?;
    add_function!(m, capture)
}
