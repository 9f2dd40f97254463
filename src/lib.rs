//! Tensors, a gradient tape and the kernels of neural networks on the CPU.
//!
//! Each module may use those listed above it, never those below.

pub mod array;
pub mod dtype;
pub mod error;
pub mod files;
#[cfg(feature = "python")]
mod fork;
pub mod gradient;
pub mod half;
pub mod isa;
/// Functions on pointers, for the tests and the benches: their contracts are not for anyone else.
#[doc(hidden)]
pub mod kernels;
pub mod memory;
pub mod ops;
pub mod optim;
#[cfg(feature = "python")]
mod py;
pub mod shape;
pub mod tape;
pub mod team;

pub use array::Array;
pub use dtype::DType;
pub use error::{Error, Result};
pub use tape::Tensor;
