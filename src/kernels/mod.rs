//! Pure functions on slices and strides. No `Array`, no tape, no Python.

pub mod gemm;
