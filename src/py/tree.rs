//! What the children of a Python object are: the one definition of the tree that a model is.

use super::attributes::{class_has, dict_of, in_slots, is_small};
use super::callables;
use super::hints::add_function;
use super::once::{Once, intern};
use super::plan::namespace;
use super::tensor::PyTensor;
use pyo3::exceptions::{PyAttributeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{
    PyBool, PyBytes, PyCFunction, PyDict, PyFloat, PyFunction, PyInt, PyList, PyModule, PyString, PyTuple,
    PyType,
};
use std::collections::HashMap;

/// An object seen as a node of a tree.
pub(super) enum Node<'py> {
    /// A tensor.
    Tensor(Bound<'py, PyTensor>),
    /// A dict.
    Dict(Bound<'py, PyDict>),
    /// A list.
    List(Bound<'py, PyList>),
    /// A tuple, or the items of a deque.
    Tuple(Bound<'py, PyTuple>),
    /// An object with attributes, or a callable with what it holds.
    Object(Bound<'py, PyDict>),
    /// Anything else.
    Leaf,
}

/// Looks at an object.
pub(super) fn node<'py>(ob: &Bound<'py, PyAny>) -> PyResult<Node<'py>> {
    if let Ok(t) = ob.cast_exact::<PyTensor>() {
        return Ok(Node::Tensor(t.clone()));
    }
    if ob.is_none()
        || ob.is_instance_of::<PyString>()
        || ob.is_instance_of::<PyFloat>()
        || ob.is_instance_of::<PyInt>()
    {
        return Ok(Node::Leaf);
    }
    if let Ok(tuple) = ob.cast::<PyTuple>() {
        return Ok(Node::Tuple(tuple.clone()));
    }
    if let Ok(list) = ob.cast::<PyList>() {
        return Ok(Node::List(list.clone()));
    }
    if let Ok(dict) = ob.cast::<PyDict>() {
        return Ok(Node::Dict(dict.clone()));
    }
    if ob.is_instance_of::<PyFunction>() {
        return Ok(callables::held(ob)?.map_or(Node::Leaf, Node::Object));
    }
    let opaque = ob.is_instance_of::<PyCFunction>()
        || ob.is_instance_of::<PyBool>()
        || ob.is_instance_of::<PyBytes>()
        || ob.is_instance_of::<PyType>()
        || ob.is_instance_of::<PyModule>();
    if opaque { Ok(Node::Leaf) } else { attributes(ob) }
}

pub(super) fn deque_class(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    static CLASS: Once<Py<PyType>> = Once::new();
    CLASS.import(py, "collections", "deque")
}

/// The class of the dict that a container with names holds, if this is one: its keys are attributes, too.
pub(super) fn named_class<'py>(dict: &Bound<'py, PyDict>) -> PyResult<Option<Bound<'py, PyType>>> {
    static CLASS: Once<Py<PyType>> = Once::new();
    if dict.is_exact_instance_of::<PyDict>() {
        return Ok(None);
    }
    let class = CLASS.import(dict.py(), "oxiflux.functors", "Named")?;
    Ok(dict.get_type().is(class).then(|| class.clone()))
}

/// The items of a deque.
fn deque<'py>(ob: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyTuple>>> {
    if !ob.is_instance(deque_class(ob.py())?)? {
        return Ok(None);
    }
    Ok(Some(PyTuple::new(ob.py(), ob.try_iter()?.collect::<PyResult<Vec<_>>>()?)?))
}

fn attributes<'py>(ob: &Bound<'py, PyAny>) -> PyResult<Node<'py>> {
    match dict_of(ob)? {
        // What gradients and states are made of.
        Some(dict) if ob.get_type().is(namespace(ob.py())?) => Ok(Node::Object(dict)),
        // Slots make an object larger than one that has a dict and weak references.
        Some(dict) if is_small(ob)? => Ok(Node::Object(dict)),
        Some(dict) => rarer(ob, dict),
        None => rarer(ob, PyDict::new(ob.py())),
    }
}

