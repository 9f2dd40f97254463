//! The norm of a gradient.

use crate::kernels::cost::streaming;
use crate::kernels::dispatch::{Compute, compute};
use crate::kernels::real::{Lane, Real};
use crate::memory::filled;
use crate::team::{self, Pieces};

/// Elements per task.
const CHUNK: usize = 1 << 15;
/// Elements side by side.
const LANES: usize = 32;

/// `(Σ|x|ᵖ)^(1/p)` in f64, without overflow on the way; the largest `|x|` for an infinite `p`.
pub fn norm<T: Copy + Into<f64> + Sync>(x: &[T], p: f64) -> f64 {
    let fold = |of: Of| {
        let mut parts = filled(x.len().div_ceil(CHUNK), 0.0);
        team::each(Pieces::of(&mut parts, 1), streaming::<T>(x.len()), |task, part| {
            let x = &x[task * CHUNK..x.len().min((task + 1) * CHUNK)];
            part[0] = compute(Part { x, of });
        });
        parts
    };
    let largest = fold(Of::Largest).into_iter().fold(0.0, larger);
    if p == f64::INFINITY || largest == 0.0 || !largest.is_finite() {
        return largest;
    }
    // A power of two, so that nothing is rounded; one whose inverse is finite too.
    let size = largest.log2().floor().clamp(-1022.0, 1022.0).exp2();
    size * fold(Of::Powers { p, scale: 1.0 / size }).into_iter().sum::<f64>().powf(1.0 / p)
}

#[derive(Clone, Copy)]
enum Of {
    /// The largest size; NaN if there is one.
    Largest,
    /// The sum of the sizes' powers.
    Powers { p: f64, scale: f64 },
}

struct Part<'a, T> {
    x: &'a [T],
    of: Of,
}

impl<T: Copy + Into<f64>> Compute for Part<'_, T> {
    type Out = f64;
    #[inline(always)]
    fn compute<const FMA: bool>(self) -> f64 {
        let x = self.x;
        match self.of {
            Of::Largest => fold(x, |a, x| larger(a, x.abs()), larger),
            Of::Powers { p: 2.0, scale } => fold(x, |a, x| a + (x * scale) * (x * scale), |a, b| a + b),
            Of::Powers { p, scale } => {
                let power = |x: f64| Lane::<f64, FMA>((x * scale).abs()).pow(Lane(p)).0;
                fold(x, |a, x| a + power(x), |a, b| a + b)
            }
        }
    }
}

/// Folds elements lane by lane, and then the lanes.
#[inline(always)]
fn fold<T: Copy + Into<f64>>(
    x: &[T],
    push: impl Fn(f64, f64) -> f64,
    merge: impl Fn(f64, f64) -> f64,
) -> f64 {
    let mut lanes = [0.0; LANES];
    let (vectors, rest) = x.as_chunks::<LANES>();
    for vector in vectors {
        for (a, &x) in lanes.iter_mut().zip(vector) {
            *a = push(*a, x.into());
        }
    }
    for (a, &x) in lanes.iter_mut().zip(rest) {
        *a = push(*a, x.into());
    }
    lanes.into_iter().fold(0.0, merge)
}

#[inline(always)]
fn larger(a: f64, x: f64) -> f64 {
    if (a >= x) | a.is_nan() { a } else { x }
}
