//! What functions, methods and partial applications hold, by name.

use super::once::{Once, intern};
use super::tree::{self, Node};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFunction, PyString, PyTuple, PyType};

/// What a callable holds; `None` for what is none of these, and where it holds nothing.
pub(super) fn held<'py>(ob: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyDict>>> {
    let py = ob.py();
    if ob.is_instance_of::<PyFunction>() {
        return of_function(ob);
    }
    let attribute =
        |dict: &Bound<'py, PyDict>, name: &Bound<'py, PyString>| dict.set_item(name, ob.getattr(name)?);
    let dict = PyDict::new(py);
    if is_method(ob)? {
        attribute(&dict, intern!(py, "__func__"))?;
        attribute(&dict, intern!(py, "__self__"))?;
        return Ok(Some(dict));
    }
    if is_partial(ob)? {
        dict.update(ob.getattr(intern!(py, "__dict__"))?.cast::<PyDict>()?.as_mapping())?;
        attribute(&dict, intern!(py, "func"))?;
        attribute(&dict, intern!(py, "args"))?;
        attribute(&dict, intern!(py, "keywords"))?;
        return Ok(Some(dict));
    }
    Ok(None)
}

/// Whether this is a method with the object that it is of.
pub(super) fn is_method(ob: &Bound<'_, PyAny>) -> PyResult<bool> {
    static CLASS: Once<Py<PyType>> = Once::new();
    ob.is_instance(CLASS.import(ob.py(), "types", "MethodType")?)
}

pub(super) fn is_partial(ob: &Bound<'_, PyAny>) -> PyResult<bool> {
    static CLASS: Once<Py<PyType>> = Once::new();
    ob.is_instance(CLASS.import(ob.py(), "functools", "partial")?)
}

/// What a function has captured, and those defaults of its arguments and attributes of its own that can hold tensors.
fn of_function<'py>(function: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyDict>>> {
    let py = function.py();
    let dict = PyDict::new(py);
    let attributes = function.getattr(intern!(py, "__dict__"))?.cast_into::<PyDict>()?;
    for (name, value) in attributes.iter() {
        // What a decorator has replaced.
        if !name.eq(intern!(py, "__wrapped__"))? && holds(&value)? {
            dict.set_item(name, value)?;
        }
    }
    let defaults = function.getattr(intern!(py, "__defaults__"))?;
    if let Ok(defaults) = defaults.cast::<PyTuple>() {
        let code = function.getattr(intern!(py, "__code__"))?;
        let names = code.getattr(intern!(py, "co_varnames"))?.cast_into::<PyTuple>()?;
        let count = code.getattr(intern!(py, "co_argcount"))?.extract::<usize>()?;
        for (i, value) in defaults.iter().enumerate() {
            // An argument for each default, counted from the last; more can be assigned, and are then out of reach.
            if let Some(at) = (count + i).checked_sub(defaults.len())
                && holds(&value)?
            {
                dict.set_item(names.get_item(at)?, value)?;
            }
        }
    }
    if let Ok(defaults) = function.getattr(intern!(py, "__kwdefaults__"))?.cast::<PyDict>() {
        for (name, value) in defaults.iter() {
            if holds(&value)? {
                dict.set_item(name, value)?;
            }
        }
    }
    for (name, cell) in cells(function)? {
        if let Some(content) = contents(&cell)? {
            dict.set_item(name, content)?;
        }
    }
    Ok(if dict.is_empty() { None } else { Some(dict) })
}

/// Whether there can be tensors in a value: options are no parts of a function.
fn holds(value: &Bound<'_, PyAny>) -> PyResult<bool> {
    // A function is not looked into: it may be the default of its own argument.
    Ok(value.is_instance_of::<PyFunction>() || !matches!(tree::node(value)?, Node::Leaf))
}

/// The cells of a closure with their names.
pub(super) fn cells<'py>(
    function: &Bound<'py, PyAny>,
) -> PyResult<Vec<(Bound<'py, PyAny>, Bound<'py, PyAny>)>> {
    let py = function.py();
    let cells = function.getattr(intern!(py, "__closure__"))?;
    if cells.is_none() {
        return Ok(Vec::new());
    }
    let names = function.getattr(intern!(py, "__code__"))?.getattr(intern!(py, "co_freevars"))?;
    names.try_iter()?.zip(cells.try_iter()?).map(|(name, cell)| Ok((name?, cell?))).collect()
}

/// What is in a cell; `None` for one that is empty still.
fn contents<'py>(cell: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    match cell.getattr(intern!(cell.py(), "cell_contents")) {
        Ok(contents) => Ok(Some(contents)),
        Err(e) if e.is_instance_of::<PyValueError>(cell.py()) => Ok(None),
        Err(e) => Err(e),
    }
}