/// An object whose memory holds more than the dict of its attributes, `own`.
fn rarer<'py>(ob: &Bound<'py, PyAny>, own: Bound<'py, PyDict>) -> PyResult<Node<'py>> {
    if let Some(held) = callables::held(ob)? {
        return Ok(Node::Object(held));
    }
    match deque(ob)? {
        Some(items) => Ok(Node::Tuple(items)),
        None => slots(ob, own),
    }
}

/// The attributes of an object whose class, or one that it inherits from, has `__slots__`, beside those in its dict.
fn slots<'py>(ob: &Bound<'py, PyAny>, own: Bound<'py, PyDict>) -> PyResult<Node<'py>> {
    Ok(match in_slots(ob, &own)? {
        Some(all) => Node::Object(all),
        // No slots: the very dict, so that who changes it changes the object.
        None if !own.is_empty() || ob.hasattr(intern!(ob.py(), "__dict__"))? => Node::Object(own),
        None => Node::Leaf,
    })
}

/// The names to which a class restricts training, if it does.
pub(super) fn trainable_names<'py>(ob: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let trainable = intern!(ob.py(), "trainable");
    if !class_has(ob, trainable)? {
        return Ok(None);
    }
    let found = ob.getattr(trainable)?;
    let names = if found.is_callable() { super::call(&found, ())? } else { found };
    if names.is_none() {
        return Ok(None);
    }
    let class = ob.get_type().name()?;
    let wrong = |what: String| {
        PyTypeError::new_err(format!(
            "{class}.trainable must give names of attributes, (\"weight\", …), got {what}"
        ))
    };
    if names.is_instance_of::<PyString>() {
        return Err(wrong(format!("the text {}", names.repr()?)));
    }
    let names = names.try_iter().map_err(|_| wrong(names.to_string()))?.collect::<PyResult<Vec<_>>>()?;
    for name in &names {
        match name.cast::<PyString>() {
            Err(_) => return Err(wrong(format!("a {}", name.get_type().name()?))),
            Ok(name) if !ob.hasattr(name)? => {
                return Err(PyAttributeError::new_err(format!(
                    "{class}.trainable names {}, which is no attribute of it",
                    name.repr()?
                )));
            }
            Ok(_) => {}
        }
    }
    Ok(Some(PyTuple::new(ob.py(), names)?.into_any()))
}

/// The children of an object as (key, child) pairs: items of dicts, lists and tuples, attributes of objects, what a
/// closure has captured; None for what has no children. With `trainable` a class may restrict them.
#[pyfunction]
#[pyo3(signature = (ob, /, trainable = false))]
pub(super) fn children<'py>(
    ob: &Bound<'py, PyAny>,
    trainable: bool,
) -> PyResult<Option<Vec<(Bound<'py, PyAny>, Bound<'py, PyAny>)>>> {
    let numbered = |items: Vec<Bound<'py, PyAny>>| -> PyResult<Vec<_>> {
        items.into_iter().enumerate().map(|(i, x)| Ok((i.into_pyobject(ob.py())?.into_any(), x))).collect()
    };
    Ok(Some(match node(ob)? {
        Node::Tensor(_) | Node::Leaf => return Ok(None),
        Node::Dict(dict) => dict.iter().collect(),
        Node::List(list) => numbered(list.iter().collect())?,
        Node::Tuple(tuple) => numbered(tuple.iter().collect())?,
        Node::Object(dict) => match trainable_names(ob)?.filter(|_| trainable) {
            None => dict.iter().collect(),
            Some(names) => dict.iter().filter(|(k, _)| names.contains(k).unwrap_or(false)).collect(),
        },
    }))
}

