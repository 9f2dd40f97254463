//! Running reductions along one axis: cumulative sums and products, and any other [`Fold`].

use super::dispatch::{Kernel, Shared, dispatch};
use super::reduce::{Axis, BLOCK, CHUNK, Fold, Rows, WIDTH, nanos};
use crate::memory::filled;
use crate::team;

/// Columns scanned side by side.
const LANES: usize = 16;

/// `out[o, i, j] = fold of x[o, 0..=i, j]` for `x` of shape `(outer, n, inner)`.
///
/// # Safety
/// `x` must be readable and `out` writable for `outer * n * inner` elements; they must not overlap.
pub unsafe fn scan<K: Fold>(axis: Axis, x: *const K::In, out: *mut K::Out) {
    let Axis { outer, n, inner } = axis;
    if outer * n * inner == 0 {
        return;
    }
    let rows = BLOCK.max(CHUNK / inner);
    let (from, to) = (Shared(x.cast_mut()), Shared(out));
    let nanos = 4 * nanos::<K>(outer * n * inner);
    if n * inner > CHUNK && n > rows {
        let parts = n.div_ceil(rows);
        // SAFETY: the caller's promise.
        let mut carries = unsafe { carries::<K>(axis, rows, x) };
        let carries = Shared(carries.as_mut_ptr());
        return team::run(outer * parts, nanos, |task| {
            let (o, first) = (task / parts, (task % parts) * rows);
            let (n, at) = (rows.min(n - first), (o * n + first) * inner);
            let (x, out, carry) = (from.at(at), to.at(at), carries.at(task * inner));
            // SAFETY: the task's rows of the caller's arrays, and its row of the carries.
            unsafe { dispatch(Scan::<K> { n, stride: inner, columns: inner, x, out, carry }) };
        });
    }
    let width = if n * inner <= CHUNK { inner } else { WIDTH.min(inner) };
    let tiles = inner.div_ceil(width);
    let group = (CHUNK / (n * inner)).clamp(1, outer);
    team::run(outer.div_ceil(group) * tiles, nanos, |task| {
        let (first, j) = ((task / tiles) * group, (task % tiles) * width);
        let columns = width.min(inner - j);
        for o in first..outer.min(first + group) {
            let (x, out, carry) = (from.at(o * n * inner + j), to.at(o * n * inner + j), std::ptr::null());
            // SAFETY: the task's columns of the caller's arrays.
            unsafe { dispatch(Scan::<K> { n, stride: inner, columns, x, out, carry }) };
        }
    });
}

/// For each part of `rows` rows, the fold of all rows before it; shape `(outer, parts, inner)`.
unsafe fn carries<K: Fold>(axis: Axis, rows: usize, x: *const K::In) -> Vec<K::Out> {
    let Axis { outer, n, inner } = axis;
    let parts = n.div_ceil(rows);
    let mut carries = filled(outer * parts * inner, K::START);
    let (from, to) = (Shared(x.cast_mut()), Shared(carries.as_mut_ptr()));
    // The fold of a part goes where the carry of the next part will be; that of the last is not needed.
    team::run(outer * (parts - 1), nanos::<K>(outer * n * inner), |task| {
        let (o, part) = (task / (parts - 1), task % (parts - 1));
        let (x, out) = (from.at((o * n + part * rows) * inner), to.at((o * parts + part + 1) * inner));
        let axis = Axis { outer: 1, n: rows, inner };
        // SAFETY: the task's rows of the caller's array, all full, and a row of `carries` of its own.
        unsafe { dispatch(Rows::<K> { axis, x, out }) };
    });
    for of_outer in carries.chunks_exact_mut(parts * inner) {
        for i in inner..parts * inner {
            of_outer[i] = K::merge(of_outer[i - inner], of_outer[i]);
        }
    }
    carries
}

struct Scan<K: Fold> {
    n: usize,
    stride: usize,
    columns: usize,
    x: *const K::In,
    out: *mut K::Out,
    /// One accumulator per column to start from; null for the fold of nothing.
    carry: *const K::Out,
}

impl<K: Fold> Kernel for Scan<K> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<const FMA: bool>(self) {
        let mut j = 0;
        // SAFETY: columns `j..j + L` are within those that the caller vouches for.
        unsafe {
            while j + LANES <= self.columns {
                self.columns::<LANES>(j);
                j += LANES;
            }
            while j < self.columns {
                self.columns::<1>(j);
                j += 1;
            }
        }
    }
}

impl<K: Fold> Scan<K> {
    #[inline(always)]
    unsafe fn columns<const L: usize>(&self, j: usize) {
        let mut acc = [K::START; L];
        // SAFETY: columns `j..j + L` of the caller's arrays.
        unsafe {
            if !self.carry.is_null() {
                acc = *self.carry.add(j).cast::<[K::Out; L]>();
            }
            for i in 0..self.n {
                let x = *self.x.add(i * self.stride + j).cast::<[K::In; L]>();
                let out = self.out.add(i * self.stride + j);
                for l in 0..L {
                    acc[l] = K::push(acc[l], x[l]);
                    *out.add(l) = acc[l];
                }
            }
        }
    }
}
