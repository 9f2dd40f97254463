//! Tensors, a gradient tape and the kernels of neural networks on the CPU.
//!
//! Each module uses those listed above it, never those below.

pub mod memory;
pub mod dtype;
pub mod error;
pub mod shape;
pub mod isa;
pub mod team;
#[cfg(feature = "python")]
mod fork;
/// Functions on pointers, for the tests and the benches: their contracts are not for anyone else.
#[doc(hidden)]
pub mod kernels;
pub mod array;
pub mod tape;
pub mod ops;
pub mod optim;
pub mod files;
#[cfg(feature = "python")]
mod py;

/// Gives Python the functions of a table of operations, where there is Python.
#[cfg(not(feature = "python"))]
macro_rules! bind {
    ($($table:tt)*) => {};
}
#[cfg(not(feature = "python"))]
pub(crate) use bind;
#[cfg(feature = "python")]
pub(crate) use py::bind;

pub use array::Array;
pub use dtype::{DType, half};
pub use error::{Error, Result};
pub use ops::gradient;
pub use tape::Tensor;
