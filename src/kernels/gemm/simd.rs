//! The vector of one instruction set, as the few operations that the kernels are written with.

use super::Scalar;

/// A register of elements.
///
/// # Safety
/// All methods need the instruction set of the implementing type: they are inlined into functions that enable it. The
/// pointers need to be valid for the lanes that are read or written; no alignment is needed.
pub(in crate::kernels) trait Simd: Copy + 'static {
    type Elem: Scalar;
    /// Which lanes a partial load or store touches.
    type Mask: Copy;
    const LANES: usize;

    unsafe fn splat(x: Self::Elem) -> Self;
    unsafe fn load(p: *const Self::Elem) -> Self;
    unsafe fn store(self, p: *mut Self::Elem);
    /// The mask of the first `n` lanes; all lanes when there are fewer.
    unsafe fn first(n: usize) -> Self::Mask;
    /// Loads the lanes of `mask` and zero elsewhere; the other addresses are not touched.
    unsafe fn load_some(p: *const Self::Elem, mask: Self::Mask) -> Self;
    unsafe fn store_some(self, p: *mut Self::Elem, mask: Self::Mask);
    unsafe fn add(self, other: Self) -> Self;
    /// `self * factor + term`, rounded once where the instruction set can.
    unsafe fn mul_add(self, factor: Self, term: Self) -> Self;
    /// `max(self, 0)`, NaN where it is NaN.
    unsafe fn relu(self) -> Self;
    /// The lanes of both, alternating: the first and the second half.
    unsafe fn zip(self, other: Self) -> (Self, Self);
    unsafe fn sum(self) -> Self::Elem;

    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: the instruction set of this type is enabled, as `Simd` asks.
        unsafe { Self::splat(Self::Elem::ZERO) }
    }
}

/// Asks for the cache line at `p`, which may be any address.
#[inline(always)]
pub(super) fn prefetch<T>(p: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch of any address is harmless, and every x86-64 processor has it.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(p.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = p;
}
