//! Answers to everyday slips: what to write instead. The words are in `oxiflux.hints`.
//!
//! pyo3 reads a function's arguments before any code of ours runs. So Python calls a function through a door that looks
//! at the error when it failed, and costs a jump otherwise.

use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyCFunction, PyDict, PyTuple, PyType};
use std::ffi::CString;
use std::sync::OnceLock;

/// A function as CPython calls it: the module, the arguments, how many are by position, and the names of the others.
pub(crate) type Entry = ffi::PyCFunctionFastWithKeywords;

/// What is behind a door, and its name.
pub(crate) type Inner = OnceLock<(Entry, String)>;

/// Adds a function to a module, behind its door. The defaults are those that pyo3 cannot show, as Rust writes them.
macro_rules! add_function {
    ($module:expr, $function:path) => { $crate::py::hints::add_function!($module, $function, []) };
    ($module:expr, $function:path, [$($default:expr),*]) => {{
        static INNER: $crate::py::hints::Inner = std::sync::OnceLock::new();
        unsafe extern "C" fn door(
            module: *mut pyo3::ffi::PyObject,
            args: *const *mut pyo3::ffi::PyObject,
            n: pyo3::ffi::Py_ssize_t,
            names: *mut pyo3::ffi::PyObject,
        ) -> *mut pyo3::ffi::PyObject {
            // SAFETY: CPython calls it as it would call the function inside, holding the GIL.
            unsafe { $crate::py::hints::enter(&INNER, module, args, n, names) }
        }
        let function = pyo3::wrap_pyfunction!($function, $module)?;
        $crate::py::hints::add($module, function, &[$($default),*], &INNER, door)
    }};
}
pub(crate) use add_function;

/// Calls what is behind a door.
///
/// # Safety
/// The arguments are those of a call by CPython, and the GIL is held.
#[inline]
pub(crate) unsafe fn enter(
    inner: &Inner,
    module: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    n: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    let Some((function, name)) = inner.get() else { return std::ptr::null_mut() };
    // SAFETY: as the caller promises.
    unsafe {
        let result = function(module, args, n, names);
        if result.is_null() {
            explain(Python::assume_attached(), name, args, n, names);
        }
        result
    }
}

/// Gives the error that is set a better text, if there is one for what was raised by the core itself.
///
/// # Safety
/// The arguments are those of a call by CPython.
#[cold]
unsafe fn explain(
    py: Python<'_>,
    name: &str,
    args: *const *mut ffi::PyObject,
    n: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) {
    let Some(error) = PyErr::take(py) else { return };
    let is_exactly = |class: Bound<'_, PyType>| error.get_type(py).is(class);
    // A value that an argument cannot be has a note with its name.
    let about_arguments = error.is_instance_of::<PyTypeError>(py)
        || is_exactly(py.get_type::<PyOverflowError>())
        || is_exactly(py.get_type::<PyValueError>()) && error.value(py).hasattr("__notes__").unwrap_or(false);
    if about_arguments && error.traceback(py).is_none() {
        // SAFETY: as many arguments as CPython says, those by name last.
        let given = |i: usize| unsafe { Bound::from_borrowed_ptr(py, *args.add(i)) };
        let told = || -> PyResult<Option<Bound<'_, PyAny>>> {
            let named = PyDict::new(py);
            if !names.is_null() {
                // SAFETY: it is the tuple of their names.
                let names = unsafe { Bound::from_borrowed_ptr(py, names) };
                for (i, name) in names.try_iter()?.enumerate() {
                    named.set_item(name?, given(n as usize + i))?;
                }
            }
            let by_place = PyTuple::new(py, (0..n as usize).map(given).collect::<Vec<_>>())?;
            let hints = py.import("oxiflux.hints")?;
            Ok(Some(hints.call_method1("explained", (name, error.value(py), by_place, named))?)
                .filter(|told| !told.is_none()))
        };
        if let Ok(Some(told)) = told() {
            return PyErr::from_value(told).restore(py);
        }
    }
    error.restore(py);
}

