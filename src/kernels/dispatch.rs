//! Compiles a kernel once per instruction set and calls the one that the processor has.

use crate::isa::{Isa, isa};

/// A kernel with its arguments. `run` and all it calls must be `#[inline(always)]`: what is not inlined into the
/// functions below is compiled without their instructions.
pub(crate) trait Kernel {
    /// What the kernel returns.
    type Out;
    /// Whether the widest vectors are worth code of their own.
    const WIDE: bool = true;
    /// Does the work; `FMA` says whether `mul_add` is one instruction.
    ///
    /// # Safety
    /// What the kernel asks of the pointers it holds.
    unsafe fn run<const FMA: bool>(self) -> Self::Out;
}

/// A computation on slices. `compute` and all it calls must be `#[inline(always)]`, as for a [`Kernel`].
pub(crate) trait Compute {
    /// What the computation returns.
    type Out;
    /// Whether the widest vectors are worth code of their own.
    const WIDE: bool = true;
    /// Does the work; `FMA` says whether `mul_add` is one instruction.
    fn compute<const FMA: bool>(self) -> Self::Out;
}

struct Safe<K>(K);

impl<K: Compute> Kernel for Safe<K> {
    type Out = K::Out;
    const WIDE: bool = K::WIDE;
    #[inline(always)]
    unsafe fn run<const FMA: bool>(self) -> K::Out {
        self.0.compute::<FMA>()
    }
}

/// Does the work of `k` with the instructions that [`isa`] names.
#[inline]
pub(crate) fn compute<K: Compute>(k: K) -> K::Out {
    // SAFETY: `K::compute`, which is all that `Safe` runs, is a safe function.
    unsafe { dispatch(Safe(k)) }
}

/// Runs `k` with the instructions that [`isa`] names.
///
/// # Safety
/// That of `k`.
#[inline]
pub(crate) unsafe fn dispatch<K: Kernel>(k: K) -> K::Out {
    // SAFETY: the caller gives `k` what it asks for, and `isa` names no instructions but the processor's.
    unsafe {
        match isa() {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 if K::WIDE => avx512(k),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 | Isa::Avx2 => avx2(k),
            _ => portable(k),
        }
    }
}

/// Never inlined: callers have the call in several places, and one copy will do.
#[inline(never)]
unsafe fn portable<K: Kernel>(k: K) -> K::Out {
    // SAFETY: handed on from `dispatch`, whose caller gives `k` what it asks for.
    unsafe {
        // Every aarch64 processor has a fused multiply-add.
        if cfg!(target_arch = "aarch64") { k.run::<true>() } else { k.run::<false>() }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
unsafe fn avx512<K: Kernel>(k: K) -> K::Out {
    // SAFETY: handed on from `dispatch`, whose caller gives `k` what it asks for.
    unsafe { k.run::<true>() }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2<K: Kernel>(k: K) -> K::Out {
    // SAFETY: handed on from `dispatch`, whose caller gives `k` what it asks for.
    unsafe { k.run::<true>() }
}

/// A pointer that tasks share; they keep to elements of their own.
pub(crate) struct Shared<T>(pub(crate) *mut T);

// SAFETY: each task uses the pointer for a part of the array that no other task touches, or only reads.
unsafe impl<T> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// The address of element `i`.
    #[inline(always)]
    pub(crate) fn at(&self, i: usize) -> *mut T {
        self.0.wrapping_add(i)
    }
}
