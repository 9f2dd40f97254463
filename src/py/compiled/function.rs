//! A function that is captured and done again: which of its programs a call fits, and who is asked where none does.

use super::captured::Captured;
use super::guard::Found;
use super::program::{Program, Ran};
use super::saved::saved;
use crate::py::programs::Saved;
use crate::py::{call, step};
use crate::tape::{self, Replay};
use pyo3::exceptions::PyRuntimeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A function that is captured and done again.
#[pyclass(name = "compiled", dict, weakref, frozen, module = "oxiflux")]
pub(in crate::py) struct Compiled {
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

    /// Adds the program of what was captured; `reason` is why those that there are did not do.
    #[pyo3(signature = (captured, reason = None))]
    fn add(&self, captured: &Bound<'_, Captured>, reason: Option<String>) {
        let of = captured.get();
        let (replay, places) = Replay::of(&of.capture, &of.wanted);
        let guard = of.guard.clone_ref(captured.py());
        let mut found = Vec::new();
        let has_again = of.result.survey(&mut found);
        let wanted = guard.get().wanted(&found);
        let of = captured.clone().unbind();
        let mut counts: HashMap<u32, usize> = HashMap::new();
        places.iter().for_each(|&place| *counts.entry(place).or_default() += 1);
        let is_own = places.iter().map(|place| counts[place] == 1).collect();
        let program = Program { replay, of, guard, reason, places, is_own, wanted, has_again };
        locked(&self.programs).insert(0, Arc::new(program));
    }

    /// The programs as text, a line for each step, the one that was done last before the others.
    fn shown(&self) -> Vec<String> {
        let programs: Vec<_> = locked(&self.programs).iter().cloned().collect();
        programs.iter().map(|program| program.shown()).collect()
    }

    /// What a call differs in from those that the program is for which was done last, in words; `names` are those of the
    /// arguments by position.
    #[pyo3(signature = (args, kwargs, names, /))]
    fn difference(
        &self,
        args: &Bound<'_, PyTuple>,
        kwargs: Option<&Bound<'_, PyDict>>,
        names: Vec<String>,
    ) -> PyResult<Option<String>> {
        match locked(&self.programs).first().cloned() {
            Some(program) => program.guard.get().differs(args, kwargs, &names),
            None => Ok(None),
        }
    }

    /// The programs as they are written to files, and the tensors that they keep by name: `names` has some by their addresses.
    /// Those of a method are of the object that it is `bound` to.
    #[pyo3(signature = (names, bound = None, /))]
    fn saved<'py>(
        &self,
        py: Python<'py>,
        names: HashMap<usize, String>,
        bound: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<(Saved, Bound<'py, PyDict>)> {
        let programs: Vec<_> = locked(&self.programs).iter().cloned().collect();
        let all: Vec<&Captured> = programs.iter().map(|program| program.of.get()).collect();
        saved(py, &all, bound, &names)
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
    pub(in crate::py) fn call<'py>(
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
