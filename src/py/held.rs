//! What Python's containers hold at a moment, and how they are put back to it.

use super::attributes;
use super::once::{Once, intern};
use super::tensor::PyTensor;
use super::tree::{self, Node};
use super::variables::ByAddress;
use super::{callables, numpy};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{
    PyBool, PyByteArray, PyBytes, PyCFunction, PyComplex, PyDict, PyFloat, PyFrozenSet, PyFunction, PyInt,
    PyList, PyModule, PySet, PySlice, PyString, PyTuple, PyType,
};

/// A container, and what it held or a copy of it.
pub(super) enum Held {
    /// A dict, or that of an object's attributes.
    Dict(Py<PyDict>, Py<PyDict>),
    List(Py<PyList>, Py<PyList>),
    /// An object whose attributes are in slots, or a closure, and these or what it has captured.
    Object(Py<PyAny>, Py<PyDict>),
    /// A container of another class, and its items in order.
    Items(Py<PyAny>, Class, Py<PyTuple>),
    /// An array of NumPy's or of Python's, or bytes that can be changed.
    Numbers(Py<PyAny>, Py<PyAny>),
}

/// A class of containers, whose own methods are called: those of a class that inherits from it may do anything.
#[derive(Clone, Copy)]
pub(super) enum Class {
    Set,
    Deque,
    OrderedDict,
}

impl Class {
    fn itself<'py>(self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(match self {
            Class::Set => py.get_type::<PySet>().into_any(),
            Class::Deque => tree::deque_class(py)?.clone().into_any(),
            Class::OrderedDict => ordered_dict(py)?.clone().into_any(),
        })
    }

    /// The items, those of a dict with their keys before them.
    fn items<'py>(self, ob: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyTuple>> {
        let py = ob.py();
        let through = match self {
            Class::OrderedDict => intern!(py, "items"),
            _ => intern!(py, "__iter__"),
        };
        let mut items = Vec::new();
        for item in self.itself(py)?.call_method1(through, (ob,))?.try_iter()? {
            match (self, item?) {
                (Class::OrderedDict, pair) => items.extend(pair.cast_into::<PyTuple>()?.iter()),
                (_, item) => items.push(item),
            }
        }
        PyTuple::new(py, items)
    }

    fn put_back(self, ob: &Bound<'_, PyAny>, items: &Bound<'_, PyTuple>) -> PyResult<()> {
        let py = ob.py();
        let class = self.itself(py)?;
        class.call_method1(intern!(py, "clear"), (ob,))?;
        match self {
            Class::Set => class.call_method1(intern!(py, "update"), (ob, items))?,
            Class::Deque => class.call_method1(intern!(py, "extend"), (ob, items))?,
            Class::OrderedDict => {
                let items: Vec<_> = items.iter().collect();
                for pair in items.chunks_exact(2) {
                    class.call_method1(intern!(py, "__setitem__"), (ob, &pair[0], &pair[1]))?;
                }
                return Ok(());
            }
        };
        Ok(())
    }
}

fn ordered_dict(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    static CLASS: Once<Py<PyType>> = Once::new();
    CLASS.import(py, "collections", "OrderedDict")
}

/// Whether an object is a value that has no parts and does not change, or a tensor, whose changes are noted elsewhere.
pub(super) fn is_plain(ob: &Bound<'_, PyAny>) -> bool {
    ob.is_none()
        || ob.is_exact_instance_of::<PyTensor>()
        || ob.is_instance_of::<PyCFunction>()
        || ob.is_instance_of::<PyType>()
        // What inherits from these may have attributes.
        || ob.is_exact_instance_of::<PyInt>()
        || ob.is_exact_instance_of::<PyFloat>()
        || ob.is_exact_instance_of::<PyString>()
        || ob.is_exact_instance_of::<PyBool>()
        || ob.is_exact_instance_of::<PyBytes>()
        || ob.is_exact_instance_of::<PyComplex>()
        || numpy::is_scalar(ob, true).unwrap_or(false)
}

