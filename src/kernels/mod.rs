//! Pure functions on memory: no `Array`, no tape, no Python. Each file uses those listed above it.

pub mod math;
pub mod real;
pub mod number;
pub mod arithmetic;
mod lanes;
mod dispatch;
mod cost;
pub mod map;
pub mod put;
pub mod reduce;
pub mod argextreme;
pub mod variance;
pub mod scan;
pub mod sort;
pub mod scatter;
pub mod softmax;
pub mod cross_entropy;
pub mod random;
pub mod dropout;
pub mod norm;
pub mod pool;
pub mod gemm;
pub mod conv;
pub mod attention;
pub mod ctc;
pub mod recurrent;
pub mod update;
