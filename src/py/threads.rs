//! How many threads the kernels use: asked for and set from Python, and by tools that look a library over for symbols.

use super::hints::add_function;
use super::operand::whole;
use crate::team::{self, MOST_THREADS};
use pyo3::prelude::*;
use std::ffi::c_int;

/// How many threads the kernels use, the calling one included.
#[pyfunction]
fn get_num_threads() -> usize {
    team::threads()
}

/// Sets how many threads the kernels use, the calling one included. Results do not depend on it.
#[pyfunction]
#[pyo3(signature = (n, /))]
fn set_num_threads(n: &Bound<'_, PyAny>) -> PyResult<()> {
    let n = whole("set_num_threads: the number of threads", n, 1..=MOST_THREADS as u64)?;
    team::set_threads(n as usize);
    Ok(())
}

/// The number of threads, for threadpoolctl.
#[unsafe(no_mangle)]
extern "C" fn oxiflux_get_num_threads() -> c_int {
    c_int::try_from(team::threads()).unwrap_or(c_int::MAX)
}

/// Sets the number of threads, for threadpoolctl; numbers below one mean one.
#[unsafe(no_mangle)]
extern "C" fn oxiflux_set_num_threads(n: c_int) {
    team::set_threads(usize::try_from(n).unwrap_or(1));
}

pub(super) fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    add_function!(m, get_num_threads)?;
    add_function!(m, set_num_threads)
}
