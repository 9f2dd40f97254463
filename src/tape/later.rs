//! What is computed now, unrecorded, and will be recorded later, when the gradient computes it again; or never, because
//! it brings a gradient of its own along.

use super::{Place, Tensor};
use crate::error::{Error, Result};
use crate::shape;
use std::cell::Cell;

/// Who computes something unrecorded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Who {
    /// A checkpointed function: it is recorded when it is computed again, and so is what has been read of it.
    Checkpoint,
    /// A function with a gradient of its own, of its arguments alone.
    Custom,
}

/// The variables of what is computed unrecorded. All else of this tape would be constant then without a word, and so
/// would be what gets out of a checkpointed function in another way than as its result.
#[derive(Debug)]
pub(super) struct Later {
    who: Who,
    pub(super) tape: u64,
    /// In order.
    variables: Vec<u32>,
    /// The line that stands for what is computed from the variables, of which there is none yet.
    pub(super) line: u32,
}

/// Lines from here on are of tensors that were computed unrecorded.
const FIRST: u32 = u32::MAX - (1 << 20);
/// The last of them; those after it have other meanings.
const LAST: u32 = u32::MAX - 2;

/// Whether a line stands for what was computed to be recorded later.
pub(super) fn is_unrecorded(line: u32) -> bool {
    (FIRST..=LAST).contains(&line)
}

impl Later {
    pub(super) fn new(who: Who, tape: u64, variables: &[Tensor]) -> Later {
        thread_local!(static LINE: Cell<u32> = const { Cell::new(FIRST) });
        let line = LINE.get();
        LINE.set(if line == LAST { FIRST } else { line + 1 });
        let mut variables: Vec<u32> = variables.iter().filter_map(|x| x.node_on(tape)).collect();
        variables.sort_unstable();
        Later { who, tape, variables, line }
    }

    /// Whether a gradient follows a tensor at this place, so that it must not be read.
    pub(super) fn has(&self, place: Place) -> bool {
        place.tape == self.tape && (self.who == Who::Checkpoint || !self.is_variable(place.node))
    }

    fn is_variable(&self, node: u32) -> bool {
        self.variables.binary_search(&node).is_ok()
    }

    /// Whether what is computed from these is to be recorded later; an error if it follows from others than the
    /// variables.
    pub(super) fn follows(&self, op: &str, inputs: &[&Tensor]) -> Result<bool> {
        let mut follows = false;
        for x in inputs {
            let Some(node) = x.node_on(self.tape) else { continue };
            if node != self.line && !self.is_variable(node) {
                return Err(self.stranger(op, x));
            }
            follows = self.who == Who::Checkpoint;
        }
        Ok(follows)
    }

    /// The error of a tensor from around.
    #[cold]
    fn stranger(&self, op: &str, x: &Tensor) -> Error {
        Error::Value(match self.who {
            Who::Checkpoint => format!(
                "{op}: a checkpointed function takes a tensor of the gradient from around it, which would count as \
                 constant; give it as an argument: checkpoint(f, …, x), or wrap it in ignore_derivatives"
            ),
            Who::Custom => format!(
                "{op}: a function with a custom_gradient takes a tensor of shape {} of the gradient from around it, which \
                 would get none; give it as an argument: f(…, x), for which the pullback gives a gradient too, or wrap it \
                 in ignore_derivatives",
                shape::show(x.shape())
            ),
        })
    }
}

#[cold]
pub(super) fn not_recorded(op: &str) -> Error {
    Error::Value(format!(
        "{op}: this tensor was computed in a checkpointed function and is not its result, so that no gradient goes \
         through it; let the function return it, or wrap it in ignore_derivatives"
    ))
}
