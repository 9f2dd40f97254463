//! How the core calls functions that users wrote.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use pyo3::{BoundObject, ffi};
use std::hint::black_box;
use std::ptr;
use std::thread;

type Call = unsafe extern "C-unwind" fn(
    *mut ffi::PyObject,
    *mut ffi::PyObject,
    *mut ffi::PyObject,
) -> *mut ffi::PyObject;

unsafe extern "C-unwind" {
    fn PyObject_Call(
        f: *mut ffi::PyObject,
        args: *mut ffi::PyObject,
        kwargs: *mut ffi::PyObject,
    ) -> *mut ffi::PyObject;
}

/// Lets its thread wait for ever where the stack is taken down while no panic is under way.
struct Held;

impl Drop for Held {
    fn drop(&mut self) {
        loop {
            thread::park();
        }
    }
}

/// What `f` returns for these arguments, as `f.call1(args)`.
///
/// At the end of a program Python before 3.14 ends threads that still run its code by taking down their stacks, ours
/// included, where references are then dropped without the GIL. So such a thread stays here until the process is gone,
/// as it does in later versions.
pub(super) fn call<'py, A>(f: &Bound<'py, PyAny>, args: A) -> PyResult<Bound<'py, PyAny>>
where
    A: IntoPyObject<'py, Target = PyTuple>,
    PyErr: From<A::Error>,
{
    let py = f.py();
    call_with(f, &args.into_pyobject(py)?.into_bound(), None)
}

/// The same with arguments by name.
pub(super) fn call_with<'py>(
    f: &Bound<'py, PyAny>,
    args: &Bound<'py, PyTuple>,
    kwargs: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = f.py();
    let names = kwargs.map_or(ptr::null_mut(), Bound::as_ptr);
    // Called by its address: pyo3 declares the function as one that never unwinds, and the compiler believes either of us.
    let call = black_box(PyObject_Call as Call);
    let held = Held;
    // SAFETY: `f` and `args` are live, `args` is a tuple, `names` a dict or null, and this thread holds the GIL.
    let result = unsafe { call(f.as_ptr(), args.as_ptr(), names) };
    std::mem::forget(held);
    // SAFETY: what `PyObject_Call` gives is ours, or null with an exception set.
    unsafe { Bound::from_owned_ptr_or_err(py, result) }
}
