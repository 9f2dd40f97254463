//! Whether fast but less accurate algorithms are left out; `oxiflux.strict` makes one object of the two.

use super::hints::add_function;
use crate::{strict, tape};
use pyo3::prelude::*;

/// Leaves less accurate algorithms out for all threads that have not said otherwise, or doesn't.
#[pyfunction]
#[pyo3(signature = (on, /))]
fn set_strict(on: bool) {
    tape::refuse(|| "strict is asked for in the function".into());
    strict::set_strict(on);
}

/// Leaves less accurate algorithms out for this thread or doesn't, or does what holds for all; gives what was before.
#[pyfunction]
#[pyo3(signature = (on, /))]
fn strict_here(on: Option<bool>) -> Option<bool> {
    tape::refuse(|| "strict is asked for in the function".into());
    strict::strict_here(on)
}

/// Whether less accurate algorithms are left out of what this thread computes.
#[pyfunction]
fn is_strict() -> bool {
    strict::strict()
}

pub(super) fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    add_function!(m, set_strict)?;
    add_function!(m, strict_here)?;
    add_function!(m, is_strict)
}
