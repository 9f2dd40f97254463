//! Parameters that are not where they were when their gradients were taken: gradients and the optimiser's state go by
//! place.

use super::found::{Found, Pair, node_beside};
use crate::py::tree;
use crate::tape::Tensor;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::collections::{HashMap, HashSet};

/// Gives each item of the lists and deques that have rolled its own gradient; what has come since has none. An error where
/// parts of the model `pairs` have changed places otherwise. Gradients of another model are taken by place.
#[cold]
pub(super) fn follow(found: &mut Vec<Found>, pairs: &[Pair<'_>], model: &Bound<'_, PyAny>) -> PyResult<()> {
    let Some(any) = found.iter().find_map(Found::moved_from) else { return Ok(()) };
    let node_of = |pair: &Pair<'_>| node_beside(pair.tensor.get(), any);
    let nodes: HashSet<u32> = pairs.iter().filter_map(node_of).collect();
    let has_moved = |f: &Found| f.moved_from().is_some_and(|v| nodes.contains(&v.node()));
    let Some(first) = found.iter().find(|f| has_moved(f)) else { return Ok(()) };
    let items: Vec<_> = pairs.iter().filter(|p| p.is_item).collect();
    let is_of = |f: &Found| f.is_item && f.variable.is_some_and(|v| v.tape() == any.tape());
    let grads: HashMap<u32, Tensor> = found
        .iter()
        .filter(|f| is_of(f))
        .filter_map(|f| Some((f.variable?.node(), f.grad.clone())))
        .collect();
    let rolls = items.iter().any(|p| node_of(p).is_none()) || grads.keys().any(|node| !nodes.contains(node));
    if !rolls || found.iter().any(|f| has_moved(f) && !f.is_item) {
        return Err(changed_places(&tree::path_of(model, first.tensor.bind(model.py()))));
    }
    found.retain(|f| !is_of(f));
    let mut seen: HashSet<usize> = found.iter().map(|f| f.tensor.as_ptr() as usize).collect();
    for pair in items {
        let grad = node_of(pair).and_then(|node| grads.get(&node));
        if let Some(grad) = grad.filter(|_| seen.insert(pair.tensor.as_ptr() as usize)) {
            found.extend(Found::new(
                model.py(),
                (&pair.leaf, &pair.tensor, pair.is_item),
                grad.clone(),
                None,
            ));
        }
    }
    Ok(())
}

#[cold]
fn changed_places(what: &str) -> PyErr {
    PyValueError::new_err(format!(
        "update: {what} was in another place when its gradient was taken; gradients and the state of an optimiser go by \
         place, so that a loss must leave the order of layers and parameters as it is, or go through a copy of it"
    ))
}
