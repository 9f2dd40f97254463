//! The attributes of a Python object: in its dict, in slots, and of its class.

use super::once::{Once, intern};
use super::variables::ByAddress;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple, PyType};
use std::sync::{Mutex, PoisonError};

/// The dict in which an object has its attributes, if it has one.
pub(super) fn dict_of<'py>(ob: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyDict>>> {
    // SAFETY: a live object; a new reference or null with an error set comes back.
    let found = unsafe {
        Bound::from_owned_ptr_or_opt(ob.py(), ffi::PyObject_GenericGetDict(ob.as_ptr(), std::ptr::null_mut()))
    };
    if found.is_none() {
        drop(PyErr::take(ob.py()));
    }
    Ok(found.map(Bound::cast_into).transpose()?)
}

/// All attributes of an object, in its dict and in slots, whatever else it is; `None` where it can have none. Those in a
/// dict alone come as that very dict.
pub(super) fn own_attributes<'py>(ob: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyDict>>> {
    let dict = dict_of(ob)?;
    let own = dict.clone().unwrap_or_else(|| PyDict::new(ob.py()));
    Ok(in_slots(ob, &own)?.or(dict))
}

/// The attributes in slots together with those of a dict, in a new one; `None` for an object without slots.
pub(super) fn in_slots<'py>(
    ob: &Bound<'py, PyAny>,
    own: &Bound<'py, PyDict>,
) -> PyResult<Option<Bound<'py, PyDict>>> {
    let py = ob.py();
    if !ob.get_type().hasattr(intern!(py, "__slots__"))? {
        return Ok(None);
    }
    let all = own.copy()?;
    let lineage = ob.get_type().getattr(intern!(py, "__mro__"))?.cast_into::<PyTuple>()?;
    let mut has_slots = false;
    for class in lineage.iter() {
        let Ok(names) = class.getattr(intern!(py, "__dict__"))?.get_item(intern!(py, "__slots__")) else {
            continue;
        };
        has_slots = true;
        let names =
            if names.is_instance_of::<PyString>() { PyTuple::new(py, [names])?.into_any() } else { names };
        for name in names.try_iter()? {
            let name = mangled(&name?.cast_into::<PyString>()?, &class)?;
            if name == "__dict__" || name == "__weakref__" {
                continue;
            }
            if let Ok(value) = ob.getattr(&name) {
                all.set_item(name, value)?;
            }
        }
    }
    Ok(has_slots.then_some(all))
}

/// A private name as the class stores it.
fn mangled(name: &Bound<'_, PyString>, class: &Bound<'_, PyAny>) -> PyResult<String> {
    let name = name.to_str()?;
    if !name.starts_with("__") || name.ends_with("__") {
        return Ok(name.into());
    }
    let class = class.getattr(intern!(class.py(), "__name__"))?.extract::<String>()?;
    Ok(format!("_{}{name}", class.trim_start_matches('_')))
}

/// The size of an object without slots, in bytes: two words of every object.
const SMALL: usize = 16;

/// Whether an object has attributes in a dict at most.
pub(super) fn is_small(ob: &Bound<'_, PyAny>) -> PyResult<bool> {
    /// The classes that have been asked: kept, so that no other gets the address.
    static KNOWN: Mutex<Option<ByAddress<(Py<PyType>, bool)>>> = Mutex::new(None);
    /// How many classes are kept.
    const MOST: usize = 256;
    let (py, class) = (ob.py(), ob.get_type());
    let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let key = class.as_ptr() as usize;
    if let Some((_, found)) = known().as_ref().and_then(|known| known.get(&key)) {
        return Ok(*found);
    }
    let size: usize = class.getattr(intern!(py, "__basicsize__"))?.extract()?;
    // A word for weak references, unless the interpreter keeps them elsewhere. A slot may be as large.
    let weak = || class.getattr(intern!(py, "__weakrefoffset__"))?.extract::<isize>();
    let is_small = size <= SMALL || size == SMALL + 8 && weak()? > 0;
    let full = known().take_if(|known| known.len() >= MOST);
    drop(full); // when the lock is free: to let go of a class may run Python code
    known().get_or_insert_default().insert(key, (class.unbind(), is_small));
    Ok(is_small)
}

/// Whether the class of an object has an attribute. What the object itself says does not count: it may hand attributes
/// on to another one.
pub(super) fn class_has<'py>(ob: &Bound<'py, PyAny>, name: &Bound<'py, PyString>) -> PyResult<bool> {
    static GETATTR: Once<Py<PyAny>> = Once::new();
    let (py, class) = (ob.py(), ob.get_type());
    let getattr = GETATTR.get_or_find(py, || py.import("builtins")?.getattr("getattr").map(Bound::unbind))?;
    let ask = |whom: &Bound<'py, PyAny>| super::call(getattr.bind(py), (whom, name, py.Ellipsis()));
    // What the object has not, its class has not either; asked so, no exception is made for it. A class with a
    // `__getattr__` would run that.
    if !finds_by_itself(&class) && ask(ob).is_ok_and(|found| found.is(py.Ellipsis())) {
        return Ok(false);
    }
    Ok(!ask(&class)?.is(py.Ellipsis()))
}

/// Whether the objects of a class find their attributes with code of its own.
fn finds_by_itself(class: &Bound<'_, PyType>) -> bool {
    // SAFETY: a live class; what comes back is compared and not called.
    let slot = unsafe { ffi::PyType_GetSlot(class.as_type_ptr(), ffi::Py_tp_getattro) };
    slot != ffi::PyObject_GenericGetAttr as *mut std::ffi::c_void
}
