//! Rust errors as Python exceptions: the one conversion.

use crate::error::Error;
use pyo3::create_exception;
use pyo3::exceptions::{PyIndexError, PyMemoryError, PyOSError, PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;

create_exception!(oxiflux, ShapeError, PyValueError, "Shapes that do not fit each other or the function.");
create_exception!(oxiflux, DTypeError, PyTypeError, "An element type that the function does not take.");

impl From<Error> for PyErr {
    fn from(error: Error) -> PyErr {
        // The exception of a user's own gradient rule comes out as it went in.
        if let Error::Raised(raised) = &error
            && let Some(exception) = raised.error().downcast_ref::<PyErr>()
        {
            return Python::attach(|py| exception.clone_ref(py));
        }
        // Who catches it does something that depends on it.
        if crate::tape::is_captured() {
            crate::tape::refuse(|| format!("there is an error in it: {error}"));
        }
        let text = error.to_string();
        match error {
            Error::Shape(_) => ShapeError::new_err(text),
            Error::DType(_) => DTypeError::new_err(text),
            Error::Index(_) => PyIndexError::new_err(text),
            Error::Value(_) | Error::Unsupported(_) => PyValueError::new_err(text),
            // From the number Python makes a FileNotFoundError, a PermissionError, …
            Error::File { path, code, reason } => PyOSError::new_err((code, reason, path.into_os_string())),
            Error::Raised(_) => PyRuntimeError::new_err(text),
            Error::Memory { .. } | Error::Exhausted { .. } => PyMemoryError::new_err(text),
        }
    }
}

pub(super) fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add("ShapeError", m.py().get_type::<ShapeError>())?;
    m.add("DTypeError", m.py().get_type::<DTypeError>())
}
