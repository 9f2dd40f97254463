//! What was recorded, and one step of the walk back.

use super::later::{is_unrecorded, not_recorded};
#[cfg(feature = "python")]
use super::operation::Operation;
use super::operation::{Context, Grads};
use super::threads::from_another_thread;
use super::{ELSEWHERE, Entry, Tape, Tensor, UNTRACKED, is_recording};
#[cfg(feature = "python")]
use crate::array::Array;
use crate::dtype::DType;
use crate::error::{Result, attempt};
use crate::shape::Dims;
use smallvec::SmallVec;
use std::rc::Rc;

/// What a scope recorded, ready to be walked.
pub struct Trace {
    pub(super) tape: Rc<Tape>,
    pub(super) first: u32,
    pub(super) nested: bool,
}

/// One step of the walk: a line, and the lines its gradients go to.
pub(crate) struct Step {
    entry: Entry,
    node: usize,
    wanted: SmallVec<[bool; 4]>,
    shapes: SmallVec<[(Dims, DType); 3]>,
}

impl Trace {
    /// Whether anything else holds the same tape: an open scope, or another trace.
    #[cfg(feature = "python")]
    pub(crate) fn is_shared(&self) -> bool {
        Rc::strong_count(&self.tape) > 1
    }

    /// Looks at each operation that has not been taken.
    #[cfg(feature = "python")]
    pub(crate) fn each_operation<E>(
        &self,
        mut look: impl FnMut(&dyn Operation) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let entries = self.tape.entries.borrow();
        entries.iter().filter_map(|entry| entry.op.as_deref()).try_for_each(|op| look(op))
    }

    /// Forgets all operations: what is walked afterwards ends at once.
    #[cfg(feature = "python")]
    pub(crate) fn forget(&self) {
        let spent = |entry: &mut Entry| {
            (entry.op.take(), std::mem::take(&mut entry.kept), std::mem::take(&mut entry.beside))
        };
        // Dropped when the tape is free again.
        let _old: Vec<_> = self.tape.entries.borrow_mut().iter_mut().map(spent).collect();
    }

    /// Whether an outer scope still needs what this one recorded.
    pub(crate) fn is_nested(&self) -> bool {
        self.nested
    }

    /// The line of this trace on which a tensor is, counted from its first.
    pub(crate) fn line(&self, x: &Tensor) -> Result<Option<usize>> {
        match x.node_on(self.tape.id) {
            Some(ELSEWHERE) => Err(from_another_thread("gradient")),
            Some(line) if is_unrecorded(line) => Err(not_recorded("gradient")),
            node => Ok(node.and_then(|n| n.checked_sub(self.first)).map(|n| n as usize)),
        }
    }

    /// Takes line `node` off the tape, unless it is a variable.
    pub(crate) fn take(&self, node: usize) -> Option<Step> {
        let mut entries = self.tape.entries.borrow_mut();
        let at = node + self.first as usize;
        entries[at].op.as_ref()?;
        let entry = std::mem::replace(&mut entries[at], Entry::spent());
        // Pushed one by one: `collect` would take a third of the time of a small step.
        let (mut wanted, mut shapes) = (SmallVec::new(), SmallVec::new());
        for &p in &entry.inputs {
            let is_wanted = p != UNTRACKED && p >= self.first;
            wanted.push(is_wanted);
            shapes.push(match is_wanted {
                true => (entries[p as usize].shape.clone(), entries[p as usize].dtype),
                false => (Dims::new(), DType::F32),
            });
        }
        // Lines below still ask for the shape of this one only through their own parents, which come earlier.
        entries[at].shape = entry.shape.clone();
        entries[at].dtype = entry.dtype;
        Some(Step { entry, node, wanted, shapes })
    }

    /// Puts a line back that will be walked again.
    pub(crate) fn put_back(&self, step: Step) {
        self.tape.entries.borrow_mut()[step.node + self.first as usize] = step.entry;
    }

    /// The line, shape and dtype to which the gradient of input `i` of a step goes.
    pub(crate) fn parent<'a>(&self, step: &'a Step, i: usize) -> Option<(usize, &'a (Dims, DType))> {
        step.wanted
            .get(i)
            .copied()
            .unwrap_or(false)
            .then(|| ((step.entry.inputs[i] - self.first) as usize, &step.shapes[i]))
    }
}

impl Step {
    /// How many numbers the gradient rule looks at, beside the incoming gradient.
    #[cfg(feature = "python")]
    pub(crate) fn size(&self) -> usize {
        let kept = self.entry.kept.iter().map(Tensor::array).chain(&self.entry.beside);
        kept.map(Array::size).sum()
    }

    /// Applies the gradient rule.
    pub(crate) fn backward(&self, g: &Tensor) -> Result<Grads> {
        // What every rule takes for granted.
        assert!(g.shape() == &self.entry.shape[..] && g.dtype() == self.entry.dtype);
        let cx = Context {
            kept: &self.entry.kept,
            beside: &self.entry.beside,
            keeps: self.entry.keeps,
            wanted: &self.wanted,
            shapes: &self.shapes,
        };
        match &self.entry.op {
            Some(op) if self.wanted.contains(&true) => attempt(op.name(), || {
                let fused = if is_recording() { None } else { op.backward_fused(&cx, g) };
                fused.unwrap_or_else(|| op.backward(&cx, g))
            }),
            _ => Ok(self.wanted.iter().map(|_| None).collect()),
        }
    }
}