/// A signature with its defaults in the place of the dots that pyo3 writes for what is no literal.
fn with_defaults(signature: &str, defaults: &[&str]) -> String {
    let mut parts = signature.split("=...");
    let mut whole = String::from(parts.next().unwrap_or_default());
    let mut defaults = defaults.iter();
    for part in parts {
        whole.push('=');
        whole.push_str(defaults.next().map_or("...", |&default| in_python(default)));
        whole.push_str(part);
    }
    whole
}

/// A default as Python writes it.
fn in_python(default: &str) -> &str {
    match default {
        "Axes::All" => "None",
        "false" => "False",
        "true" => "True",
        _ => default.split_once("::from(").map_or(default, |(_, inner)| inner.trim_end_matches(')')),
    }
}

/// Puts a function into a module, to be entered by `door`. One without keywords needs no door.
pub(crate) fn add(
    module: &Bound<'_, PyModule>,
    function: Bound<'_, PyCFunction>,
    defaults: &[&str],
    inner: &'static Inner,
    door: Entry,
) -> PyResult<()> {
    const KEYWORDS: i32 = ffi::METH_FASTCALL | ffi::METH_KEYWORDS;
    // SAFETY: it is a builtin function.
    let (flags, entry) = unsafe {
        let f = function.as_ptr();
        (ffi::PyCFunction_GetFlags(f), ffi::PyCFunction_GetFunction(f))
    };
    let signature: Option<String> = function.getattr("__text_signature__")?.extract()?;
    let (Some(entry), Some(signature), KEYWORDS) = (entry, signature, flags) else {
        return module.add_function(function);
    };
    // SAFETY: the flags say that this is the function's true type.
    let entry = unsafe { std::mem::transmute::<ffi::PyCFunction, Entry>(entry) };
    let name: String = function.getattr("__name__")?.extract()?;
    inner.get_or_init(|| (entry, name.clone()));
    let signature = with_defaults(&signature, defaults);
    let doc: Option<String> = function.getattr("__doc__")?.extract()?;
    let doc = CString::new(format!("{name}{signature}\n--\n\n{}", doc.unwrap_or_default()))?;
    // CPython refers to both for as long as it runs.
    let definition = Box::leak(Box::new(ffi::PyMethodDef {
        ml_name: CString::new(name.as_str())?.into_raw(),
        ml_meth: ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: door },
        ml_flags: KEYWORDS,
        ml_doc: doc.into_raw(),
    }));
    let home = module.name()?;
    // SAFETY: the definition lives for ever; the module and its name are alive.
    let doored = unsafe {
        let f = ffi::PyCFunction_NewEx(definition, module.as_ptr(), home.as_ptr());
        Bound::from_owned_ptr_or_err(module.py(), f)?
    };
    module.add(name.as_str(), doored)
}

/// The error of a keyword that a method of `Tensor` does not take.
#[cold]
pub(super) fn unexpected(py: Python<'_>, method: &str, keyword: &str, known: &[&str]) -> PyErr {
    let text = py.import("oxiflux.hints").and_then(|hints| {
        hints.call_method1("keyword", (format!("Tensor.{method}"), keyword, known.to_vec()))?.extract()
    });
    text.map_or_else(|e| e, |text: String| PyTypeError::new_err(text))
}

/// What a method was given beside its own arguments as NumPy's methods may be: `dtype`, which is returned, and options
/// that say nothing. Others are errors.
pub(super) fn beside(
    method: &str,
    known: &[&str],
    more: Option<&Bound<'_, PyDict>>,
) -> PyResult<Option<crate::dtype::DType>> {
    let mut dtype = None;
    for (name, value) in more.into_iter().flatten() {
        let name: String = name.extract()?;
        let text = match name.as_str() {
            "dtype" if known.contains(&"dtype") => {
                dtype = value.extract()?;
                continue;
            }
            "out" if value.is_none() => continue,
            "where" if value.extract::<bool>().is_ok_and(|all| all) => continue,
            "out" => "out= is not taken: nothing is written into a tensor, the result is a new one",
            "where" => "where= is not taken; choose the elements by flux.where(mask, x, …) first",
            "initial" => "initial= is not taken; add it to the result, or take the maximum with it",
            _ => return Err(unexpected(value.py(), method, &name, known)),
        };
        return Err(PyTypeError::new_err(format!("Tensor.{method}: {text}")));
    }
    Ok(dtype)
}