/// The tensors of a tree as (path, tensor) pairs, each tensor once, depth first; with `trainable` only the floating ones
/// among the children that are trained.
#[pyfunction]
#[pyo3(signature = (ob, /, trainable = false))]
fn leaves<'py>(
    ob: &Bound<'py, PyAny>,
    trainable: bool,
) -> PyResult<Vec<(Bound<'py, PyTuple>, Bound<'py, PyTensor>)>> {
    let mut found = Vec::new();
    // What has been seen is kept, so that no other object gets its address.
    let mut seen: HashMap<usize, Bound<'py, PyAny>> = HashMap::new();
    let mut open: Vec<Bound<'py, PyAny>> = Vec::new();
    let mut levels: Vec<std::vec::IntoIter<(Bound<'py, PyAny>, Bound<'py, PyAny>)>> = Vec::new();
    let mut path: Vec<Bound<'py, PyAny>> = Vec::new();
    let mut node = ob.clone();
    loop {
        let is_new = !seen.contains_key(&(node.as_ptr() as usize));
        if let Ok(t) = node.cast_exact::<PyTensor>() {
            if is_new && (!trainable || t.get().get().dtype().is_float()) {
                seen.insert(node.as_ptr() as usize, node.clone());
                found.push((PyTuple::new(ob.py(), &path)?, t.clone()));
            }
            path.pop();
        } else if let Some(children) = if is_new { children(&node, trainable)? } else { None } {
            seen.insert(node.as_ptr() as usize, node.clone());
            open.push(node.clone());
            levels.push(children.into_iter());
            if levels.len() > MAX_DEPTH {
                return Err(too_deep("tree", &format!("the model{}", shown(&path))));
            }
        } else {
            // What a part of an object refers back to is a part of it; a container among containers has no end.
            if !is_new
                && let Some(around) = open.iter().rposition(|outer| outer.is(&node))
                && open[around..].iter().all(is_container)
            {
                return Err(holds_itself("tree", &format!("the model{}", shown(&path))));
            }
            path.pop();
        }
        // Up to the first level that has another child.
        node = loop {
            let Some(level) = levels.last_mut() else { return Ok(found) };
            match level.next() {
                Some((key, child)) => {
                    path.push(key);
                    break child;
                }
                None => {
                    levels.pop();
                    open.pop();
                    path.pop();
                }
            }
        };
    }
}

fn is_container(ob: &Bound<'_, PyAny>) -> bool {
    ob.is_instance_of::<PyList>() || ob.is_instance_of::<PyDict>() || ob.is_instance_of::<PyTuple>()
}

/// Where a tensor is in a tree.
#[cold]
pub(super) fn path_of(tree: &Bound<'_, PyAny>, tensor: &Bound<'_, PyTensor>) -> String {
    let found = leaves(tree, false).unwrap_or_default();
    let path =
        found.iter().find(|(_, t)| t.is(tensor)).map(|(path, _)| shown(&path.iter().collect::<Vec<_>>()));
    path.map(|path| path.trim_start_matches('.').to_owned())
        .filter(|path| !path.is_empty())
        .unwrap_or_else(|| "the parameter".into())
}

/// A path of keys as it is written.
#[cold]
fn shown(path: &[Bound<'_, PyAny>]) -> String {
    shortened(path.iter().map(|key| if key.is_instance_of::<PyInt>() { item(key) } else { attribute(key) }))
}

/// How many levels of containers and objects a tree may have.
pub(super) const MAX_DEPTH: usize = 256;

#[cold]
pub(super) fn too_deep(function: &str, path: &str) -> PyErr {
    PyValueError::new_err(format!("{function}: {path} is nested more than {MAX_DEPTH} levels deep"))
}

#[cold]
pub(super) fn holds_itself(function: &str, path: &str) -> PyErr {
    PyValueError::new_err(format!("{function}: {path} is a container that holds itself"))
}

/// A key as it is written behind an object.
pub(super) fn attribute(key: &Bound<'_, PyAny>) -> String {
    format!(".{key}")
}

/// A key as it is written behind a container.
pub(super) fn item(key: &Bound<'_, PyAny>) -> String {
    format!("[{}]", key.repr().map_or_else(|_| "?".into(), |k| k.to_string()))
}

/// A path of which the end is left out where it is long.
pub(super) fn shortened(parts: impl Iterator<Item = String>) -> String {
    let mut parts: Vec<String> = parts.take(9).collect();
    if parts.len() == 9 {
        parts[8] = "...".into();
    }
    parts.concat()
}

pub(super) fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    add_function!(m, children)?;
    add_function!(m, leaves)
}