impl Held {
    /// The container as it is now. What it holds is added to `parts`, as far as those may change too.
    pub(super) fn of<'py>(ob: &Bound<'py, PyAny>, parts: &mut Vec<Bound<'py, PyAny>>) -> PyResult<Vec<Held>> {
        let py = ob.py();
        let mut held = Vec::new();
        match tree::node(ob)? {
            Node::Tensor(_) => {}
            Node::Dict(dict) => {
                held.push(match dict.is_exact_instance_of::<PyDict>() {
                    false if ob.is_instance(ordered_dict(py)?)? => Held::items(ob, Class::OrderedDict)?,
                    _ => Held::Dict(dict.clone().unbind(), dict.copy()?.unbind()),
                });
                add(parts, dict.len(), dict.values());
            }
            Node::List(list) => {
                held.push(Held::List(list.clone().unbind(), copied(&list)?));
                add(parts, list.len(), list);
            }
            Node::Tuple(tuple) => {
                if !ob.is_instance_of::<PyTuple>() {
                    held.push(Held::items(ob, Class::Deque)?);
                }
                add(parts, tuple.len(), tuple);
            }
            Node::Object(dict) if ob.is_instance_of::<PyFunction>() || attributes::is_small(ob)? => {
                held.push(Held::attributes(ob, dict, !ob.is_instance_of::<PyFunction>(), parts)?);
            }
            // What these hold is given for good, but for a partial's own attributes.
            Node::Object(given) if callables::is_method(ob)? || callables::is_partial(ob)? => {
                add(parts, given.len(), given.values());
            }
            // Of a class that inherits from a container's, if it is more than its attributes.
            Node::Object(_) | Node::Leaf => held.extend(Held::leaf(ob, parts)?),
        }
        if ob.is_instance_of::<PyFunction>() {
            for given in [intern!(py, "__defaults__"), intern!(py, "__kwdefaults__")] {
                parts.extend(ob.getattr(given).into_iter().filter(|x| !x.is_none()));
            }
        }
        // Whatever it is, it may have attributes as well.
        let is_done = matches!(held.first(), Some(Held::Dict(dict, _)) if !dict.is(ob));
        if ob.is_instance_of::<PyFunction>() {
            if let Some(dict) = attributes::dict_of(ob)?.filter(|_| !is_done) {
                held.push(Held::attributes(ob, dict, true, parts)?);
            }
        } else if !is_done
            && !has_no_attributes(ob)
            && let Some(all) = attributes::own_attributes(ob)?
        {
            let is_own = attributes::dict_of(ob)?.is_some_and(|own| own.is(&all));
            held.push(Held::attributes(ob, all, is_own, parts)?);
        }
        Ok(held)
    }

    /// The attributes of an object: its own dict, or one that was made for the occasion.
    fn attributes<'py>(
        ob: &Bound<'py, PyAny>,
        dict: Bound<'py, PyDict>,
        is_own: bool,
        parts: &mut Vec<Bound<'py, PyAny>>,
    ) -> PyResult<Held> {
        let copy = dict.copy()?;
        add(parts, copy.len(), copy.values());
        let copy = copy.unbind();
        Ok(match is_own {
            true => Held::Dict(dict.unbind(), copy),
            false => Held::Object(ob.clone().unbind(), copy),
        })
    }

    /// What is no tree and may change nevertheless.
    fn leaf<'py>(ob: &Bound<'py, PyAny>, parts: &mut Vec<Bound<'py, PyAny>>) -> PyResult<Option<Held>> {
        if let Some(copy) = copy_of_numbers(ob)? {
            if let Some(items) = numpy::objects(copy.bind(ob.py()))? {
                add(parts, items.len(), items);
            }
            return Ok(Some(Held::Numbers(ob.clone().unbind(), copy)));
        }
        if let Ok(set) = ob.cast::<PySet>() {
            add(parts, set.len(), set);
            return Ok(Some(Held::items(ob, Class::Set)?));
        }
        if let Ok(items) = ob.cast::<PyFrozenSet>() {
            add(parts, items.len(), items);
        }
        Ok(None)
    }

    fn items(ob: &Bound<'_, PyAny>, class: Class) -> PyResult<Held> {
        Ok(Held::Items(ob.clone().unbind(), class, class.items(ob)?.unbind()))
    }

    /// The attributes of an object, if it is one.
    pub(super) fn attributes_of<'a, 'py>(&'a self, ob: &Bound<'py, PyAny>) -> Option<&'a Bound<'py, PyDict>> {
        match self {
            Held::Dict(dict, _) if !dict.is(ob) => Some(dict.bind(ob.py())),
            Held::Object(_, attributes) if !ob.is_instance_of::<PyFunction>() => {
                Some(attributes.bind(ob.py()))
            }
            _ => None,
        }
    }

    /// Whether the container holds what it held.
    pub(super) fn is_same(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(match self {
            Held::Dict(now, before) => same_pairs(now.bind(py), before.bind(py)),
            Held::List(now, before) => {
                let (now, before) = (now.bind(py), before.bind(py));
                now.len() == before.len() && now.iter().zip(before).all(|(now, before)| now.is(&before))
            }
            Held::Object(ob, before) => {
                attributes_now(ob.bind(py))?.is_some_and(|now| same_pairs(&now, before.bind(py)))
            }
            Held::Items(ob, class, before) => {
                let (now, before) = (class.items(ob.bind(py))?, before.bind(py));
                now.len() == before.len() && now.iter().zip(before).all(|(now, before)| now.is(&before))
            }
            Held::Numbers(now, before) => {
                let (now, before) = (now.bind(py), before.bind(py));
                match numpy::have_same_bytes(now, before)? {
                    Some(same) => same,
                    None => now.eq(before)?,
                }
            }
        })
    }

    /// Takes the container as it is now for what it held. Says whether that is all: a new part that may change itself is
    /// to be looked at by who walks the model.
    pub(super) fn renew(&mut self, py: Python<'_>) -> PyResult<bool> {
        if self.is_same(py)? {
            return Ok(true);
        }
        match self {
            Held::Dict(now, before) => {
                let now = now.bind(py).copy()?;
                let is_all = differ_in_plain(&now, before.bind(py))?;
                *before = now.unbind();
                Ok(is_all)
            }
            Held::Object(ob, before) => match attributes_now(ob.bind(py))? {
                Some(now) => {
                    let is_all = differ_in_plain(&now, before.bind(py))?;
                    *before = now.unbind();
                    Ok(is_all)
                }
                None => Ok(false),
            },
            Held::List(now, before) => {
                let plain = |list: &Py<PyList>| list.bind(py).iter().all(|x| is_plain(&x));
                let is_all = plain(now) && plain(before);
                *before = copied(now.bind(py))?;
                Ok(is_all)
            }
            Held::Items(ob, class, before) => {
                let now = class.items(ob.bind(py))?;
                let is_all = now.iter().chain(before.bind(py).iter()).all(|x| is_plain(&x));
                *before = now.unbind();
                Ok(is_all)
            }
            Held::Numbers(now, before) => {
                let copy = copy_of_numbers(now.bind(py))?;
                let is_all = match &copy {
                    Some(copy) => {
                        numpy::objects(copy.bind(py))?.is_none_or(|items| items.iter().all(|x| is_plain(&x)))
                    }
                    None => false,
                };
                copy.into_iter().for_each(|copy| *before = copy);
                Ok(is_all)
            }
        }
    }

    pub(super) fn put_back(&self, py: Python<'_>) -> PyResult<()> {
        if self.is_same(py).unwrap_or(false) {
            return Ok(());
        }
        match self {
            Held::Dict(dict, before) => {
                let dict = dict.bind(py);
                dict.clear();
                dict.update(before.bind(py).as_mapping())
            }
            Held::List(list, before) => {
                let list = list.bind(py);
                list.set_slice(0, list.len(), before.bind(py))
            }
            Held::Object(ob, before) => put_back(ob.bind(py), before.bind(py)),
            Held::Items(ob, class, before) => class.put_back(ob.bind(py), before.bind(py)),
            Held::Numbers(now, before) => {
                let (now, before) = (now.bind(py), before.bind(py));
                match numpy::take_values(now, before)? {
                    true => Ok(()),
                    false => now.set_item(PySlice::full(py), before),
                }
            }
        }
    }
}

