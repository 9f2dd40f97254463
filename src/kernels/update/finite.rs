//! Whether a gradient is finite.

use crate::dtype::half::{BFloat16, Float16};
use crate::kernels::cost::streaming;
use crate::kernels::dispatch::{Compute, compute};
use crate::team;
use std::sync::atomic::{AtomicBool, Ordering};

/// Elements per task.
const CHUNK: usize = 1 << 15;
/// Elements looked at before the answer is.
const BLOCK: usize = 1 << 10;

/// A floating number.
pub trait Finite: Copy + Sync {
    /// Whether it is neither infinite nor NaN: the bits of its exponent are not all ones.
    fn is_finite(self) -> bool;
}

macro_rules! finite {
    ($($t:ty: $exponent:literal of $bits:expr;)*) => {$(
        impl Finite for $t {
            #[inline(always)]
            fn is_finite(self) -> bool {
                $bits(self) & $exponent != $exponent
            }
        }
    )*};
}
finite! {
    Float16: 0x7c00 of |x: Float16| x.0;
    BFloat16: 0x7f80 of |x: BFloat16| x.0;
    f32: 0x7f80_0000 of f32::to_bits;
    f64: 0x7ff0_0000_0000_0000 of f64::to_bits;
}

/// Whether all numbers are finite. The last are looked at first, so that the beginning is in the caches when the update
/// then begins there.
pub fn is_finite<T: Finite>(x: &[T]) -> bool {
    let tasks = x.len().div_ceil(CHUNK);
    let finite = AtomicBool::new(true);
    team::run(tasks, streaming::<T>(x.len()), |task| {
        let first = (tasks - 1 - task) * CHUNK;
        let x = &x[first..x.len().min(first + CHUNK)];
        if finite.load(Ordering::Relaxed) && !compute(Part { x }) {
            finite.store(false, Ordering::Relaxed);
        }
    });
    finite.into_inner()
}

struct Part<'a, T> {
    x: &'a [T],
}

impl<T: Finite> Compute for Part<'_, T> {
    type Out = bool;
    #[inline(always)]
    fn compute<const FMA: bool>(self) -> bool {
        self.x.chunks(BLOCK).all(|block| block.iter().fold(true, |all, x| all & x.is_finite()))
    }
}
