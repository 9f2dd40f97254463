//! Functions that are captured and done again: the life of a program is in `oxiflux.compiled`, one call is here.

mod actions;
mod captured;
mod comparison;
mod difference;
mod fields;
mod forms;
mod function;
mod guard;
mod picture;
mod program;
mod results;
mod saved;

pub(super) use actions::{drawn, drawn_place, updated, updating, will_be_drawn_again};
pub(super) use comparison::is_same_value;
pub(super) use function::Compiled;

use super::hints::add_function;
use crate::tape;
use captured::{Captured, capture};
use guard::Guard;
use pyo3::prelude::*;

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