/// Whether an object is of a class of Python's own that has no attributes, or is a module, whose attributes are no part of
/// a model.
fn has_no_attributes(ob: &Bound<'_, PyAny>) -> bool {
    ob.is_exact_instance_of::<PyTuple>()
        || ob.is_exact_instance_of::<PyDict>()
        || ob.is_exact_instance_of::<PyList>()
        || ob.is_exact_instance_of::<PySet>()
        || ob.is_exact_instance_of::<PyFrozenSet>()
        || ob.is_instance_of::<PyModule>()
}

/// The attributes of an object now, or what a closure has captured.
fn attributes_now<'py>(ob: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyDict>>> {
    if !ob.is_instance_of::<PyFunction>() {
        return attributes::own_attributes(ob);
    }
    Ok(match tree::node(ob)? {
        Node::Object(captured) => Some(captured),
        _ => None,
    })
}

/// Looks at all that can be reached from some objects, each once. `look` adds the parts of what it is given.
pub(super) fn reach<'py>(
    roots: impl Iterator<Item = Bound<'py, PyAny>>,
    mut look: impl FnMut(&Bound<'py, PyAny>, &mut Vec<Bound<'py, PyAny>>) -> PyResult<()>,
) -> PyResult<()> {
    let mut next: Vec<_> = roots.filter(|ob| !is_plain(ob)).collect();
    let mut seen = ByAddress::default();
    while let Some(ob) = next.pop() {
        // What has been seen is kept, so that no other object gets its address.
        if seen.insert(ob.as_ptr() as usize, ob.clone()).is_none() {
            look(&ob, &mut next)?;
        }
    }
    Ok(())
}

