//! Where along an axis the largest or the smallest element is.

use super::dispatch::{Kernel, Shared, dispatch};
use super::number::Number;
use super::reduce::{Axis, CHUNK, FEW, Fold, LANES, Max, Min, WIDTH, nanos, reduce};
use crate::memory::room;
use crate::team;

/// `out[o, j]` = the place in `x[o, .., j]` of its first largest element, or of its first NaN.
///
/// # Safety
/// `x` must be readable for `outer * n * inner` elements, `out` writable for `outer * inner`, and `n` not 0.
pub unsafe fn argmax<T: Number>(axis: Axis, x: *const T, out: *mut i64) {
    // SAFETY: the caller's promise.
    unsafe { first_place::<Max<T>>(axis, x, out) }
}

/// `out[o, j]` = the place in `x[o, .., j]` of its first smallest element, or of its first NaN.
///
/// # Safety
/// `x` must be readable for `outer * n * inner` elements, `out` writable for `outer * inner`, and `n` not 0.
pub unsafe fn argmin<T: Number>(axis: Axis, x: *const T, out: *mut i64) {
    // SAFETY: the caller's promise.
    unsafe { first_place::<Min<T>>(axis, x, out) }
}

/// Folds first, then looks for the result: two passes that vectorise are faster than one that does not.
unsafe fn first_place<K: Fold<In: Number, Out = <K as Fold>::In>>(
    axis: Axis,
    x: *const K::In,
    out: *mut i64,
) {
    let Axis { outer, n, inner } = axis;
    let mut best: Vec<K::In> = room(outer * inner);
    // SAFETY: the caller's promise, and the room just made.
    unsafe { reduce::<K>(axis, x, best.as_mut_ptr()) };
    if outer * inner == 0 {
        return;
    }
    let width = if n * inner <= CHUNK { inner } else { WIDTH.min(inner) };
    let tiles = inner.div_ceil(width);
    let group = (CHUNK / (n * inner).max(1)).clamp(1, outer);
    let groups = outer.div_ceil(group);
    let (from, sought, to) = (Shared(x.cast_mut()), Shared(best.as_mut_ptr()), Shared(out));
    team::run(groups * tiles, nanos::<K>(outer * n * inner), |task| {
        let (first, j) = ((task / tiles) * group, (task % tiles) * width);
        let columns = width.min(inner - j);
        for o in first..outer.min(first + group) {
            let x = from.at(o * n * inner + j);
            let (best, out) = (sought.at(o * inner + j), to.at(o * inner + j));
            // SAFETY: the task's columns of the caller's arrays and of `best`, which `reduce` has filled.
            unsafe { dispatch(Places { n, stride: inner, columns, x, best, out }) };
        }
    });
}

struct Places<T> {
    n: usize,
    stride: usize,
    columns: usize,
    x: *const T,
    best: *const T,
    out: *mut i64,
}

impl<T: Number> Kernel for Places<T> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<const FMA: bool>(self) {
        let (mut j, n) = (0, self.n);
        // SAFETY: the columns are within those that the caller vouches for.
        unsafe {
            if self.stride == 1 {
                return *self.out = place_in_row(self.x, n, *self.best) as i64;
            }
            while j + LANES <= self.columns {
                self.places::<LANES>(j);
                j += LANES;
            }
            while j + FEW <= self.columns {
                self.places::<FEW>(j);
                j += FEW;
            }
            while j < self.columns {
                self.places::<1>(j);
                j += 1;
            }
        }
    }
}

impl<T: Number> Places<T> {
    /// Goes through the rows backwards, so that the first match is the one that stays.
    #[inline(always)]
    unsafe fn places<const L: usize>(&self, j: usize) {
        let mut place = [0_i64; L];
        // SAFETY: columns `j..j + L` of the caller's arrays.
        unsafe {
            let best = *self.best.add(j).cast::<[T; L]>();
            for i in (0..self.n).rev() {
                let x = *self.x.add(i * self.stride + j).cast::<[T; L]>();
                for l in 0..L {
                    place[l] = if same(x[l], best[l]) { i as i64 } else { place[l] };
                }
            }
            *self.out.add(j).cast::<[i64; L]>() = place;
        }
    }
}

#[inline(always)]
unsafe fn place_in_row<T: Number>(x: *const T, n: usize, best: T) -> usize {
    let mut i = 0;
    // SAFETY: all elements read are among the `n`.
    unsafe {
        while i + LANES <= n {
            let block = &*x.add(i).cast::<[T; LANES]>();
            let mut found = false;
            for &v in block {
                found |= same(v, best);
            }
            if found {
                break;
            }
            i += LANES;
        }
        while i < n && !same(*x.add(i), best) {
            i += 1;
        }
    }
    i
}

#[inline(always)]
fn same<T: Number>(x: T, best: T) -> bool {
    (x == best) | (x.is_nan() & best.is_nan())
}
