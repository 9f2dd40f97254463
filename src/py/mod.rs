//! The Python module `oxiflux._core`: the only place that names pyo3 and numpy.

mod arguments;
mod at;
mod attributes;
mod bind;
mod call;
mod callables;
mod compiled;
mod custom;
mod device;
mod dlpack;
mod dtype;
mod error;
mod files;
mod gradient;
mod held;
pub(crate) mod hints;
mod index;
mod lists;
mod state;
mod numpy;
mod once;
mod operand;
mod ops;
mod optim;
mod plan;
mod profile;
mod program;
mod programs;
mod random;
mod rules;
mod run;
mod snapshot;
mod statistics;
mod step;
mod strict;
mod tensor;
mod threads;
mod tree;
mod walkable;
mod variables;

pub(crate) use bind::bind;
use call::call;
pub(crate) use device::Device;
pub(crate) use operand::{Operand, compared, fitted, floating, many, meet, meeting, named, pair, weak};
pub(crate) use run::{released, run};
pub(crate) use tensor::PyTensor;

use hints::add_function;
use pyo3::prelude::*;

/// Bytes that living tensors hold, rounded up to the sizes that memory is handed out in.
#[pyfunction]
fn memory_in_use() -> usize {
    crate::memory::in_use()
}

/// Gives memory that is kept for reuse back to the system.
#[pyfunction]
fn empty_cache() {
    crate::memory::trim();
}

/// Tensors, gradients and kernels: the Rust part of oxiflux.
#[pymodule(name = "_core", gil_used = true)]
fn core(m: &Bound<'_, PyModule>) -> PyResult<()> {
    // Before there is any thread of ours: a fork that is under way calls no handler that comes later.
    crate::fork::watch();
    crate::team::on_fork();
    // A child would wait for ever for what another thread was finding out.
    crate::isa::isa();
    numpy::ready(m.py())?;
    crate::ops::register(m)?;
    ops::register(m)?;
    compiled::register(m)?;
    custom::register(m)?;
    snapshot::register(m)?;
    dlpack::register(m)?;
    dtype::register(m)?;
    error::register(m)?;
    files::register(m)?;
    programs::register(m)?;
    gradient::register(m)?;
    numpy::register(m)?;
    optim::register(m)?;
    profile::register(m)?;
    program::register(m)?;
    random::register(m)?;
    statistics::register(m)?;
    step::register(m)?;
    tensor::register(m)?;
    strict::register(m)?;
    threads::register(m)?;
    tree::register(m)?;
    add_function!(m, memory_in_use)?;
    add_function!(m, empty_cache)?;
    let names: Vec<&str> = crate::ops::OPS.iter().flat_map(|file| file.iter().map(|op| op.name)).collect();
    m.add("op_names", names)?;
    let isa = match crate::isa::isa() {
        crate::isa::Isa::Portable => "portable",
        crate::isa::Isa::Avx2 => "avx2",
        crate::isa::Isa::Avx512 => "avx512",
    };
    m.add("isa", isa)
}
