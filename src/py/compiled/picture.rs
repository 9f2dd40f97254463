//! A picture of all that a function can reach: what is to be compared, as Python describes it.
//!
//! It owns what is compared by identity, so that no address comes to be another object's.

use pyo3::exceptions::PyValueError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple, PyType};

/// A part of the picture. Those that others may refer to have a number.
pub(super) enum Node {
    /// A number, a text or None: equal in class and to the bit.
    Value(Py<PyAny>),
    /// This very object.
    Is(Py<PyAny>),
    /// The object that has this number.
    Same(usize),
    /// A set, a range and the like, of values.
    Equal(Py<PyType>, Py<PyAny>),
    /// A tensor in a place of its own.
    Tensor(usize),
    /// An array of NumPy's with the bytes of this copy.
    Array(Py<PyAny>, Py<PyAny>),
    Tuple(Py<PyType>, Vec<Node>),
    List(Py<PyType>, Vec<Node>),
    Dict(Py<PyType>, Vec<(Py<PyAny>, Node)>),
    /// An object: its class, its attributes in order, and those in slots.
    Object(Py<PyType>, Vec<(Py<PyAny>, Node)>, Vec<(Py<PyString>, Option<Node>)>),
    Function(Box<Function>),
    Method(Box<(Node, Node)>),
    /// What an optimiser keeps for a parameter, and whether it is frozen.
    Leaf(usize, bool),
    /// A generator in a place of its own.
    Generator(usize),
    /// A dict with these keys in this order, whatever it holds.
    Keys(Vec<Py<PyAny>>),
    /// Several pictures of one object.
    All(Vec<Node>),
}

pub(super) struct Function {
    /// The function itself: of this one what cannot change is not looked at.
    pub(super) itself: Py<PyAny>,
    pub(super) code: Py<PyAny>,
    pub(super) globals: Py<PyAny>,
    pub(super) defaults: Node,
    pub(super) keywords: Node,
    pub(super) cells: Vec<Option<Node>>,
    pub(super) attributes: Option<Node>,
}

/// Where a comparison begins.
pub(super) enum Root {
    /// The arguments by position, or by name.
    Arguments(Node),
    Keywords(Node),
    /// An object that the picture owns.
    Fixed(Py<PyAny>, Node),
    /// What a dict has by a name, or that it has nothing.
    Lookup(Py<PyDict>, Py<PyAny>, Option<Node>),
}

type Parts<'py> = Bound<'py, PyTuple>;

pub(super) fn text<'py>(parts: &Parts<'py>) -> PyResult<String> {
    parts.get_item(0)?.extract()
}

fn class(ob: &Bound<'_, PyAny>) -> PyResult<Py<PyType>> {
    Ok(ob.cast::<PyType>()?.clone().unbind())
}

fn nodes(ob: &Bound<'_, PyAny>) -> PyResult<Vec<Node>> {
    ob.try_iter()?.map(|x| Node::read(&x?)).collect()
}

fn pairs(keys: &Bound<'_, PyAny>, values: &Bound<'_, PyAny>) -> PyResult<Vec<(Py<PyAny>, Node)>> {
    let keys = keys.try_iter()?.map(|k| Ok(k?.unbind())).collect::<PyResult<Vec<_>>>()?;
    Ok(keys.into_iter().zip(nodes(values)?).collect())
}

pub(super) fn maybe(ob: &Bound<'_, PyAny>) -> PyResult<Option<Node>> {
    if ob.is_none() { Ok(None) } else { Node::read(ob).map(Some) }
}

