//! Short arrays of elements: the vectors of code that is written once for all instruction sets.

use crate::memory::unwritten::{Unwritten, copy_from};
use std::marker::PhantomData;

/// Vectors of `L` elements of a slice, whose starts are `stride` apart.
pub(crate) struct Vectors<'a, T, const L: usize> {
    next: *const T,
    left: usize,
    stride: usize,
    slice: PhantomData<&'a [T]>,
}

impl<'a, T, const L: usize> Vectors<'a, T, L> {
    /// `n` of them, the first at the start of the slice.
    #[inline(always)]
    pub(crate) fn new(x: &'a [T], n: usize, stride: usize) -> Self {
        let reach = n.checked_sub(1).map_or(0, |further| further.saturating_mul(stride).saturating_add(L));
        assert!(reach <= x.len(), "{n} vectors of {L}, {stride} apart, leave a slice of {}", x.len());
        Vectors { next: x.as_ptr(), left: n, stride, slice: PhantomData }
    }

    /// The first `n`, if there are as many, and the others.
    #[inline(always)]
    pub(crate) fn split(self, n: usize) -> (Self, Self) {
        let n = n.min(self.left);
        let rest = Vectors { next: self.next.wrapping_add(n * self.stride), left: self.left - n, ..self };
        (Vectors { left: n, ..self }, rest)
    }
}

impl<'a, T, const L: usize> Iterator for Vectors<'a, T, L> {
    type Item = &'a [T; L];

    #[inline(always)]
    fn next(&mut self) -> Option<&'a [T; L]> {
        self.left = self.left.checked_sub(1)?;
        // SAFETY: `new` has found the vectors that are left to lie in a slice that is borrowed for `'a`.
        let vector = unsafe { &*self.next.cast::<[T; L]>() };
        self.next = self.next.wrapping_add(self.stride);
        Some(vector)
    }

    #[inline(always)]
    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<T, const L: usize> ExactSizeIterator for Vectors<'_, T, L> {}

impl<'a, T, const L: usize> DoubleEndedIterator for Vectors<'a, T, L> {
    #[inline(always)]
    fn next_back(&mut self) -> Option<&'a [T; L]> {
        self.left = self.left.checked_sub(1)?;
        // SAFETY: as for `next`: `new` has found the vectors left to lie in the slice, the last of them `left` strides
        // on.
        Some(unsafe { &*self.next.wrapping_add(self.left * self.stride).cast::<[T; L]>() })
    }
}

/// The first `L` elements, or all and then `pad`.
#[inline(always)]
pub(crate) fn read<T: Copy, const L: usize>(x: &[T], pad: T) -> [T; L] {
    match x.first_chunk() {
        Some(vector) => *vector,
        None => {
            let mut vector = [pad; L];
            vector[..x.len()].copy_from_slice(x);
            vector
        }
    }
}

/// Fills the places, at most `L`, with the first elements of the vector.
#[inline(always)]
pub(crate) fn write<'a, T: Copy, const L: usize>(out: &'a mut Unwritten<T>, v: &[T; L]) -> &'a mut [T] {
    if out.len() == L { copy_from(out, v) } else { copy_from(out, &v[..out.len()]) }
}

/// Lanes of the vectors at the ends of rows.
pub(crate) const END: usize = 16;

/// For each lane of a vector 1, but 0 for the first `done`. What is chosen by these is chosen in vectors; comparisons with
/// the numbers of the lanes would be branches.
///
/// # Panics
/// Where there are more lanes done than there are.
#[inline(always)]
pub(crate) fn after(done: usize) -> &'static [u32; END] {
    static ENDS: [u32; 2 * END] = {
        let mut ends = [0; 2 * END];
        let mut i = END;
        while i < 2 * END {
            ends[i] = 1;
            i += 1;
        }
        ends
    };
    ENDS[END - done..].first_chunk().expect("there are twice as many as lanes")
}

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

/// Work on neighbouring elements, `L` from `at` on at a time. It may be done twice to some: to those from `at` to the next
/// multiple of `L` it is done already.
pub(crate) trait Lanes {
    /// The most elements at a time.
    const WIDEST: usize;

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
    macro_rules! widths {
        ($($lanes:literal),+) => {$(
            // What is left takes one vector, which ends at the last element, or two of half the length.
            if K::WIDEST >= $lanes {
                while at + $lanes <= n {
                    // SAFETY: the elements are below `n`, and the caller has asked `op` for those.
                    unsafe { op.lanes::<$lanes>(at) };
                    at += $lanes;
                }
                if at < n && (n - at) * 2 > $lanes && n >= $lanes {
                    // SAFETY: the elements are below `n`, and the caller has asked `op` for those.
                    return unsafe { op.lanes::<$lanes>(n - $lanes) };
                }
            }
        )+};
    }
    widths!(64, 32, 16, 8, 4);
    // SAFETY: as above; four elements that end at the last are there where vectors have been before.
    unsafe {
        match n {
            _ if at == n => (),
            1 => op.lanes::<1>(0),
            2 => op.lanes::<2>(0),
            3 => op.lanes::<3>(0),
            _ => op.lanes::<4>(n - 4),
        }
    }
}
