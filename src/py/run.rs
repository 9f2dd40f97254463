//! The one door through which work leaves the interpreter: it decides whether to release the GIL.

use super::PyTensor;
use crate::error::Result;
use crate::tape::Tensor;
use pyo3::prelude::*;

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

/// Does work on `size` elements: if those are many, without the GIL, and then looks whether Ctrl-C was pressed.
#[inline]
pub(crate) fn released<T: Send>(
    py: Python<'_>,
    size: usize,
    f: impl FnOnce() -> Result<T> + Send,
) -> PyResult<T> {
    let result = detached(py, size, f);
    if size >= LONG {
        py.check_signals()?;
    }
    Ok(result?)
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
