//! Factorisations of matrices, by `faer` but for small ones: safe functions on batches of row-major matrices.
//!
//! A matrix that cannot be worked on is told by its number, and so is one at which `faer` panics: nothing else gets out.
//! Batches are shared out among the threads matrix by matrix; how depends on sizes alone.

mod block;
mod small;
pub mod lu;
pub mod pivots;
pub mod triangular;
pub mod cholesky;
pub mod qr;
pub mod eigh;
pub mod svd;

use super::gemm::Scalar;
use crate::memory::exhausted;
use crate::team::{self, look};
use faer::dyn_stack::{MemBuffer, StackReq};
use faer::traits::RealField;
use std::ops::{Div, Mul, Neg, Sub};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Mutex, PoisonError};

/// An element of a matrix.
pub trait Entry:
    RealField + Scalar + Copy + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self> + Neg<Output = Self>
{
    /// One.
    const ONE: Self;
    /// No number.
    const NAN: Self;
    /// Whether it is neither NaN nor infinite.
    fn is_number(self) -> bool;
    /// Its size without its sign.
    fn size(self) -> Self;
    /// Its square root.
    fn root(self) -> Self;
    /// The largest power of two up to its size that has a reciprocal.
    fn power_near(self) -> Self;
}

macro_rules! entry {
    ($t:ty, $bits:ty, $digits:literal) => {
        impl Entry for $t {
            const ONE: Self = 1.0;
            const NAN: Self = <$t>::NAN;
            #[inline(always)]
            fn is_number(self) -> bool {
                self.is_finite()
            }
            #[inline(always)]
            fn size(self) -> Self {
                self.abs()
            }
            #[inline(always)]
            fn root(self) -> Self {
                self.sqrt()
            }
            fn power_near(self) -> Self {
                let exponent = self.to_bits() & (<$t>::INFINITY.to_bits());
                // Neither zero and denormal numbers nor those whose reciprocal is denormal.
                let (low, high) =
                    ((<$bits>::from(1u8)) << $digits, <$t>::INFINITY.to_bits() - (2 << $digits));
                <$t>::from_bits(exponent.clamp(low, high))
            }
        }
    };
}
entry!(f32, u32, 23);
entry!(f64, u64, 52);

/// Why a matrix cannot be worked on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Its rows depend on each other.
    Singular,
    /// It is not positive definite.
    NotPositive,
    /// It has NaN or infinity.
    NotFinite,
    /// The iteration does not end.
    NoConvergence,
    /// The library has panicked: a fault.
    Broken,
}

/// The first matrix of a batch that cannot be worked on.
pub type Failed = (usize, Failure);

/// Does `work`, which is `faer`'s, and makes a panic of it a failure. What unwinds for reasons of ours goes on.
fn guarded(work: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(done) => done,
        Err(payload) if payload.is::<&str>() || payload.is::<String>() => Err(Failure::Broken),
        Err(payload) => resume_unwind(payload),
    }
}

/// Memory to work with.
fn scratch(request: StackReq) -> MemBuffer {
    MemBuffer::try_new(request).unwrap_or_else(|_| exhausted())
}

/// Divides a matrix by a power of two, which it gives, so that squares of its elements are numbers.
fn scaled<T: Entry>(a: &mut [T]) -> Result<T, Failure> {
    let largest = a.iter().fold(T::ZERO, |most, x| if x.size() > most { x.size() } else { most });
    if a.iter().any(|x| !x.is_number()) {
        return Err(Failure::NotFinite);
    }
    let scale = largest.power_near();
    let by = T::ONE / scale;
    a.iter_mut().for_each(|x| *x *= by);
    Ok(scale)
}

/// What a task should take, in nanoseconds.
const TASK: usize = 20_000;

/// How many matrices of so many nanoseconds each a task takes.
fn together(nanos: usize) -> usize {
    (TASK / nanos.max(1)).max(1)
}

/// Runs `work` for each part of `share`, in which there are `per` matrices that take `nanos` each: it says which of the
/// part it failed at. Gives the first of the batch.
fn each<S: team::Share>(
    share: S,
    per: usize,
    nanos: usize,
    work: impl Fn(usize, S::Part) -> Result<(), Failed> + Sync,
) -> Result<(), Failed> {
    let first: Mutex<Option<Failed>> = Mutex::new(None);
    let total = share.count().saturating_mul(per).saturating_mul(nanos);
    team::each(share, total, |task, part| {
        look();
        if let Err((i, failure)) = work(task * per, part) {
            let mut first = first.lock().unwrap_or_else(PoisonError::into_inner);
            let at = task * per + i;
            if first.is_none_or(|(earlier, _)| at < earlier) {
                *first = Some((at, failure));
            }
        }
    });
    first.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}
