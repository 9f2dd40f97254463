//! Tensors, a gradient tape and the kernels of neural networks on the CPU.

pub(crate) mod isa;
pub mod kernels;
pub mod team;
