//! Places in trees.

use crate::py::tree::{self, Node};
use crate::py::variables::ByAddress;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString, PyTuple};

/// Where a child is in its parent.
pub(super) enum Key<'a, 'py> {
    Attribute(&'a Bound<'py, PyString>),
    Item(&'a Bound<'py, PyAny>),
    Index(usize),
}

impl<'py> Key<'_, 'py> {
    /// What another tree has at this place.
    pub(super) fn find(&self, tree: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
        Ok(match self {
            Key::Attribute(name) => match tree.getattr_opt(name)? {
                // What a callable holds are not all attributes of it.
                None => match tree::node(tree)? {
                    Node::Object(held) => held.get_item(name)?,
                    _ => None,
                },
                found => found,
            },
            Key::Item(key) => tree.get_item(key).ok(),
            Key::Index(i) => match (tree.cast_exact::<PyList>(), tree.cast_exact::<PyTuple>()) {
                (Ok(list), _) => list.get_item(*i).ok(),
                (_, Ok(tuple)) => tuple.get_item(*i).ok(),
                _ => tree.get_item(i).ok(),
            },
        })
    }

    #[cold]
    pub(super) fn shown(&self) -> String {
        match self {
            Key::Attribute(key) => shown(key),
            Key::Item(key) => shown(key),
            Key::Index(i) => i.to_string(),
        }
    }

    /// As it is written behind what it is a part of.
    #[cold]
    pub(super) fn written(&self) -> String {
        match self {
            Key::Attribute(key) => tree::attribute(key),
            Key::Item(key) => tree::item(key),
            Key::Index(i) => format!("[{i}]"),
        }
    }
}

#[cold]
pub(super) fn shown(key: &Bound<'_, PyAny>) -> String {
    key.repr().map_or_else(|_| "?".into(), |k| k.to_string())
}

/// Where a part is in a tree, as it is written.
#[cold]
pub(super) fn path_to(root: &Bound<'_, PyAny>, part: &Bound<'_, PyAny>) -> PyResult<String> {
    let (mut pending, mut seen) = (vec![(root.clone(), String::new())], ByAddress::default());
    while let Some((node, path)) = pending.pop() {
        if node.is(part) {
            return Ok(path);
        }
        if seen.insert(node.as_ptr() as usize, node.clone()).is_none() {
            let is_object = matches!(tree::node(&node)?, Node::Object(_));
            for (key, child) in tree::children(&node, false)?.into_iter().flatten().rev() {
                let end = if is_object { tree::attribute(&key) } else { tree::item(&key) };
                pending.push((child, format!("{path}{end}")));
            }
        }
    }
    Ok(String::new())
}
