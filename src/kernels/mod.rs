//! Pure functions on slices and strides. No `Array`, no tape, no Python.

pub mod arith;
mod block;
mod dispatch;
pub mod gemm;
