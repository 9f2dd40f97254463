//! Fourier transforms of rows, of pairs (a real and an imaginary part beside each other) and of reals, and of windowed frames of
//! sound.
//!
//! The transforms of pairs are those of the crate `rustfft`, which takes the best instructions that it finds. An even
//! number of reals is transformed as half as many pairs.

mod frames;
mod plan;
mod real;
mod rows;

pub use frames::Frames;
pub use plan::Wave;
pub use rows::{Direction, Rows, of_pairs, of_reals, to_reals};

/// What the transform of `n` numbers takes on one thread, in nanoseconds.
fn nanos(rows: usize, n: usize) -> usize {
    rows * n * (n.max(2).ilog2() as usize) / 8
}

/// How many rows of `n` numbers a task transforms.
fn group(n: usize) -> usize {
    ((1 << 14) / n).max(1)
}
