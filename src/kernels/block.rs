//! Short arrays of elements: the vectors of code that is written once for all instruction sets.

/// Reads `L` elements, or `len` and then `pad`.
///
/// # Safety
/// `x` must be readable for `len.min(L)` elements.
#[inline(always)]
pub(crate) unsafe fn load<T: Copy, const L: usize>(x: *const T, len: usize, pad: T) -> [T; L] {
    // SAFETY: no element from `len` on is read.
    unsafe {
        if len >= L {
            return *x.cast::<[T; L]>();
        }
        let mut v = [pad; L];
        x.copy_to_nonoverlapping(v.as_mut_ptr(), len);
        v
    }
}

/// Writes `L` elements, or the first `len`.
///
/// # Safety
/// `out` must be writable for `len.min(L)` elements.
#[inline(always)]
pub(crate) unsafe fn store<T: Copy, const L: usize>(out: *mut T, len: usize, v: &[T; L]) {
    // SAFETY: no element from `len` on is written.
    unsafe {
        if len >= L {
            *out.cast::<[T; L]>() = *v;
            return;
        }
        out.copy_from_nonoverlapping(v.as_ptr(), len);
    }
}
