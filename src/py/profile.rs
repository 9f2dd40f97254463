//! What a profile sees, for `oxiflux.profiling`.

use super::hints::add_function;
use super::once::intern;
use crate::tape::profile::{Event, Profile, Profiled, Shapes, name_threads};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};
use std::sync::{Mutex, PoisonError};

/// A profile that is open: operations are timed until it is closed.
#[pyclass(name = "Profiling", frozen, module = "oxiflux._core")]
struct Profiling(Mutex<Option<Profile>>);

impl Profiling {
    fn with<R>(&self, f: impl FnOnce(&mut Option<Profile>) -> R) -> R {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn shapes<'py>(py: Python<'py>, shapes: &Shapes) -> PyResult<Bound<'py, PyTuple>> {
    let each = shapes.iter().map(|(shape, dtype)| Ok((PyTuple::new(py, shape)?, dtype.to_string())));
    PyTuple::new(py, each.collect::<PyResult<Vec<_>>>()?)
}

/// `(name, pass, inputs, outputs, bytes, flops, start, nanos, thread)`.
fn row<'py>(py: Python<'py>, e: &Event) -> PyResult<Bound<'py, PyAny>> {
    let (inputs, outputs) = (shapes(py, &e.inputs)?, shapes(py, &e.outputs)?);
    let row = (&*e.name, e.pass.name(), inputs, outputs, e.bytes, e.flops, e.start, e.nanos, e.thread);
    Ok(row.into_pyobject(py)?.into_any())
}

#[pymethods]
impl Profiling {
    /// Starts; an error while another is open.
    #[new]
    fn new() -> PyResult<Self> {
        let profile = Profile::open().ok_or_else(|| {
            PyRuntimeError::new_err(
                "profile: another profile is running: end it before, or profile with that one",
            )
        })?;
        Ok(Profiling(Mutex::new(Some(profile))))
    }

    /// Nanoseconds since it was opened, and the number of this thread.
    fn now(&self) -> (u64, u64) {
        self.with(|profile| profile.as_ref().map_or((0, 0), |profile| (profile.now(), profile.thread())))
    }

    /// Ends it: what was done, the names of the threads by their numbers, how many operations found no room, and the most
    /// bytes that tensors held.
    #[allow(clippy::type_complexity)]
    fn close<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<(Bound<'py, PyList>, Vec<(u64, String)>, usize, usize)> {
        let Profiled { events, threads, lost, peak } = match self.with(Option::take) {
            Some(profile) => profile.close(),
            None => Profiled::default(),
        };
        let rows = events.iter().map(|e| row(py, e)).collect::<PyResult<Vec<_>>>()?;
        Ok((PyList::new(py, rows)?, threads, lost, peak))
    }
}

/// The name that Python has for this thread.
fn name() -> String {
    Python::attach(|py| {
        let name = || -> PyResult<String> {
            let thread = py.import(intern!(py, "threading"))?.getattr("current_thread")?.call0()?;
            thread.getattr("name")?.extract()
        };
        name().unwrap_or_default()
    })
}

/// Bytes that living tensors have held at most since this was asked the last time.
#[pyfunction]
fn memory_peak() -> usize {
    let peak = crate::memory::peak();
    crate::memory::forget_peak();
    peak
}

pub(super) fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    name_threads(name);
    m.add_class::<Profiling>()?;
    add_function!(m, memory_peak)
}
