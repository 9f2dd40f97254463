//! Pure functions on slices and strides. No `Array`, no tape, no Python.

pub mod map;
pub mod math;
pub mod real;
