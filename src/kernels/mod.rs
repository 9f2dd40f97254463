//! Pure functions on slices and strides. No `Array`, no tape, no Python.

pub mod arith;
pub mod attention;
mod block;
pub mod conv;
pub mod cross_entropy;
pub mod ctc;
mod dispatch;
pub mod dropout;
pub mod gemm;
pub mod map;
pub mod math;
pub mod norm;
pub mod number;
pub mod place;
pub mod places;
pub mod pool;
pub mod random;
pub mod real;
pub mod recurrent;
pub mod reduce;
pub mod scan;
pub mod scatter;
pub mod softmax;
pub mod sort;
pub mod update;
pub mod variance;
