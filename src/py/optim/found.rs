//! A parameter, its rule and its gradient.

use crate::optim::rules::Clocks;
use crate::py::state::{Held, Leaf, Tensors};
use crate::py::tensor::PyTensor;
use crate::tape::{Place, Tensor};
use pyo3::prelude::*;

/// All that a step needs of a parameter. It holds nothing that needs the GIL.
pub(super) struct Found {
    pub(super) leaf: Py<Leaf>,
    pub(super) tensor: Py<PyTensor>,
    pub(super) grad: Tensor,
    pub(super) rule: Py<PyAny>,
    /// The tensors of the rule's state.
    pub(super) state: Tensors,
    pub(super) clocks: Clocks,
    /// The variable that the gradient was taken for, if it is as it came.
    pub(super) variable: Option<Place>,
    /// Whether it is an item of a list or a deque, which may roll.
    pub(super) is_item: bool,
}

impl Found {
    /// `None` for what is frozen.
    pub(super) fn new(
        py: Python<'_>,
        (leaf, tensor, is_item): (&Bound<'_, Leaf>, &Bound<'_, PyTensor>, bool),
        grad: Tensor,
        variable: Option<Place>,
    ) -> Option<Found> {
        let (rule, state, clocks) = {
            let Held { rule, memory, frozen } = &*leaf.get().held();
            if *frozen {
                return None;
            }
            let state: Tensors = memory.tensors.iter().map(|t| t.clone_ref(py)).collect();
            (rule.clone_ref(py), state, memory.clocks.clone())
        };
        let (leaf, tensor) = (leaf.clone().unbind(), tensor.clone().unbind());
        Some(Found { leaf, tensor, grad, rule, state, clocks, variable, is_item })
    }

    /// The variable that the gradient was taken for, if that was another tensor, in the place of the parameter then. A
    /// new tensor that is an attribute stands for the one it has replaced; as an item it may as well have come beside it.
    pub(super) fn moved_from(&self) -> Option<Place> {
        self.variable.filter(|&v| match node_beside(self.tensor.get(), v) {
            Some(own) => own != v.node(),
            None => self.is_item,
        })
    }
}

/// The line of a tape on which a tensor was a variable, if that is the tape of another variable.
pub(super) fn node_beside(tensor: &PyTensor, other: Place) -> Option<u32> {
    tensor.watcher().place_beside(other)
}

/// A rule and its parameter.
pub(super) struct Pair<'py> {
    pub(super) leaf: Bound<'py, Leaf>,
    pub(super) tensor: Bound<'py, PyTensor>,
    pub(super) is_item: bool,
}
