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

/// Work on neighbouring elements, `L` from `at` on at a time; it may be done twice to some.
pub(crate) trait Lanes {
    /// Does the work.
    ///
    /// # Safety
    /// What the implementor asks of the pointers it holds; the elements are among those given to [`across`].
    unsafe fn lanes<const L: usize>(&self, at: usize);
}

/// Works on `n` elements, as many at a time as there are left.
///
/// # Safety
/// That of `op` for each of them.
#[inline(always)]
pub(crate) unsafe fn across<K: Lanes>(op: &K, n: usize) {
    let mut at = 0;
    // SAFETY: the caller's promise.
    unsafe {
        while at + 64 <= n {
            op.lanes::<64>(at);
            at += 64;
        }
        while at + 16 <= n {
            op.lanes::<16>(at);
            at += 16;
        }
        while at + 4 <= n {
            op.lanes::<4>(at);
            at += 4;
        }
        match n {
            _ if at == n => (),
            1 => op.lanes::<1>(0),
            2 => op.lanes::<2>(0),
            3 => op.lanes::<3>(0),
            _ => op.lanes::<4>(n - 4),
        }
    }
}
