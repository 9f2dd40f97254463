//! What belongs together in a state, a model and its gradients: the one walk over all three, which finds the parameters
//! to change and refuses trees that differ in structure.

use super::found::{Found, Pair};
use super::key::{Key, path_to, shown};
use super::moved::follow;
use crate::error::Error;
use crate::py::operand::Operand;
use crate::py::state::Leaf;
use crate::py::tensor::{PyTensor, check_assignable};
use crate::py::tree::{self, Node};
use crate::py::variables::ByAddress;
use crate::shape;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use smallvec::SmallVec;
use std::collections::HashMap;

/// What a walk has found.
pub(super) struct Parameters {
    /// Those that have a gradient and are not frozen, each once.
    pub(super) found: Vec<Found>,
    /// Whether any parameter has a gradient, be it frozen.
    pub(super) has_gradients: bool,
    /// Whether a part of the state has no gradient.
    pub(super) has_gaps: bool,
}

/// Walks a state, a model and its gradients together. With a `caller` the state must fit the model everywhere, also where
/// there is no gradient.
pub(super) fn parameters<'py>(
    state: &Bound<'py, PyAny>,
    model: &Bound<'py, PyAny>,
    grads: &Bound<'py, PyAny>,
    caller: Option<&str>,
) -> PyResult<Parameters> {
    let mut walk = Walk::new([state, model], caller);
    let grads = Some(grads.clone()).filter(|g| !g.is_none());
    walk.all(Trees { state: state.clone(), model: model.clone(), grads, is_item: false })?;
    let (mut found, has_gradients, has_gaps) = (walk.found, walk.has_gradients, walk.has_gaps);
    if walk.has_moved {
        let pairs = pairs(state, model)?;
        follow(&mut found, &pairs, model)?;
    }
    Ok(Parameters { found, has_gradients, has_gaps })
}

/// All parameters of a state with their rules.
#[cold]
pub(super) fn pairs<'py>(state: &Bound<'py, PyAny>, model: &Bound<'py, PyAny>) -> PyResult<Vec<Pair<'py>>> {
    let mut walk = Walk::new([state, model], Some("update"));
    walk.all(Trees { state: state.clone(), model: model.clone(), grads: None, is_item: false })?;
    Ok(walk.pairs)
}

/// Raises TypeError unless every place of a state exists in the model, where None stands for any.
pub(in crate::py) fn fits<'py>(
    caller: &str,
    state: &Bound<'py, PyAny>,
    model: &Bound<'py, PyAny>,
) -> PyResult<()> {
    if state.is_none() || model.is_none() {
        return Ok(());
    }
    Walk::new([state, model], Some(caller)).all(Trees {
        state: state.clone(),
        model: model.clone(),
        grads: None,
        is_item: false,
    })
}

/// Parts of the state, the model and the gradients that are in one place.
struct Trees<'py> {
    state: Bound<'py, PyAny>,
    model: Bound<'py, PyAny>,
    /// None where there is no gradient.
    grads: Option<Bound<'py, PyAny>>,
    /// Whether it is an item of a list or a deque, which may roll.
    is_item: bool,
}

struct Walk<'a, 'py> {
    /// The whole state and the whole model.
    root: [&'a Bound<'py, PyAny>; 2],
    /// Who wants to know whether the state fits the model everywhere.
    caller: Option<&'a str>,
    seen: ByAddress<()>,
    /// What several places share is walked once: the parts of states, and those of models that were there. They are
    /// kept, so that nothing else gets their addresses.
    walked: ByAddress<[Bound<'py, PyAny>; 2]>,
    pending: Vec<Trees<'py>>,
    found: Vec<Found>,
    /// Parameters of which no gradient is given.
    pairs: Vec<Pair<'py>>,
    has_gradients: bool,
    has_gaps: bool,
    /// Whether a gradient was taken for another tensor than the one that is in its place.
    has_moved: bool,
}

impl<'a, 'py> Walk<'a, 'py> {
    fn new(root: [&'a Bound<'py, PyAny>; 2], caller: Option<&'a str>) -> Self {
        // As much as a small model needs, at once.
        let seen = HashMap::with_capacity_and_hasher(28, Default::default());
        let (walked, pending, found) = (ByAddress::default(), Vec::with_capacity(8), Vec::with_capacity(8));
        let pairs = Vec::new();
        let (has_gradients, has_gaps, has_moved) = (false, false, false);
        Walk { root, caller, seen, walked, pending, found, pairs, has_gradients, has_gaps, has_moved }
    }

    /// A loop and not a recursion: trees may be deeper than the stack of this thread.
    fn all(&mut self, trees: Trees<'py>) -> PyResult<()> {
        self.pending.push(trees);
        while let Some(trees) = self.pending.pop() {
            let first = self.pending.len();
            self.node(&trees)?;
            self.pending[first..].reverse(); // so that they come in order
        }
        Ok(())
    }

