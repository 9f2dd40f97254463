//! What is found out of Python once for all.

use pyo3::PyTypeInfo;
use pyo3::prelude::*;
use pyo3::types::PyString;
use std::sync::OnceLock;

/// A value that the first caller finds.
///
/// Nothing is locked while Python may run another thread: that one may fork, and a lock that is held then stays held for
/// ever in the child. So the value is found first and stored without letting go of the GIL. `PyOnceLock` lets go of it, and
/// so does pyo3's `intern!`.
pub(super) struct Once<T>(OnceLock<T>);

impl<T> Once<T> {
    pub(super) const fn new() -> Once<T> {
        Once(OnceLock::new())
    }

    /// The value, which `find` finds if there is none yet. Of two callers who find one at a time the first is right.
    pub(super) fn get_or_find(&self, _: Python<'_>, find: impl FnOnce() -> PyResult<T>) -> PyResult<&T> {
        match self.0.get() {
            Some(found) => Ok(found),
            None => {
                let found = find()?;
                Ok(self.0.get_or_init(|| found))
            }
        }
    }
}

impl<T: PyTypeInfo> Once<Py<T>> {
    /// What a module has by that name.
    pub(super) fn import<'py>(&self, py: Python<'py>, module: &str, name: &str) -> PyResult<&Bound<'py, T>> {
        let find = || Ok(py.import(module)?.getattr(name)?.cast_into::<T>()?.unbind());
        self.get_or_find(py, find).map(|found| found.bind(py))
    }
}

impl Once<Py<PyString>> {
    /// A text that Python knows by its place.
    pub(super) fn text<'py>(&self, py: Python<'py>, text: &str) -> &Bound<'py, PyString> {
        match self.0.get() {
            Some(found) => found.bind(py),
            None => {
                let found = PyString::intern(py, text).unbind();
                self.0.get_or_init(|| found).bind(py)
            }
        }
    }
}

/// A name as Python's text, made once for each place in the source.
macro_rules! intern {
    ($py:expr, $text:expr) => {{
        static TEXT: $crate::py::once::Once<pyo3::Py<pyo3::types::PyString>> = $crate::py::once::Once::new();
        TEXT.text($py, $text)
    }};
}
pub(super) use intern;
