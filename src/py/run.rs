//! The one door through which work leaves the interpreter: it decides whether to release the GIL.

use super::PyTensor;
use crate::error::Result;
use crate::tape::Tensor;
use crate::team::{self, Unwanted};
use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;
use std::cell::Cell;

/// Inputs of at least this many elements take long enough (about 20 us) that other Python threads should run meanwhile.
const LONG: usize = 1 << 15;

/// Does an operation, without the GIL if its inputs are large.
#[inline]
pub(crate) fn run(inputs: &[&Tensor], f: impl FnOnce() -> Result<Tensor> + Send) -> PyResult<PyTensor> {
    let size = inputs.iter().map(|t| t.size()).sum::<usize>();
    if size < LONG {
        return Ok(f()?.into());
    }
    Python::attach(|py| Ok(released(py, size, f)?.into()))
}

/// Does work on `size` elements: if those are many, without the GIL, and broken off when Ctrl-C is pressed.
#[inline]
pub(crate) fn released<T: Send>(
    py: Python<'_>,
    size: usize,
    f: impl FnOnce() -> Result<T> + Send,
) -> PyResult<T> {
    if size < LONG {
        return Ok(f()?);
    }
    let (mut f, mut result) = (Some(f), None);
    at_length(py, &mut || result = f.take().map(|f| f()))?;
    Ok(result.expect("the work has been done")?)
}

/// The same for any work.
fn at_length(py: Python<'_>, work: &mut (dyn FnMut() + Send)) -> PyResult<()> {
    match py.detach(|| team::patient(is_wanted, work)) {
        Ok(()) => py.check_signals(),
        Err(Unwanted) => Err(INTERRUPTED.take().unwrap_or_else(|| PyKeyboardInterrupt::new_err(()))),
    }
}

thread_local! {
    /// What a handler of a signal raised in the middle of long work.
    static INTERRUPTED: Cell<Option<PyErr>> = const { Cell::new(None) };
}

/// Whether long work is to go on: runs the handlers of signals that have come in.
fn is_wanted() -> bool {
    match Python::attach(|py| py.check_signals()) {
        Ok(()) => true,
        Err(e) => {
            INTERRUPTED.set(Some(e));
            false
        }
    }
}

/// Does work on `size` elements, without the GIL if those are many; Ctrl-C has to wait.
#[inline]
pub(crate) fn detached<T: Send>(
    py: Python<'_>,
    size: usize,
    f: impl FnOnce() -> Result<T> + Send,
) -> Result<T> {
    if size < LONG { f() } else { py.detach(f) }
}
