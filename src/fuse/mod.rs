//! Operations that are done together, a block at a time: what one makes of a block is still in the first-level cache when
//! the next one reads it, and only what is wanted in the end goes to memory.
//!
//! The kernels are those of the operations themselves, so that results have the same bits. Nothing here knows a tape.

mod after;
mod casts;
mod division;
mod group;
mod kernel;
mod making;
mod operand;
mod program;
mod rows;
mod run;

pub(crate) use casts::casting;
pub(crate) use division::Division;
pub(crate) use group::{Role, Seen, Together, grouped};
pub use kernel::{Each, Folds, Fusible, Part, Rowwise};
pub(crate) use program::{Program, Source, Values};
pub(crate) use run::Given;