/// A container of more items counts as data: it is put back, but what its items hold is not looked for.
const MOST_ITEMS: usize = 1 << 16;

/// An array of more bytes counts as data, and is not put back.
const MOST_BYTES: usize = 1 << 24;

fn add<'py>(
    parts: &mut Vec<Bound<'py, PyAny>>,
    count: usize,
    items: impl IntoIterator<Item = Bound<'py, PyAny>>,
) {
    if count <= MOST_ITEMS {
        parts.extend(items.into_iter().filter(|x| !is_plain(x)));
    }
}

/// A copy of an array of NumPy's or of Python's, or of bytes that can be changed.
fn copy_of_numbers(ob: &Bound<'_, PyAny>) -> PyResult<Option<Py<PyAny>>> {
    static ARRAY: Once<Py<PyType>> = Once::new();
    let py = ob.py();
    if let Some(copy) = numpy::copy_to_put_back(ob, MOST_BYTES)? {
        return Ok(Some(copy.unbind()));
    }
    // The module may never have been imported.
    let is_array = || {
        PyResult::Ok(ob.get_type().name()? == "array" && ob.is_instance(ARRAY.import(py, "array", "array")?)?)
    };
    if ob.is_instance_of::<PyByteArray>() || is_array()? {
        return Ok((ob.len()? <= MOST_BYTES)
            .then(|| ob.get_item(PySlice::full(py)))
            .transpose()?
            .map(Bound::unbind));
    }
    Ok(None)
}

fn copied(list: &Bound<'_, PyList>) -> PyResult<Py<PyList>> {
    Ok(list.get_slice(0, list.len()).unbind())
}

fn same_pairs(now: &Bound<'_, PyDict>, before: &Bound<'_, PyDict>) -> bool {
    let mut pairs = now.iter().zip(before);
    now.len() == before.len() && pairs.all(|(now, before)| now.0.is(&before.0) && now.1.is(&before.1))
}

/// Whether all that is in one of two dicts and not in the other is plain.
fn differ_in_plain(now: &Bound<'_, PyDict>, before: &Bound<'_, PyDict>) -> PyResult<bool> {
    for (dict, other) in [(now, before), (before, now)] {
        for (key, value) in dict.iter() {
            if !is_plain(&value) && !other.get_item(key)?.is_some_and(|x| x.is(&value)) {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// Puts the attributes of an object back, or what a closure had captured.
fn put_back<'py>(ob: &Bound<'py, PyAny>, before: &Bound<'py, PyDict>) -> PyResult<()> {
    let py = ob.py();
    if ob.is_instance_of::<PyFunction>() {
        for (name, cell) in callables::cells(ob)? {
            if let Some(content) = before.get_item(name)? {
                cell.setattr(intern!(py, "cell_contents"), content)?;
            }
        }
        return Ok(());
    }
    let Some(now) = attributes::own_attributes(ob)? else { return Ok(()) };
    for name in now.keys().iter().filter(|name| !before.contains(name).unwrap_or(true)) {
        attribute(ob, name.cast()?, None)?;
    }
    for (name, value) in before.iter() {
        attribute(ob, name.cast()?, Some(&value))?;
    }
    Ok(())
}

/// Sets an attribute, or deletes it, as `object` does: what a class does on assignment was done the first time.
fn attribute(
    ob: &Bound<'_, PyAny>,
    name: &Bound<'_, PyString>,
    value: Option<&Bound<'_, PyAny>>,
) -> PyResult<()> {
    let value = value.map_or(std::ptr::null_mut(), Bound::as_ptr);
    // SAFETY: live objects, or null to delete; an error comes back as -1.
    match unsafe { ffi::PyObject_GenericSetAttr(ob.as_ptr(), name.as_ptr(), value) } {
        0 => Ok(()),
        _ => Err(PyErr::fetch(ob.py())),
    }
}
