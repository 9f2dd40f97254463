//! Tensors, a gradient tape and the kernels of neural networks on the CPU.
//!
//! Each module may use those listed above it, never those below.

pub(crate) mod isa;
pub mod kernels;
pub mod team;
