//! Choosing, for Python.

use crate::ops;
use crate::py::{Operand, PyTensor, pair, run};
use pyo3::prelude::*;

/// `a` where `test` is true (not zero), else `b`. All three broadcast.
#[pyfunction]
#[pyo3(name = "where", signature = (test, a, b, /))]
pub(super) fn select(test: Operand, a: &Bound<'_, PyAny>, b: &Bound<'_, PyAny>) -> PyResult<PyTensor> {
    let (a, b) = pair(a, b)?;
    run(&[&test.0, &a, &b], || ops::select(&test.0, &a, &b))
}
