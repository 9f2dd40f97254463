//! Where CPython keeps the parts of a function and what is in a cell. Its stable interface has them as attributes alone, and
//! a guard that asks for a few of these takes longer than what it guards.
//!
//! The places are found in objects whose parts are known, whatever the version; where they are not found, attributes are
//! asked for.

use crate::py::once::{Once, intern};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

/// The places, in words from the start of an object.
pub(super) struct Places {
    code: usize,
    globals: usize,
    defaults: usize,
    keywords: usize,
    closure: usize,
    attributes: usize,
    contents: usize,
}

/// What is at a place of an object; `None` for a null.
fn at<'py>(ob: &Bound<'py, PyAny>, place: usize) -> Option<Bound<'py, PyAny>> {
    // SAFETY: the place is one that `Places::find` has found in two objects of this very class, whose objects all have one
    // layout, so it holds a reference to a live object or null; the GIL is held, so that nobody takes it away before it is
    // counted.
    unsafe {
        let part = ob.as_ptr().cast::<*mut ffi::PyObject>().add(place).read();
        Bound::from_borrowed_ptr_or_opt(ob.py(), part)
    }
}

/// The one word among those of an object that refers to another.
fn place_of(ob: &Bound<'_, PyAny>, part: &Bound<'_, PyAny>) -> PyResult<Option<usize>> {
    let size: usize = ob.get_type().getattr(intern!(ob.py(), "__basicsize__"))?.extract()?;
    let words = size / size_of::<usize>();
    // SAFETY: the object is alive and has so many words; they are compared as numbers and not followed.
    let is_it =
        |i: &usize| unsafe { ob.as_ptr().cast::<usize>().add(*i).read_volatile() == part.as_ptr() as usize };
    let found: Vec<usize> = (0..words).filter(is_it).collect();
    Ok(match found[..] {
        [one] => Some(one),
        _ => None,
    })
}

impl Places {
    /// The places, if they are the same in two functions.
    fn find(py: Python<'_>) -> PyResult<Option<Places>> {
        let one = Places::of_function(py)?;
        let other = Places::of_function(py)?;
        Ok(one.filter(|one| other.is_some_and(|other| one.all() == other.all())))
    }

    fn of_function(py: Python<'_>) -> PyResult<Option<Places>> {
        // What is in the cell and the globals are no other part of it.
        let globals = PyDict::new(py);
        let source = c"(lambda held: lambda x=[1], *, y=[2]: (held, x, y))([3])";
        let f = py.eval(source, Some(&globals), None)?;
        let dict = f.getattr("__dict__")?;
        dict.set_item("a", 4)?;
        let closure = f.getattr("__closure__")?;
        let cell = closure.cast::<PyTuple>()?.get_item(0)?;
        let place = |name: &str| place_of(&f, &f.getattr(name)?);
        let found = [
            place("__code__")?,
            place("__globals__")?,
            place("__defaults__")?,
            place("__kwdefaults__")?,
            place("__closure__")?,
            place("__dict__")?,
            place_of(&cell, &cell.getattr("cell_contents")?)?,
        ];
        let [
            Some(code),
            Some(globals),
            Some(defaults),
            Some(keywords),
            Some(closure),
            Some(attributes),
            Some(contents),
        ] = found
        else {
            return Ok(None);
        };
        Ok(Some(Places { code, globals, defaults, keywords, closure, attributes, contents }))
    }

    fn all(&self) -> [usize; 7] {
        let Places { code, globals, defaults, keywords, closure, attributes, contents } = *self;
        [code, globals, defaults, keywords, closure, attributes, contents]
    }
}

/// The places, if they could be found.
fn places(py: Python<'_>) -> Option<&'static Places> {
    static PLACES: Once<Option<Places>> = Once::new();
    PLACES.get_or_find(py, || Places::find(py)).ok().and_then(Option::as_ref)
}

/// A part of a function.
#[derive(Clone, Copy)]
pub(super) enum Part {
    Code,
    Globals,
    Defaults,
    Keywords,
    Closure,
    Attributes,
}

/// A part of an object of Python's class of functions, if it has that.
pub(super) fn part<'py>(f: &Bound<'py, PyAny>, part: Part) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = f.py();
    let found = match places(py) {
        Some(places) => at(
            f,
            match part {
                Part::Code => places.code,
                Part::Globals => places.globals,
                Part::Defaults => places.defaults,
                Part::Keywords => places.keywords,
                Part::Closure => places.closure,
                Part::Attributes => places.attributes,
            },
        ),
        None => Some(f.getattr(match part {
            Part::Code => intern!(py, "__code__"),
            Part::Globals => intern!(py, "__globals__"),
            Part::Defaults => intern!(py, "__defaults__"),
            Part::Keywords => intern!(py, "__kwdefaults__"),
            Part::Closure => intern!(py, "__closure__"),
            Part::Attributes => intern!(py, "__dict__"),
        })?),
    };
    Ok(found.filter(|found| !found.is_none()))
}

/// What is in a cell of a function, if something is.
pub(super) fn contents<'py>(cell: &Bound<'py, PyAny>) -> Option<Bound<'py, PyAny>> {
    match places(cell.py()) {
        Some(places) => at(cell, places.contents),
        None => cell.getattr(intern!(cell.py(), "cell_contents")).ok(),
    }
}