impl Node {
    /// A picture as Python describes it: a tuple that begins with what it is of.
    pub(super) fn read(ob: &Bound<'_, PyAny>) -> PyResult<Node> {
        let parts = ob.cast::<PyTuple>()?;
        let item = |i: usize| parts.get_item(i);
        Ok(match text(parts)?.as_str() {
            "value" => Node::Value(item(1)?.unbind()),
            "is" => Node::Is(item(1)?.unbind()),
            "same" => Node::Same(item(1)?.extract()?),
            "equal" => Node::Equal(class(&item(1)?)?, item(2)?.unbind()),
            "tensor" => Node::Tensor(item(1)?.extract()?),
            "array" => Node::Array(item(1)?.unbind(), item(2)?.unbind()),
            "tuple" => Node::Tuple(class(&item(1)?)?, nodes(&item(2)?)?),
            "list" => Node::List(class(&item(1)?)?, nodes(&item(2)?)?),
            "dict" => Node::Dict(class(&item(1)?)?, pairs(&item(2)?, &item(3)?)?),
            "object" => {
                let slots = item(4)?.try_iter()?.zip(item(5)?.try_iter()?);
                let slots = slots
                    .map(|(name, node)| Ok((name?.cast_into::<PyString>()?.unbind(), maybe(&node?)?)))
                    .collect::<PyResult<Vec<_>>>()?;
                Node::Object(class(&item(1)?)?, pairs(&item(2)?, &item(3)?)?, slots)
            }
            "function" => Node::Function(Box::new(Function {
                itself: item(7)?.unbind(),
                code: item(1)?.unbind(),
                globals: item(2)?.unbind(),
                defaults: Node::read(&item(3)?)?,
                keywords: Node::read(&item(4)?)?,
                cells: item(5)?.try_iter()?.map(|x| maybe(&x?)).collect::<PyResult<_>>()?,
                attributes: maybe(&item(6)?)?,
            })),
            "method" => Node::Method(Box::new((Node::read(&item(1)?)?, Node::read(&item(2)?)?))),
            "leaf" => Node::Leaf(item(1)?.extract()?, item(2)?.extract()?),
            "generator" => Node::Generator(item(1)?.extract()?),
            "keys" => Node::Keys(item(1)?.try_iter()?.map(|k| Ok(k?.unbind())).collect::<PyResult<_>>()?),
            "all" => Node::All(nodes(&item(1)?)?),
            other => return Err(PyValueError::new_err(format!("guard: there is no {other}"))),
        })
    }

    /// Marks the objects that parts of it refer to.
    pub(super) fn names(&self, named: &mut [bool]) {
        let mut all = |nodes: &[Node]| nodes.iter().for_each(|node| node.names(named));
        match self {
            Node::Same(number) => {
                if let Some(is) = named.get_mut(*number) {
                    *is = true;
                }
            }
            Node::All(nodes) | Node::Tuple(_, nodes) | Node::List(_, nodes) => all(nodes),
            Node::Dict(_, parts) => parts.iter().for_each(|(_, node)| node.names(named)),
            Node::Object(_, parts, slots) => {
                parts.iter().for_each(|(_, node)| node.names(named));
                slots.iter().filter_map(|(_, node)| node.as_ref()).for_each(|node| node.names(named));
            }
            Node::Function(f) => {
                f.defaults.names(named);
                f.keywords.names(named);
                f.cells.iter().chain([&f.attributes]).flatten().for_each(|node| node.names(named));
            }
            Node::Method(parts) => {
                parts.0.names(named);
                parts.1.names(named);
            }
            _ => {}
        }
    }

    /// Shows the garbage collector what is held.
    pub(super) fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        let all = |nodes: &[Node]| nodes.iter().try_for_each(|node| node.visit(visit));
        let items = |items: &[(Py<PyAny>, Node)]| items.iter().try_for_each(|(_, node)| node.visit(visit));
        match self {
            Node::Is(ob) => visit.call(ob),
            Node::Array(ob, copy) => {
                visit.call(ob)?;
                visit.call(copy)
            }
            Node::Equal(class, _) => visit.call(class),
            Node::All(nodes) => all(nodes),
            Node::Tuple(class, nodes) | Node::List(class, nodes) => {
                visit.call(class)?;
                all(nodes)
            }
            Node::Dict(class, parts) => {
                visit.call(class)?;
                items(parts)
            }
            Node::Object(class, parts, slots) => {
                visit.call(class)?;
                items(parts)?;
                slots.iter().filter_map(|(_, node)| node.as_ref()).try_for_each(|node| node.visit(visit))
            }
            Node::Function(f) => {
                visit.call(&f.itself)?;
                visit.call(&f.code)?;
                visit.call(&f.globals)?;
                f.defaults.visit(visit)?;
                f.keywords.visit(visit)?;
                f.cells.iter().chain([&f.attributes]).flatten().try_for_each(|node| node.visit(visit))
            }
            Node::Method(parts) => {
                parts.0.visit(visit)?;
                parts.1.visit(visit)
            }
            _ => Ok(()),
        }
    }
}

impl Root {
    pub(super) fn node(&self) -> Option<&Node> {
        match self {
            Root::Arguments(node) | Root::Keywords(node) | Root::Fixed(_, node) => Some(node),
            Root::Lookup(_, _, node) => node.as_ref(),
        }
    }
}
