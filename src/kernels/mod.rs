//! Pure functions on slices and strides. No `Array`, no tape, no Python.

pub mod gemm;
pub mod map;
pub mod math;
pub mod random;
pub mod real;
pub mod reduce;
pub mod softmax;
pub mod update;
