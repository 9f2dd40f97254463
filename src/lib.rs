//! Tensors, a gradient tape and the kernels of neural networks on the CPU.
//!
//! Each module may use those listed above it, never those below.

pub mod error;
pub mod dtype;
pub mod shape;
pub(crate) mod isa;
pub mod memory;
pub mod team;
pub mod kernels;
pub mod array;
pub mod tape;
pub mod ops;
pub mod gradient;
pub mod optim;
#[cfg(feature = "python")]
mod py;

pub use array::Array;
pub use dtype::DType;
pub use error::{Error, Result};
pub use tape::Tensor;
