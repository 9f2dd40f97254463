//! Whether objects are as a picture has them. A comparison runs no Python code: values are compared where their classes are
//! Python's own.

use super::fields::{self, Part};
use super::guard::Found;
use super::picture::{Function, Node, Root};
use crate::py::attributes::dict_of;
use crate::py::numpy;
use crate::py::once::intern;
use crate::py::random::Generator;
use crate::py::state::Leaf;
use crate::py::tensor::PyTensor;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple, PyType};

impl Root {
    /// Whether what it reaches without arguments is as it was. Arguments are looked at by whoever has them.
    #[inline]
    pub(super) fn is_there<'py>(&self, py: Python<'py>, found: &mut Found<'_, 'py>) -> PyResult<bool> {
        match self {
            Root::Arguments(_) | Root::Keywords(_) => Ok(true),
            Root::Fixed(ob, node) => node.fits(ob.bind(py), found),
            Root::Lookup(dict, name, node) => match (dict.bind(py).get_item(name)?, node) {
                (Some(x), Some(node)) => node.fits(&x, found),
                (None, None) => Ok(true),
                _ => Ok(false),
            },
        }
    }
}

impl Node {
    /// Whether the object is as it was.
    pub(super) fn fits<'py>(&self, ob: &Bound<'py, PyAny>, found: &mut Found<'_, 'py>) -> PyResult<bool> {
        let py = ob.py();
        let is_of = |class: &Py<PyType>| ob.get_type_ptr().cast() == class.as_ptr();
        match self {
            Node::Value(value) => return Ok(is_same_value(ob, value.bind(py))),
            Node::Is(other) => return Ok(ob.is(other)),
            Node::Same(number) => {
                return Ok(found.object(*number).is_some_and(|x| x.is(ob)));
            }
            Node::Equal(class, value) => return Ok(is_of(class) && ob.eq(value)?),
            Node::Keys(names) => {
                let Ok(dict) = ob.cast::<PyDict>() else { return Ok(false) };
                let same = |((key, _), name): ((Bound<'_, PyAny>, _), &Py<PyAny>)| {
                    is_same_value(&key, name.bind(py))
                };
                return Ok(dict.len() == names.len() && dict.iter().zip(names).all(same));
            }
            Node::All(nodes) => {
                for node in nodes {
                    if !node.fits(ob, found)? {
                        return Ok(false);
                    }
                }
                return Ok(true);
            }
            _ => found.meet(ob),
        }
        match self {
            Node::Tensor(slot) => {
                let Ok(tensor) = ob.cast_exact::<PyTensor>() else { return Ok(false) };
                if *slot != found.tensors.len() {
                    return Ok(false);
                }
                found.tensors.push(tensor.clone());
            }
            Node::Leaf(slot, frozen) => {
                let Ok(leaf) = ob.cast_exact::<Leaf>() else { return Ok(false) };
                if *slot != found.leaves.len() || leaf.get().held().frozen != *frozen {
                    return Ok(false);
                }
                found.leaves.push(leaf.clone());
            }
            Node::Generator(slot) => {
                let Ok(generator) = ob.cast_exact::<Generator>() else { return Ok(false) };
                if *slot != found.generators.len() {
                    return Ok(false);
                }
                found.generators.push(generator.clone());
            }
            Node::Array(like, copy) => {
                let (like, ob_type) = (like.bind(py), ob.get_type());
                if !ob_type.is(like.get_type()) {
                    return Ok(false);
                }
                for name in ["dtype", "shape", "strides"] {
                    if !ob.getattr(name)?.eq(like.getattr(name)?)? {
                        return Ok(false);
                    }
                }
                found.arrays.push(ob.clone());
                return Ok(numpy::have_same_bytes(ob, copy.bind(py))? == Some(true));
            }
            Node::Tuple(class, items) => {
                let Ok(tuple) = ob.cast::<PyTuple>() else { return Ok(false) };
                if !is_of(class) || tuple.len() != items.len() {
                    return Ok(false);
                }
                for (i, node) in items.iter().enumerate() {
                    if !node.fits(&tuple.get_item(i)?, found)? {
                        return Ok(false);
                    }
                }
            }
            Node::List(class, items) => {
                let Ok(list) = ob.cast::<PyList>() else { return Ok(false) };
                if !is_of(class) || list.len() != items.len() {
                    return Ok(false);
                }
                for (i, node) in items.iter().enumerate() {
                    if !node.fits(&list.get_item(i)?, found)? {
                        return Ok(false);
                    }
                }
            }
            Node::Dict(class, items) => {
                let Ok(dict) = ob.cast::<PyDict>() else { return Ok(false) };
                return Ok(is_of(class) && fits_items(dict, items, found)?);
            }
            Node::Object(class, items, slots) => {
                if !is_of(class) {
                    return Ok(false);
                }
                match dict_of(ob)? {
                    Some(dict) if !fits_items(&dict, items, found)? => return Ok(false),
                    None if !items.is_empty() => return Ok(false),
                    _ => {}
                }
                for (name, node) in slots {
                    let same = match (ob.getattr_opt(name.bind(py))?, node) {
                        (Some(x), Some(node)) => node.fits(&x, found)?,
                        (None, None) => true,
                        _ => false,
                    };
                    if !same {
                        return Ok(false);
                    }
                }
            }
            Node::Function(f) => return f.fits(ob, found),
            Node::Method(parts) => {
                let same_class = crate::py::callables::is_method(ob)?;
                return Ok(same_class
                    && parts.0.fits(&ob.getattr(intern!(py, "__func__"))?, found)?
                    && parts.1.fits(&ob.getattr(intern!(py, "__self__"))?, found)?);
            }
            _ => {}
        }
        Ok(true)
    }
}