    fn node(&mut self, trees: &Trees<'py>) -> PyResult<()> {
        let Trees { state, model, grads, .. } = trees;
        if let Ok(leaf) = state.cast_exact::<Leaf>() {
            return self.leaf(leaf, trees);
        }
        if grads.as_ref().is_some_and(|g| g.is_instance_of::<PyTensor>()) {
            let class = state.get_type().name()?;
            return Err(PyTypeError::new_err(format!(
                "update: the gradient is a tensor where the state has a {class}"
            )));
        }
        let key = state.as_ptr() as usize;
        if self.walked.get(&key).is_some_and(|[_, before]| before.is(model)) {
            return Ok(());
        }
        self.walked.insert(key, [state.clone(), model.clone()]);
        let theirs = grads.as_ref().map(tree::node).transpose()?;
        // Copies, so that what runs on the way to a child cannot change what is being walked.
        match tree::node(state)? {
            Node::Object(dict) => {
                for (name, part) in dict.iter().collect::<SmallVec<[_; 8]>>() {
                    self.child(part, &Key::Attribute(name.cast()?), trees)?;
                }
                if let Some(Node::Object(theirs)) = theirs {
                    covers(&dict, &theirs)?;
                }
            }
            Node::Dict(dict) => {
                for (key, part) in dict.iter().collect::<SmallVec<[_; 8]>>() {
                    self.child(part, &Key::Item(&key), trees)?;
                }
                if let Some(Node::Dict(theirs)) = theirs {
                    covers(&dict, &theirs)?;
                }
            }
            Node::List(list) => {
                self.is_as_long(list.len(), true, trees)?;
                for (i, part) in list.iter().enumerate() {
                    self.child(part, &Key::Index(i), trees)?;
                }
            }
            Node::Tuple(tuple) => {
                self.is_as_long(tuple.len(), !model.is_instance_of::<PyTuple>(), trees)?;
                for (i, part) in tuple.iter().enumerate() {
                    self.child(part, &Key::Index(i), trees)?;
                }
            }
            Node::Tensor(_) | Node::Leaf => {}
        }
        Ok(())
    }

    /// Adds what is at a child's place to what is to be walked, where each tree has something there.
    fn child(&mut self, part: Bound<'py, PyAny>, key: &Key<'_, 'py>, trees: &Trees<'py>) -> PyResult<()> {
        if part.is_none() {
            // A parameter may have been left out; what had none when the state was made has nothing there.
            let grad = trees.grads.as_ref().map(|grads| key.find(grads)).transpose()?.flatten();
            return match grad {
                Some(grad) if !grad.is_instance_of::<PyTensor>() && holds_gradient(&grad)? => {
                    Err(newer(&key.shown()))
                }
                _ => Ok(()),
            };
        }
        let grads = match &trees.grads {
            Some(grads) => {
                let found = key.find(grads)?.ok_or_else(|| missing(key, "the gradient"))?;
                Some(found).filter(|g| !g.is_none())
            }
            None => None,
        };
        self.has_gaps |= grads.is_none();
        if grads.is_none() && self.caller.is_none() {
            return Ok(());
        }
        let Some(model) = key.find(&trees.model)? else {
            return Err(match self.caller {
                Some(caller) => self.unfit(caller, trees, &key.written()),
                None => missing(key, "the model"),
            });
        };
        if !model.is_none() {
            let is_item = matches!(key, Key::Index(_)) && !trees.model.is_instance_of::<PyTuple>();
            self.pending.push(Trees { state: part, model, grads, is_item });
        } else if grads.as_ref().map_or(Ok(false), holds_gradient)? {
            return Err(PyTypeError::new_err(format!(
                "update: the model has None at {} where the state and the gradient have a parameter",
                key.shown()
            )));
        }
        Ok(())
    }

    fn leaf(&mut self, leaf: &Bound<'py, Leaf>, trees: &Trees<'py>) -> PyResult<()> {
        let Trees { model, grads, is_item, .. } = trees;
        let tensor = model.cast_exact::<PyTensor>();
        let Some(grad) = grads else {
            if let Ok(tensor) = tensor {
                self.pairs.push(Pair { leaf: leaf.clone(), tensor: tensor.clone(), is_item: *is_item });
            }
            return Ok(());
        };
        let Ok(tensor) = tensor else {
            let class = model.get_type().name()?;
            return Err(PyTypeError::new_err(format!(
                "update: the state has a rule where the model has a {class}"
            )));
        };
        self.has_gradients = true;
        let is_seen = self.seen.insert(tensor.as_ptr() as usize, ()).is_some();
        if is_seen || leaf.get().held().frozen {
            return Ok(());
        }
        check_assignable(tensor)?;
        let variable = grad.cast_exact::<PyTensor>().ok().and_then(|g| g.get().variable());
        let grad = grad.extract::<Operand>()?.0;
        let Some(found) = Found::new(leaf.py(), (leaf, tensor, *is_item), grad, variable) else {
            return Ok(());
        };
        self.has_moved |= found.moved_from().is_some();
        if let Some(shape) = tensor.get().shape_unless(found.grad.shape()) {
            let (want, got) = (shape::show(&shape), shape::show(found.grad.shape()));
            return Err(Error::Shape(format!(
                "update: a gradient of shape {got} for a parameter of shape {want}"
            ))
            .into());
        }
        if found.state.iter().any(|t| self.seen.insert(t.as_ptr() as usize, ()).is_some()) {
            return Err(serves_two());
        }
        self.found.push(found);
        Ok(())
    }

