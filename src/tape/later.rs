//! What is computed now, unrecorded, and will be recorded later, when the gradient computes it again.

use super::Tensor;
use crate::error::{Error, Result};
use std::cell::Cell;

/// The variables of what will be recorded later. All else of this tape would be constant then without a word, and so
/// would be what gets out of it in another way than as its result.
#[derive(Debug)]
pub(super) struct Later {
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
    pub(super) fn new(tape: u64, variables: &[Tensor]) -> Later {
        thread_local!(static LINE: Cell<u32> = const { Cell::new(FIRST) });
        let line = LINE.get();
        LINE.set(if line == LAST { FIRST } else { line + 1 });
        let mut variables: Vec<u32> = variables.iter().filter_map(|x| x.node_on(tape)).collect();
        variables.sort_unstable();
        Later { tape, variables, line }
    }

    /// Whether what is computed from these follows from the variables; an error if it follows from others too.
    pub(super) fn follows(&self, op: &str, inputs: &[&Tensor]) -> Result<bool> {
        let mut follows = false;
        for node in inputs.iter().filter_map(|x| x.node_on(self.tape)) {
            if node != self.line && self.variables.binary_search(&node).is_err() {
                return Err(Error::Value(format!(
                    "{op}: a checkpointed function takes a tensor of the gradient from around it, which would count as \
                     constant; give it as an argument: checkpoint(f, …, x), or wrap it in ignore_derivatives"
                )));
            }
            follows = true;
        }
        Ok(follows)
    }
}

#[cold]
pub(super) fn not_recorded(op: &str) -> Error {
    Error::Value(format!(
        "{op}: this tensor was computed in a checkpointed function and is not its result, so that no gradient goes \
         through it; let the function return it, or wrap it in ignore_derivatives"
    ))
}