impl Node {
    /// [`Node::fits`] for what may be missing, as None.
    fn fits_part<'py>(
        &self,
        part: Option<Bound<'py, PyAny>>,
        py: Python<'py>,
        found: &mut Found<'_, 'py>,
    ) -> PyResult<bool> {
        match part {
            Some(part) => self.fits(&part, found),
            None => Ok(matches!(self, Node::Value(value) if value.is_none(py))),
        }
    }
}

impl Function {
    pub(super) fn fits<'py>(&self, ob: &Bound<'py, PyAny>, found: &mut Found<'_, 'py>) -> PyResult<bool> {
        let py = ob.py();
        let (itself, part) = (self.itself.bind(py), |of| fields::part(ob, of));
        let is = |part: Option<Bound<'py, PyAny>>, other: &Py<PyAny>| part.is_some_and(|part| part.is(other));
        if !ob.is(itself)
            && (ob.get_type_ptr() != itself.get_type_ptr() || !is(part(Part::Globals)?, &self.globals))
        {
            return Ok(false);
        }
        if !is(part(Part::Code)?, &self.code)
            || !self.defaults.fits_part(part(Part::Defaults)?, py, found)?
            || !self.keywords.fits_part(part(Part::Keywords)?, py, found)?
        {
            return Ok(false);
        }
        if !self.cells.is_empty() {
            let Some(closure) = part(Part::Closure)? else { return Ok(false) };
            let Ok(closure) = closure.cast::<PyTuple>() else { return Ok(false) };
            if closure.len() != self.cells.len() {
                return Ok(false);
            }
            for (cell, node) in closure.iter_borrowed().zip(&self.cells) {
                let same = match (fields::contents(&cell), node) {
                    (Some(x), Some(node)) => node.fits(&x, found)?,
                    (None, None) => true,
                    _ => false,
                };
                if !same {
                    return Ok(false);
                }
            }
        }
        match &self.attributes {
            Some(node) => match part(Part::Attributes)? {
                Some(attributes) => node.fits(&attributes, found),
                // It gets an empty dict when somebody asks for one.
                None => Ok(matches!(node, Node::Dict(_, items) if items.is_empty()) && found.pass()),
            },
            None => Ok(true),
        }
    }
}

/// Whether a dict has these keys in this order, and what fits there.
fn fits_items<'py>(
    dict: &Bound<'py, PyDict>,
    items: &[(Py<PyAny>, Node)],
    found: &mut Found<'_, 'py>,
) -> PyResult<bool> {
    if dict.len() != items.len() {
        return Ok(false);
    }
    for ((key, value), (name, node)) in dict.iter().zip(items) {
        if !is_same_value(&key, name.bind(dict.py())) || !node.fits(&value, found)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether a value is another's equal in class and to the bit; anything else is equal to itself alone.
pub(in crate::py) fn is_same_value(a: &Bound<'_, PyAny>, b: &Bound<'_, PyAny>) -> bool {
    if a.is(b) {
        return true;
    }
    if a.get_type_ptr() != b.get_type_ptr() {
        return false;
    }
    if let (Ok(a), Ok(b)) = (a.cast_exact::<PyFloat>(), b.cast_exact::<PyFloat>()) {
        return a.value().to_bits() == b.value().to_bits();
    }
    let is_plain = a.is_exact_instance_of::<PyInt>()
        || a.is_exact_instance_of::<PyString>()
        || a.is_exact_instance_of::<PyBytes>();
    is_plain && a.eq(b).unwrap_or(false)
}