    /// Raises unless model and gradient have as many items as the state. A list or deque may have grown since, by what has
    /// no gradient.
    fn is_as_long(&self, count: usize, may_grow: bool, trees: &Trees<'py>) -> PyResult<()> {
        let Trees { model, grads, .. } = trees;
        if let Some(caller) = self.caller {
            let others = match tree::node(model)? {
                Node::List(list) => Some(list.len()),
                Node::Tuple(items) => Some(items.len()),
                _ => None,
            };
            let may_grow = !model.is_instance_of::<PyTuple>();
            if others.is_none_or(|others| others < count || others > count && !may_grow) {
                return Err(self.unfit(caller, trees, &format!("[{}]", count as isize - 1)));
            }
        }
        let Some(grads) = grads else { return Ok(()) };
        for (name, tree) in [("the model", model), ("the gradient", grads)] {
            let other = tree.len().unwrap_or(0);
            if other < count || other > count && !may_grow {
                return Err(PyTypeError::new_err(format!(
                    "update: the state has {count} items where {name} has {other}: they differ in structure"
                )));
            }
        }
        for i in count..grads.len()? {
            if holds_gradient(&grads.get_item(i)?)? {
                return Err(newer(&i.to_string()));
            }
        }
        Ok(())
    }

    /// The error of a place that the model has not.
    #[cold]
    fn unfit(&self, caller: &str, trees: &Trees<'py>, end: &str) -> PyErr {
        let around = path_to(self.root[0], &trees.state).unwrap_or_default();
        let (path, class) = (format!("{around}{end}"), trees.model.get_type());
        PyTypeError::new_err(format!(
            "{caller}: the state has {}, which does not fit the model, there a {}",
            path.trim_start_matches('.'),
            class.name().map_or_else(|_| "?".into(), |name| name.to_string())
        ))
    }
}

/// Raises where there are gradients for what a state does not have.
fn covers<'py>(state: &Bound<'py, PyDict>, grads: &Bound<'py, PyDict>) -> PyResult<()> {
    for (key, grad) in grads.iter() {
        if !grad.is_none() && !state.contains(&key)? && holds_gradient(&grad)? {
            return Err(newer(&shown(&key)));
        }
    }
    Ok(())
}

/// Whether there is a gradient anywhere in a tree of them.
fn holds_gradient(grads: &Bound<'_, PyAny>) -> PyResult<bool> {
    let mut pending = vec![grads.clone()];
    while let Some(part) = pending.pop() {
        match tree::node(&part)? {
            _ if part.is_none() => {}
            Node::Dict(dict) | Node::Object(dict) => pending.extend(dict.values()),
            Node::List(list) => pending.extend(list),
            Node::Tuple(tuple) => pending.extend(tuple),
            Node::Tensor(_) | Node::Leaf => return Ok(true),
        }
    }
    Ok(false)
}

/// Whether there is a rule anywhere in a state.
#[cold]
pub(super) fn holds_leaf(state: &Bound<'_, PyAny>) -> PyResult<bool> {
    let (mut pending, mut seen) = (vec![state.clone()], ByAddress::default());
    while let Some(part) = pending.pop() {
        if part.is_exact_instance_of::<Leaf>() {
            return Ok(true);
        }
        if seen.insert(part.as_ptr() as usize, part.clone()).is_none() {
            pending.extend(tree::children(&part, false)?.into_iter().flatten().map(|(_, child)| child));
        }
    }
    Ok(false)
}

#[cold]
pub(super) fn serves_two() -> PyErr {
    PyValueError::new_err("update: a tensor serves two parameters' rules, or a rule twice")
}

#[cold]
fn missing(key: &Key<'_, '_>, what: &str) -> PyErr {
    let key = key.shown();
    PyTypeError::new_err(format!(
        "update: the state has {key} where {what} has not: they differ in structure"
    ))
}

#[cold]
fn newer(key: &str) -> PyErr {
    PyTypeError::new_err(format!(
        "update: the gradient has {key} where the state has not: they differ in structure; a layer that makes its \
         parameters when it is called must have been called once before setup(rule, model)"
    ))
}
