//! What is found out of Python once for all.

use pyo3::PyTypeInfo;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

/// A value that the first caller finds.
///
/// Nothing is locked while it is found: Python may let another thread fork meanwhile, and a lock that is held then stays
/// held for ever in the child.
pub(super) struct Once<T>(PyOnceLock<T>);

impl<T> Once<T> {
    pub(super) const fn new() -> Once<T> {
        Once(PyOnceLock::new())
    }

    /// The value, which `find` finds if there is none yet. Of two callers who find one at a time the first is right.
    pub(super) fn get_or_find(&self, py: Python<'_>, find: impl FnOnce() -> PyResult<T>) -> PyResult<&T> {
        match self.0.get(py) {
            Some(found) => Ok(found),
            None => {
                let found = find()?;
                Ok(self.0.get_or_init(py, || found))
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
